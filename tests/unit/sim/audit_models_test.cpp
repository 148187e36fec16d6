// The forms of whole models by hand and against published figures; what they catch in runs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

#include "models/model.hpp"
#include "sim/audit_closed_form.hpp"
#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// 8 sequences on 4 ranks.
Json configuration_of(const Json& model, const char* context, const char* mapping = "{}") {
    Json configuration = hand_worked_configuration();
    Json& workload = configuration["experiment"]["workload"];
    workload.erase("speculation");
    workload["context"] = context;
    configuration["experiment"]["alternatives"][1]["mapping"] = Json::parse(mapping);
    configuration["documents"]["model/toy-model"] = model;
    return configuration;
}

AuditFacts facts_of(const Json& configuration, const char* kind = "decode") {
    return read_audit_facts(configuration, "toy", kind);
}

ClosedForm form_of(const AuditFacts& facts) {
    return closed_form(facts, *facts.step->model, 8);
}

// A layer of each kind and a draft module over the window.
Json toy_v4() {
    return Json::parse(R"({
        "model_type": "deepseek_v4", "num_hidden_layers": 3, "hidden_size": 8, "vocab_size": 10,
        "num_attention_heads": 2, "head_dim": 4, "qk_rope_head_dim": 2, "q_lora_rank": 4,
        "o_groups": 2, "o_lora_rank": 3, "sliding_window": 6, "index_n_heads": 2,
        "index_head_dim": 3, "index_topk": 5, "compress_ratios": [0, 4, 128, 0],
        "num_hash_layers": 1, "moe_intermediate_size": 4, "n_routed_experts": 4,
        "n_shared_experts": 1, "num_experts_per_tok": 2, "hc_mult": 2, "hc_sinkhorn_iters": 20,
        "num_nextn_predict_layers": 1})");
}

// Linear 3 x 168 + 24, pools 240 + 64, core (6 + 11 + 8) x 16, scores 384 (see the test of
// attention); MoE 3 x (32 + 2 x 96 + 96); mixing 6 x (4 + 4) x 2 x 8, joining 2 x 2 x 8, head 80.
TEST(AuditModels, DeepSeekV4ByHand) {
    Json configuration = configuration_of(toy_v4(), "256 tokens");
    configuration["experiment"]["alternatives"][1]["precision"] = {
        {"weights", "int8"}, {"activations", "int8"}, {"indexer", "fp8"}};
    const AuditFacts facts = facts_of(configuration);
    const ClosedForm form = form_of(facts);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 16 * (528 + 304 + 400 + 384 + 960 + 768 + 32 + 80.0));
    EXPECT_DOUBLE_EQ(form.rounding_flops, 0);
    EXPECT_DOUBLE_EQ(form.flops_by_format.at("int8"), 16 * (528 + 3 * 96.0));
    EXPECT_DOUBLE_EQ(form.flops_by_format.at("fp8"), 16 * 384.0);
    // Entries of 4 x 2 B: 18 of windows, 64 and 2 of pools; 64 keys of 3 x 1 B; 2 sequences.
    const MemoryForm memory = memory_form(facts, *facts.step->model, 8);
    EXPECT_DOUBLE_EQ(memory.cache, 2 * (84 * 8 + 192));
    EXPECT_DOUBLE_EQ(memory.attention, 528 + 304 * 2 + 768 * 4);
    EXPECT_DOUBLE_EQ(memory.tables, 2 * 80 * 2 + 32 * 4);
    // Read: windows, 5 + 2 entries, all keys; weights of a rank with one routed expert a layer, in
    // BF16, and the shared one.
    EXPECT_DOUBLE_EQ(
        form.memory_bytes,
        8 * (25 * 8 + 192) + 4 * (528 + 304 * 2 + 768 * 4 + 3 * (96 * 2 + 96) + (80 + 32) * 2.0));
}

// A drafted token: the embedding and 2 streams projected, 3 x 64; a layer of 168 + 96 + 320 and 2 x
// 128 of mixing; two tokens in the one pass, but one joined and through the head.
TEST(AuditModels, DraftsOfDeepSeekV4) {
    Json configuration = configuration_of(toy_v4(), "256 tokens");
    const double without = form_of(facts_of(configuration)).matrix_flops;
    const double cache =
        memory_form(facts_of(configuration), *facts_of(configuration).step->model, 8).cache;
    configuration["experiment"]["workload"]["speculation"] = {{"draft_tokens", 1},
                                                              {"acceptance", "50 %"}};
    const AuditFacts facts = facts_of(configuration);
    EXPECT_DOUBLE_EQ(form_of(facts).matrix_flops,
                     2 * without + 16 * (2 * (192 + 168 + 96 + 320 + 256) + 112.0));
    EXPECT_DOUBLE_EQ(memory_form(facts, *facts.step->model, 8).cache, cache + 2 * 6 * 8);
}

// Two streams are handed on; the last stage has one layer and the head.
TEST(AuditModels, StagesOfDeepSeekV4) {
    const AuditFacts facts =
        facts_of(configuration_of(toy_v4(), "256 tokens", R"({"pipeline_parallel": 2})"));
    const ClosedForm form = form_of(facts);
    EXPECT_DOUBLE_EQ(form.handed_bytes, 8 * 8 * 2 * 2.0);
    const double window = 168 + 96 + 320 + 256, chosen = 192 + 240 + 176 + 384 + 320 + 256,
                 heavy = 168 + 64 + 128 + 320 + 256;
    EXPECT_THAT(form.stage_flops, ElementsAre(16 * (window + chosen), 16 * (heavy + 32 + 80)));
}

// Each of two ranks mixes all tokens in front of attention, its own in front of the experts.
TEST(AuditModels, TensorParallelRanksRepeatMixingAndChoice) {
    const double one = form_of(facts_of(configuration_of(toy_v4(), "256 tokens"))).matrix_flops;
    const double two =
        form_of(facts_of(configuration_of(toy_v4(), "256 tokens", R"({"tensor_parallel": 2})")))
            .matrix_flops;
    // Down-projections, index queries, pools, scores, 3 of 6 mixings, joining.
    EXPECT_DOUBLE_EQ(two - one, 16 * (3 * 64 + 24 + 304 + 384 + 3 * 128 + 32.0));
}

// 128,128, then 4 and 128 in turn: 30 layers of 4, 31 of 128; the draft module's window.
Json v4_pro() {
    Json model = Json::parse(R"({
        "model_type": "deepseek_v4", "num_hidden_layers": 61, "hidden_size": 7168,
        "vocab_size": 129280, "num_attention_heads": 128, "head_dim": 512, "q_lora_rank": 1536,
        "o_groups": 16, "o_lora_rank": 1024, "sliding_window": 128, "index_n_heads": 64,
        "index_head_dim": 128, "index_topk": 1024, "moe_intermediate_size": 3072,
        "n_routed_experts": 384, "n_shared_experts": 1, "num_experts_per_tok": 6, "hc_mult": 4,
        "num_nextn_predict_layers": 1, "compress_ratios": [128]})");
    Json& ratios = model["compress_ratios"];
    for (int layer = 1; layer < 61; ++layer) ratios.push_back(layer % 2 == 1 ? 128 : 4);
    ratios.push_back(0);
    return model;
}

// GFLOP a token of a decode step: attention's core and scores; and what has weights. 4 ranks of one
// sequence each.
struct V4Work {
    double attention = 0, linear = 0;
};
V4Work work_of_v4(const char* context) {
    Json configuration = configuration_of(v4_pro(), context);
    // Apart from the others in formats of their own.
    configuration["experiment"]["alternatives"][1]["precision"] = {{"attention", "fp16"},
                                                                   {"indexer", "fp8"},
                                                                   {"weights", "int8"},
                                                                   {"activations", "int8"},
                                                                   {"experts", "int8"}};
    const ClosedForm form = form_of(facts_of(configuration));
    const auto of = [&](const char* format) { return form.flops_by_format.at(format) / 8 / 1e9; };
    return {of("fp16") + of("fp8"), of("int8") + of("bf16")};
}

// Published sizes make 10.9, 16.2, 34.5 and 205.5 GFLOP of attention, 97.3 of linear work beside
// mixing; the cache of a million tokens is 9.62 GiB in BF16.
TEST(AuditModels, DeepSeekV4ProAsPublished) {
    EXPECT_NEAR(work_of_v4("4096 tokens").attention, 10.9, 0.05);
    EXPECT_NEAR(work_of_v4("32768 tokens").attention, 16.2, 0.05);
    EXPECT_NEAR(work_of_v4("131072 tokens").attention, 34.5, 0.05);
    EXPECT_NEAR(work_of_v4("1048576 tokens").attention, 205.5, 0.05);
    const double mixing = 2e-9 * (61 * 2 * (16 + 8) + 4) * 4 * 7168;
    EXPECT_NEAR(work_of_v4("4096 tokens").linear - mixing, 97.3, 0.005 * 97.3);
    const AuditFacts facts = facts_of(configuration_of(v4_pro(), "1048576 tokens"));
    EXPECT_NEAR(memory_form(facts, *facts.step->model, 4).cache / 1073741824, 9.62, 0.005);
}

// Elements a token and fixed ones of each published model's cache, BF16: two contexts apart.
struct CacheOf {
    const char* model;
    double per_token, fixed;  // elements
};

TEST(AuditModels, CachesAsPublished) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    for (const CacheOf& known : {
             CacheOf{"deepseek-v2", 34560, 0},
             CacheOf{"deepseek-v3", 35136, 0},
             CacheOf{"deepseek-v3.2", 42944, 0},
             CacheOf{"deepseek-v4-pro", 4924, 61 * 128 * 512},
             CacheOf{"deepseek-v4-flash", 3440, 43 * 128 * 512},
             CacheOf{"kimi-k2", 35136, 0},
             CacheOf{"glm-5", 54912, 0},
             CacheOf{"qwen3-235b-a22b", 96256, 0},
             // States in FP32 count twice; inputs of 16 x 128 x 2 + 64 x 128 channels.
             CacheOf{"qwen3.5-397b-a17b", 15360, 2 * 47185920.0 + 45 * 12288 * 3},
             CacheOf{"minimax-m2.5", 126976, 0},
             CacheOf{"gpt-oss-120b", 18432, 18 * 128 * 1024},
             CacheOf{"gemma-4-31b", 20480, 50 * 1024 * 8192},
             CacheOf{"pangu-pro-moe", 98304, 0},
             CacheOf{"hunyuan-a13b", 65536, 0},
             CacheOf{"step-3", 31232, 0},
             CacheOf{"gpt3-175b", 96 * 2 * 12288, 0},
         }) {
        const Json model = to_json(catalog.load("model", known.model, {}, "model"));
        for (const double context : {4096.0, 131072.0}) {
            const AuditFacts facts =
                facts_of(configuration_of(model, fmt::format("{} tokens", context).c_str()));
            EXPECT_DOUBLE_EQ(memory_form(facts, *facts.step->model, 4).cache,
                             2 * (known.per_token * context + known.fixed))
                << known.model;
        }
    }
}

// Every family that can be run has forms: with no sizes at all they miss some.
TEST(AuditModels, EveryFamilyIsKnown) {
    for (const std::string& family : known_families()) {
        EXPECT_THROW(read_audit_model({{"model_type", family}}, family), std::runtime_error)
            << family;
    }
    EXPECT_FALSE(read_audit_model({{"model_type", "another"}}, "another"));
}

TEST(AuditModels, SizesThatContradictEachOther) {
    Json ratios = toy_v4();
    ratios["compress_ratios"] = {0, 4, 128};
    EXPECT_THROW(read_audit_model(ratios, "toy"), std::runtime_error);
    const Json one_layer = Json::parse(R"({
        "model_type": "gpt_oss", "num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 10,
        "num_attention_heads": 4, "sliding_window": 6, "layer_types": ["full_attention"]})");
    EXPECT_THROW(read_audit_model(one_layer, "toy"), std::runtime_error);
}

// Layers 1 and 2 of 4 have experts: 3 x 8 x 4 each, two of them and a shared one of width 6; the
// others an FFN of 3 x 8 x 16. Attention: 8 x (3 + 2 x 4) + 3 x 2 x 4 + 2 x 4 x 8, 2 x 2 x 4 a
// pair.
TEST(AuditModels, LayersOfExpertsByList) {
    const Json model = Json::parse(R"({
        "model_type": "step3_text", "num_hidden_layers": 4, "hidden_size": 8, "vocab_size": 10,
        "num_attention_heads": 2, "num_attention_groups": 1, "head_dim": 4, "share_q_dim": 3,
        "intermediate_size": 16, "moe_intermediate_size": 4, "moe_num_experts": 4, "moe_top_k": 2,
        "share_expert_dim": 6, "moe_layers_enum": [1, 2]})");
    const AuditFacts facts =
        facts_of(configuration_of(model, "16 tokens", R"({"pipeline_parallel": 2})"));
    const double attention = 88 + 24 + 64 + 16 * 16, dense = 384, experts = 32 + 192 + 144;
    const double stage = 2 * attention + dense + experts;
    EXPECT_THAT(form_of(facts).stage_flops, ElementsAre(16 * stage, 16 * (stage + 80)));
    const MemoryForm first = memory_form(facts, *facts.step->model, 8, 0),
                     last = memory_form(facts, *facts.step->model, 8, 1);
    EXPECT_DOUBLE_EQ(first.dense, 384 * 2);
    EXPECT_DOUBLE_EQ(first.shared, 144 * 2);
    EXPECT_DOUBLE_EQ(last.dense, first.dense);
    EXPECT_DOUBLE_EQ(last.routed, first.routed);
}

// No gate, tied tables and 64 rows of positions: 4 x 8 x 8 + 2 x 16 x 8 of attention, 2 x 8 x 32,
// 80 of the head.
TEST(AuditModels, GptByHand) {
    const Json model = Json::parse(R"({
        "model_type": "gpt2", "n_layer": 3, "n_embd": 8, "n_head": 2, "n_positions": 64,
        "vocab_size": 10})");
    const AuditFacts facts = facts_of(configuration_of(model, "16 tokens"));
    EXPECT_DOUBLE_EQ(form_of(facts).matrix_flops, 16 * (3 * (256 + 256 + 512) + 80.0));
    const MemoryForm memory = memory_form(facts, *facts.step->model, 8);
    EXPECT_DOUBLE_EQ(memory.cache, 2 * 16 * 3 * 16 * 2);
    EXPECT_DOUBLE_EQ(memory.dense, 3 * 512 * 2);
    EXPECT_DOUBLE_EQ(memory.tables, (80 + 64 * 8) * 2);
}

// Sizes under text_config; a delta layer and a full one with a gate, experts and a shared one in
// both. Inputs 8 x (2 x 6 + 2 x 20 + 2 x 4) + 20 x 8 = 640; 8 x (2 x 2 + 4) x 2 + 64 + 8 x 8, 16 a
// pair.
TEST(AuditModels, DeltaNetsAndOtherSenses) {
    const Json model = Json::parse(R"({
        "model_type": "qwen3_5_moe", "tie_word_embeddings": false, "text_config": {
          "num_hidden_layers": 2, "hidden_size": 8, "vocab_size": 10, "num_attention_heads": 4,
          "num_key_value_heads": 2, "head_dim": 2, "linear_num_key_heads": 2,
          "linear_num_value_heads": 4, "linear_key_head_dim": 3, "linear_value_head_dim": 5,
          "linear_conv_kernel_dim": 4, "layer_types": ["linear_attention", "full_attention"],
          "moe_intermediate_size": 4, "num_experts": 4, "num_experts_per_tok": 2,
          "shared_expert_intermediate_size": 6, "mtp_num_hidden_layers": 1}})");
    const AuditFacts facts = facts_of(configuration_of(model, "16 tokens"));
    const double full = 8 * (2 * 4 + 2 * 2) * 2 + 64, experts = 32 + 192 + 144;
    EXPECT_DOUBLE_EQ(form_of(facts).matrix_flops, 16 * (640 + full + 16 * 16 + 2 * experts + 80.0));
    EXPECT_DOUBLE_EQ(memory_form(facts, *facts.step->model, 8).cache,
                     2 * (60 * 4 + 32 * 3 * 2 + 16 * 8 * 2.0));
}

// What a million tokens of tables cost to look up is not here; what is read of them is multiplied:
// 2 n-grams of 6 elements each by a value and two keys of 8, in one of two layers.
TEST(AuditModels, ConditionalMemory) {
    Json model = Json::parse(R"({
        "model_type": "deepseek_v32", "num_hidden_layers": 2, "first_k_dense_replace": 1,
        "hidden_size": 8, "vocab_size": 10, "num_attention_heads": 2, "q_lora_rank": 4,
        "kv_lora_rank": 4, "qk_nope_head_dim": 2, "qk_rope_head_dim": 2, "v_head_dim": 2,
        "index_n_heads": 2, "index_head_dim": 3, "index_topk": 5, "intermediate_size": 16,
        "moe_intermediate_size": 4, "n_routed_experts": 4, "n_shared_experts": 1,
        "num_experts_per_tok": 2, "hc_mult": 2})");
    const double without = form_of(facts_of(configuration_of(model, "16 tokens"))).matrix_flops;
    model["engram_layer_ids"] = {1};
    model["engram_max_ngram_size"] = 3;
    model["engram_n_embed_per_ngram"] = 6;
    EXPECT_DOUBLE_EQ(form_of(facts_of(configuration_of(model, "16 tokens"))).matrix_flops - without,
                     16 * 12 * 3 * 8.0);
}

// Runs of published models on 64 H800 that pass, and what they do not pass for.
struct ModelRun {
    const char *model, *workload, *mapping;
};
std::string experiment_of(const ModelRun& run) {
    return fmt::format(
        "experiment: a family\n"
        "workload: {{{}, model: {}, batch_per_group: 2}}\n"
        "alternatives: [{{name: one, system: h800-ib, chips: 64, precision: {{weights: fp8, "
        "experts: fp8, activations: fp8}}, mapping: {{{}}}}}]\n",
        run.workload, run.model, run.mapping);
}

const char* const kDecode = "kind: decode, context: 5001 tokens";
const char* const kPrefill =
    "kind: prefill, prompt: 5001 tokens, cached_prefix: 1251 tokens, chunk: 2000 tokens";

TEST(AuditModels, RunsOfEveryFamilyAreSound) {
    for (const ModelRun& run : {
             ModelRun{"deepseek-v2", kDecode, "tensor_parallel: 2, expert_parallel: 32"},
             ModelRun{"deepseek-v2", kPrefill, "expert_parallel: 32"},
             ModelRun{"deepseek-v3.2", kDecode, "tensor_parallel: 2"},
             ModelRun{"deepseek-v3.2", kPrefill, "tensor_parallel: 2"},
             ModelRun{"deepseek-v4-flash", kDecode, "tensor_parallel: 2"},
             ModelRun{"deepseek-v4-flash", kPrefill, "tensor_parallel: 2, expert_parallel: 16"},
             ModelRun{"deepseek-v4-pro", kDecode, "pipeline_parallel: 2, expert_parallel: 32"},
             ModelRun{"deepseek-v4-pro", kPrefill, ""},
             ModelRun{"gemma-4-31b", kDecode, "tensor_parallel: 4"},
             ModelRun{"gemma-4-31b", kPrefill, "tensor_parallel: 8"},
             ModelRun{"glm-5", kDecode, ""},
             ModelRun{"glm-5", kPrefill, "tensor_parallel: 4"},
             ModelRun{"gpt-oss-120b", kDecode, "tensor_parallel: 2"},
             ModelRun{"gpt-oss-120b", kPrefill, "pipeline_parallel: 2"},
             ModelRun{"gpt3-175b", "kind: decode, context: 2001 tokens", "tensor_parallel: 8"},
             ModelRun{"gpt3-175b", "kind: prefill, prompt: 2001 tokens", "tensor_parallel: 8"},
             ModelRun{"hunyuan-a13b", kDecode, ""},
             ModelRun{"hunyuan-a13b", kPrefill, "tensor_parallel: 2"},
             ModelRun{"kimi-k2", kDecode, ""},
             ModelRun{"kimi-k2", kPrefill, "tensor_parallel: 2"},
             ModelRun{"minimax-m2.5", kDecode, "tensor_parallel: 2"},
             ModelRun{"minimax-m2.5", kPrefill, ""},
             ModelRun{"pangu-pro-moe", kDecode, ""},
             ModelRun{"pangu-pro-moe", kPrefill, "tensor_parallel: 4"},
             ModelRun{"qwen3.5-397b-a17b", kDecode, "tensor_parallel: 2"},
             ModelRun{"qwen3.5-397b-a17b", kPrefill, "pipeline_parallel: 2"},
             ModelRun{"gemma-4-31b",
                      "kind: prefill, prompt: 301 tokens, chunk: 200 tokens, "
                      "images: {count: 1, width: 896, height: 320, frames: 5}",
                      "tensor_parallel: 8"},
             ModelRun{"qwen3.5-397b-a17b",
                      "kind: prefill, prompt: 301 tokens, images: {count: 3, width: 1000, "
                      "height: 500}",
                      "pipeline_parallel: 2"},
             ModelRun{"step-3", kDecode, "pipeline_parallel: 2, expert_parallel: 16"},
             ModelRun{"step-3", kPrefill, "tensor_parallel: 2, expert_parallel: 16"},
         }) {
        const Audited sound = audited_run(experiment_of(run));
        EXPECT_THAT(sound.broken(), IsEmpty()) << experiment_of(run);
        const AuditFacts facts = read_audit_facts(sound.configuration, "one", sound.kind);
        // All is checked, but for what experts exchange where there are none.
        for (const auto& finding : audit(sound.result, sound.kind, sound.configuration)) {
            EXPECT_TRUE(finding.law.rfind("not checked: ", 0) != 0 ||
                        facts.step->model->routed_experts == 0)
                << run.model << ": " << finding.law;
        }
        // A thousandth too little or, beyond rounding, too much.
        const ClosedForm form =
            closed_form(facts, *facts.step->model, sound.result.totals.sequences);
        Audited work = sound;
        work.result.totals.matrix_flops = 0.999 * form.matrix_flops;
        EXPECT_TRUE(work.broken().count(kWork)) << experiment_of(run);
        work.result.totals.matrix_flops = 1.001 * (form.matrix_flops + form.rounding_flops);
        EXPECT_TRUE(work.broken().count(kWork)) << experiment_of(run);
    }
}

// What a program would tell that forgot a part of the model: the same run beside a model with it.
Laws broken_with(const ModelRun& run, const char* key, const Json& value) {
    Audited audited = audited_run(experiment_of(run));
    audited.configuration["documents"][std::string("model/") + run.model][key] = value;
    return audited.broken();
}

TEST(AuditModels, PartsThatAreForgottenAreCaught) {
    const ModelRun sparse{"deepseek-v3.2", kDecode, ""}, pro{"deepseek-v4-pro", kDecode, ""},
        sliding{"gpt-oss-120b", kDecode, ""}, prompt{"deepseek-v4-flash", kPrefill, ""};
    // An indexer of one head instead of 64: what it scores, its queries.
    for (const ModelRun& run : {sparse, pro, prompt})
        EXPECT_TRUE(broken_with(run, "index_n_heads", 1).count(kWork)) << run.model;
    // Its keys in the cache.
    EXPECT_TRUE(broken_with(sparse, "index_head_dim", 64).count(kHolds));
    // Attention to all where entries are chosen; the cache is the same.
    const Laws chosen = broken_with(sparse, "index_topk", 100000);
    EXPECT_TRUE(chosen.count(kWork));
    EXPECT_FALSE(chosen.count(kHolds));
    // A full cache where a window is, and the reverse.
    for (const double window : {64, 100000}) {
        for (const ModelRun& run : {pro, sliding}) {
            const Laws broken = broken_with(run, "sliding_window", window);
            EXPECT_TRUE(broken.count(kWork)) << run.model << " " << window;
            EXPECT_TRUE(broken.count(kHolds)) << run.model << " " << window;
        }
    }
    // Layers of another kind, of another number of streams, with a wider shared expert.
    Json ratios = v4_pro()["compress_ratios"];
    ratios[0] = 4;
    EXPECT_TRUE(broken_with(pro, "compress_ratios", ratios).count(kWork));
    EXPECT_TRUE(broken_with(pro, "compress_ratios", ratios).count(kHolds));
    EXPECT_TRUE(broken_with(pro, "hc_mult", 2).count(kWork));
    EXPECT_TRUE(broken_with(pro, "o_lora_rank", 512).count(kWork));
    // A tower with fewer layers, a wider one, another number of tokens.
    const ModelRun images{
        "qwen3.5-397b-a17b",
        "kind: prefill, prompt: 301 tokens, images: {count: 2, width: 896, height: 448}", ""};
    const auto broken_tower = [&](const char* key, long value) {
        Json vision = audited_run(experiment_of(images))
                          .configuration["documents"]["model/qwen3.5-397b-a17b"]["vision_config"];
        vision[key] = value;
        return broken_with(images, "vision_config", vision);
    };
    EXPECT_TRUE(broken_tower("depth", 26).count(kWork));
    EXPECT_TRUE(broken_tower("depth", 28).count(kHolds));
    EXPECT_TRUE(broken_tower("intermediate_size", 4305).count(kWork));
    EXPECT_TRUE(broken_tower("patch_size", 32).count(kTokens));
    const ModelRun hybrid{"qwen3.5-397b-a17b", kPrefill, ""};
    EXPECT_TRUE(broken_with(hybrid, "linear_key_head_dim", 64).count(kHolds));
    EXPECT_TRUE(broken_with(hybrid, "attn_output_gate", false).count(kWork));
    EXPECT_TRUE(broken_with(hybrid, "shared_expert_intermediate_size", 2048).count(kWork));
}

}  // namespace
}  // namespace podsim
