// What the audit works out for models with grouped queries, and says where it works out nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/audit_closed_form.hpp"
#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

Json grouped_configuration(const char* model, const char* mapping) {
    Json configuration = hand_worked_configuration();
    configuration["experiment"]["workload"].erase("speculation");
    configuration["experiment"]["alternatives"][1]["mapping"] = Json::parse(mapping);
    configuration["documents"]["model/toy-model"] = Json::parse(model);
    return configuration;
}

constexpr const char* dense_model = R"({
    "model_type": "llama", "num_hidden_layers": 3, "hidden_size": 8, "vocab_size": 10,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 16})";
constexpr const char* expert_model = R"({
    "model_type": "qwen3_moe", "num_hidden_layers": 3, "hidden_size": 8, "vocab_size": 10,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4, "intermediate_size": 16,
    "moe_intermediate_size": 4, "num_experts": 4, "num_experts_per_tok": 2,
    "tie_word_embeddings": true})";

TEST(AuditFamilies, DenseModelByHand) {
    // Heads of 8 / 4 = 2: linear 8 x (4 + 4) x 2 + 4 x 2 x 8 = 192, core 2 x 4 x 16 x 2 = 256, FFN
    // 3 x 8 x 16 = 384, head 80. A token: 3 x 832 + 80 = 2576; 8 sequences: 41,216 FLOP.
    const AuditFacts facts =
        read_audit_facts(grouped_configuration(dense_model, "{}"), "toy", "decode");
    const AuditModel& model = *facts.step->model;
    const ClosedForm form = closed_form(facts, model, 8);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 41216);
    EXPECT_DOUBLE_EQ(form.rounding_flops, 0);
    EXPECT_DOUBLE_EQ(form.exchange_bytes, 0);
    // Cache 8 x 16 x 3 x (2 x 2 x 2) x 2 B = 6144; a rank reads 2 B x (3 x 576 + 80) = 3616.
    EXPECT_DOUBLE_EQ(form.memory_bytes, 6144 + 4 * 3616);
    const MemoryForm memory = memory_form(facts, model, 8);
    EXPECT_DOUBLE_EQ(memory.cache, 6144 / 4.0);
    EXPECT_DOUBLE_EQ(memory.attention, 3 * 192 * 2);
    EXPECT_DOUBLE_EQ(memory.dense, 3 * 384 * 2);
    EXPECT_DOUBLE_EQ(memory.tables, 2 * 80 * 2);
    EXPECT_DOUBLE_EQ(memory.routed + memory.shared + memory.router, 0);
}

TEST(AuditFamilies, MoreRanksThanKeyValueHeadsHoldCopies) {
    const AuditFacts facts = read_audit_facts(
        grouped_configuration(dense_model, R"({"tensor_parallel": 4})"), "toy", "decode");
    const AuditModel& model = *facts.step->model;
    // Two more copies of a kv head, 2 x 2 x 2 x 8 = 64 more a token and layer, and the head's
    // ten columns in four threes, 16 more.
    EXPECT_DOUBLE_EQ(closed_form(facts, model, 8).matrix_flops, 41216 + 16 * (3 * 64 + 16));
    // One group of 8 sequences, one kv head a rank: 8 x 16 x 3 x (2 x 1 x 2) x 2 B.
    EXPECT_DOUBLE_EQ(memory_form(facts, model, 8).cache, 3072);
}

TEST(AuditFamilies, ExpertModelByHand) {
    // Linear 8 x 8 x 4 + 4 x 4 x 8 = 384, core 2 x 4 x 16 x 4 = 512, router 32, experts 2 x 96,
    // head 80: 3 x 1120 + 80 = 3440 a token.
    Json configuration = grouped_configuration(expert_model, "{}");
    configuration["experiment"]["alternatives"][1]["precision"] = {{"weights", "int8"},
                                                                   {"activations", "int8"}};
    const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
    const AuditModel& model = *facts.step->model;
    const ClosedForm form = closed_form(facts, model, 8);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 16 * 3440);
    EXPECT_DOUBLE_EQ(form.flops_by_format.at("int8"), 16 * 3 * 384);
    EXPECT_DOUBLE_EQ(form.flops_by_format.at("bf16"), 16 * (3 * (512 + 32 + 192) + 80));
    const MemoryForm memory = memory_form(facts, model, 8);
    EXPECT_DOUBLE_EQ(memory.attention, 3 * 384);
    EXPECT_DOUBLE_EQ(memory.tables, 80 * 2);          // one table, which is the head
    EXPECT_DOUBLE_EQ(memory.routed, 3 * 1 * 96 * 2);  // a slot a rank, in BF16
    EXPECT_DOUBLE_EQ(memory.router, 3 * 32 * 2);
    // 8 tokens x 3 layers x 2 copies x 8 x (2 + 2) B, three quarters beyond their rank.
    EXPECT_DOUBLE_EQ(form.exchange_bytes, 1152);
}

// One alternative with a model of configs/models, in 72 H800 at most.
std::string decode_of(const char* model, int chips, const char* precision, const char* mapping) {
    return fmt::format(
        "experiment: a family\n"
        "workload: {{kind: decode, model: {}, context: 2000 tokens, batch_per_chip: 12}}\n"
        "alternatives: [{{name: one, system: h800-ib, chips: {}, precision: {{{}}}, "
        "mapping: {{{}}}}}]\n",
        model, chips, precision, mapping);
}

TEST(AuditFamilies, RealRunsPassAndLiesDoNot) {
    const char* const fp8 = "weights: fp8, experts: fp8, activations: fp8, kv_cache: fp8";
    for (const std::string& experiment : {
             decode_of("llama-3.1-8b", 1, "", ""),
             decode_of("llama-3.1-8b", 2, "", "tensor_parallel: 2"),
             decode_of("llama-3.1-8b", 16, fp8, "tensor_parallel: 16, micro_batches: 2"),
             decode_of("llama-3.1-70b", 8, fp8, "tensor_parallel: 8"),
             decode_of("qwen3-30b-a3b", 1, "", ""),
             decode_of("qwen3-30b-a3b", 2, "", "tensor_parallel: 2"),
             decode_of("qwen3-30b-a3b", 16, fp8, "tensor_parallel: 2, expert_parallel: 8"),
             decode_of("qwen3-235b-a22b", 32, fp8, "micro_batches: 2"),
             decode_of("mixtral-8x7b", 8, "", "tensor_parallel: 2"),
         }) {
        const Audited sound = audited_run(experiment);
        EXPECT_EQ(sound.broken(), Laws{}) << experiment;
        Audited work = sound;
        work.result.totals.matrix_flops *= 0.5;  // beyond what rounding to whole tokens explains
        EXPECT_EQ(work.broken(), Laws{kWork}) << experiment;
        Audited cache = sound;
        for (MemoryUse& use : cache.result.memory) {
            for (MemoryPart& part : use.parts) {
                if (part.part != "KV cache") continue;
                use.total -= part.bytes / 2;
                part.bytes /= 2;
            }
        }
        EXPECT_EQ(cache.broken(), Laws{kHolds}) << experiment;
    }
}

TEST(AuditFamilies, LawsThatCannotBeCheckedSaySo) {
    const auto unchecked = [](const Audited& audited) {
        Laws laws;
        for (const auto& finding : audit(audited.result, audited.kind, audited.configuration)) {
            if (finding.law.rfind("not checked: ", 0) != 0) continue;
            EXPECT_TRUE(finding.passed);
            EXPECT_EQ(finding.detail.rfind("not checked: ", 0), 0u) << finding.detail;
            laws.insert(finding.law.substr(13));
        }
        return laws;
    };
    const std::string energy = "energy is the sum of its parts";  // of which the toy says nothing
    EXPECT_EQ(unchecked(hand_worked_step()), Laws{energy});
    Audited unknown = hand_worked_step();
    unknown.configuration["documents"]["model/toy-model"]["model_type"] = "another";
    EXPECT_EQ(unknown.broken(), Laws{});
    EXPECT_EQ(unchecked(unknown), (Laws{energy, kWork, kTraffic, kExchange, kHolds}));
    EXPECT_EQ(audit(unknown.result, "decode", unknown.configuration).size(), 22u);
    EXPECT_EQ(unchecked(audited_run(decode_of("llama-3.1-8b", 1, "", ""))), Laws{kExchange});
    EXPECT_EQ(unchecked(audited_run("experiment: an all-reduce\n"
                                    "workload: {kind: collective, collective: {type: all_reduce, "
                                    "ranks: 8, bytes: 1 MB}}\n"
                                    "alternatives: [{name: one, system: h800-ib, chips: 8}]\n")),
              Laws{kExchange});
}

TEST(AuditFamilies, ProductFasterThanItsFormat) {
    // A product that keeps 90 % of the BF16 peak busy, told as done in half of its time: 180 % of
    // BF16, 90 % of the FP8 peak.
    const Audited sound = audited_run(R"(
experiment: a product
workload: {kind: operator, operator: {type: gemm, m: 8192, n: 8192, k: 8192}}
alternatives: [{name: one, system: h800-ib, chips: 1}]
)");
    EXPECT_EQ(sound.broken(), Laws{});
    const double at_peak = 2 * 8192.0 * 8192.0 * 8192.0 / 989.4e12;
    Audited fast = sound;
    AlternativeResult& r = fast.result;
    const double k = r.iteration_seconds / (0.55 * at_peak);
    r.iteration_seconds /= k;
    for (auto& part : r.breakdown) part.seconds /= k;
    for (auto& part : r.energy) part.joules /= k;  // the same power
    for (auto& row : r.operators) row.seconds_critical /= k;
    for (double* bound : {&r.bounds.roofline, &r.bounds.critical_path, &r.bounds.perfect_overlap,
                          &r.bounds.serial}) {
        *bound /= k;
    }
    for (auto& use : r.resources) {
        if (use.resource.rfind("matrix", 0) == 0) use.amount = at_peak / 2;
        use.mean = use.peak = use.amount / (use.capacity * r.iteration_seconds);
        for (double& window : use.windows) window = use.mean;
    }
    fast.metric("operator_time").value /= k;
    for (auto& metric : r.metrics) {
        if (metric.name.rfind("achieved_", 0) == 0) metric.value *= k;
        if (metric.name.rfind("usd_per_eflop_hour_achieved", 0) == 0) metric.value /= k;
    }
    EXPECT_EQ(fast.broken(), (Laws{kFlopBound, kPeak}));
    // The same numbers are sound in FP8, at the price of its peak.
    fast.configuration["experiment"]["workload"]["operator"]["dtypes"] = {{"a", "fp8"}};
    for (auto& metric : r.metrics) {
        if (metric.name.rfind("usd_per_eflop_hour_peak", 0) == 0) metric.value *= 989.4 / 1978.9;
    }
    EXPECT_EQ(fast.broken(), Laws{});
}

}  // namespace
}  // namespace podsim
