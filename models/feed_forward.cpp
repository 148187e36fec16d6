// The feed-forward half of a layer: a dense gated FFN, or a router, experts and their sum.
//
//   FFN(x) = W_down (silu(W_gate x) * W_up x)
//   MoE(x) = sum over shared experts FFN_s(x) + sum over the chosen g_i FFN_i(x)
//
// with g the normalised scores of the k experts of largest sigmoid(W_r x) + bias within the best
// groups (DeepSeek-V3, arXiv 2412.19437, equations 12-16), or of largest softmax(W_r x) (Mixtral,
// arXiv 2401.04088, section 2.1).
#include <fmt/format.h>

#include <stdexcept>

#include "models/blocks.hpp"
#include "models/vector_operators.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double index_bytes = 4, score_bytes = 4;  // int32, fp32

// Arithmetic on one score: the sigmoid (negate, exponential, add, divide) and the bias; the softmax
// (maximum, subtract, exponential, sum, divide); the root of softplus (exponential, add, logarithm,
// root) and the bias.
constexpr double score_work = 5;

// The two best of each group when choice is limited by group, and k passes for the k best.
double choice_work(const ModelSpec& model) {
    const double group_scores = model.expert_groups > 1 ? 2 : 0;
    return score_work + group_scores + static_cast<double>(model.experts_per_token);
}

// What reaches the experts: the dispatched format for routed ones, and the router's own result
// for a shared one, which can be used as it is when it is in the experts' format.
void convert_input(std::vector<Operator>& operators, const ModelSpec& model,
                   const Precision& precision, long tokens, bool shared, const std::string& name) {
    if (precision.dispatch == precision.activations) return;
    const DType from = shared ? stream_format : precision.dispatch;
    if (!is_quantised(from) && !is_quantised(precision.activations)) return;
    operators.push_back(
        convert(model, name + (is_quantised(precision.activations) ? "_quantise" : "_dequantise"),
                tokens, model.hidden, from, precision.activations));
}

// sigmoid(w . x) of each token, times the shared expert's output: one kernel.
Operator shared_gate(const ModelSpec& model, long tokens) {
    const double size = static_cast<double>(tokens) * static_cast<double>(model.hidden);
    const double moved = size * bytes_of(stream_format);
    return {"shared_expert_gate", VectorWork{"gate", size, 3, 2 * moved, moved}};
}

}  // namespace

std::vector<Operator> dense_ffn_block(const ModelSpec& model, const Precision& precision,
                                      long tokens, int tensor_parallel) {
    require_at_least_one("tokens", tokens);
    require_at_least_one("tensor parallel", tensor_parallel);
    if (model.dense_intermediate == 0) return {};
    const long width = ceil_divide(model.dense_intermediate, tensor_parallel);
    const DType act = precision.activations, weights = precision.weights;
    const long columns = model.gated ? 2 * width : width;
    std::vector<Operator> operators = enter("dense_ffn", model, tokens);
    if (is_quantised(act)) {
        operators.push_back(
            convert(model, "dense_ffn_quantise", tokens, model.hidden, stream_format, act));
    }
    operators.push_back({model.gated ? "dense_ffn_gate_up" : "dense_ffn_up",
                         Gemm{tokens, columns, model.hidden, 1, act, weights, stream_format}});
    operators.push_back(activate(model, "dense_ffn", tokens, width, act));
    operators.push_back(
        {"dense_ffn_down", Gemm{tokens, model.hidden, width, 1, act, weights, stream_format}});
    if (model.post_norms) operators.push_back(norm("dense_ffn_post_norm", tokens, model.hidden));
    return operators;
}

std::vector<Operator> router_block(const ModelSpec& model, const Precision& precision, long tokens,
                                   bool hash_routed) {
    require_at_least_one("tokens", tokens);
    if (model.routed_experts == 0) return {};
    const auto rows = static_cast<double>(tokens);
    const auto experts = static_cast<double>(model.routed_experts);
    const auto chosen = static_cast<double>(model.experts_per_token);
    const double bias_rows = model.router_bias && !hash_routed ? 1 : 0;
    std::vector<Operator> operators = enter("router", model, tokens);
    // The scores are kept in fp32: a rounding there would change which experts win.
    operators.push_back({"router_gate", Gemm{tokens, model.routed_experts, model.hidden, 1,
                                             stream_format, stream_format, DType::fp32}});
    // By a table of token ids k experts are looked up, and their scores among all.
    const double looked_up = hash_routed ? rows * chosen * index_bytes : 0;
    operators.push_back(
        {hash_routed ? "router_look_up" : "router_top_k",
         VectorWork{hash_routed ? "gather" : "top_k", rows * experts,
                    hash_routed ? score_work : choice_work(model),
                    (rows + bias_rows) * experts * score_bytes + looked_up,
                    rows * chosen * (score_bytes + index_bytes), hash_routed ? 0 : tokens}});
    if (is_quantised(precision.dispatch)) {
        operators.push_back(convert(model, "dispatch_quantise", tokens, model.hidden, stream_format,
                                    precision.dispatch));
    }
    return operators;
}

std::vector<Operator> expert_block(const ModelSpec& model, const Precision& precision,
                                   const ExpertRows& rows, const std::string& prefix,
                                   int tensor_parallel) {
    const bool shared = prefix == "shared_expert";
    if (!shared && prefix != "expert") {
        throw std::invalid_argument("expert block \"" + prefix +
                                    "\", expected expert or shared_expert");
    }
    if (rows.active_experts == 0 ||
        (shared ? model.shared_intermediate : model.routed_experts) == 0) {
        return {};
    }
    require_at_least_one("active experts", rows.active_experts);
    require_at_least_one("tokens of an active expert", rows.tokens_per_expert);
    require_at_least_one("tensor parallel", tensor_parallel);
    const long width = ceil_divide(shared ? model.shared_intermediate : model.expert_intermediate,
                                   tensor_parallel);
    const long columns = model.gated ? 2 * width : width;
    const long tokens = rows.rows();
    const DType act = precision.activations;
    const DType weights = shared ? precision.weights : precision.experts;

    std::vector<Operator> operators;
    convert_input(operators, model, precision, tokens, shared, prefix);
    const auto product = [&](long n, long k) {
        Gemm gemm{rows.tokens_per_expert, n, k, rows.active_experts, act, weights, stream_format};
        gemm.longer_groups = rows.longer_experts;
        return gemm;
    };
    operators.push_back(
        {prefix + (model.gated ? "_gate_up" : "_up"), product(columns, model.hidden)});
    operators.push_back(activate(model, prefix, tokens, width, act));
    operators.push_back({prefix + "_down", product(model.hidden, width)});
    if (shared && model.shared_gate) operators.push_back(shared_gate(model, tokens));
    if (!shared && is_quantised(precision.combine)) {
        operators.push_back(convert(model, "expert_combine_quantise", tokens, model.hidden,
                                    stream_format, precision.combine));
    }
    return operators;
}

namespace {

// Reads and writes each row once, and the index of its place.
std::vector<Operator> copy_rows(const ModelSpec& model, const std::string& name, DType format,
                                long rows) {
    require_at_least_one("rows", rows);
    const double size = static_cast<double>(rows) * static_cast<double>(model.hidden);
    const double moved = static_cast<double>(rows) * activation_bytes(model, format, model.hidden);
    return {{name, VectorWork{"copy_rows", size, 0, moved + static_cast<double>(rows) * index_bytes,
                              moved}}};
}

}  // namespace

std::vector<Operator> expert_permute_block(const ModelSpec& model, const Precision& precision,
                                           long rows) {
    return copy_rows(model, "expert_permute", precision.dispatch, rows);
}

std::vector<Operator> expert_unpermute_block(const ModelSpec& model, const Precision& precision,
                                             long rows) {
    return copy_rows(model, "expert_unpermute", precision.combine, rows);
}

std::vector<Operator> combine_block(const ModelSpec& model, const Precision& precision, long tokens,
                                    long copies) {
    require_at_least_one("tokens", tokens);
    require_at_least_one("copies", copies);
    if (model.routed_experts == 0) return {};
    const Bytes row(activation_bytes(model, precision.combine, model.hidden));
    return {weighted_sum("combine_sum", tokens, model.hidden, copies, row)};
}

}  // namespace podsim
