// Ranks that share sequences, through to the audit: every kind of attention, both phases, each way
// of bringing queries and keys together; bytes on the links, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/experiment.hpp"
#include "sim/plan_run.hpp"
#include "sim/serving_plan.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

// Of all alternatives: in eight bits, so that models find room.
constexpr const char* kFormats =
    "precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}";

struct Shared {
    const char* model;
    int chips, tensor, context;
    const char* exchange = "";  // prefill alone
    const char* more = "";      // of the alternative
};

Node experiment_of(const Shared& one, bool prefill, const std::string& length,
                   const std::string& batch = "batch_per_group: 3") {
    return parse_yaml(
        fmt::format("experiment: shared sequences\n"
                    "workload: {{kind: {}, model: {}, {}: {} tokens, {}}}\n"
                    "alternatives:\n  - {{name: A, system: cloudmatrix384, chips: {}, {}, mapping: "
                    "{{tensor_parallel: {}, context_parallel: {}{}}}{}}}\n",
                    prefill ? "prefill" : "decode", one.model, prefill ? "prompt" : "context",
                    length, batch, one.chips, kFormats, one.tensor, one.context,
                    *one.exchange != 0 ? fmt::format(", context_exchange: {}", one.exchange) : "",
                    one.more),
        "shared.yaml");
}

Result run(const Node& experiment) {
    Catalog catalog(configs_root);
    RunOptions options;
    options.driver = Driver::plain;
    options.neighbour = false;
    return run_experiment(experiment, catalog, options);
}

void expect_audited(const Result& result) {
    EXPECT_TRUE(result.audit_passed());
    for (const AuditFinding& finding : result.alternatives.front().audit)
        if (!finding.passed) ADD_FAILURE() << finding.law << ": " << finding.detail;
}

// Lengths that divide and that do not, more sequences than ranks and fewer: what is executed is
// the audit's closed form, to the FLOP where nothing is rounded.
TEST(ContextParallelStep, EveryKindOfAttentionPassesTheAudit) {
    const Shared all[] = {
        {"deepseek-r1", 32, 1, 8, "ring"},           {"deepseek-r1", 32, 2, 8, "all_gather"},
        {"deepseek-r1", 32, 2, 8, "all_to_all"},     {"llama-3.1-70b", 16, 4, 4, "ring"},
        {"llama-3.1-70b", 16, 4, 8, "all_to_all"},   {"deepseek-v3.2", 32, 1, 4, "ring"},
        {"deepseek-v4-flash", 16, 1, 8, "ring"},     {"gpt-oss-120b", 8, 1, 4, "all_gather"},
        {"qwen3-235b-a22b", 16, 2, 4, "all_to_all"},
    };
    for (const Shared& one : all) {
        for (const char* length : {"16384", "10007"}) {
            SCOPED_TRACE(fmt::format("prefill {} {} {} {} {}", one.model, one.tensor, one.context,
                                     one.exchange, length));
            expect_audited(run(experiment_of(one, true, length)));
        }
        Shared decode = one;
        decode.exchange = "";
        for (const char* batch : {"1", "8", "19"}) {
            SCOPED_TRACE(
                fmt::format("decode {} {} {} batch {}", one.model, one.tensor, one.context, batch));
            expect_audited(run(
                experiment_of(decode, false, "16385", "batch_per_group: " + std::string(batch))));
        }
    }
}

// Linear attention hands its state from token to token of a prompt; in decode it stays with the
// rank that has the sequence.
TEST(ContextParallelStep, AStateIsSharedInDecodeAlone) {
    const Shared one{"qwen3.5-397b-a17b", 32, 1, 4};
    expect_audited(run(experiment_of(one, false, "16384")));
    try {
        run(experiment_of(one, true, "16384"));
        FAIL();
    } catch (const InputError& refused) {
        EXPECT_THAT(refused.what(), HasSubstr("shared.yaml:4:"));
        EXPECT_THAT(refused.what(), HasSubstr("mapping.context_parallel: is 4: the state of"));
    }
}

double metric(const Result& result, const std::string& name) {
    return result.alternatives.front().metric(name)->value;
}

// Twice the ranks on a prompt: half the work each, and never more than twice as fast.
TEST(ContextParallelStep, APromptIsReadFasterByMore) {
    double before = 0;
    for (const int ranks : {8, 16, 32, 64}) {
        const Result result =
            run(experiment_of({"deepseek-r1", 32, 1, ranks}, true, "131072", "batch_per_group: 1"));
        const double took = metric(result, "time_to_first_token");
        if (before > 0) {
            EXPECT_LT(took, before) << ranks;
            EXPECT_GT(took, before / 2) << ranks;
        }
        before = took;
    }
}

// A cache that is too much for one rank is read by eight, each an eighth of it: 131,072 tokens of
// 70,272 B are 9.2 GB a sequence.
TEST(ContextParallelStep, ALongCacheIsReadFasterByMore) {
    const auto took = [](int ranks) {
        return metric(run(experiment_of({"deepseek-r1", 32, 1, ranks}, false, "131072",
                                        "batch_per_group: 1")),
                      "time_per_output_token");
    };
    EXPECT_LT(took(8), took(1));
}

// R1's prompts of 16,384 on 32 ranks without headers, eight to each, 61 layers: a rank receives 7/8
// of all latents, 1,152 B a token. Dispatch in 8 bits with a scale, 16 back, 58 layers, eight
// copies, 31/32 of them to other ranks.
TEST(ContextParallelStep, BytesByHand) {
    Node experiment = with(with(test_experiment(), "workload",
                                "{kind: prefill, model: deepseek-r1, prompt: 16384 tokens, "
                                "batch_per_group: 1}"),
                           "alternatives.A.mapping", "{tensor_parallel: 1, context_parallel: 8}");
    const AlternativeResult result = run_test(experiment);
    const double tokens = 4 * 16384;
    const double ring = 61 * tokens * 1152.0 * 7;
    const double experts = 58 * tokens * 8 * (7168 + 4 + 7168 * 2) * 31.0 / 32;
    EXPECT_NEAR(result.totals.sent_bytes / (ring + experts), 1, 1e-9);
    EXPECT_THAT(broken_laws(result), testing::IsEmpty());
}

TEST(ContextParallelStep, BadInputIsToldWhereItStands) {
    const auto told = [](const Node& experiment) -> std::string {
        try {
            run(experiment);
        } catch (const InputError& refused) {
            return refused.what();
        }
        return "";
    };
    EXPECT_THAT(told(experiment_of({"deepseek-r1", 32, 1, 5}, true, "16384")),
                HasSubstr("tensor_parallel 1 x context_parallel 5 x pipeline_parallel 1 does not "
                          "divide the 64 ranks of 32 chips"));
    EXPECT_THAT(told(experiment_of({"deepseek-r1", 32, 1, 0}, true, "16384")),
                HasSubstr("mapping.context_parallel: a value of at least 1 was expected"));
    EXPECT_THAT(told(experiment_of({"deepseek-r1", 32, 1, 4, "ring"}, false, "16384")),
                HasSubstr("mapping.context_exchange: says nothing to a workload of kind decode"));
    EXPECT_THAT(told(experiment_of({"llama-3.1-8b", 32, 1, 64, "all_to_all"}, true, "16384")),
                HasSubstr("64 does not divide the model's 32 heads, expected context_exchange "
                          "ring or all_gather"));
}

// Long prompts, few at a time: readers whose ranks share each, writers that share its cache.
Node served(int reading, int writing) {
    return parse_yaml(fmt::format(
                          R"(experiment: long prompts
workload:
  kind: serving
  model: deepseek-r1
  traffic:
    arrivals: {{law: constant, rate: 0.5 req/s}}
    input: {{mean: 65536 tokens}}
    output: {{mean: 200 tokens}}
    requests: 40
  slo: {{ttft: 8 s, tpot: 60 ms}}
  scheduler: {{max_num_batched_tokens: 32768, max_num_seqs: 16}}
alternatives:
  - name: A
    pools:
      - {{name: readers, role: prefill, system: cloudmatrix384, chips: 64, {2}, mapping: {{tensor_parallel: 1, context_parallel: {0}}}}}
      - {{name: writers, role: decode, system: cloudmatrix384, chips: 64, {2}, mapping: {{tensor_parallel: 1, context_parallel: {1}}}}}
prices: default
)",
                          reading, writing, kFormats),
                      "served.yaml");
}

TEST(ContextParallelStep, ServesLongPrompts) {
    const Result apart = run(served(1, 1)), shared = run(served(64, 8));
    for (const Result* result : {&apart, &shared}) {
        expect_audited(*result);
        EXPECT_EQ(result->alternatives.front().served->finished, 40);
    }
    EXPECT_LT(metric(shared, "time_to_first_token"), 0.2 * metric(apart, "time_to_first_token"));
    // Eight ranks of a group have as many blocks as eight groups of one rank, and more where what
    // a group works on at a time is divided.
    const auto blocks = [](const Result& result) {
        return static_cast<double>(result.alternatives.front().served->pools[1].kv_blocks);
    };
    EXPECT_GE(blocks(shared), blocks(apart));
}

// Ranks by themselves are too late for such prompts; the plan finds that sharing them is not.
TEST(ContextParallelStep, APlanTriesDegrees) {
    Node experiment = served(1, 1);
    set_path(experiment, "plan", "{pools: [{name: readers, context_parallel: [1, 8, 64]}]}",
             {"served.yaml", 99, 1});
    Catalog catalog(configs_root);
    const ServingPlanReport report = plan_serving(experiment, catalog, {});
    ASSERT_TRUE(report.alternatives[0].answer.has_value()) << report.alternatives[0].nothing;
    EXPECT_EQ(report.alternatives[0].counts.candidates, 3 + 1);
    EXPECT_GE(report.alternatives[0].counts.too_slow, 1);
    EXPECT_GT(report.alternatives[0].answer->pools[0].mapping.context_parallel(), 1);
    EXPECT_EQ(report.alternatives[0].answer->pools[0].mapping.data_parallel *
                  report.alternatives[0].answer->pools[0].mapping.context_parallel(),
              128);
}

}  // namespace
}  // namespace podsim
