// One collective packet by packet in a run: against tile, what it prints, where it stays at tile,
// what is refused.
#include "sim/packet_collective.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Asked {
    std::string collective =
        "{type: dispatch, ranks: 16, tokens_per_rank: 64, hidden: 7168, top_k: 8, experts: 64}";
    std::string packets;      // of the workload
    std::string alternative;  // further keys of it
    std::string system = "test-system", library = "test-collectives";
    int chips = 8;
    std::string setting;
};

Result run(const Asked& asked, Fidelity fidelity = Fidelity::cycle, std::uint64_t seed = 1) {
    std::vector<Setting> settings;
    if (!asked.setting.empty()) settings.push_back(parse_setting(asked.setting));
    Catalog catalog = test_catalog(settings);
    RunOptions options;
    options.fidelity = fidelity;
    options.seed = seed;
    const std::string packets = asked.packets.empty() ? "" : "  packets: " + asked.packets + "\n";
    const std::string text = fmt::format(
        "experiment: a\nworkload:\n  kind: collective\n  collective: {}\n{}alternatives:\n"
        "  - name: A\n    system: {}\n    chips: {}\n    collectives: {}\n{}",
        asked.collective, packets, asked.system, asked.chips, asked.library, asked.alternative);
    return run_experiment(parse_yaml(text, "a.yaml"), catalog, options);
}

double metric(const Result& result, const char* name) {
    const Metric* found = result.alternatives.front().metric(name);
    if (found == nullptr) throw std::runtime_error(std::string("no metric ") + name);
    return found->value;
}

std::vector<std::string> complaints(const Asked& asked) {
    std::vector<std::string> lines;
    try {
        run(asked);
    } catch (const InputError& error) {
        for (const auto& diagnostic : error.diagnostics()) lines.push_back(to_string(diagnostic));
    }
    return lines;
}

bool warns(const Result& result, const std::string& words) {
    for (const std::string& warning : result.alternatives.front().warnings)
        if (warning.find(words) != std::string::npos) return true;
    return false;
}

// By hand: ports of 200 GB/s at 0.8, 15/16 of 64 x 8 x 14,336 B in packets of 4,096 and 24 B;
// 30 us of the library and 1 us of wire in front.
TEST(PacketCollective, AgainstTileByHand) {
    const Result result = run({});
    const double bytes = 64 * 8 * 14336.0 / 16, packets = bytes / 4096;
    const double wire = 15 * (bytes + packets * 24) / 160e9;
    EXPECT_NEAR(metric(result, "packet_time"), (wire + 1e-6) * 1e6, 0.01);
    EXPECT_NEAR(metric(result, "collective_time"), 31 + wire * 1e6, 0.01);
    EXPECT_NEAR(metric(result, "packet_over_coflow"), 1, 0.001);
    EXPECT_NEAR(metric(result, "packet_hops"), 2 * 16 * 15 * packets, 1e-6);
    EXPECT_GT(metric(result, "packet_fullest_link"), 0.97);
    EXPECT_EQ(metric(result, "packet_retries"), 0);
    // Alone on the link a packet takes its own time and the wire's.
    EXPECT_GE(metric(result, "packet_latency_median"), 1 + 4120 / 160e3 - 1e-3);
    const AlternativeResult& one = result.alternatives.front();
    EXPECT_EQ(one.fidelity, "cycle");
    EXPECT_EQ(one.neighbour, "tile");
    const double tile = metric(run({}, Fidelity::tile), "collective_time");
    EXPECT_NEAR(one.neighbour_gap, tile / metric(result, "collective_time") - 1, 1e-9);
    EXPECT_NEAR(one.neighbour_gap, 0, 0.01);
    EXPECT_FALSE(warns(result, "packets"));
    EXPECT_TRUE(result.audit_passed());
}

// 2 % of the coflow alone: everything that packets are made of, where credits suffice and orders
// are rotated.
TEST(PacketCollective, WithinTwoPercentAlone) {
    for (const char* type : {"all_reduce", "all_gather", "reduce_scatter"}) {
        Asked asked;
        asked.collective =
            fmt::format("{{type: {}, ranks: 16, bytes: 64 MB, algorithm: ring}}", type);
        const Result result = run(asked);
        EXPECT_NEAR(result.alternatives.front().neighbour_gap, 0, 0.02) << type;
        EXPECT_NEAR(metric(result, "packet_over_coflow"), 1, 0.02) << type;
    }
    for (const char* zipf : {"0", "0.3", "0.6"}) {
        Asked asked;
        asked.packets = "{lookahead: 64, walks: 16}";
        asked.alternative =
            fmt::format("    experts: {{popularity: zipf, zipf_exponent: {}}}\n", zipf);
        EXPECT_NEAR(run(asked).alternatives.front().neighbour_gap, 0, 0.02) << zipf;
    }
}

// Groups that span domains: rings of two levels, exchanges over the network.
TEST(PacketCollective, AcrossDomains) {
    for (const char* type : {"all_reduce", "all_to_all"}) {
        Asked asked;
        asked.collective = fmt::format("{{type: {}, ranks: 32, bytes: 64 MB}}", type);
        asked.system = "h100-ib";
        asked.library = "nominal";
        asked.chips = 32;
        const Result result = run(asked);
        EXPECT_FALSE(warns(result, "no packets")) << type;
        EXPECT_NEAR(result.alternatives.front().neighbour_gap, 0, 0.05) << type;
        EXPECT_TRUE(result.audit_passed());
    }
}

// Nodes of eight in direct meshes: all links of a chip are at work, not one of seven.
TEST(PacketCollective, MeshesInsideDomains) {
    Asked asked;
    asked.collective = "{type: all_reduce, ranks: 16, bytes: 64 MB}";
    asked.system = "atlas-800t-a2-cluster";
    asked.library = "nominal";
    asked.chips = 16;
    EXPECT_NEAR(run(asked).alternatives.front().neighbour_gap, 0, 0.05);
}

// Knobs of an alternative stand over those of the workload.
TEST(PacketCollective, KnobsShow) {
    Asked asked;
    asked.packets = "{order: same}";
    const double same = metric(run(asked), "packet_over_coflow");
    EXPECT_GT(same, 1.5);
    asked.alternative = "    packets: {order: rotated}\n";
    EXPECT_NEAR(metric(run(asked), "packet_over_coflow"), 1, 0.01);
    asked = {};
    asked.packets = "{credits: 32 kB, credit_return: 1 us}";
    EXPECT_GT(metric(run(asked), "packet_over_coflow"), 5);
    asked.packets = "{bit_error_rate: 0.000001}";
    EXPECT_GT(metric(run(asked), "packet_retries"), 10);
    asked.packets = "{order: same, congestion: {mark_above: 40 kB, cut: 0.5}}";
    EXPECT_GT(metric(run(asked), "packet_marked_share"), 0.01);
    asked.packets = "{input_buffer: 16 kB, queues: input, order: random}";
    const Result buffers = run(asked);
    EXPECT_GT(metric(buffers, "packet_over_coflow"), 1.1);
    EXPECT_GT(metric(buffers, "packet_deepest_queue"), 4);
}

// What the issue asks of packets against coflows, of one collective: 5 % under oversubscription,
// with a degraded plane, with ranks that enter at different times.
TEST(PacketCollective, WithinFivePercentElsewhere) {
    const auto gap = [](const Asked& asked) {
        const Result result = run(asked);
        EXPECT_TRUE(result.audit_passed());
        const double factor = metric(result, "packet_over_coflow");
        std::printf("  %s %s %s: %.4f of the coflow, tile %+.4f\n", asked.alternative.c_str(),
                    asked.packets.c_str(), asked.setting.c_str(), factor,
                    result.alternatives.front().neighbour_gap);
        EXPECT_NEAR(factor, 1, 0.05);
        return result.alternatives.front().neighbour_gap;
    };
    Asked asked;
    asked.library = "cann";
    asked.system = "cloudmatrix384";
    asked.collective =
        "{type: dispatch, ranks: 64, tokens_per_rank: 128, hidden: 7168, top_k: 8, experts: 256, "
        "element_bytes: 1, scale_block: 7168}";
    asked.chips = 32;
    EXPECT_NEAR(gap(asked), 0, 0.02);
    asked.alternative = "    faults: [{plane: 3, capacity: 0.5}]\n";
    EXPECT_NEAR(gap(asked), 0, 0.05);
    asked.alternative = "    faults: [{plane: 3}]\n";
    EXPECT_NEAR(gap(asked), 0, 0.05);
    asked.alternative = "";
    asked.packets = "{entry_spread: 20 us, walks: 4}";
    EXPECT_NEAR(gap(asked), 0, 0.05);
    asked.packets = "{walks: 16, lookahead: 64}";
    asked.setting = "system:cloudmatrix384.scale_up.topology.oversubscription=2";
    EXPECT_NEAR(gap(asked), 0, 0.05);
}

// The seed draws tokens and orders: once more gives the same bytes, another seed others.
TEST(PacketCollective, Seeds) {
    Asked asked;
    asked.packets = "{loads: drawn, order: random}";
    const auto text = [&](std::uint64_t seed) {
        return to_json(run(asked, Fidelity::cycle, seed))["alternatives"].dump();
    };
    const std::string first = text(1);
    EXPECT_EQ(first, text(1));
    EXPECT_NE(first, text(2));
}

TEST(PacketCollective, WhereItStaysAtTile) {
    Asked asked;
    asked.packets = "{order: same}";
    const Result tile = run(asked, Fidelity::tile);
    EXPECT_TRUE(warns(tile, "packets: has no effect here: --fidelity cycle runs packets"));
    EXPECT_EQ(tile.alternatives.front().metric("packet_time"), nullptr);
    // 64 GB to each of 15 others are more packets than a run takes.
    asked = {};
    asked.collective = "{type: all_reduce, ranks: 16, bytes: 1 TB}";
    const Result large = run(asked);
    EXPECT_TRUE(warns(large, "no packets are run"));
    EXPECT_TRUE(warns(large, "60 million are the most that a run takes"));
    EXPECT_EQ(large.alternatives.front().neighbour, "");
    EXPECT_EQ(metric(large, "collective_time"),
              metric(run(asked, Fidelity::tile), "collective_time"));
    // A message for each pair of 2,560 ranks.
    asked.collective = "{type: all_to_all, ranks: 2560, bytes: 1 MB}";
    asked.system = "h100-roce-16k";
    asked.library = "nominal";
    asked.chips = 2560;
    EXPECT_TRUE(warns(run(asked), "6.55 million messages, and 4 million are the most"));
    // The switches of NVLink add up.
    asked = {};
    asked.collective = "{type: all_reduce, ranks: 8, bytes: 1 GB}";
    asked.system = "hgx-h100";
    asked.library = "nccl";
    EXPECT_TRUE(warns(run(asked), "lets the switches add up"));
    asked.collective = "{type: all_reduce, ranks: 8, bytes: 100 MB, algorithm: ring}";
    EXPECT_FALSE(warns(run(asked), "no packets"));
}

// A collective asks nothing of the chip's cores, of which little may be known.
TEST(PacketCollective, ChipsOfADataSheet) {
    Asked asked;
    asked.collective = "{type: all_gather, ranks: 16, bytes: 16 MB}";
    asked.system = "tpu-v5e-pod";
    asked.library = "nominal";
    asked.chips = 16;
    const Result result = run(asked);
    EXPECT_GT(metric(result, "packet_time"), 0);
    EXPECT_TRUE(result.audit_passed());
}

TEST(PacketCollective, Mistakes) {
    Asked asked;
    asked.packets = "{credits: 4 kB}";
    EXPECT_THAT(complaints(asked), ElementsAre(testing::AllOf(
                                       HasSubstr("a.yaml:5:22: workload.packets.credits: a pool "
                                                 "of 4000 B is smaller than a packet of 4120"),
                                       HasSubstr("at least 4120 B"))));
    asked.alternative = "    packets: {payload: 2 kB, header: 0 B}\n";
    EXPECT_THAT(complaints(asked), ElementsAre());
    asked.alternative = "    packets: {input_buffer: 1 kB}\n";
    EXPECT_THAT(complaints(asked),
                ElementsAre(HasSubstr("workload.packets.credits"),
                            HasSubstr("alternatives.A.packets.input_buffer: a buffer of 1000 B")));
    asked = {};
    asked.packets = "{order: rotatd}";
    EXPECT_THAT(complaints(asked), ElementsAre(testing::AllOf(HasSubstr("workload.packets.order"),
                                                              HasSubstr("rotated"))));
    asked.packets = "{loads: drawn}";
    asked.collective = "{type: all_reduce, ranks: 16, bytes: 1 MB}";
    EXPECT_THAT(complaints(asked), ElementsAre(HasSubstr("drawn is of tokens")));
    asked.packets = "{placement: 2}";
    EXPECT_THAT(complaints(asked), ElementsAre(HasSubstr("is of drawn loads alone")));
}

}  // namespace
}  // namespace podsim
