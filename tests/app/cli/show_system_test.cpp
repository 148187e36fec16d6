// `podsim show system`: systems side by side.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

TEST(ShowSystem, SideBySideIn80Columns) {
    const Outcome outcome =
        Folder().podsim({"show", "system", "cloudmatrix384", "h800-ib", "custom-mesh"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(line.size(), 80U) << line;
    for (const char* const what :
         {"bisection, TB/s", "512 B read, far, us", "busbw of all_to_all in a domain, links alone",
          "optical modules", "6912", "ports alone"})
        EXPECT_TRUE(contains(outcome.out, what)) << what;
}

// 192 x 392 GB/s between halves; a lone system lists its sources too.
TEST(ShowSystem, ComputedAndSourced) {
    const Outcome text = Folder().podsim({"show", "system", "cloudmatrix384"});
    EXPECT_TRUE(contains(text.out, "196 GB/s a die")) << text.out;
    EXPECT_TRUE(contains(text.out, "What follows from it"));
    const Json json =
        Json::parse(Folder().podsim({"show", "system", "cloudmatrix384", "--json"}).out);
    const Json& computed = json["computed"];
    EXPECT_NEAR(computed["scale_up"]["bisection"].get<double>(), 192 * 392e9, 1e6);
    EXPECT_EQ(computed["scale_up"]["diameter"], 4);
    EXPECT_EQ(computed["bill"]["optical_modules"], 6912);
    EXPECT_EQ(computed["bus_bandwidth"].size(), 10U);
}

// What is asked on the command line shows: two of seven planes dead.
TEST(ShowSystem, FaultsTakeBandwidth) {
    const auto bus_bandwidth = [](const std::vector<std::string>& more) {
        std::vector<std::string> all = {"show", "system", "cloudmatrix384", "--json"};
        all.insert(all.end(), more.begin(), more.end());
        const Json json = Json::parse(Folder().podsim(all).out);
        return json["computed"]["bus_bandwidth"].back()["links_bus_bandwidth"].get<double>();
    };
    EXPECT_NEAR(bus_bandwidth({"--set",
                               "system:cloudmatrix384.scale_up.topology.faults=[{plane: 0}, "
                               "{plane: 6}]"}) /
                    bus_bandwidth({}),
                5.0 / 7, 1e-3);
}

TEST(ShowSystem, BadTopologiesSayWhere) {
    const Outcome outcome =
        Folder().podsim({"show", "system", "custom-torus", "--set",
                         "system:custom-torus.scale_up.topology.dimensions=[16, 15]"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_TRUE(contains(outcome.err,
                         "scale_up.topology: dimensions: their product is 240, the "
                         "level has 256 chips"))
        << outcome.err;
}

}  // namespace
}  // namespace podsim
