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

namespace podsim {
namespace {

struct Fabric {
    std::string name, topology;  // of scale-up; "" for ports alone
    int ranks = 16;
    int domain = 0;  // ranks; 0: all
    int planes = 1;
};

const char* const kTimes =
    "electrical_latency: 100 ns, optical_latency: 100 ns, switch_latency: 100 ns";

std::string wire_alone() {
    std::string text = "title: The wire alone\ntransfers:\n";
    for (const char* type : {"dispatch", "combine", "all_to_all", "all_reduce", "all_gather",
                             "reduce_scatter", "broadcast", "send_recv"}) {
        text += fmt::format(
            "  {}: {{base: 0 us, scale_up_efficiency: 1, scale_out_efficiency: 1, record: {{basis: "
            "assumed, source: what if, date: 2026-11-23}}}}\n",
            type);
    }
    return text;
}

// Chips of 400 GB/s in their domain and 100 GB/s beyond.
std::string system_text(const Fabric& fabric) {
    const int domain = fabric.domain > 0 ? fabric.domain : fabric.ranks;
    std::string text = fmt::format(
        "title: A fabric\nchip: custom-npu\nchips: {}\ncollectives: wire-alone\n"
        "power_per_chip: 1000 W\n"
        "scale_out: {{technology: a network, bandwidth: 100 GB/s, domain: 1000000, latency: 4 "
        "us}}\n"
        "scale_up:\n  technology: links\n  bandwidth: 400 GB/s\n  domain: {}\n  planes: {}\n"
        "  latency: 1 us\n",
        fabric.ranks, domain, fabric.planes);
    if (!fabric.topology.empty())
        text += fmt::format("  topology: {{{}, {}}}\n", fabric.topology, kTimes);
    return text;
}

Result run(const Fabric& fabric, const std::string& collective, const std::string& further = "",
           std::uint64_t seed = 1) {
    Catalog catalog = test_catalog();
    catalog.embed("system", "a-fabric", parse_yaml(system_text(fabric), "a-fabric.yaml"));
    catalog.embed("collectives", "wire-alone", parse_yaml(wire_alone(), "wire-alone.yaml"));
    RunOptions options;
    options.fidelity = Fidelity::cycle;
    options.seed = seed;
    const std::string text = fmt::format(
        "experiment: a\nworkload:\n  kind: collective\n  collective: {{{}, ranks: {}}}\n"
        "alternatives:\n  - name: A\n    system: a-fabric\n    chips: {}\n"
        "    collectives: wire-alone\n{}",
        collective, fabric.ranks, fabric.ranks, further);
    return run_experiment(parse_yaml(text, "a.yaml"), catalog, options);
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

const Fabric kSwitch{"one switch", ""},
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
    for (const Fabric& fabric :
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
    for (const Fabric& fabric : {kSwitch, kTwoToOne, kMesh, kTorus, kDragonfly}) {
        const double off =
            gap(run(fabric,
                    "type: dispatch, tokens_per_rank: 256, hidden: 7168, top_k: 8, experts: 80, "
                    "element_bytes: 1",
                    "    experts: {popularity: zipf, zipf_exponent: 0.6}\n"));
        std::printf("  %s: %+.1f %%\n", fabric.name.c_str(), 100 * off);
        EXPECT_NEAR(off, 0, 0.05) << fabric.name;
    }
}

// What is asked for is done within each domain, rings between them; trees have roots everywhere.
TEST(PacketFabrics, AlgorithmsOverDomains) {
    for (const Fabric& fabric : {kDomains, kMeshDomains}) {
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
    const Fabric fabric{"4:1",
                        "family: fat-tree, node_chips: 4, second_tier: 4, oversubscription: 4"};
    Fabric hashed = fabric;
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
    for (Fabric fabric : {kMesh, kTorus}) {
        fabric.topology += ", routing: valiant";
        const double off = gap(run(fabric, "type: all_to_all, bytes: 32 MB"));
        std::printf("  %s, over thirds: %+.1f %%\n", fabric.name.c_str(), 100 * off);
        EXPECT_NEAR(off, 1.0 / 15, 0.05) << fabric.name;
    }
}

}  // namespace
}  // namespace podsim
