// What the audit knows of pipeline stages, by hand, and what it catches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <utility>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"
#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const char* const kStageWork = "each pipeline stage does its layers' work";
const char* const kStageSends = "links carry what pipeline stages hand on";

// The hand-worked step without drafts on two stages of two ranks, 4 sequences each: the dense layer
// and the embedding, then the MoE layer and the head.
Json staged_configuration() {
    Json configuration = hand_worked_configuration();
    configuration["experiment"]["workload"].erase("speculation");
    configuration["experiment"]["alternatives"][1]["mapping"] = {{"pipeline_parallel", 2}};
    return configuration;
}

TEST(AuditStages, WorkAndBytesByHand) {
    const AuditFacts facts = read_audit_facts(staged_configuration(), "toy", "decode");
    EXPECT_EQ(facts.mapping.data_parallel, 2);
    EXPECT_EQ(facts.mapping.expert_parallel, 2);
    const ClosedForm form = closed_form(facts, *facts.step->model, 8);
    // A token: 496 + 384 in the first stage, 496 + 320 + 80 in the second; 8 tokens of 2 FLOP.
    EXPECT_THAT(form.stage_flops, ElementsAre(14080, 14336));
    EXPECT_DOUBLE_EQ(form.matrix_flops, 28416);
    // 8 hidden states of 8 x 2 B, once; a domain has two ranks, as a stage.
    EXPECT_DOUBLE_EQ(form.handed_bytes, 128);
    EXPECT_DOUBLE_EQ(form.handed_out_bytes, 128);
    // 8 tokens x 2 copies x 8 x (2 + 2) B, half of them for the other rank of the stage.
    EXPECT_DOUBLE_EQ(form.exchange_bytes, 256);
    // Cache 8 x 16 x 6 x 2 B x 2 layers = 3072. Either batch reads 2 B x (2 x 176 + 384 + 2 x 96 +
    // 96 + 80) = 2208 on two ranks, one of each stage, of four.
    EXPECT_DOUBLE_EQ(form.memory_bytes, 3072 + 2 * 2 * 2208);
}

TEST(AuditStages, MemoryByHand) {
    const AuditFacts facts = read_audit_facts(staged_configuration(), "toy", "decode");
    const MemoryForm first = memory_form(facts, *facts.step->model, 8, 0),
                     last = memory_form(facts, *facts.step->model, 8, 1);
    for (const MemoryForm& form : {first, last}) {
        EXPECT_DOUBLE_EQ(form.cache, 4 * 16 * 6 * 2);
        EXPECT_DOUBLE_EQ(form.attention, 176 * 2);
        EXPECT_DOUBLE_EQ(form.tables, 80 * 2);
    }
    EXPECT_DOUBLE_EQ(first.dense, 384 * 2);
    EXPECT_DOUBLE_EQ(last.dense, 0);
    EXPECT_DOUBLE_EQ(first.routed + first.shared + first.router, 0);
    EXPECT_DOUBLE_EQ(last.routed, 2 * 96 * 2);
    EXPECT_DOUBLE_EQ(last.shared, 96 * 2);
    EXPECT_DOUBLE_EQ(last.router, 32 * 2);
}

TEST(AuditStages, ClassesSayTheirStage) {
    EXPECT_EQ(stage_of("ranks", 1), 0u);
    EXPECT_EQ(stage_of("stage 2 shared-expert ranks", 3), 1u);
    EXPECT_EQ(stage_of("stage 12 ranks", 12), 11u);
    EXPECT_EQ(stage_of("stage 4 ranks", 3), std::nullopt);
    EXPECT_EQ(stage_of("ranks", 3), std::nullopt);
}

// Where ranks divide their tokens, the drafts' projection is not repeated on each.
TEST(AuditStages, DividedTokensAreDraftedOnce) {
    Json configuration = hand_worked_configuration();
    configuration["experiment"]["alternatives"][1]["mapping"] = {{"tensor_parallel", 2}};
    const auto flops = [&] {
        const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
        return closed_form(facts, *facts.step->model, 8).flops_by_format.at("bf16");
    };
    const double by_heads = flops();
    configuration["experiment"]["alternatives"][1]["mapping"]["attention"] = "sp-tp-sp";
    // The down-projections, 8 x (4 + 4 + 2), of 2 tokens in 2 layers and 2 drafted; and 128 of
    // these.
    const double repeated = 2 * 8 * ((2 * 2 + 2) * 80.0 + 2 * 128.0);
    EXPECT_DOUBLE_EQ(by_heads - flops(), repeated);
}

Audited two_stages() {
    static const Audited once = audited_run(R"(
experiment: Two stages
workload: {kind: decode, model: deepseek-r1, context: 2048 tokens, batch_per_group: 32}
alternatives:
  - name: A
    system: h100-ib
    chips: 16
    precision: {weights: fp8, experts: fp8, activations: fp8, dispatch: fp8}
    mapping: {tensor_parallel: 8, pipeline_parallel: 2}
    engine: nominal
prices: default
)");
    return once;
}

TEST(AuditStages, ARunIsSound) {
    EXPECT_THAT(two_stages().broken(), IsEmpty());
}

TEST(AuditStages, StagesThatHoldEachOthersLayersAreCaught) {
    Audited run = two_stages();
    std::swap(run.result.memory[0].parts, run.result.memory[1].parts);
    std::swap(run.result.memory[0].total, run.result.memory[1].total);
    EXPECT_EQ(run.broken(), Laws{kHolds});
    run = two_stages();
    run.result.memory[1].rank_class = "stage 3 ranks";
    EXPECT_TRUE(run.broken().count(kHolds));
}

TEST(AuditStages, WorkOnTheWrongStageIsCaught) {
    Audited run = two_stages();
    for (auto& row : run.result.operators) row.rank_class = "stage 1 ranks";
    EXPECT_EQ(run.broken(), Laws{kStageWork});
}

// 32 tokens of 7168 x 2 B are handed on: a run that sends less than they and the exchange is not.
TEST(AuditStages, HiddenStatesThatAreNotSentAreCaught) {
    Audited run = two_stages();
    const AuditFacts facts = read_audit_facts(run.configuration, "A", "decode");
    const ClosedForm form = closed_form(facts, *facts.step->model, 32);
    EXPECT_DOUBLE_EQ(form.handed_bytes, 32 * 14336.0);
    run.result.totals.sent_bytes = form.exchange_bytes + 0.5 * form.handed_bytes;
    EXPECT_TRUE(run.broken().count(kStageSends));
    EXPECT_FALSE(run.broken().count(kExchange));
}

}  // namespace
}  // namespace podsim
