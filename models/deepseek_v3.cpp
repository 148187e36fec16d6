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

#include <stdexcept>

#include "models/vector_operators.hpp"

namespace podsim {

namespace {

constexpr double rotary_work = 3;  // two products and a sum an element

ModelSpec read(ConfigReader& config) {
    constexpr long most_layers = 10'000, most_wide = 10'000'000, most_tokens = 10'000'000'000;
    ModelSpec model;
    model.layers = config.size("num_hidden_layers", most_layers);
    model.dense_layers = config.count("first_k_dense_replace", most_layers);
    model.hidden = config.size("hidden_size", most_wide);
    model.vocabulary = config.size("vocab_size", most_wide);
    model.heads = config.size("num_attention_heads", most_wide);
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
    model.tied_embedding = config.flag_or("tie_word_embeddings", false);
    model.scale_block = config.scale_block();
    model.max_context = config.size("max_position_embeddings", most_tokens);

    // What could not be read is 0 and must not be complained about twice.
    config.require(
        model.layers == 0 || model.dense_layers <= model.layers, "first_k_dense_replace",
        fmt::format("{} dense layers of {} layers in all", model.dense_layers, model.layers));
    config.require(
        model.routed_experts == 0 || model.experts_per_token <= model.routed_experts,
        "num_experts_per_tok",
        fmt::format("chooses {} of {} experts", model.experts_per_token, model.routed_experts));
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

double kv_elements(const ModelSpec& model) {
    return static_cast<double>(latent_entry(model));
}

long local_heads(const ModelSpec& model, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    if (model.heads % tensor_parallel != 0) {
        throw std::invalid_argument(fmt::format("{}: {} heads do not divide by tensor parallel {}",
                                                model.name, model.heads, tensor_parallel));
    }
    return model.heads / tensor_parallel;
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

// The operators of one block as they are appended.
class MlaBlock {
  public:
    MlaBlock(const ModelSpec& model, const Precision& precision, const StepShape& shape)
        : model_(model),
          precision_(precision),
          shape_(shape),
          tokens_(shape.tokens()),
          heads_(local_heads(model, shape.tensor_parallel)) {
        require_at_least_one("sequences", shape.sequences);
        require_at_least_one("query", shape.query);
        if (shape.context < shape.query) {
            throw std::invalid_argument(fmt::format("context {} is shorter than its {} new tokens",
                                                    shape.context, shape.query));
        }
    }

    std::vector<Operator> build() {
        project_down();
        project_query_up();
        append_to_cache();
        if (shape_.phase == Phase::decode) {
            attend_absorbed();
        } else {
            attend_expanded();
        }
        quantise("output_quantise", tokens_, heads_ * model_.value_head_dim);
        linear("output_projection", tokens_, model_.hidden, heads_ * model_.value_head_dim);
        return std::move(operators_);
    }

  private:
    void add(Operator op) { operators_.push_back(std::move(op)); }

    void quantise(const std::string& name, long tokens, long elements) {
        if (!is_quantised(precision_.activations)) return;
        add(convert(model_, name, tokens, elements, stream_format, precision_.activations));
    }

    void linear(const std::string& name, long m, long n, long k) {
        add({name, Gemm{m, n, k, 1, precision_.activations, precision_.weights, stream_format}});
    }

    void project_down() {
        add(residual_norm("attention_norm", tokens_, model_.hidden));
        quantise("attention_quantise", tokens_, model_.hidden);
        // Every engine runs the two down-projections as one product.
        const long latents = model_.query_rank + latent_entry(model_);
        if (model_.query_rank > 0) {
            linear("query_kv_down_projection", tokens_, latents, model_.hidden);
        } else {
            linear("kv_down_projection", tokens_, latents, model_.hidden);
        }
        add(norm("query_kv_norm", tokens_, model_.query_rank + model_.kv_rank));
    }

    void project_query_up() {
        const long width = heads_ * query_head_dim(model_);
        if (model_.query_rank > 0) {
            quantise("query_quantise", tokens_, model_.query_rank);
            linear("query_up_projection", tokens_, width, model_.query_rank);
        } else {
            linear("query_projection", tokens_, width, model_.hidden);
        }
        const double turned = static_cast<double>(tokens_) * static_cast<double>(heads_ + 1) *
                              static_cast<double>(model_.rope_head_dim);
        const double moved = turned * bytes_of(stream_format);
        add({"rotary", VectorWork{"rotary", turned, rotary_work, moved, moved}});
    }

    void append_to_cache() {
        const double elements = static_cast<double>(tokens_) * kv_elements(model_);
        add({"cache_append",
             VectorWork{"cache_append", elements, 0, elements * bytes_of(stream_format),
                        elements * bytes_of(precision_.kv_cache)}});
    }

    // Attention below 16 bits reads queries that were narrowed for it.
    void narrow_query(long elements) {
        if (!is_quantised(precision_.attention)) return;
        add(convert(model_, "attention_query_quantise", tokens_, elements, stream_format,
                    precision_.attention));
    }

    void attend_absorbed() {
        const DType format = precision_.attention;
        narrow_query(heads_ * query_head_dim(model_));
        add({"absorbed_query_product",
             Gemm{tokens_, model_.kv_rank, model_.nope_head_dim, heads_, format, format, format}});
        add({"latent_attention",
             Attention{AttentionForm::mla_absorbed, Phase::decode, shape_.sequences, shape_.query,
                       shape_.context, heads_, 1, latent_entry(model_), model_.kv_rank, format,
                       precision_.kv_cache}});
        add({"absorbed_value_product", Gemm{tokens_, model_.value_head_dim, model_.kv_rank, heads_,
                                            format, format, stream_format}});
    }

    // The latents of the whole context are expanded, those of a cached prefix read back first.
    void attend_expanded() {
        const long visible = shape_.sequences * shape_.context;
        const long cached = visible - tokens_;
        const auto entries = static_cast<double>(cached) * kv_elements(model_);
        if (cached > 0) {
            add({"cache_gather",
                 VectorWork{"cache_gather", entries, 0, entries * bytes_of(precision_.kv_cache),
                            entries * bytes_of(stream_format)}});
        }
        quantise("kv_quantise", visible, model_.kv_rank);
        linear("kv_up_projection", visible, heads_ * (model_.nope_head_dim + model_.value_head_dim),
               model_.kv_rank);
        assemble_keys(visible);
        narrow_query(heads_ * query_head_dim(model_));
        add({"prefill_attention",
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
        add({"key_assembly", VectorWork{"key_assembly", elements, 0,
                                        tokens * (heads * nope + rope) * bytes_of(stream_format),
                                        elements * bytes_of(precision_.attention)}});
    }

    const ModelSpec& model_;
    const Precision& precision_;
    const StepShape& shape_;
    const long tokens_, heads_;
    std::vector<Operator> operators_;
};

std::vector<Operator> mla_block(const ModelSpec& model, const Precision& precision,
                                const StepShape& shape) {
    return MlaBlock(model, precision, shape).build();
}

}  // namespace

Family deepseek_v3_family() {
    return {read, attention_weights, kv_elements, mla_block};
}

}  // namespace podsim
