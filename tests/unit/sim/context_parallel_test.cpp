// Ranks that share sequences, through to the audit: every kind of attention, both phases, each way
// of bringing queries and keys together; bytes on the links, and what is refused.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/experiment.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

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
                    "alternatives:\n  - {{name: A, system: cloudmatrix384, chips: {}, mapping: "
                    "{{tensor_parallel: {}, context_parallel: {}{}}}{}}}\n",
                    prefill ? "prefill" : "decode", one.model, prefill ? "prompt" : "context",
                    length, batch, one.chips, one.tensor, one.context,
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

// Of R1's prompt of 16,384 on eight ranks, 61 layers: each receives 7/8 of all latents, 1,152 B a
// token. The batch counts each other group's prompt alike, and the experts' exchange is beside it.
TEST(ContextParallelStep, BytesByHand) {
    const Result result =
        run(experiment_of({"deepseek-r1", 32, 1, 8}, true, "16384", "batch_per_group: 1"));
    const AlternativeResult& one = result.alternatives.front();
    const double ring = 61 * 64 * 16384 * 1152.0 * 7 / 8;
    const double tokens = 8 * 16384;
    // Dispatch in 16 bits and back, 58 layers, eight copies, 63/64 of them to other ranks.
    const double experts = 58 * tokens * 8 * (7168 * 2 + 7168 * 2) * 63.0 / 64;
    EXPECT_NEAR(one.totals.sent_bytes / (ring + experts), 1, 1e-9);
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
                HasSubstr("mapping.context_parallel: 0"));
    EXPECT_THAT(told(experiment_of({"deepseek-r1", 32, 1, 4, "ring"}, false, "16384")),
                HasSubstr("mapping.context_exchange: says nothing to a workload of kind decode"));
    EXPECT_THAT(told(experiment_of({"llama-3.1-8b", 32, 1, 64, "all_to_all"}, true, "16384")),
                HasSubstr("64 does not divide the model's 32 heads, expected context_exchange "
                          "ring or all_gather"));
}

}  // namespace
}  // namespace podsim
