#include "models/vector_operators.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double norm_work = 4;      // square, sum, scale, weight
constexpr double quantise_work = 4;  // magnitude, maximum, scale, round
constexpr double swiglu_work = 5;    // exponential, add, divide, two products
constexpr double gelu_work = 8;      // x (1 + tanh(a (x + b x^3))) / 2
constexpr double score_bytes = 4;    // fp32

}  // namespace

Operator norm(const std::string& name, long tokens, long elements) {
    return head_norm(name, tokens, 1, elements, elements);
}

Operator head_norm(const std::string& name, long tokens, long heads, long head_dim, long weights) {
    const double size =
        static_cast<double>(tokens) * static_cast<double>(heads) * static_cast<double>(head_dim);
    const double all = size * bytes_of(stream_format);
    const double read_once = static_cast<double>(weights) * bytes_of(stream_format);
    return {name, VectorWork{"rms_norm", size, norm_work, all + read_once, all}};
}

Operator residual_norm(const std::string& name, long tokens, long elements) {
    const double size = static_cast<double>(tokens) * static_cast<double>(elements);
    const double row = static_cast<double>(elements) * bytes_of(stream_format);
    const double all = size * bytes_of(stream_format);
    return {name, VectorWork{"residual_rms_norm", size, norm_work + 1, 2 * all + row, 2 * all}};
}

Operator convert(const ModelSpec& model, const std::string& name, long tokens, long elements,
                 DType from, DType to) {
    const auto rows = static_cast<double>(tokens);
    const bool narrows = is_quantised(to);
    return {name,
            VectorWork{narrows ? "quantise" : "dequantise", rows * static_cast<double>(elements),
                       narrows ? quantise_work : 1, rows * activation_bytes(model, from, elements),
                       rows * activation_bytes(model, to, elements)}};
}

Operator quantise(const std::string& name, long tokens, long elements, Bytes row_bytes) {
    const auto rows = static_cast<double>(tokens);
    const double size = rows * static_cast<double>(elements);
    return {name, VectorWork{"quantise", size, quantise_work, size * bytes_of(stream_format),
                             rows * row_bytes.value()}};
}

Operator weighted_sum(const std::string& name, long tokens, long elements, long copies,
                      Bytes row_bytes) {
    const double size = static_cast<double>(tokens) * static_cast<double>(elements);
    const double rows = static_cast<double>(tokens) * static_cast<double>(copies);
    return {name,
            VectorWork{"weighted_sum", size, 2 * static_cast<double>(copies),
                       rows * (row_bytes.value() + score_bytes), size * bytes_of(stream_format)}};
}

Operator activate(const ModelSpec& model, const std::string& prefix, long tokens, long width,
                  DType to) {
    const auto rows = static_cast<double>(tokens);
    const double size = rows * static_cast<double>(width);
    const bool narrows = is_quantised(to);
    const std::string name = model.gated ? "swiglu" : "gelu";
    const double work = model.gated ? swiglu_work : gelu_work, inputs = model.gated ? 2 : 1;
    return {prefix + "_" + name, VectorWork{narrows ? name + "_quantise" : name, size,
                                            narrows ? work + quantise_work : work,
                                            inputs * size * bytes_of(stream_format),
                                            rows * activation_bytes(model, to, width)}};
}

std::vector<Operator> enter(const std::string& name, const ModelSpec& model, long tokens) {
    if (model.streams == 1) return {residual_norm(name + "_norm", tokens, model.hidden)};
    const StreamMix out{StreamSide::mix_out, tokens, model.streams, model.hidden, 0, stream_format};
    StreamMix in = out;
    in.side = StreamSide::mix_in;
    in.iterations = model.stream_iterations;
    return {{name + "_mix_out", out},
            {name + "_mix_in", in},
            norm(name + "_norm", tokens, model.hidden)};
}

void require_at_least_one(const char* what, long value) {
    if (value < 1) {
        throw std::invalid_argument(fmt::format("{} is {}, expected at least 1", what, value));
    }
}

}  // namespace podsim
