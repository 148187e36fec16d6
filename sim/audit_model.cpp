// Keys of a config.json by its model_type, as the models' publishers use them. A model with other
// senses has its sizes under text_config.
#include "sim/audit_model.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "sim/audit_tree.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;
using Kind = AuditAttention::Kind;

// Of a language model's sizes, those under text_config come first.
class Config {
  public:
    explicit Config(const AuditTree& root) : root_(root), text_(root.find("text_config")) {}

    std::optional<AuditTree> find(const char* key) const {
        const bool in_text = text_ && text_->json->is_object() && text_->json->contains(key);
        return in_text ? text_->find(key) : root_.find(key);
    }
    AuditTree get(const char* key) const {
        if (auto found = find(key)) return *found;
        root_.fail(std::string("has no ") + key);
    }
    double size(const char* key) const { return get(key).number({}); }
    double size_or(const char* key, double absent) const {
        const auto found = find(key);
        return found ? found->number({}) : absent;
    }
    bool flag(const char* key, bool absent = false) const {
        const auto found = find(key);
        return found ? *found->json == true || *found->json == "true" : absent;
    }
    std::vector<double> sizes(const char* key) const {
        const AuditTree tree = get(key);
        if (!tree.json->is_array()) tree.fail("expected a list");
        std::vector<double> sizes;
        for (const Json& item : *tree.json) sizes.push_back(AuditTree{&item, tree.name}.number({}));
        return sizes;
    }
    std::vector<std::string> texts(const char* key) const {
        const AuditTree tree = get(key);
        if (!tree.json->is_array()) tree.fail("expected a list");
        std::vector<std::string> texts;
        for (const Json& item : *tree.json) texts.push_back(AuditTree{&item, tree.name}.text());
        return texts;
    }
    // One number, or a list of equal ones for all layers.
    double size_of_all(const char* key) const {
        const AuditTree tree = get(key);
        if (!tree.json->is_array()) return tree.number({});
        const std::vector<double> sizes_of_layers = sizes(key);
        for (const double one : sizes_of_layers) {
            if (one != sizes_of_layers.front()) tree.fail("differs from layer to layer");
        }
        if (sizes_of_layers.empty()) tree.fail("is empty");
        return sizes_of_layers.front();
    }

  private:
    AuditTree root_;
    std::optional<AuditTree> text_;
};

std::size_t count_of(double number) {
    return static_cast<std::size_t>(number);
}

// All of the first kind of attention.
void add_layers(AuditModel& model, double dense, double experts) {
    for (double layer = 0; layer < dense + experts; ++layer)
        model.layers.push_back({0, layer >= dense});
}

AuditAttention grouped_queries(const Config& config, const AuditModel& model) {
    AuditAttention attention;
    attention.heads = config.size("num_attention_heads");
    attention.kv_heads = config.size_or("num_key_value_heads", attention.heads);
    attention.head_dim = config.size_or("head_dim", model.hidden / attention.heads);
    return attention;
}

void read_routed(const Config& config, AuditModel& model, const char* width, const char* number) {
    model.expert_intermediate = config.size_of_all(width);
    model.routed_experts = config.size(number);
}

// llama, qwen3
void read_dense(const Config& config, AuditModel& model) {
    model.attentions = {grouped_queries(config, model)};
    model.dense_intermediate = config.size("intermediate_size");
    add_layers(model, config.size("num_hidden_layers"), 0);
}

void read_gpt(const Config& config, AuditModel& model) {
    model.hidden = config.size("n_embd");
    model.positions = config.size("n_positions");
    model.tied_embedding = config.flag("tie_word_embeddings", true);
    AuditAttention attention;
    attention.heads = attention.kv_heads = config.size("n_head");
    attention.head_dim = model.hidden / attention.heads;
    model.attentions = {attention};
    model.ffn_matrices = 2;
    model.dense_intermediate = config.size_or("n_inner", 4 * model.hidden);
    add_layers(model, config.size("n_layer"), 0);
}

// Full layers and others by the list of their names.
void read_mixed(const Config& config, AuditModel& model, const AuditAttention& full,
                const AuditAttention& other, const char* name, bool experts) {
    model.attentions = {full, other};
    const AuditTree list = config.get("layer_types");
    for (const std::string& type : config.texts("layer_types")) {
        if (type != "full_attention" && type != name) list.fail("no form for layers of " + type);
        model.layers.push_back({type == name ? 1U : 0U, experts});
    }
    if (model.layers.size() != count_of(config.size("num_hidden_layers")))
        list.fail("has not one entry a layer");
}

void read_gemma(const Config& config, AuditModel& model) {
    AuditAttention sliding = grouped_queries(config, model);
    sliding.window = config.size("sliding_window");
    AuditAttention full = sliding;
    full.window = 0;
    full.kv_heads = config.size_or("num_global_key_value_heads", sliding.kv_heads);
    full.head_dim = config.size_or("global_head_dim", sliding.head_dim);
    full.values_are_keys = config.flag("attention_k_eq_v");
    model.dense_intermediate = config.size("intermediate_size");
    read_mixed(config, model, full, sliding, "sliding_attention", false);
}

void read_gpt_oss(const Config& config, AuditModel& model) {
    const AuditAttention full = grouped_queries(config, model);
    AuditAttention sliding = full;
    sliding.window = config.size("sliding_window");
    read_mixed(config, model, full, sliding, "sliding_attention", true);
    read_routed(config, model, "intermediate_size", "num_local_experts");
    model.experts_per_token = config.size(config.find("num_experts_per_tok") ? "num_experts_per_tok"
                                                                             : "experts_per_token");
}

void read_qwen_hybrid(const Config& config, AuditModel& model) {
    AuditAttention full = grouped_queries(config, model);
    full.gates_output = config.flag("attn_output_gate", true);
    AuditAttention delta;
    delta.kind = Kind::delta;
    delta.key_heads = config.size("linear_num_key_heads");
    delta.value_heads = config.size("linear_num_value_heads");
    delta.key_dim = config.size("linear_key_head_dim");
    delta.value_dim = config.size("linear_value_head_dim");
    delta.taps = config.size("linear_conv_kernel_dim");
    read_mixed(config, model, full, delta, "linear_attention", true);
    read_routed(config, model, "moe_intermediate_size", "num_experts");
    model.experts_per_token = config.size("num_experts_per_tok");
    model.shared_intermediate = config.size("shared_expert_intermediate_size");
    model.draft_layers = config.size_or("mtp_num_hidden_layers", 0);
    model.draft = {0, true};
}

// Experts in every layer, grouped queries in all of them.
void read_experts_only(const Config& config, AuditModel& model, const char* width,
                       const char* number, const char* chosen) {
    model.attentions = {grouped_queries(config, model)};
    read_routed(config, model, width, number);
    model.experts_per_token = config.size_of_all(chosen);
    add_layers(model, 0, config.size("num_hidden_layers"));
}

void read_mixtral(const Config& config, AuditModel& model) {
    read_experts_only(config, model, "intermediate_size", "num_local_experts",
                      "num_experts_per_tok");
    model.attentions.front().window = config.size_or("sliding_window", 0);
}

void read_qwen_experts(const Config& config, AuditModel& model) {
    read_experts_only(config, model, "moe_intermediate_size", "num_experts", "num_experts_per_tok");
}

void read_minimax(const Config& config, AuditModel& model) {
    read_experts_only(config, model, "intermediate_size", "num_local_experts",
                      "num_experts_per_tok");
    model.shared_intermediate = config.size_or("shared_intermediate_size", 0);
}

void read_pangu(const Config& config, AuditModel& model) {
    read_qwen_experts(config, model);
    model.shared_intermediate = config.size("shared_expert_intermediate_size");
}

void read_hunyuan(const Config& config, AuditModel& model) {
    read_experts_only(config, model, "moe_intermediate_size", "num_experts", "moe_topk");
    model.shared_intermediate = config.size_of_all("num_shared_expert") * model.expert_intermediate;
}

AuditLayer& layer_at(const Config& config, AuditModel& model, const char* list, double layer) {
    if (!(layer < static_cast<double>(model.layers.size())))
        config.get(list).fail("names a layer that is not there");
    return model.layers[count_of(layer)];
}

// Queries through a low rank, layers of experts by list.
void read_step3(const Config& config, AuditModel& model) {
    AuditAttention attention;
    attention.heads = config.size("num_attention_heads");
    attention.kv_heads = config.size("num_attention_groups");
    attention.head_dim = config.size("head_dim");
    attention.query_rank = config.size("share_q_dim");
    model.attentions = {attention};
    add_layers(model, config.size("num_hidden_layers"), 0);
    for (const double layer : config.sizes("moe_layers_enum"))
        layer_at(config, model, "moe_layers_enum", layer).experts = true;
    model.dense_intermediate = config.size("intermediate_size");
    read_routed(config, model, "moe_intermediate_size", "moe_num_experts");
    model.experts_per_token = config.size("moe_top_k");
    model.shared_intermediate = config.size("share_expert_dim");
}

void read_fine_grained(const Config& config, AuditModel& model) {
    read_routed(config, model, "moe_intermediate_size", "n_routed_experts");
    model.experts_per_token = config.size("num_experts_per_tok");
    model.shared_intermediate = config.size("n_shared_experts") * model.expert_intermediate;
    model.draft_layers = config.size_or("num_nextn_predict_layers", 0);
    model.draft = {0, true};
}

// Residual streams and conditional memory, of models that have either. Of n-grams of 2 tokens and
// more a token looks up as many elements each.
void read_streams(const Config& config, AuditModel& model) {
    model.streams = config.size_or("hc_mult", 1);
    if (!config.find("engram_layer_ids")) return;
    model.memory_width =
        (config.size("engram_max_ngram_size") - 1) * config.size("engram_n_embed_per_ngram");
    for (const double layer : config.sizes("engram_layer_ids"))
        layer_at(config, model, "engram_layer_ids", layer).memory = true;
}

void read_indexer(const Config& config, AuditAttention& attention) {
    attention.index_heads = config.size("index_n_heads");
    attention.index_dim = config.size("index_head_dim");
    attention.index_chosen = config.size("index_topk");
}

// deepseek_v2, deepseek_v3, kimi_k2
void read_deepseek(const Config& config, AuditModel& model) {
    AuditAttention attention;
    attention.kind = Kind::latent;
    attention.heads = config.size("num_attention_heads");
    attention.query_rank = config.size_or("q_lora_rank", 0);
    attention.kv_rank = config.size("kv_lora_rank");
    attention.nope = config.size("qk_nope_head_dim");
    attention.rope = config.size("qk_rope_head_dim");
    attention.value = config.size("v_head_dim");
    model.attentions = {attention};
    const double dense = config.size("first_k_dense_replace");
    add_layers(model, dense, config.size("num_hidden_layers") - dense);
    model.dense_intermediate = config.size("intermediate_size");
    read_fine_grained(config, model);
}

// deepseek_v32, glm_moe_dsa
void read_sparse_deepseek(const Config& config, AuditModel& model) {
    read_deepseek(config, model);
    read_indexer(config, model.attentions.front());
    read_streams(config, model);
}

// compress_ratios: one a layer and then one a draft module; of 4 tokens with an indexer, of 128
// without, 0 the window alone.
void read_deepseek_v4(const Config& config, AuditModel& model) {
    AuditAttention attention;
    attention.kind = Kind::shared_entry;
    attention.heads = config.size("num_attention_heads");
    attention.head_dim = config.size("head_dim");
    attention.query_rank = config.size("q_lora_rank");
    attention.output_groups = config.size("o_groups");
    attention.output_rank = config.size("o_lora_rank");
    attention.window = config.size("sliding_window");
    read_fine_grained(config, model);
    const std::vector<double> ratios = config.sizes("compress_ratios");
    const std::size_t layers = count_of(config.size("num_hidden_layers"));
    if (ratios.size() != layers + count_of(model.draft_layers))
        config.get("compress_ratios").fail("has not one entry a layer and draft module");
    std::map<double, std::size_t> kinds;
    for (std::size_t i = 0; i < ratios.size(); ++i) {
        const auto [known, is_new] = kinds.try_emplace(ratios[i], model.attentions.size());
        if (is_new) {
            AuditAttention kind = attention;
            kind.pool = ratios[i];
            if (kind.pool > 0 && kind.pool < 128) read_indexer(config, kind);
            model.attentions.push_back(kind);
        }
        const AuditLayer layer{known->second, true};
        (i < layers ? model.layers.emplace_back() : model.draft) = layer;
    }
    read_streams(config, model);
}

using Read = void (*)(const Config&, AuditModel&);

const std::map<std::string, Read>& readers() {
    static const std::map<std::string, Read> by_family = {
        {"PanguProMoE", read_pangu},
        {"deepseek_v2", read_deepseek},
        {"deepseek_v3", read_deepseek},
        {"deepseek_v32", read_sparse_deepseek},
        {"deepseek_v4", read_deepseek_v4},
        {"gemma4", read_gemma},
        {"gemma4_text", read_gemma},
        {"glm_moe_dsa", read_sparse_deepseek},
        {"gpt2", read_gpt},
        {"gpt_oss", read_gpt_oss},
        {"hunyuan_v1_moe", read_hunyuan},
        {"kimi_k2", read_deepseek},
        {"llama", read_dense},
        {"minimax_m2", read_minimax},
        {"mixtral", read_mixtral},
        {"qwen3", read_dense},
        {"qwen3_5_moe", read_qwen_hybrid},
        {"qwen3_5_moe_text", read_qwen_hybrid},
        {"qwen3_moe", read_qwen_experts},
        {"step3_text", read_step3},
    };
    return by_family;
}

}  // namespace

std::optional<AuditModel> read_audit_model(const Json& json, const std::string& name) {
    const AuditTree root{&json, name};
    const auto read = readers().find(root.get("model_type").text());
    if (read == readers().end()) return {};
    const Config config(root);
    AuditModel model;
    // GPT-2 has names of its own for the rest.
    model.hidden = config.size_or("hidden_size", 0);
    model.vocabulary = config.size("vocab_size");
    model.tied_embedding = config.flag("tie_word_embeddings");
    read->second(config, model);
    if (!(model.hidden > 0)) root.fail("has no hidden_size");
    return model;
}

}  // namespace podsim
