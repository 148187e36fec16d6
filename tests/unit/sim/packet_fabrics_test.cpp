// Packets against tile over the families of topologies, at the defaults of `packets:`, of libraries
// that cost nothing: the rows of the table in docs/fabric.md, for fewer ranks.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "sim/packet_collective.hpp"
#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/sim/packet_fabric_cases.hpp"

namespace podsim {
namespace {

Result run(const FabricCase& fabric, const std::string& collective, const std::string& further = "",
           std::uint64_t seed = 1) {
    return run_packets_on(test_catalog(), fabric, collective, further, seed);
}

// Tile over packets, less one; by hand headers alone are -24 / 4,120.
double gap(const Result& result) {
    const AlternativeResult& one = result.alternatives.front();
    for (const std::string& warning : one.warnings)
        EXPECT_EQ(warning.find("packets are run"), std::string::npos) << warning;
    EXPECT_TRUE(result.audit_passed());
    EXPECT_EQ(one.neighbour, "tile");
    return one.neighbour_gap;
}

const FabricCase kSwitch{"one switch", ""},
    kPlanes{"two tiers", "family: switched-planes, node_chips: 4, second_tier: 4", 16, 0, 4},
    kTwoToOne{"2:1", "family: fat-tree, node_chips: 4, second_tier: 4, oversubscription: 2"},
    kMesh{"mesh", "family: full-mesh, dimensions: [4, 4]"},
    kTorus{"torus", "family: torus, dimensions: [4, 4]"},
    kRing{"ring", "family: torus, dimensions: [16]"},
    kDragonfly{"dragonfly",
               "family: dragonfly, routers_per_group: 2, chips_per_router: 2, global_links: 2, "
               "local_bandwidth: 400 GB/s, global_bandwidth: 400 GB/s",
               20},
    kDomains{"domains", "family: switched-planes", 32, 8},
    kMeshDomains{"domains of meshes", "family: full-mesh, dimensions: [8]", 32, 8};

TEST(PacketFabrics, DefaultsAreWithinFivePercent) {
    for (const FabricCase& fabric :
         {kSwitch, kPlanes, kTwoToOne, kMesh, kTorus, kRing, kDragonfly, kDomains, kMeshDomains}) {
        for (const char* what :
             {"type: all_to_all, bytes: 8 MB", "type: all_reduce, bytes: 32 MB",
              "type: all_gather, bytes: 32 MB", "type: broadcast, bytes: 32 MB"}) {
            const double off = gap(run(fabric, what));
            std::printf("  %s, %s: %+.1f %%\n", fabric.name.c_str(), what, 100 * off);
            EXPECT_NEAR(off, 0, 0.05) << fabric.name << ", " << what;
        }
    }
}

// Of the busiest ranks, which everybody sends more.
TEST(PacketFabrics, UnequalExperts) {
    for (const FabricCase& fabric : {kSwitch, kTwoToOne, kMesh, kTorus, kDragonfly}) {
        const double off =
            gap(run(fabric,
                    "type: dispatch, tokens_per_rank: 256, hidden: 7168, top_k: 8, experts: 80, "
                    "element_bytes: 1",
                    "    experts: {popularity: zipf, zipf_exponent: 0.6}\n"));
        std::printf("  %s: %+.1f %%\n", fabric.name.c_str(), 100 * off);
        EXPECT_NEAR(off, 0, 0.05) << fabric.name;
    }
}

// Parts that are broken, of which `tile` takes the ways that are left by their shares: by hand,
// where an eighth chip has lost one of four planes, it takes in 7/8 of 16 MB over 150 GB/s, 93.3
// us.
TEST(PacketFabrics, BrokenParts) {
    FabricCase planes{"two tiers", "family: switched-planes, node_chips: 4, second_tier: 4", 8, 0,
                      4};
    planes.bandwidth = "200 GB/s";
    const char* const all_to_all = "type: all_to_all, bytes: 16 MB";
    planes.faults = "{link: [chip7, l1.p0.1]}";
    const Result dead = run(planes, all_to_all);
    EXPECT_NEAR(dead.alternatives.front().metric("packet_time")->value, 93.3 * 4120 / 4096, 1.5);
    FabricCase mesh{"mesh", "family: full-mesh, dimensions: [2, 4]", 8};
    FabricCase torus{"torus", "family: torus, dimensions: [4, 4]", 16};
    const auto expect_near = [&](FabricCase fabric, const char* faults, double within) {
        fabric.faults = faults;
        for (const char* what : {all_to_all, "type: all_reduce, bytes: 32 MB"}) {
            const double off = gap(run(fabric, what));
            std::printf("  %s, %s, %s: %+.1f %%\n", fabric.name.c_str(), faults, what, 100 * off);
            EXPECT_NEAR(off, 0, within) << fabric.name << ", " << faults << ", " << what;
        }
    };
    for (const char* faults :
         {"{link: [chip7, l1.p0.1]}", "{link: [chip7, l1.p0.1], capacity: 0.5}",
          "{switch: l1.p0.0, capacity: 0.5}", "{link: [l1.p0.0, l2.p0.1]}",
          "{switch: l2.p0.1, capacity: 0.5}", "{chip: 3, capacity: 0.5}"})
        expect_near(planes, faults, 0.02);
    for (const char* faults : {"{link: [chip0, chip1]}", "{link: [chip0, chip1], capacity: 0.5}",
                               "{chip: 3, capacity: 0.5}"})
        expect_near(mesh, faults, 0.02);
    // A row that is left of a ring is late in every phase, and holds up the rings across it.
    expect_near(torus, "{link: [chip0, chip1]}", 0.2);
    EXPECT_NEAR(gap(run(
                    [&] {
                        FabricCase one = torus;
                        one.faults = "{link: [chip0, chip1]}";
                        return one;
                    }(),
                    "type: all_gather, bytes: 32 MB")),
                0, 0.02);
}

// Several levels that begin with a mesh or a switch: all planes above it are at work, and what
// takes the links the shortest is done, as `tile` does.
TEST(PacketFabrics, ComposedLevels) {
    const auto levels = [](const char* inner, const char* outer) {
        return fmt::format(
            "levels: [{{{}, chips: 4, bandwidth: 300 GB/s, {}}}, {{family: switched-planes, {}, "
            "bandwidth: 100 GB/s, {}}}]",
            inner, kLinkTimes, outer, kLinkTimes);
    };
    for (const char* inner : {"family: full-mesh, dimensions: [4]", "family: switched-planes"}) {
        for (const char* outer :
             {"planes: 1", "planes: 4", "planes: 2, node_chips: 8, second_tier: 2"}) {
            const FabricCase fabric{inner, levels(inner, outer)};
            for (const char* what :
                 {"type: all_to_all, bytes: 8 MB", "type: all_reduce, bytes: 32 MB",
                  "type: all_gather, bytes: 32 MB", "type: broadcast, bytes: 32 MB",
                  "type: all_to_all, bytes: 8 MB, algorithm: hierarchical"}) {
                const double off = gap(run(fabric, what));
                std::printf("  %s, %s, %s: %+.1f %%\n", inner, outer, what, 100 * off);
                EXPECT_NEAR(off, 0, 0.05) << inner << ", " << outer << ", " << what;
            }
        }
    }
}

// Domains of 8, 8 and 4.
TEST(PacketFabrics, UnequalDomains) {
    const FabricCase ragged{"domains of 8, 8 and 4", "family: switched-planes", 20, 8};
    for (const char* what : {"type: all_to_all, bytes: 16 MB", "type: all_reduce, bytes: 64 MB",
                             "type: reduce_scatter, bytes: 64 MB"}) {
        const double off = gap(run(ragged, what));
        std::printf("  %s: %+.1f %%\n", what, 100 * off);
        EXPECT_NEAR(off, 0, 0.05) << what;
    }
}

// Some cells of the table in docs/fabric.md, in %.
TEST(PacketFabrics, CellsOfThePage) {
    const auto cell = [](int ranks, std::size_t fabric, const std::string& which) {
        for (const auto& [name, collective] : table_collectives()) {
            if (name != which) continue;
            return 100 * gap(run(table_fabrics(ranks).at(fabric), collective,
                                 name == "dispatch" ? kTableExperts : ""));
        }
        throw std::invalid_argument("no such column");
    };
    EXPECT_NEAR(cell(8, 1, "dispatch"), -2.4, 0.1);
    EXPECT_NEAR(cell(8, 6, "all_reduce"), -1.1, 0.1);
    EXPECT_NEAR(cell(64, 3, "all_reduce"), -0.6, 0.1);
    // Of rings between domains and what is gathered within them neither waits for the other.
    EXPECT_NEAR(cell(64, 3, "all_gather"), -0.6, 0.1);
}

// What is asked for is done within each domain, rings between them; trees have roots everywhere.
TEST(PacketFabrics, AlgorithmsOverDomains) {
    for (const FabricCase& fabric : {kDomains, kMeshDomains}) {
        for (const char* algorithm : {"ring", "tree", "halving-doubling", "hierarchical"}) {
            const double off = gap(run(
                fabric, fmt::format("type: all_reduce, bytes: 64 MB, algorithm: {}", algorithm)));
            std::printf("  %s, %s: %+.1f %%\n", fabric.name.c_str(), algorithm, 100 * off);
            EXPECT_NEAR(off, 0, 0.05) << fabric.name << ", " << algorithm;
        }
    }
}

// A leaf's four uplinks have a quarter of a port each (4:1), and a flow takes one of them, the same
// in every step of a ring: 2 x 15/16 of 32 MB at 100 GB/s, 600 us, whatever the seed. Drawn anew
// for each message the ring would be faster than its links.
TEST(PacketFabrics, HashedRingsKeepTheirWay) {
    const FabricCase fabric{"4:1",
                            "family: fat-tree, node_chips: 4, second_tier: 4, oversubscription: 4"};
    FabricCase hashed = fabric;
    hashed.topology += ", routing: hashed";
    for (const std::uint64_t seed : {1, 2, 3}) {
        const Result result =
            run(hashed, "type: all_reduce, bytes: 32 MB, algorithm: ring", "", seed);
        const double time = result.alternatives.front().metric("packet_time")->value;
        EXPECT_GE(time, 600 * (1 + 24.0 / 4096)) << seed;
        EXPECT_LE(time, 640) << seed;
        EXPECT_NEAR(gap(result), 0, 0.05) << seed;
    }
}

// Over a random third chip every byte takes two ways. Tile sends a chip's own part, 1/16, over
// thirds too, and packets none of it.
TEST(PacketFabrics, Detours) {
    for (FabricCase fabric : {kMesh, kTorus}) {
        fabric.topology += ", routing: valiant";
        const double off = gap(run(fabric, "type: all_to_all, bytes: 32 MB"));
        std::printf("  %s, over thirds: %+.1f %%\n", fabric.name.c_str(), 100 * off);
        EXPECT_NEAR(off, 1.0 / 15, 0.05) << fabric.name;
    }
}

}  // namespace
}  // namespace podsim
