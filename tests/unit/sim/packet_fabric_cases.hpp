// Fabrics on which packets are held against tile, of chips and a library that cost nothing: for
// tests, and for the table of docs/fabric.md (bench/speed/packet_table_bench.cpp).
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/catalog.hpp"
#include "sim/experiment.hpp"

namespace podsim {

struct FabricCase {
    std::string name, topology = {};  // of scale-up; "" for ports alone
    int ranks = 16;
    int domain = 0;  // ranks; 0: all
    int planes = 1;
    std::string faults = {};             // "{plane: 3}"
    std::string bandwidth = "400 GB/s";  // of a chip in its domain
    std::string beyond = "100 GB/s";     // and out of it
    std::string network = {};            // topology of scale-out
};

inline const char* const kLinkTimes =
    "electrical_latency: 100 ns, optical_latency: 100 ns, switch_latency: 100 ns";

inline std::string wire_alone() {
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

// A topology of several levels says the times of each itself.
inline std::string system_text(const FabricCase& fabric) {
    const int domain = fabric.domain > 0 ? fabric.domain : fabric.ranks;
    const auto topology_of = [](const std::string& topology, const std::string& faults) {
        std::string text;
        if (topology.empty()) return text;
        const bool levels = topology.find("levels:") != std::string::npos;
        text = fmt::format("  topology: {{{}", topology);
        if (!levels) text += fmt::format(", {}", kLinkTimes);
        if (!faults.empty()) text += fmt::format(", faults: [{}]", faults);
        return text + "}\n";
    };
    return fmt::format(
               "title: A fabric\nchip: custom-npu\nchips: {}\ncollectives: wire-alone\n"
               "power_per_chip: 1000 W\n"
               "scale_out:\n  technology: a network\n  bandwidth: {}\n  domain: 1000000\n"
               "  latency: 4 us\n",
               fabric.ranks, fabric.beyond) +
           topology_of(fabric.network, "") +
           fmt::format(
               "scale_up:\n  technology: links\n  bandwidth: {}\n  domain: {}\n  planes: {}\n"
               "  latency: 1 us\n",
               fabric.bandwidth, domain, fabric.planes) +
           topology_of(fabric.topology, fabric.faults);
}

// `collective`: "type: all_to_all, bytes: 8 MB"; `further`: keys of the alternative.
inline Result run_packets_on(Catalog catalog, const FabricCase& fabric,
                             const std::string& collective, const std::string& further = "",
                             std::uint64_t seed = 1) {
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

// The rows of the table: families for 8, 64 and 320 ranks.
inline std::vector<FabricCase> table_fabrics(int ranks) {
    if (ranks != 8 && ranks != 64 && ranks != 320)
        throw std::invalid_argument("the table has 8, 64 and 320 ranks");
    const int leaf = ranks == 8 ? 4 : 8;
    const char* const sides = ranks == 8 ? "[2, 4]" : ranks == 64 ? "[8, 8]" : "[16, 20]";
    std::vector<FabricCase> all = {
        {"one switch", ""},
        {"two tiers, four planes",
         fmt::format("family: switched-planes, node_chips: {}, second_tier: 4", leaf), 0, 0, 4},
        {"fat tree 2:1", fmt::format("family: fat-tree, node_chips: {}, second_tier: 4, "
                                     "oversubscription: 2",
                                     leaf)},
        {"domains of 8", "family: switched-planes", 0, 8},
        {"dragonfly", fmt::format("family: dragonfly, global_links: 2, {}",
                                  ranks == 8    ? "routers_per_group: 2, chips_per_router: 2"
                                  : ranks == 64 ? "routers_per_group: 4, chips_per_router: 2"
                                                : "routers_per_group: 8, chips_per_router: 4")},
        {"mesh of two dimensions", fmt::format("family: full-mesh, dimensions: {}", sides)},
        {"torus of two dimensions", fmt::format("family: torus, dimensions: {}", sides)}};
    for (FabricCase& fabric : all) {
        fabric.ranks = ranks;
        fabric.bandwidth = "200 GB/s";
        fabric.beyond = "50 GB/s";
    }
    return all;
}

inline std::vector<std::pair<std::string, std::string>> table_collectives() {
    return {{"all_to_all", "type: all_to_all, bytes: 16 MB"},
            {"dispatch",
             "type: dispatch, tokens_per_rank: 256, hidden: 7168, top_k: 8, experts: 320, "
             "element_bytes: 1"},
            {"all_reduce", "type: all_reduce, bytes: 16 MB"},
            {"all_gather", "type: all_gather, bytes: 16 MB"}};
}
inline const char* const kTableExperts = "    experts: {popularity: zipf, zipf_exponent: 0.6}\n";

}  // namespace podsim
