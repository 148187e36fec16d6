// How long the period of pipeline stages takes, with costs written by hand; and real runs of
// stages under audit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/machine.hpp"
#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/workloads/step_specs.hpp"

namespace podsim {
namespace {

// A dense model of 12 layers on one rank a stage.
StepSpec dense_stages(int stages) {
    StepSpec spec = plain_step(1);
    spec.model.layers = dense_then_experts(12, 12);
    spec.model.routed_experts = spec.model.shared_intermediate = spec.model.draft_layers = 0;
    spec.mapping = {1, 1, 1, stages, 1};
    spec.sequences_per_group = 12;
    return spec;
}

struct Timed {
    ServingStep step;
    RunRecord record;
    double microseconds() const { return static_cast<double>(record.end) * 1e-6; }
};

// Every kernel of a layer takes 10 us, every other kernel none, every send `send` us.
Timed run_timed(const StepSpec& spec, double send) {
    Timed timed{build_step(spec), {}};
    const Program& program = timed.step.program;
    OperatorCost free, kernel;
    kernel.time = Seconds(10e-6);
    std::vector<OperatorCost> operators(program.operators.size(), free);
    for (const Task& task : program.tasks) {
        if (task.kind == TaskKind::compute && task.layer >= 0)
            operators[static_cast<std::size_t>(task.body)] = kernel;
    }
    ProgramCosts costs;
    costs.operators.assign(program.streams.size(), operators);
    costs.pipelines.resize(program.streams.size());
    static const FitRecord by_hand{Confidence::measured, 1, 0, "by hand", "", ""};
    for (const Transfer& transfer : program.transfers) {
        Coflow coflow;
        coflow.latency = Seconds(send * 1e-6);
        coflow.shares.resize(transfer.shares.size());
        coflow.record = &by_hand;
        costs.coflows.push_back(coflow);
    }
    RankHardware hardware;
    hardware.hbm_bandwidth = BytesPerSecond(1e12);
    timed.record = run_program(program, costs, hardware, Driver::plain);
    return timed;
}

// Kernels of one layer, of one batch.
double kernels_of_layer(const ServingStep& step) {
    const auto& tasks = step.program.tasks;
    return static_cast<double>(std::count_if(tasks.begin(), tasks.end(), [](const Task& task) {
        return task.layer == 0 && task.micro_batch == 0;
    }));
}

// S stages of 12 / S layers each: S slots of as many layers, the time of all 12 whatever S is, and
// S times that of a stage. A token's way round meets S sends besides.
TEST(PipelinePeriod, IsTheStagesTimesTheirTime) {
    for (const int stages : {1, 2, 3, 4, 6, 12}) {
        const Timed timed = run_timed(dense_stages(stages), 3);
        const double stage = 12.0 / stages * 10 * kernels_of_layer(timed.step);
        EXPECT_NEAR(timed.microseconds(), stages * stage + (stages > 1 ? stages * 3.0 : 0), 1e-3)
            << stages;
    }
}

// 12 layers on five stages are 3, 3, 2, 2, 2: the largest stage decides, five slots of three.
TEST(PipelinePeriod, OfUnequalStagesIsThatOfTheSlowest) {
    const Timed timed = run_timed(dense_stages(5), 0);
    EXPECT_NEAR(timed.microseconds(), 5 * 3 * 10 * kernels_of_layer(timed.step), 1e-3);
}

// Prompts do not wait for the first tokens of others: the longest way is that of S - 1 sends
// between slots and the one at the end.
TEST(PipelinePeriod, OfPromptsIsTheSame) {
    StepSpec spec = dense_stages(3);
    spec.phase = Phase::prefill;
    spec.context = spec.prompt = 512;
    const Timed timed = run_timed(spec, 3);
    EXPECT_NEAR(timed.microseconds(), 12 * 10 * kernels_of_layer(timed.step) + 3 * 3, 1e-3);
}

constexpr const char* two_nodes = R"(
experiment: Stages
workload: {kind: decode, model: MODEL, context: 2048 tokens, batch_per_group: 33SPECULATION}
alternatives:
  - name: A
    system: h100-ib
    chips: CHIPS
    precision: {weights: fp8, experts: fp8, activations: fp8, dispatch: fp8}
    mapping: MAPPING
    EXPERTS
    engine: nominal
prices: default
)";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    return text.replace(text.find(what), what.size(), by);
}

struct StageCase {
    const char *model, *chips, *mapping, *experts, *speculation;
};

Result run_case(const StageCase& c, bool prefill) {
    std::string text = two_nodes;
    text = replaced(text, "MODEL", c.model);
    text = replaced(text, "CHIPS", c.chips);
    text = replaced(text, "MAPPING", c.mapping);
    text = replaced(text, "EXPERTS", c.experts);
    text = replaced(text, "SPECULATION", prefill ? "" : c.speculation);
    if (prefill) {
        text = replaced(text, "decode", "prefill");
        text = replaced(text, "context: 2048 tokens", "prompt: 2048 tokens, chunk: 512 tokens");
    }
    Catalog catalog(PODSIM_SOURCE_DIR "/configs", {});
    return run_experiment(parse_yaml(text, "stages.yaml"), catalog, {});
}

TEST(PipelineAudit, HoldsForStagesOfEveryKind) {
    const char* const drafts = ", speculation: {draft_tokens: 2, acceptance: 0.7}";
    for (const StageCase& c :
         {StageCase{"llama-3.1-405b", "16", "{tensor_parallel: 8, pipeline_parallel: 2}", "", ""},
          {"deepseek-r1", "16", "{tensor_parallel: 8, pipeline_parallel: 2}", "", drafts},
          {"deepseek-r1", "16", "{tensor_parallel: 8, pipeline_parallel: 2}",
           "experts: {exchange: gather}", drafts},
          {"deepseek-r1", "32", "{data_parallel: 8, pipeline_parallel: 4}",
           "experts: {popularity: zipf, zipf_exponent: 0.5}", drafts},
          {"deepseek-r1", "48", "{data_parallel: 24, pipeline_parallel: 2}",
           "experts: {shared_ranks: 8}", drafts},
          {"deepseek-r1", "32",
           "{tensor_parallel: 8, pipeline_parallel: 2, attention: sp-tp-sp, head_parallel: 2}", "",
           drafts},
          {"qwen3-235b-a22b", "12", "{tensor_parallel: 4, pipeline_parallel: 3}", "", ""}}) {
        for (const bool prefill : {false, true}) {
            const Result result = run_case(c, prefill);
            const AlternativeResult& run = result.alternatives.front();
            for (const AuditFinding& finding : run.audit)
                EXPECT_TRUE(finding.passed)
                    << c.model << " " << c.mapping << " " << finding.law << ": " << finding.detail;
            EXPECT_TRUE(result.audit_passed());
        }
    }
}

// Each stage's memory and use go by its name.
TEST(PipelineAudit, ResultsSayTheStage) {
    const Result result = run_case(
        {"deepseek-r1", "16", "{tensor_parallel: 8, pipeline_parallel: 2}", "", ""}, false);
    const AlternativeResult& run = result.alternatives.front();
    ASSERT_EQ(run.memory.size(), 2u);
    EXPECT_EQ(run.memory[0].rank_class, "stage 1 ranks");
    EXPECT_EQ(run.memory[0].ranks, 8);
    EXPECT_EQ(run.memory[1].rank_class, "stage 2 ranks");
    EXPECT_EQ(run.totals.sequences, 33);
}

}  // namespace
}  // namespace podsim
