// Several collectives at once: on the same ranks they share ports, on others links alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "sim/collective_jobs.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/sim/packet_fabric_cases.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

Result run_on(const FabricCase& fabric, const std::string& what, Fidelity fidelity) {
    Catalog catalog = test_catalog();
    catalog.embed("system", "a-fabric", parse_yaml(system_text(fabric), "a-fabric.yaml"));
    catalog.embed("collectives", "wire-alone", parse_yaml(wire_alone(), "wire-alone.yaml"));
    RunOptions options;
    options.fidelity = fidelity;
    const std::string text = fmt::format(
        "experiment: a\nworkload:\n  kind: collective\n  {}\n"
        "alternatives:\n  - {{name: A, system: a-fabric, chips: {}, collectives: wire-alone}}\n",
        what, fabric.ranks);
    return run_experiment(parse_yaml(text, "a.yaml"), catalog, options);
}

Result run(const FabricCase& fabric, const std::string& collectives,
           Fidelity fidelity = Fidelity::tile) {
    return run_on(fabric, fmt::format("collectives: [{}]", collectives), fidelity);
}

const ReplayedJob& job_of(const Result& result, std::size_t which) {
    return result.alternatives.front().jobs.at(which);
}

const FabricCase kSwitch{"one switch", "family: switched-planes"};
const char* const kA = "{name: a, type: all_to_all, bytes: 16 MB, ranks: 8}";

// 7/8 of 16 MB over 400 GB/s are 35 us and a way across 0.2 us (two links of 100 ns; half a switch
// at each end of one of them); two at once on the same ports take twice as long.
TEST(Collectives, OfTheSameRanksShareTheirPorts) {
    const Result both =
        run(kSwitch, std::string(kA) + ", {name: b, type: all_to_all, bytes: 16 MB, ranks: 8}");
    const double alone = job_of(both, 0).alone_seconds;
    EXPECT_NEAR(alone, 35e-6, 1.5e-6);
    for (const std::size_t j : {0U, 1U})
        EXPECT_NEAR(job_of(both, j).iteration_seconds - alone, 35e-6, 1e-9);
    EXPECT_TRUE(both.audit_passed());
}

TEST(Collectives, OfOtherRanksUnderOneSwitchShareNothing) {
    const Result both =
        run(kSwitch, std::string(kA) +
                         ", {name: b, type: all_to_all, bytes: 16 MB, ranks: 8, first_rank: 8}");
    for (const std::size_t j : {0U, 1U})
        EXPECT_NEAR(job_of(both, j).iteration_seconds, job_of(both, j).alone_seconds, 1e-12);
}

// The second enters at 15 us, when the first has 20 us left: both at half speed until that is done
// at 55 us; what is left of the second, 15 us of 35, ends at 70. (Ways across, alike in both, come
// on top.)
TEST(Collectives, TheOneThatEntersLaterSlowsTheRestOfTheFirst) {
    const Result both =
        run(kSwitch, std::string(kA) +
                         ", {name: b, type: all_to_all, bytes: 16 MB, ranks: 8, start: 15 us}");
    const double way = job_of(both, 0).alone_seconds - 35e-6;
    EXPECT_NEAR(job_of(both, 0).iteration_seconds, 55e-6 + way, 1e-8);
    EXPECT_NEAR(job_of(both, 1).iteration_seconds, 70e-6 - 15e-6 + way, 1e-8);
    EXPECT_NEAR(job_of(both, 1).start_seconds, 15e-6, 0);
}

// Those who take part in both are a class of their own.
TEST(Collectives, RanksAreParted) {
    CollectiveJobSpec a, b;
    a.name = "a";
    a.transfer.group_ranks = 8;
    b.name = "b";
    b.transfer.group_ranks = 4;
    b.transfer.stride = 2;
    b.first_rank = 4;
    const TraceProgram made = program_of_collectives({a, b});
    ASSERT_EQ(made.program.classes.size(), 3U);
    const auto count_of = [&](const std::string& name) {
        for (const RankClass& one : made.program.classes)
            if (one.name == name) return one.count;
        return -1;
    };
    EXPECT_EQ(count_of("a"), 6);      // 0 to 3, 5, 7
    EXPECT_EQ(count_of("a + b"), 2);  // 4, 6
    EXPECT_EQ(count_of("b"), 2);      // 8, 10
    EXPECT_EQ(made.groups.at(1).front(), (std::vector<int>{4, 6, 8, 10}));
    EXPECT_EQ(made.ranks, 11);
}

// Rings of a torus on every second chip go over the links of the chips between: the links carry
// both, the ports do not.
TEST(Collectives, InterleavedOnATorusShareLinks) {
    const FabricCase ring{"ring", "family: torus, dimensions: [16]"};
    const Result both =
        run(ring,
            "{name: a, type: all_reduce, bytes: 16 MB, ranks: 8, stride: 2}, {name: "
            "b, type: all_reduce, bytes: 16 MB, ranks: 8, stride: 2, first_rank: 1}");
    for (const std::size_t j : {0U, 1U}) {
        const ReplayedJob& job = job_of(both, j);
        EXPECT_NEAR(job.iteration_seconds / job.alone_seconds, 2, 0.03) << j;
    }
}

// Packets of both on one network, against coflows that share it. Of packets the later one's own
// time may differ more than the time of both: ports serve message by message.
TEST(Collectives, PacketsSayTheSame) {
    const FabricCase two_to_one{
        "2:1", "family: fat-tree, node_chips: 4, second_tier: 4, oversubscription: 2"};
    const FabricCase domains{"domains", "family: switched-planes", 16, 8};
    const std::string same =
        "{name: a, type: all_to_all, bytes: 32 MB, ranks: 16}, {name: b, "
        "type: all_reduce, bytes: 32 MB, ranks: 16}";
    const std::string apart =
        "{name: a, type: all_to_all, bytes: 32 MB, ranks: 8, stride: 2}, {name: b, type: "
        "all_to_all, bytes: 32 MB, ranks: 8, stride: 2, first_rank: 1, start: 10 us}";
    const std::string later =
        "{name: a, type: all_to_all, bytes: 32 MB, ranks: 16}, {name: b, "
        "type: all_to_all, bytes: 32 MB, ranks: 16, start: 20 us}";
    for (const FabricCase& fabric : {kSwitch, two_to_one, domains}) {
        for (const std::string& collectives : {same, apart, later}) {
            const Result packets = run(fabric, collectives, Fidelity::cycle);
            const AlternativeResult& one = packets.alternatives.front();
            ASSERT_NE(one.metric("packet_hops"), nullptr) << one.warnings.front();
            std::printf("  %s: %+.1f %% of both", fabric.name.c_str(), 100 * one.neighbour_gap);
            const Result tile = run(fabric, collectives);
            for (std::size_t j = 0; j < 2; ++j) {
                const double off =
                    job_of(tile, j).iteration_seconds / job_of(packets, j).iteration_seconds - 1;
                std::printf(", %+.1f %%", 100 * off);
            }
            std::printf("\n");
            EXPECT_NEAR(one.neighbour_gap, 0, 0.05) << fabric.name << ": " << collectives;
            for (const AuditFinding& finding : one.audit)
                EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
        }
    }
}

// A list of one is the one by itself, whatever it is and on whatever links.
TEST(Collectives, AListOfOneIsThatOne) {
    const FabricCase domains{"domains", "family: switched-planes", 16, 8},
        meshes{"domains of meshes", "family: full-mesh, dimensions: [8]", 16, 8},
        ragged{"8 and 4", "family: full-mesh, dimensions: [8]", 12, 8},
        two_to_one{"2:1", "family: fat-tree, node_chips: 4, second_tier: 4, oversubscription: 2"},
        mesh{"mesh", "family: full-mesh, dimensions: [4, 4]"},
        torus{"torus", "family: torus, dimensions: [4, 4]"};
    int compared = 0;
    for (const FabricCase& fabric : {kSwitch, domains, meshes, ragged, two_to_one, mesh, torus}) {
        for (const char* type :
             {"all_reduce", "all_gather", "all_to_all", "broadcast", "send_recv"}) {
            for (const char* algorithm :
                 {"", "ring", "tree", "direct", "halving-doubling", "hierarchical"}) {
                const std::string what =
                    fmt::format("type: {}, bytes: 16 MB, ranks: {}{}{}", type, fabric.ranks,
                                *algorithm != 0 ? ", algorithm: " : "", algorithm);
                double single = 0;
                try {
                    single = run_on(fabric, fmt::format("collective: {{{}}}", what), Fidelity::tile)
                                 .alternatives.front()
                                 .iteration_seconds;
                } catch (const InputError&) {
                    continue;  // no such algorithm here
                }
                const Result listed = run(fabric, fmt::format("{{name: a, {}}}", what));
                EXPECT_NEAR(listed.alternatives.front().iteration_seconds / single, 1, 2e-3)
                    << fabric.name << ": " << what;
                ++compared;
            }
        }
    }
    EXPECT_GT(compared, 60);
}

// By packets too, and held to the same laws.
TEST(Collectives, AListOfOneIsThatOneByPackets) {
    const FabricCase domains{"domains", "family: switched-planes", 16, 8};
    for (const FabricCase& fabric : {kSwitch, domains}) {
        const std::string what = "type: all_gather, bytes: 16 MB, ranks: 16";
        const Result single =
            run_on(fabric, fmt::format("collective: {{{}}}", what), Fidelity::cycle);
        const Result listed = run(fabric, fmt::format("{{name: a, {}}}", what), Fidelity::cycle);
        EXPECT_TRUE(listed.audit_passed());
        EXPECT_NEAR(listed.alternatives.front().iteration_seconds /
                        single.alternatives.front().iteration_seconds,
                    1, 1e-9);
        EXPECT_EQ(job_of(listed, 0).alone_seconds, job_of(listed, 0).iteration_seconds);
    }
}

std::string refusal(const std::string& workload) {
    return refusal_of([&] {
        const std::string text =
            "experiment: a\nworkload:\n  kind: collective\n" + workload +
            "alternatives:\n  - {name: A, system: custom-nvswitch, chips: 16}\n";
        Catalog catalog = test_catalog();
        (void)run_experiment(parse_yaml(text, "a.yaml"), catalog, {});
    });
}

TEST(Collectives, SaysPlaceReasonAndHint) {
    const std::string one = "{name: a, type: all_reduce, bytes: 1 MB, ranks: 8}";
    EXPECT_THAT(
        refusal("  collective: {type: all_reduce, bytes: 1 MB, ranks: 8}\n  collectives: [" + one +
                "]\n"),
        HasSubstr("is beside collectives"));
    EXPECT_THAT(refusal(""), HasSubstr("workload.collective: is missing: what is moved"));
    EXPECT_THAT(refusal("  collectives: []\n"), HasSubstr("workload.collectives: is empty"));
    EXPECT_THAT(refusal("  collectives: [" + one + ", " + one + "]\n"),
                HasSubstr("two are called a"));
    EXPECT_THAT(refusal("  collectives: [{name: a, type: all_reduce, bytes: 1 MB, ranks: 8, "
                        "first_rank: 12}]\n"),
                HasSubstr("the last of a's 8 ranks is rank 19 of the pool, A has 16"));
    EXPECT_THAT(refusal("  collectives: [{name: a, type: combine, tokens_per_rank: 8, hidden: 64, "
                        "top_k: 2, ranks: 8, fused_work: true}]\n"),
                HasSubstr("fused_work: is of one collective by itself"));
    EXPECT_THAT(refusal("  packets: {loads: drawn}\n  collectives: [" + one + "]\n"),
                HasSubstr("drawn is of one collective by itself"));
}

}  // namespace
}  // namespace podsim
