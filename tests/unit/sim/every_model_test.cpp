// Every shipped model on three systems, decode and prefill, without a mapping: it runs and the
// audit holds, or its memory is refused with what it needs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/model.hpp"
#include "sim/experiment.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

struct Machine {
    const char* system;
    int chips;
};
constexpr Machine machines[] = {{"cloudmatrix384", 32}, {"h800-ib", 32}, {"hgx-h200", 8}};

Node experiment_of(const std::string& model, const Machine& machine, bool prefill, long context) {
    return parse_yaml(
        fmt::format("experiment: any model\n"
                    "workload: {{kind: {}, model: {}, {}: {} tokens, batch_per_rank: 1}}\n"
                    "alternatives:\n  - {{name: A, system: {}, chips: {}}}\n",
                    prefill ? "prefill" : "decode", model, prefill ? "prompt" : "context", context,
                    machine.system, machine.chips),
        "any.yaml");
}

RunOptions quick() {
    RunOptions options;
    options.driver = Driver::plain;
    options.neighbour = false;
    return options;
}

class EveryModel : public testing::TestWithParam<std::string> {};

TEST_P(EveryModel, RunsOnAnySystemOrItsMemoryIsRefused) {
    Catalog catalog(configs_root);
    const ModelSpec model = read_model(catalog.load("model", GetParam(), {}, ""), GetParam());
    const long longest = model.max_context > 0 ? model.max_context : 32768;
    for (const Machine& machine : machines) {
        for (const bool prefill : {false, true}) {
            for (const long context : {4096L, longest}) {
                SCOPED_TRACE(fmt::format("{} on {}, {} of {} tokens", GetParam(), machine.system,
                                         prefill ? "prefill" : "decode", context));
                Catalog own(configs_root);
                const Node experiment = experiment_of(GetParam(), machine, prefill, context);
                try {
                    const Result result = run_experiment(experiment, own, quick());
                    const AlternativeResult& one = result.alternatives.front();
                    EXPECT_GT(one.iteration_seconds, 0);
                    EXPECT_LE(one.memory.front().total, one.memory.front().capacity);
                    EXPECT_TRUE(result.audit_passed());
                } catch (const InputError& refused) {
                    EXPECT_EQ(refused.diagnostics().size(), 1u) << refused.what();
                    EXPECT_THAT(refused.what(), HasSubstr("memory does not fit: a rank of A"));
                    EXPECT_THAT(refused.what(), HasSubstr("default rule"));
                }
            }
        }
    }
}

// Caches of eight bits, and with them the keys of an indexer that is not mentioned: the audit
// counts the same bytes.
TEST_P(EveryModel, HoldsAnEightBitCache) {
    for (const char* format : {"fp8", "int8"}) {
        SCOPED_TRACE(format);
        Catalog own(configs_root);
        Node experiment = experiment_of(GetParam(), machines[1], false, 4096);
        for (Node::Entry& entry : experiment.entries) {
            if (entry.key != "alternatives") continue;
            Node precision = parse_yaml(fmt::format("precision: {{kv_cache: {}}}", format), "p");
            entry.value.items.front().entries.push_back(precision.entries.front());
        }
        try {
            EXPECT_TRUE(run_experiment(experiment, own, quick()).audit_passed());
        } catch (const InputError& refused) {
            EXPECT_THAT(refused.what(), HasSubstr("memory does not fit"));
        }
    }
}

// A refusal of everything would pass above: these have room. 48 GB of a rank's 64 for
// DeepSeek-V4-Pro's 3.1 TB over 64, say, and Llama 3.1 405B's 812 GB over eight of 141.
TEST(EveryModelThatHasRoom, Runs) {
    for (const auto& [model, machine] : {std::pair("deepseek-v4-pro", machines[0]),
                                         {"deepseek-v3", machines[0]},
                                         {"kimi-k2", machines[1]},
                                         {"llama-3.1-405b", machines[2]},
                                         {"qwen3.5-397b-a17b", machines[2]},
                                         {"deepseek-v4-flash", machines[2]}}) {
        Catalog catalog(configs_root);
        const Result result =
            run_experiment(experiment_of(model, machine, false, 4096), catalog, quick());
        EXPECT_GT(result.alternatives.front().iteration_seconds, 0) << model;
    }
}

INSTANTIATE_TEST_SUITE_P(Configs, EveryModel, testing::ValuesIn(names_in_configs("model")),
                         test_name);

}  // namespace
}  // namespace podsim
