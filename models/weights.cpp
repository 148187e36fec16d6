#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double scale_bytes = 4;        // fp32
constexpr long microscaling_block = 32;  // elements that share a one-byte exponent

double scale_bytes_of(const ModelSpec& model, const Weight& weight) {
    const auto outputs = static_cast<double>(weight.outputs);
    switch (weight.format) {
        case DType::fp8:
            if (model.scale_block > 0) {
                return scale_bytes *
                       static_cast<double>(ceil_divide(weight.outputs, model.scale_block)) *
                       static_cast<double>(ceil_divide(weight.inputs, model.scale_block));
            }
            return scale_bytes * outputs;
        case DType::int8:
            return scale_bytes * outputs;
        case DType::fp4:
            return outputs * static_cast<double>(ceil_divide(weight.inputs, microscaling_block));
        case DType::fp32:
        case DType::bf16:
        case DType::fp16:
            break;
    }
    return 0;
}

}  // namespace

double parameters(const Weight& weight) {
    return static_cast<double>(weight.outputs) * static_cast<double>(weight.inputs) *
           static_cast<double>(weight.copies);
}

double parameters(const std::vector<Weight>& weights) {
    double sum = 0;
    for (const Weight& weight : weights) sum += parameters(weight);
    return sum;
}

Bytes stored_bytes(const ModelSpec& model, const Weight& weight) {
    return Bytes(parameters(weight) * bytes_of(weight.format) +
                 static_cast<double>(weight.copies) * scale_bytes_of(model, weight));
}

Bytes stored_bytes(const ModelSpec& model, const std::vector<Weight>& weights) {
    Bytes sum{0.0};
    for (const Weight& weight : weights) sum += stored_bytes(model, weight);
    return sum;
}

double activation_bytes(const ModelSpec& model, DType format, long elements) {
    double scales = 0;
    if (format == DType::fp4) {
        scales = static_cast<double>(ceil_divide(elements, microscaling_block));
    } else if (format == DType::fp8 && model.scale_block > 0) {
        scales = scale_bytes * static_cast<double>(ceil_divide(elements, model.scale_block));
    } else if (is_quantised(format)) {
        scales = scale_bytes;
    }
    return static_cast<double>(elements) * bytes_of(format) + scales;
}

bool is_quantised(DType format) {
    return bytes_of(format) <= 1;
}

std::vector<Weight> ffn_weights(const ModelSpec& model, long width, DType format) {
    if (width == 0) return {};
    const long inner = model.gated ? 2 * width : width;
    std::vector<Weight> weights = {{model.gated ? "gate_up" : "up", inner, model.hidden, 1, format},
                                   {"down", model.hidden, width, 1, format}};
    if (model.ffn_biases) weights.push_back({"biases", inner + model.hidden, 1, 1, DType::bf16});
    return weights;
}

long ceil_divide(long value, long divisor) {
    return (value + divisor - 1) / divisor;
}

}  // namespace podsim
