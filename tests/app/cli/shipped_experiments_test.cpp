// Experiments that ship and whose figures docs/fabric.md quotes: they run, no law is broken, and
// the page says what they say.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

const std::string kExperiments = std::string(PODSIM_SOURCE_DIR) + "/configs/experiments/";

std::string fabric_page() {
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/docs/fabric.md");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

nlohmann::json run(const Folder& folder, const std::string& name) {
    const Outcome outcome = folder.podsim({"run", kExperiments + name + ".yaml", "--out", "r"});
    EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.err;
    return nlohmann::json::parse(folder.read("r/result.json"));
}

double metric(const nlohmann::json& alternative, const char* name) {
    return alternative.at("metrics").at(name).at("value").get<double>();
}

// The first basis of an alternative bears the plain name.
double owned_cost(const nlohmann::json& alternative) {
    const char* owned = "usd_per_million_output_tokens_owned";
    const bool second = alternative.at("metrics").contains(owned);
    return metric(alternative, second ? owned : "usd_per_million_output_tokens");
}

bool page_has_row(const std::string& row) {
    return contains(fabric_page(), row);
}

TEST(ShippedExperiments, AllRun) {
    const Folder folder;
    for (const auto& entry : std::filesystem::directory_iterator(kExperiments)) {
        const std::string name = entry.path().stem();
        if (entry.path().extension() != ".yaml") continue;
        // A search of thousands of mappings is asked whether it could start.
        if (name.rfind("plan-", 0) == 0) {
            const Outcome outcome = folder.podsim({"check", entry.path().string()});
            EXPECT_EQ(outcome.code, 0) << name << ": " << outcome.err;
        } else {
            run(folder, name);
        }
    }
}

TEST(ShippedExperiments, ThePageSaysWhatAFasterSupernodeBrings) {
    const Folder folder;
    const auto decode = run(folder, "scale-up-bandwidth-decode").at("alternatives");
    const auto prefill = run(folder, "scale-up-bandwidth-prefill").at("alternatives");
    ASSERT_EQ(decode.size(), prefill.size());
    for (std::size_t i = 0; i < decode.size(); ++i) {
        const std::string row = fmt::format(
            "| {} | {:.0f} | {:.1f} | {:.0f} | {:.0f} |", decode[i].at("name").get<std::string>(),
            metric(decode[i], "decode_tokens_per_second_per_chip"),
            metric(decode[i], "time_per_output_token"),
            metric(prefill[i], "prefill_tokens_per_second_per_chip"),
            metric(prefill[i], "time_to_first_token"));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysWhatTheFabricsDo) {
    const Folder folder;
    const auto decode = run(folder, "fabrics-decode").at("alternatives");
    const auto prefill = run(folder, "fabrics-prefill").at("alternatives");
    ASSERT_EQ(decode.size(), prefill.size());
    for (std::size_t i = 0; i < decode.size(); ++i) {
        const std::string row = fmt::format(
            "| {} | {:.0f} | {:.1f} | {:.0f} |", decode[i].at("name").get<std::string>(),
            metric(decode[i], "decode_tokens_per_second_per_chip"),
            metric(decode[i], "iteration_time"),
            metric(prefill[i], "prefill_tokens_per_second_per_chip"));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
    for (const auto& one : run(folder, "fabrics-as-sold").at("alternatives")) {
        const std::string row =
            fmt::format("| {} | {:.0f} | {:.0f} | {:.3g} |", one.at("name").get<std::string>(),
                        metric(one, "batch_per_chip"),
                        metric(one, "decode_tokens_per_second_per_chip"), owned_cost(one));
        EXPECT_TRUE(page_has_row(row)) << "put this into docs/fabric.md:\n" << row;
    }
}

TEST(ShippedExperiments, ThePageSaysHowLargeTheFleetIs) {
    const Folder folder;
    const Outcome outcome =
        folder.podsim({"plan", kExperiments + "plan-serving.yaml", "--out", "found"});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/docs/planning.md");
    std::ostringstream page;
    page << file.rdbuf();
    const auto plan = nlohmann::json::parse(folder.read("found/plan.json"));
    for (const auto& of : plan.at("alternatives")) {
        const auto& fleet = of.at("fleet");
        const std::string row = fmt::format(
            "| {} | {} | {:.1f} | {:.1f} | {:.3f} | {:.2f}x |", of.at("name").get<std::string>(),
            fleet.at("chips").get<int>(), fleet.at("power").get<double>() / 1e3,
            fleet.at("usd_per_month").get<double>() / 1e3,
            metric(fleet, "usd_per_million_total_tokens"), fleet.at("holds").get<double>());
        EXPECT_TRUE(contains(page.str(), row)) << "put this into docs/planning.md:\n" << row;
    }
}

}  // namespace
}  // namespace podsim
