// Keys of a config.json by its model_type, as the models' publishers use them.
#include "sim/audit_facts.hpp"
#include "sim/audit_tree.hpp"

namespace podsim {

namespace {

void read_latent_attention(const AuditTree& config, AuditModel& model) {
    model.latent = true;
    model.query_rank = config.size_or("q_lora_rank", 0);
    model.kv_rank = config.size("kv_lora_rank");
    model.nope = config.size("qk_nope_head_dim");
    model.rope = config.size("qk_rope_head_dim");
    model.value = config.size("v_head_dim");
}

void read_grouped_queries(const AuditTree& config, AuditModel& model) {
    model.kv_heads = config.size_or("num_key_value_heads", model.heads);
    model.head_dim = config.size_or("head_dim", model.hidden / model.heads);
}

void read_experts(const AuditTree& config, AuditModel& model, const char* width,
                  const char* number) {
    model.expert_intermediate = config.size(width);
    model.routed_experts = config.size(number);
    model.experts_per_token = config.size("num_experts_per_tok");
}

}  // namespace

std::optional<AuditModel> read_audit_model(const nlohmann::ordered_json& json,
                                           const std::string& name) {
    const AuditTree config{&json, name};
    const std::string family = config.get("model_type").text();
    const bool dense = family == "llama" || family == "qwen3";
    const bool latent = family == "deepseek_v3";
    if (!dense && !latent && family != "mixtral" && family != "qwen3_moe") return {};
    AuditModel model;
    model.layers = config.size("num_hidden_layers");
    model.hidden = config.size("hidden_size");
    model.vocabulary = config.size("vocab_size");
    model.heads = config.size("num_attention_heads");
    const auto tied = config.find("tie_word_embeddings");
    model.tied_embedding = tied && (*tied->json == true || *tied->json == "true");
    if (latent) {
        read_latent_attention(config, model);
    } else {
        read_grouped_queries(config, model);
    }
    if (dense) {
        model.dense_layers = model.layers;
        model.dense_intermediate = config.size("intermediate_size");
    } else if (latent) {
        model.dense_layers = config.size("first_k_dense_replace");
        model.dense_intermediate = config.size("intermediate_size");
        model.draft_layers = config.size_or("num_nextn_predict_layers", 0);
        model.shared_experts = config.size("n_shared_experts");
        read_experts(config, model, "moe_intermediate_size", "n_routed_experts");
    } else if (family == "mixtral") {
        read_experts(config, model, "intermediate_size", "num_local_experts");
    } else {
        read_experts(config, model, "moe_intermediate_size", "num_experts");
    }
    return model;
}

}  // namespace podsim
