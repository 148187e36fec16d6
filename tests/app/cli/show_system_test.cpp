// `podsim show system`: systems side by side.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

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
          "optical modules", "6912", "ports alone", "bill of parts, number", "bill of parts, kW",
          "bill of parts, kUSD", "ub-switch", "nvswitch-3"})
        EXPECT_TRUE(contains(outcome.out, what)) << what;
}

// Parts sum to what the whole draws and costs.
TEST(ShowSystem, ABillSumsUp) {
    const Json json = Json::parse(Folder().podsim({"show", "system", "dgx-b200", "--json"}).out);
    const Json& bill = json["computed"]["bill"];
    double power = bill["chips_power"].get<double>() + bill["overhead_power"].get<double>();
    double price = bill["overhead_price"].get<double>();
    EXPECT_EQ(bill["chips_power"], 8000.0);
    for (const Json& line : bill["lines"]) {
        power += line["power"].get<double>();
        price += line["price"].get<double>();
        EXPECT_LE(line["price_low"], line["price"]) << line;
        EXPECT_LE(line["price"], line["price_high"]) << line;
    }
    EXPECT_NEAR(power / bill["power"].get<double>(), 1, 1e-12);
    EXPECT_NEAR(price / bill["price"].get<double>(), 1, 1e-12);
}

// A system of one's own may do without: what is missing is said, and how to say it.
TEST(ShowSystem, WithoutABillItSaysHow) {
    const Folder folder;
    folder.write("own.yaml",
                 "base: hgx-h100\ntitle: Of one's own\nbill: null\n"
                 "scale_up: {topology: {switch: null}}\n");
    const Outcome outcome = folder.podsim({"show", "system", "own.yaml"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "has no bill of parts")) << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "podsim show parts default lists them"));
    folder.write("bare.yaml",
                 "base: hgx-h100\ntitle: Of one's own\nscale_up: {topology: {switch: null}}\n");
    const Outcome bare = folder.podsim({"show", "system", "bare.yaml"});
    EXPECT_EQ(bare.code, 0) << bare.err;
    EXPECT_TRUE(contains(bare.out, "scale_up.topology has 4 switches of no part")) << bare.out;
    for (const Outcome* shown : {&outcome, &bare})
        for (const std::string& line : lines_of(shown->out)) EXPECT_LE(line.size(), 80U) << line;
}

// What was published of a system, beside what its parts add up to: every deviation.
struct Published {
    const char* system;
    const char* what;  // as the page says it
    const char* of;    // "kW"; "kUSD": with the chips at the default prices; "USD a chip"; a part
    double value;
    const char* said;  // by whom
};

constexpr Published kPublished[] = {
    {"cloudmatrix384", "set, kW", "kW", 559, "559, SemiAnalysis; another estimate 500"},
    {"cloudmatrix384", "optical modules", "optical_modules", 6912, "6,912, SemiAnalysis"},
    {"cloudmatrix384", "UB switch chips", "ub-switch", 448, "336 + 112, arXiv 2506.12708"},
    {"atlas-800t-a2", "server, kW", "kW", 5.6, "5.2 to 5.6, data sheet"},
    {"atlas-800t-a2", "server, kUSD", "kUSD", 200, "1.4 to 1.5 M yuan, press 2024"},
    {"atlas-800-9000", "server, kW", "kW", 5.6, "5.6, recalled"},
    {"atlas-650e", "two servers, kW", "kW", 29, "14.5 each, white paper"},
    {"atlas-950-superpod", "racks", "cooled-rack", 160, "128 + 32, keynote 2026"},
    {"atlas-960-superpod", "racks", "cooled-rack", 220, "176 + 44, keynote 2025"},
    {"dgx1-v100", "node, kW", "kW", 3.5, "3.5, data sheet"},
    {"dgx-a100", "node, kW", "kW", 6.5, "6.5, data sheet"},
    {"dgx-a100", "NVSwitch chips", "nvswitch-2", 6, "6, data sheet"},
    {"dgx-a100", "node, kUSD", "kUSD", 199, "199, list of 2020"},
    {"hgx-h100", "node, kW", "kW", 10.2, "10.2, data sheet"},
    {"hgx-h100", "NVSwitch chips", "nvswitch-3", 4, "4, data sheet"},
    {"hgx-h100", "node, kUSD", "kUSD", 270, "270 in 2023, Epoch AI; 300 to 350 since"},
    {"h100-ib", "USD a chip, network and all", "USD a chip", 50000,
     "50,000 a chip, all but the building"},
    {"hgx-h200", "node, kUSD", "kUSD", 315, "315, third-party"},
    {"hgx-h20", "node, kW", "kW", 6.5, "6.5, third-party"},
    {"hgx-h20", "node, kUSD", "kUSD", 130, "about 1 M yuan, rumour"},
    {"dgx-b200", "node, kW", "kW", 14.3, "14.3, data sheet"},
    {"dgx-b200", "NVSwitch chips", "nvswitch-5", 2, "2, data sheet"},
    {"dgx-b200", "node, kUSD", "kUSD", 450, "400 to 515, third-party"},
    {"dgx-b300", "node, kW", "kW", 14.4, "14.4, recalled"},
    {"gb200-nvl72", "rack, kW", "kW", 145, "145, SemiAnalysis; vendor 120 to 132"},
    {"gb200-nvl72", "NVSwitch chips", "nvswitch-5", 18, "18 in 9 trays, vendor"},
    {"gb200-nvl72", "copper pairs", "nvlink-pair-200g", 5000, "about 5,000, vendor"},
    {"gb200-nvl72", "rack, kUSD", "kUSD", 3400, "3,400, Bernstein; 3,000 to 4,000"},
    {"gb200-racks", "USD a chip, network and all", "USD a chip", 70000,
     "70,000 a chip, all but the building"},
    {"gb300-nvl72", "rack, kW", "kW", 142, "up to 142, reference architecture"},
    {"gb300-nvl72", "rack, kUSD", "kUSD", 4000, "4,000, Morgan Stanley"},
    {"vr200-nvl72", "rack, kW", "kW", 230, "230 at Max-P, analysts"},
    {"vr200-nvl72", "NVSwitch chips", "nvswitch-6", 36, "36 in 9 trays, vendor"},
    {"vr200-nvl72", "rack, kUSD", "kUSD", 7803, "7,803, Morgan Stanley; up to 9,100"},
    {"kyber-nvl144", "rack, kW", "kW", 600, "600, analysts"},
    {"mi300x-8", "node, kW", "kW", 10.5, "10.5, third-party"},
    {"mi355x-8", "node, kW", "kW", 15, "15, third-party"},
    {"helios-mi455x", "rack, kW", "kW", 220, "220, rumour"},
    {"helios-mi455x", "rack, kUSD", "kUSD", 3500, "3,500, rumour"},
    {"tpu-v7-pod", "pod, kW", "kW", 10000, "about 10 MW, vendor"},
    {"trn2-ultraserver", "server, kW", "kW", 48, "48, third-party"},
    {"trn3-ultraserver", "server, kW", "kW", 180, "180, rumour"},
};

double of_bill(const Json& computed, const std::string& what) {
    const Json& bill = computed["bill"];
    if (what == "kW") return bill["power"].get<double>() / 1e3;
    if (what == "optical_modules") return bill[what].get<double>();
    if (what == "kUSD" || what == "USD a chip") {
        const double all = bill["price"].get<double>() + computed["chips_price"].get<double>();
        return what == "kUSD" ? all / 1e3 : all / computed["chips"].get<double>();
    }
    for (const Json& line : bill["lines"])
        if (line["part"] == what) return line["count"].get<double>();
    ADD_FAILURE() << "no part " << what;
    return 0;
}

// docs/fabric.md, Parts.
TEST(ShowSystem, ThePageHasBillsBesideWhatIsPublished) {
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/docs/fabric.md");
    std::ostringstream page;
    page << file.rdbuf();
    const Folder folder;
    std::map<std::string, Json> shown;
    for (const Published& one : kPublished) {
        if (shown.count(one.system) == 0) {
            shown[one.system] =
                Json::parse(folder.podsim({"show", "system", one.system, "--json"}).out);
        }
        const double parts = of_bill(shown[one.system]["computed"], one.of);
        const std::string row = fmt::format(
            "| `{}` | {} | {} | {:.{}f} | {:+.0f} |", one.system, one.what, one.said, parts,
            parts < 100 && parts != std::floor(parts) ? 1 : 0, 100 * (parts / one.value - 1));
        EXPECT_TRUE(contains(page.str(), row)) << "put this into docs/fabric.md:\n" << row;
    }
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
