// `characterize`: one chip's roofline, memory, products and gaps, as text, JSON and plots.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

TEST(Characterize, TextFitsAndIsTheSameFromDisk) {
    const Folder folder;
    const std::map<std::string, std::string> kept = {{"XDG_CACHE_HOME", folder / "cache"}};
    const Outcome first = folder.podsim({"characterize", "h200"}, kept);
    EXPECT_EQ(first.code, 0) << first.err;
    EXPECT_EQ(first.err, "");
    for (const std::string& line : lines_of(first.out)) EXPECT_LE(line.size(), 80U) << line;
    for (const char* part : {"roofline at 4.8 TB/s", "memory hbm3e", "latency under load",
                             "products bf16", "tile above analytic"})
        EXPECT_TRUE(contains(first.out, part)) << part;
    EXPECT_EQ(folder.files().size(), 2U);  // the surface, and what the cores sustain
    EXPECT_EQ(folder.podsim({"characterize", "h200"}, kept).out, first.out);
    // What is stored is believed only where nothing has changed.
    const std::vector<std::string> other = {"characterize", "h200", "--set",
                                            "memory:hbm3e.controller.refresh=all_bank"};
    EXPECT_NE(folder.podsim(other, kept).out, first.out);
}

TEST(Characterize, JsonAndPlots) {
    const Folder folder;
    const Outcome outcome =
        folder.podsim({"characterize", "ascend-910c", "--json", "--svg", "plots", "--no-cache"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const Json json = Json::parse(outcome.out);
    EXPECT_EQ(json["ranks"], 2);
    EXPECT_EQ(json["memory"]["device"], "hbm2e");
    for (const Json& use : json["memory"]["uses"]) {
        for (const double share : use["share_of_peak"]) {
            EXPECT_GT(share, 0.2);
            EXPECT_LE(share, 1.0);
        }
    }
    for (const Json& product : json["products"]) {
        const double roofline = product["roofline"];
        for (const double share : product["share_of_peak"]) EXPECT_LE(share, roofline * 1.0001);
    }
    for (const char* name : {"roofline", "memory", "latency"}) {
        const std::string svg = folder.read(std::string("plots/") + name + ".svg");
        EXPECT_EQ(svg.rfind("<svg ", 0), 0U) << name;
        EXPECT_TRUE(contains(svg, "polyline")) << name;
        EXPECT_FALSE(contains(svg, "nan")) << name;
    }
}

TEST(Characterize, WithoutDevicesItSaysSo) {
    const Folder folder;
    const Outcome outcome = folder.podsim({"characterize", "tpu-v5e", "--no-cache"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "does not say which devices it carries"));
}

TEST(Characterize, BadInput) {
    const Folder folder;
    const Outcome chip = folder.podsim({"characterize", "h2000"});
    EXPECT_EQ(chip.code, 2);
    EXPECT_TRUE(contains(chip.err, "did you mean h200?")) << chip.err;
    const Outcome device =
        folder.podsim({"characterize", "h200", "--set", "chip:h200.memory.device=hbm3f"});
    EXPECT_EQ(device.code, 2);
    EXPECT_TRUE(contains(device.err, "memory.device")) << device.err;
    const Outcome odd = folder.podsim(
        {"characterize", "h200", "--set", "chip:h200.hbm.bandwidth=6 TB/s", "--no-cache"});
    EXPECT_EQ(odd.code, 0);
    EXPECT_TRUE(contains(odd.err, "6 stacks x 1024 pins x 6.25 Gb/s give 4.8 TB/s")) << odd.err;
}

}  // namespace
}  // namespace podsim
