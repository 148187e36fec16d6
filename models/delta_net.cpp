// Gated delta net (Yang et al., arXiv 2412.06464; as Qwen3-Next and Qwen3.5 use it). With K key
// heads and V value heads of dimensions k and v, h = hidden state:
//
//   q, k (K x k each), v, z (V x v each), a, b (V each) = W h        one product here
//   q, k, v through a causal convolution over the last tokens, a channel at a time, and silu
//   S = e^(-g) S + beta k (v - k^T S)^T,  o = S^T q                   state V x k x v in FP32
//   y = W_o (norm(o) silu(z))
//
// A sequence keeps the states and the last (convolution - 1) inputs of each channel, whatever its
// length. Tensor parallelism divides the heads.
#include "models/attention.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

// One rank's part, in elements of a token.
struct Widths {
    Widths(const DeltaNetAttention& kind, int tensor_parallel)
        : key_heads(local_heads(kind.key_heads, tensor_parallel)),
          value_heads(local_heads(kind.value_heads, tensor_parallel)),
          values(value_heads * kind.value_dim),
          channels(2 * key_heads * kind.key_dim + values),
          projected(channels + values + 2 * value_heads) {}
    long key_heads, value_heads;
    long values, channels, projected;
};

}  // namespace

AttentionWeights attention_weights(const DeltaNetAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel) {
    const Widths widths(kind, tensor_parallel);
    AttentionWeights weights;
    weights.matrices = {{"delta_input", widths.projected, model.hidden, 1, precision.weights},
                        {"output", model.hidden, widths.values, 1, precision.weights}};
    // The convolution's taps, the decay's rate and bias a head.
    weights.bias_elements = widths.channels * kind.convolution + 2 * widths.value_heads;
    weights.norm_elements = kind.value_dim;
    return weights;
}

CacheElements cache_elements(const DeltaNetAttention& kind, long, int tensor_parallel) {
    const Widths widths(kind, tensor_parallel);
    return {0, 0, static_cast<double>(widths.values * kind.key_dim),
            static_cast<double>(widths.channels * (kind.convolution - 1))};
}

AttentionBlock attention_of(const DeltaNetAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape) {
    const Widths widths(kind, shape.tensor_parallel);
    AttentionParts parts(model, precision, shape);
    const double tokens = static_cast<double>(parts.tokens());
    const double element = bytes_of(stream_format);
    parts.begin();
    parts.linear("delta_input_projection", parts.tokens(), widths.projected, model.hidden);
    const double channels = tokens * static_cast<double>(widths.channels);
    const double kept =
        static_cast<double>(shape.sequences * widths.channels * (kind.convolution - 1));
    const double taps = static_cast<double>(kind.convolution);
    const double silu = 4;
    parts.add({"causal_convolution",
               VectorWork{"causal_convolution", channels, 2 * taps + silu,
                          (channels + kept) * element, (channels + kept) * element}});
    parts.attend();
    parts.add({"delta_rule",
               DeltaRule{shape.phase, shape.sequences, shape.query, widths.key_heads,
                         widths.value_heads, kind.key_dim, kind.value_dim, precision.attention}});
    const double values = tokens * static_cast<double>(widths.values);
    parts.add({"delta_gated_norm",
               VectorWork{"gated_rms_norm", values, 9, 2 * values * element, values * element}});
    return parts.end(widths.values);
}

double widest_activation(const DeltaNetAttention& kind, bool, int tensor_parallel) {
    const long projected =
        2 * kind.key_heads * kind.key_dim + 2 * kind.value_heads * kind.value_dim;
    return static_cast<double>(projected) / tensor_parallel;
}

}  // namespace podsim
