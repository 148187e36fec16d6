// Where tokens come in and go out: embedding, final norm, head and sampling, and the part of a
// multi-token-prediction module that joins both ends.
#include <stdexcept>

#include "models/blocks.hpp"
#include "models/vector_operators.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double index_bytes = 4;    // int32 token ids
constexpr double sampling_work = 5;  // maximum, subtract, exponential, sum, compare

// What is left of the residual: with hyper-connections the streams are joined by weights of their
// own, a product [streams x hidden, streams] a token.
std::vector<Operator> leave(const ModelSpec& model, long outputs) {
    if (model.streams == 1) return {residual_norm("final_norm", outputs, model.hidden)};
    const Bytes row(static_cast<double>(model.hidden) * bytes_of(stream_format));
    return {{"final_mix_out", StreamMix{StreamSide::mix_out, outputs, model.streams, model.hidden,
                                        0, stream_format}},
            {"final_mix", Gemm{outputs, model.streams, model.streams * model.hidden, 1,
                               stream_format, stream_format, DType::fp32}},
            weighted_sum("final_join", outputs, model.hidden, model.streams, row),
            norm("final_norm", outputs, model.hidden)};
}

}  // namespace

std::vector<Operator> embedding_block(const ModelSpec& model, const Precision&, long tokens) {
    require_at_least_one("tokens", tokens);
    const double rows = static_cast<double>(tokens);
    const double size = rows * static_cast<double>(model.hidden);
    const double row = size * bytes_of(DType::bf16);
    // A learned position is added; every residual stream begins as the embedding.
    const double read = (model.positions > 0 ? 2 * row : row) + rows * index_bytes;
    return {{"embedding", VectorWork{"gather", size, model.positions > 0 ? 1.0 : 0.0, read,
                                     row * static_cast<double>(model.streams)}}};
}

std::vector<Operator> head_block(const ModelSpec& model, const Precision&, long outputs,
                                 int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    if (outputs == 0) return {};  // a chunk of prompt that is not the last has no output
    require_at_least_one("outputs", outputs);
    const long vocabulary = ceil_divide(model.vocabulary, tensor_parallel);
    const double rows = static_cast<double>(outputs);
    const double logits = rows * static_cast<double>(vocabulary);
    std::vector<Operator> operators = leave(model, outputs);
    operators.push_back({"head_projection", Gemm{outputs, vocabulary, model.hidden, 1, DType::bf16,
                                                 DType::bf16, DType::bf16}});
    operators.push_back(
        {"sampling", VectorWork{"sampling", logits, sampling_work, logits * bytes_of(DType::bf16),
                                rows * index_bytes}});
    return operators;
}

std::vector<Operator> draft_block(const ModelSpec& model, const Precision&, long tokens) {
    require_at_least_one("tokens", tokens);
    if (model.draft_layers == 0) return {};
    const double size = 2 * static_cast<double>(tokens) * static_cast<double>(model.hidden);
    const double moved = size * bytes_of(stream_format);
    // Not quantised in the published checkpoints.
    const auto product = [&](const char* name, long rows, long inputs) {
        return Operator{name,
                        Gemm{rows, model.hidden, inputs, 1, DType::bf16, DType::bf16, DType::bf16}};
    };
    std::vector<Operator> operators = {
        norm("draft_embedding_norm", tokens, model.hidden),
        norm("draft_hidden_norm", tokens * model.streams, model.hidden)};
    if (model.streams == 1) {
        operators.push_back(
            {"draft_concatenation", VectorWork{"concatenate", size, 0, moved, moved}});
        operators.push_back(product("draft_projection", tokens, 2 * model.hidden));
        return operators;
    }
    // Each residual stream is projected, and the embedding's projection added to it (DeepSeek-V4's
    // released inference code).
    const double streams = static_cast<double>(model.streams);
    operators.push_back(product("draft_embedding_projection", tokens, model.hidden));
    operators.push_back(product("draft_hidden_projection", tokens * model.streams, model.hidden));
    operators.push_back({"draft_sum", VectorWork{"add", size / 2 * streams, 1,
                                                 moved / 2 * (streams + 1), moved / 2 * streams}});
    return operators;
}

}  // namespace podsim
