// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), h = hidden state:
//
//   c_q = norm(W_dq h)          query latent, query_rank
//   q   = W_uq c_q              heads x (nope + rope); rotary on the rope part
//   c   = norm(W_dkv h)         kv latent, kv_rank: cached
//   k_r = rotary(W_kr h)        one rotary key for all heads, rope: cached
//   k   = [W_uk c, k_r],  v = W_uv c,  o = W_o softmax(q k^T) v
//
// Expanded (prefill) this is what runs. Absorbed (decode) uses q^T W_uk c = (W_uk^T q)^T c: the
// query is taken to the latent space, attention runs over the cache itself with one key of
// kv_rank + rope and one value of kv_rank for all heads, and W_uv is applied to its result.
//
// Tensor parallelism divides the heads; the down-projections and the cache are on every rank.
#include "models/deepseek_v3.hpp"

#include <fmt/format.h>

#include "models/attention_parts.hpp"
#include "models/common_keys.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

ModelSpec read(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    model.dense_layers = config.count("first_k_dense_replace", most_layers);
    model.query_rank = config.size_or_null("q_lora_rank", most_wide);
    model.kv_rank = config.size("kv_lora_rank", most_wide);
    model.nope_head_dim = config.size("qk_nope_head_dim", most_wide);
    model.rope_head_dim = config.size("qk_rope_head_dim", most_wide);
    model.value_head_dim = config.size("v_head_dim", most_wide);
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    model.expert_intermediate = config.size("moe_intermediate_size", most_wide);
    model.routed_experts = config.size("n_routed_experts", most_wide);
    model.shared_experts = config.count("n_shared_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.expert_groups = config.size_or("n_group", most_wide, 1);
    model.groups_per_token = config.size_or("topk_group", most_wide, 1);
    model.draft_layers = config.count_or("num_nextn_predict_layers", most_layers, 0);

    // What could not be read is 0 and must not be complained about twice.
    config.require(
        model.layers == 0 || model.dense_layers <= model.layers, "first_k_dense_replace",
        fmt::format("{} dense layers of {} layers in all", model.dense_layers, model.layers));
    require_enough_experts(config, model);
    config.require(
        model.rope_head_dim % 2 == 0, "qk_rope_head_dim",
        fmt::format("{}, but rotary embedding turns pairs of elements", model.rope_head_dim));
    const long frequency = config.size_or("moe_layer_freq", most_layers, 1);
    config.require(frequency <= 1, "moe_layer_freq",
                   fmt::format("{}: dense layers between the MoE layers are not modelled, "
                               "expected 1",
                               frequency));
    if (model.expert_groups == 0 || model.routed_experts == 0) return model;
    const bool divides = model.routed_experts % model.expert_groups == 0;
    config.require(divides, "n_group",
                   fmt::format("{} experts do not divide into {} groups", model.routed_experts,
                               model.expert_groups));
    config.require(
        model.groups_per_token <= model.expert_groups, "topk_group",
        fmt::format("chooses {} of {} groups", model.groups_per_token, model.expert_groups));
    const long reachable = model.groups_per_token * (model.routed_experts / model.expert_groups);
    config.require(
        !divides || model.groups_per_token == 0 || model.groups_per_token > model.expert_groups ||
            model.experts_per_token > model.routed_experts || model.experts_per_token <= reachable,
        "topk_group",
        fmt::format("{} groups hold {} experts, but num_experts_per_tok is {}",
                    model.groups_per_token, reachable, model.experts_per_token));
    return model;
}

long query_head_dim(const ModelSpec& model) {
    return model.nope_head_dim + model.rope_head_dim;
}

long latent_entry(const ModelSpec& model) {
    return model.kv_rank + model.rope_head_dim;
}

// The cache is whole on every rank.
double kv_elements(const ModelSpec& model, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    return static_cast<double>(latent_entry(model));
}

AttentionWeights attention_weights(const ModelSpec& model, const Precision& precision,
                                   int tensor_parallel) {
    const long heads = local_heads(model, tensor_parallel);
    const long queries = heads * query_head_dim(model);
    const DType linear = precision.weights;
    AttentionWeights weights;
    if (model.query_rank > 0) {
        weights.matrices.push_back({"query_down", model.query_rank, model.hidden, 1, linear});
        weights.matrices.push_back({"query_up", queries, model.query_rank, 1, linear});
    } else {
        weights.matrices.push_back({"query", queries, model.hidden, 1, linear});
    }
    weights.matrices.push_back({"kv_down", latent_entry(model), model.hidden, 1, linear});
    // The two halves of the kv up-projection, held a head at a time for the absorbed products.
    weights.matrices.push_back(
        {"key_up", model.nope_head_dim, model.kv_rank, heads, precision.attention});
    weights.matrices.push_back(
        {"value_up", model.value_head_dim, model.kv_rank, heads, precision.attention});
    weights.matrices.push_back({"output", model.hidden, heads * model.value_head_dim, 1, linear});
    weights.norm_elements = model.query_rank + model.kv_rank;
    return weights;
}

class MlaBlock {
  public:
    MlaBlock(const ModelSpec& model, const Precision& precision, const StepShape& shape)
        : model_(model),
          precision_(precision),
          shape_(shape),
          heads_(local_heads(model, shape.tensor_parallel)),
          parts_(model, precision, shape),
          tokens_(parts_.tokens()) {}

    AttentionBlock build() {
        if (shape_.split == AttentionSplit::sp_tp_sp) return build_split();
        parts_.begin();
        project_down();
        project_query_up();
        parts_.rotary((heads_ + 1) * model_.rope_head_dim);
        parts_.append_to_cache(static_cast<double>(latent_entry(model_)));
        parts_.attend();
        attend();
        return parts_.end(heads_ * model_.value_head_dim);
    }

  private:
    // A rank's own tokens down to latents and up from all heads' outputs; every token's latents
    // through the rank's own heads.
    AttentionBlock build_split() {
        const long own = shape_.own_tokens();
        parts_.work_on(own);
        parts_.begin();
        project_down();
        parts_.append_to_cache(static_cast<double>(latent_entry(model_)));
        parts_.work_on(tokens_);
        parts_.attend();
        project_query_up();
        parts_.rotary((heads_ + 1) * model_.rope_head_dim);
        attend();
        parts_.work_on(own);
        return parts_.end(model_.heads * model_.value_head_dim);
    }

    void attend() {
        if (shape_.phase == Phase::decode) {
            attend_absorbed();
        } else {
            attend_expanded();
        }
    }

    void project_down() {
        // Every engine runs the two down-projections as one product.
        const long latents = model_.query_rank + latent_entry(model_);
        parts_.linear(model_.query_rank > 0 ? "query_kv_down_projection" : "kv_down_projection",
                      parts_.tokens(), latents, model_.hidden);
        parts_.add(norm("query_kv_norm", parts_.tokens(), model_.query_rank + model_.kv_rank));
    }

    void project_query_up() {
        const long width = heads_ * query_head_dim(model_);
        if (model_.query_rank > 0) {
            parts_.quantise("query_quantise", tokens_, model_.query_rank);
            parts_.linear("query_up_projection", tokens_, width, model_.query_rank);
        } else {
            parts_.linear("query_projection", tokens_, width, model_.hidden);
        }
    }

    void attend_absorbed() {
        const DType format = precision_.attention;
        parts_.narrow_query(heads_ * query_head_dim(model_));
        parts_.add({"absorbed_query_product", Gemm{tokens_, model_.kv_rank, model_.nope_head_dim,
                                                   heads_, format, format, format}});
        parts_.add({"latent_attention",
                    Attention{AttentionForm::mla_absorbed, Phase::decode, shape_.sequences,
                              shape_.query, shape_.context, heads_, 1, latent_entry(model_),
                              model_.kv_rank, format, precision_.kv_cache}});
        parts_.add({"absorbed_value_product", Gemm{tokens_, model_.value_head_dim, model_.kv_rank,
                                                   heads_, format, format, stream_format}});
    }

    // The latents of the whole context are expanded, those of a cached prefix read back first.
    void attend_expanded() {
        const long visible = shape_.sequences * shape_.context;
        const long cached = visible - tokens_;
        const double entries =
            static_cast<double>(cached) * static_cast<double>(latent_entry(model_));
        if (cached > 0) {
            parts_.add({"cache_gather", VectorWork{"cache_gather", entries, 0,
                                                   entries * bytes_of(precision_.kv_cache),
                                                   entries * bytes_of(stream_format)}});
        }
        parts_.quantise("kv_quantise", visible, model_.kv_rank);
        parts_.linear("kv_up_projection", visible,
                      heads_ * (model_.nope_head_dim + model_.value_head_dim), model_.kv_rank);
        assemble_keys(visible);
        parts_.narrow_query(heads_ * query_head_dim(model_));
        parts_.add({"prefill_attention",
                    Attention{AttentionForm::gqa, Phase::prefill, shape_.sequences, shape_.query,
                              shape_.context, heads_, heads_, query_head_dim(model_),
                              model_.value_head_dim, precision_.attention, precision_.attention}});
    }

    // Flash attention wants whole keys: each head's part and a copy of the rotary one, written
    // side by side.
    void assemble_keys(long visible) {
        const auto tokens = static_cast<double>(visible), heads = static_cast<double>(heads_);
        const auto nope = static_cast<double>(model_.nope_head_dim);
        const auto rope = static_cast<double>(model_.rope_head_dim);
        const double elements = tokens * heads * (nope + rope);
        parts_.add(
            {"key_assembly", VectorWork{"key_assembly", elements, 0,
                                        tokens * (heads * nope + rope) * bytes_of(stream_format),
                                        elements * bytes_of(precision_.attention)}});
    }

    const ModelSpec& model_;
    const Precision& precision_;
    const StepShape& shape_;
    const long heads_;
    AttentionParts parts_;
    const long tokens_;
};

AttentionBlock mla_block(const ModelSpec& model, const Precision& precision,
                         const StepShape& shape) {
    return MlaBlock(model, precision, shape).build();
}

}  // namespace

Family deepseek_v3_family() {
    return {read, attention_weights, kv_elements, mla_block};
}

}  // namespace podsim
