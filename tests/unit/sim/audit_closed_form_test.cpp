// What the audit works out by itself: the work and the bytes of a step, from its configuration.
#include "sim/audit_closed_form.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

TEST(AuditClosedForm, ClosedFormsMatchTheHandWorkedStep) {
    const AuditFacts facts = read_audit_facts(hand_worked_configuration(), "toy", "decode");
    const ClosedForm form = closed_form(facts, *facts.step->model, 8);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 88320);
    EXPECT_DOUBLE_EQ(form.rounding_flops, 0);  // 4 tokens x 4 ranks x 2 / 4 = 8 on one slot
    // Cache 8 x 16 x 6 x 2 B x 3 layers = 4608; weights of a rank 2 B x (3 x 176 + 384 + 2 x
    // (96 + 96) + 80) = 2752.
    EXPECT_DOUBLE_EQ(form.memory_bytes, 4608 + 4 * 2752);
    // 8 sequences x 4 tokens through MoE layers x 2 copies x 8 x (2 + 2) B = 2048, a quarter of
    // which stays on its rank and a half in its domain of two ranks.
    EXPECT_DOUBLE_EQ(form.exchange_bytes, 1536);
    EXPECT_DOUBLE_EQ(form.scale_out_bytes, 1024);
}

// 8 prompts of 16 tokens, 4 of each cached, in chunks of 8 and 4 that see 12 and 16. Multiply-adds
// of a prompt: in both layers linear 12 x (80 + 32 + 32), expansion (12 + 16) x 32 and the core 2 x
// (12 x 4 + 12 x 13 / 2) x 6, together 4136; dense 12 x 384; router and experts 12 x (32 + 3 x 96);
// head 80: 16,800.
TEST(AuditClosedForm, APrefillByHand) {
    Json configuration = hand_worked_configuration();
    Json& workload = configuration["experiment"]["workload"];
    workload = {{"kind", "prefill"},       {"model", "toy-model"}, {"prompt", "16 tokens"},
                {"cached_prefix", "25 %"}, {"chunk", "8 tokens"},  {"batch_per_chip", 4}};
    const AuditFacts facts = read_audit_facts(configuration, "toy", "prefill");
    const ClosedForm form = closed_form(facts, *facts.step->model, 8);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 2 * 8 * 16800.0);
    // Weights of a rank 2 B x (2 x 176 + 384 + 96 + 96) = 1856 a pass, the head's 160 once; of the
    // cache 4 + 12 tokens read back, 6 x 2 B x 2 layers each.
    EXPECT_DOUBLE_EQ(form.memory_bytes, 4 * (2 * 1856 + 160) + 8 * 16 * 24);
    // 8 x 12 tokens x 2 copies x 8 x (2 + 2) B, of which a quarter and a half stay near.
    EXPECT_DOUBLE_EQ(form.exchange_bytes, 6144 * 0.75);
    EXPECT_DOUBLE_EQ(form.scale_out_bytes, 6144 * 0.5);
    // Weights in one byte and attention in two: the expansion is read in one, 32 a layer and pass
    // with all else but the head.
    configuration["experiment"]["alternatives"][1]["precision"] = {{"weights", "int8"}};
    const AuditFacts narrow = read_audit_facts(configuration, "toy", "prefill");
    EXPECT_DOUBLE_EQ(closed_form(narrow, *narrow.step->model, 8).memory_bytes,
                     4 * (2 * (2 * 176 + 384 + 2 * 96 + 96) + 160) + 8 * 16 * 24);
    workload["cached_prefix"] = "4 tokens";
    EXPECT_DOUBLE_EQ(read_audit_facts(configuration, "toy", "prefill").step->computed, 12);
}

TEST(AuditClosedForm, RoundingIsOneTokenAnExpertSlotLayerAndMicroBatch) {
    Json configuration = hand_worked_configuration();
    configuration["documents"]["model/toy-model"]["n_routed_experts"] = 12;  // 3 slots a rank
    const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
    // 8 tokens on 3 slots do not come out whole: up to 3 more tokens on each of 4 ranks, in the
    // MoE layer and in the draft's, 2 x 96 FLOP each.
    EXPECT_DOUBLE_EQ(closed_form(facts, *facts.step->model, 8).rounding_flops,
                     2 * 4 * 3 * 2 * 96.0);
}

TEST(AuditClosedForm, UnequalExpertsRoundAndMayStayUnread) {
    Json configuration = hand_worked_configuration();
    configuration["experiment"]["alternatives"][1]["experts"] = {{"popularity", {{"zipf", 0.5}}}};
    const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
    const ClosedForm form = closed_form(facts, *facts.step->model, 8);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 88320);
    EXPECT_DOUBLE_EQ(form.rounding_flops, 2 * 4 * 1 * 2 * 96.0);  // one slot a rank
    // Two layers of one routed expert, 96 x 2 B, on each of 4 ranks are left out.
    EXPECT_DOUBLE_EQ(form.memory_bytes, 4608 + 4 * (2752 - 2 * 96 * 2.0));
}

TEST(AuditClosedForm, TensorParallelRanksRepeatTheDownProjections) {
    Json configuration = hand_worked_configuration();
    configuration["experiment"]["alternatives"][1]["mapping"] = {{"tensor_parallel", 2}};
    const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
    EXPECT_DOUBLE_EQ(facts.mapping.data_parallel, 2);
    // Per sequence 6 token-layers of attention (2 x 2 and the draft's 2) repeat 80, and 2 tokens
    // repeat the draft's projection of 128.
    EXPECT_DOUBLE_EQ(closed_form(facts, *facts.step->model, 8).matrix_flops,
                     88320 + 2 * 8 * (6 * 80 + 2 * 128.0));
}

TEST(AuditClosedForm, ConfigurationThatIsNotTheResults) {
    Audited lost = hand_worked_step();
    lost.configuration["documents"].erase("chip/toy-chip");
    EXPECT_EQ(lost.broken(), Laws{kConfiguration});
    Audited renamed = hand_worked_step();
    renamed.result.name = "nobody";
    EXPECT_EQ(renamed.broken(), Laws{kConfiguration});
    Audited unit = hand_worked_step();
    unit.configuration["documents"]["chip/toy-chip"]["hbm"]["capacity"] = 32;
    EXPECT_EQ(unit.broken(), Laws{kConfiguration});
    Audited kind = hand_worked_step();
    kind.kind = "collective";
    EXPECT_EQ(kind.broken(), Laws{kConfiguration});
    Audited empty = hand_worked_step();
    empty.configuration = nullptr;
    EXPECT_EQ(empty.broken(), Laws{kConfiguration});
}

TEST(AuditClosedForm, OneOperator) {
    const Audited sound = audited_run(R"(
experiment: a product
workload: {kind: operator, operator: {type: gemm, m: 4096, n: 7168, k: 2048, dtypes: {a: int8, b: int8}}}
alternatives: [{name: one, system: cloudmatrix384, chips: 1}]
)");
    EXPECT_EQ(sound.broken(), Laws{});
    EXPECT_DOUBLE_EQ(sound.result.totals.matrix_flops, 2 * 2.0 * 4096 * 7168 * 2048);  // two dies
    Audited other = sound;
    other.configuration["experiment"]["workload"]["operator"]["k"] = 4096;
    EXPECT_EQ(other.broken(), (Laws{kWork, kFlopBound}));
    Audited rate = sound;
    rate.metric("achieved_flops").value /= 2;
    EXPECT_EQ(rate.broken(), Laws{kRates});
    const Audited attention = audited_run(R"(
experiment: causal attention
workload:
  kind: operator
  operator: {type: attention, form: gqa, phase: prefill, batch: 2, query: 1024, context: 4096,
             heads: 32, kv_heads: 8, head_dims: [128, 128]}
alternatives: [{name: one, system: h800-ib, chips: 1}]
)");
    EXPECT_EQ(attention.broken(), Laws{});
}

// Every form of attention, scores and streams: the audit counts pairs its own way and agrees.
TEST(AuditClosedForm, SparseOperators) {
    const auto run = [](const std::string& op) {
        return audited_run("experiment: sparse\nworkload:\n  kind: operator\n  operator: {" + op +
                           "}\nalternatives: [{name: one, system: h800-ib, chips: 1}]\n");
    };
    for (const char* phase : {"prefill", "decode"}) {
        const std::string sizes = std::string(", phase: ") + phase + ", batch: 2, query: 300";
        const std::string core = sizes + ", context: 5003, heads: 64, head_dims: [512, 512]";
        for (const std::string& op :
             {"type: attention, form: dsa, selected: 2048" + core,
              "type: attention, form: csa, selected: 512" + core,
              "type: attention, form: csa, selected: 5, compression: 3, window: 7" + core,
              "type: attention, form: hca" + core,
              "type: attention, form: window, window: 128, kv_heads: 8" + core,
              "type: attention, form: linear, key_heads: 16, value_heads: 32, head_dims: [128, "
              "128]" +
                  sizes,
              "type: index_scores, heads: 64, head_dim: 128, compression: 4, context: 5003" +
                  sizes}) {
            EXPECT_EQ(run(op).broken(), Laws{}) << op;
        }
    }
    EXPECT_EQ(run("type: mhc, tokens: 300, hidden: 4096").broken(), Laws{});
    // 300 tokens x 4 x 4,096 x 24 multiply-adds.
    EXPECT_DOUBLE_EQ(run("type: mhc, tokens: 300, hidden: 4096").result.totals.matrix_flops,
                     2 * 300.0 * 4 * 4096 * 24);
    Audited other =
        run("type: attention, form: hca, phase: decode, batch: 2, query: 1, context: "
            "5000, heads: 64, head_dims: [512, 512]");
    // 39 entries and the window: 2 x 1,024 x 64 x 2 FLOP a pair.
    EXPECT_DOUBLE_EQ(other.result.totals.matrix_flops, 2 * 1024 * 64 * 2 * (39 + 128.0));
    other.configuration["experiment"]["workload"]["operator"]["window"] = 64;
    EXPECT_EQ(other.broken(), Laws{kWork});
}

// 256 tokens of 8 over 32 ranks: 64 assignments of 8 experts, 8 rows each of three matrices.
TEST(AuditClosedForm, OneExpertLayer) {
    const Audited sound = audited_run(R"(
experiment: experts
workload:
  kind: operator
  operator: {type: moe, tokens: 256, hidden: 7168, inter: 2048, experts: 256, top_k: 8, ranks: 32,
             dtypes: {weights: fp8}, scale_block: 128}
alternatives: [{name: one, system: h800-ib, chips: 1}]
)");
    EXPECT_EQ(sound.broken(), Laws{});
    EXPECT_DOUBLE_EQ(sound.result.totals.matrix_flops, 64 * 6.0 * 7168 * 2048);
    Audited other = sound;
    other.configuration["experiment"]["workload"]["operator"]["inter"] = 1024;
    EXPECT_EQ(other.broken(), Laws{kWork});
    // The busiest of uneven ranks: not less than the mean, not more than tokens can ask.
    const Audited uneven = audited_run(R"(
experiment: uneven experts
workload:
  kind: operator
  operator: {type: moe, tokens: 256, hidden: 7168, inter: 2048, experts: 256, top_k: 8, ranks: 32,
             dtypes: {weights: fp8}, popularity: zipf, zipf_exponent: 0.8}
alternatives: [{name: one, system: h800-ib, chips: 1}]
)");
    EXPECT_EQ(uneven.broken(), Laws{});
    EXPECT_GT(uneven.result.totals.matrix_flops, 64 * 6.0 * 7168 * 2048);
    Audited less = uneven;
    less.configuration["experiment"]["workload"]["operator"]["ranks"] = 8;
    EXPECT_EQ(less.broken(), (Laws{kWork, kFlopBound}));
    Audited more = uneven;
    more.configuration["experiment"]["workload"]["operator"]["tokens"] = 8;
    EXPECT_EQ(more.broken(), Laws{kWork});
}

TEST(AuditClosedForm, OneCollective) {
    const Audited sound = audited_run(R"(
experiment: dispatch
workload:
  kind: collective
  collective: {type: dispatch, ranks: 8, tokens_per_rank: 128, hidden: 7168, top_k: 8,
               element_bytes: 1, scale_block: 128}
alternatives: [{name: one, system: h800-ib, chips: 16}]
)");
    EXPECT_EQ(sound.broken(), Laws{});
    Audited more = sound;
    more.configuration["experiment"]["workload"]["collective"]["top_k"] = 9;
    EXPECT_EQ(more.broken(), Laws{kExchange});
    Audited fast = sound;
    fast.metric("collective_time").value /= 8;
    EXPECT_EQ(fast.broken(), Laws{kRates});
}

// It shares no code with what it judges.
TEST(AuditClosedForm, IncludesNeitherModelsNorMachines) {
    const Laws allowed = {"base/units.hpp", "sim/alternative_result.hpp"};
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(PODSIM_SOURCE_DIR "/sim")) {
        const std::string name = entry.path().filename().string();
        if (name.rfind("audit", 0) != 0) continue;
        ++files;
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            const std::string directive = "#include \"";
            if (line.rfind(directive, 0) != 0) continue;
            const std::size_t begin = directive.size();
            const std::string header = line.substr(begin, line.find('"', begin) - begin);
            EXPECT_TRUE(allowed.count(header) == 1 || header.rfind("sim/audit", 0) == 0)
                << name << " includes " << header;
        }
    }
    EXPECT_GE(files, 10);
}

// Two copies among four experts on two ranks: a rank is missed by 1 in C(4, 2) = 6 tokens, 5/3 of
// two ranks are meant, 5/6 of the copies travel. Held to one of two domains, of one rank: one rank.
TEST(AuditClosedForm, CopiesForOneRankTravelAsOne) {
    nlohmann::ordered_json collective = {
        {"type", "dispatch"}, {"ranks", 2}, {"top_k", 2}, {"experts", 4}};
    EXPECT_NEAR(merged_share(collective, 1), 5.0 / 6, 1e-12);
    collective["domain_limit"] = 1;
    EXPECT_NEAR(merged_share(collective, 2), 0.5, 1e-12);
}

}  // namespace
}  // namespace podsim
