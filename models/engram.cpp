// Conditional memory (Engram: Conditional Memory via Scalable Lookup, arXiv 2601.07372, section 2),
// with x_s the residual stream s, n streams, of d elements, and e a token's memory_width elements:
//
//   e = rows of heads x (largest_ngram - 1) tables, at hashes of the n-grams that end here
//   v = W_V e,  k_s = W_K,s e
//   a_s = sigmoid(norm(x_s) . norm(k_s) / sqrt d),  u_s = a_s v
//   x_s += silu(convolution(norm(u))_s) + u_s        a channel at a time, over the last tokens
//
// Which rows depends on token ids alone: they can be on their way since the step began.
#include "models/engram.hpp"
#include "models/blocks.hpp"
#include "models/common_keys.hpp"
#include "models/vector_operators.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace podsim {

Operator engram_read(const ModelSpec& model, long tokens, TablePlace place) {
    require_at_least_one("tokens", tokens);
    const Engram& memory = model.engram;
    const double element = bytes_of(stream_format);
    return {"engram_look_up",
            TableRead{place, static_cast<double>(tokens * memory.ngrams() * memory.heads),
                      static_cast<double>(memory.width / memory.heads) * element}};
}

std::vector<Operator> engram_block(const ModelSpec& model, long tokens) {
    require_at_least_one("tokens", tokens);
    const Engram& memory = model.engram;
    const long width = model.streams * model.hidden;
    const double size = static_cast<double>(tokens) * static_cast<double>(width);
    const double element = bytes_of(stream_format);
    const double value = static_cast<double>(tokens * model.hidden) * element;
    const double taps = static_cast<double>(memory.convolution);
    const auto product = [&](const char* name, long n) {
        return Operator{name, Gemm{tokens, n, memory.memory_width(), 1, stream_format,
                                   stream_format, stream_format}};
    };
    // Two norms and a product an element, a sigmoid a stream, the gated value; then the norm, the
    // taps, silu and two sums.
    return {product("engram_value_projection", model.hidden),
            product("engram_key_projection", width),
            {"engram_gate",
             VectorWork{"engram_gate", size, 11, 2 * size * element + value, size * element}},
            {"engram_convolution", VectorWork{"causal_convolution", size, 2 * taps + 10,
                                              2 * size * element, size * element}}};
}

void read_engram(ConfigReader& config, ModelSpec& model) {
    if (!config.has("engram_layer_ids")) return;
    Engram& memory = model.engram;
    memory.layers = config.counts("engram_layer_ids", most_layers, 1);
    memory.largest_ngram = config.size("engram_max_ngram_size", 100);
    memory.heads = config.size("engram_n_head_per_ngram", most_wide);
    memory.width = config.size("engram_n_embed_per_ngram", most_wide);
    memory.convolution = config.size("engram_kernel_size", 1000);
    memory.table_rows = config.counts("engram_vocab_size", most_tokens, 1);
    config.require(memory.largest_ngram != 1, "engram_max_ngram_size", "1, expected 2 or more");
    config.require(
        memory.heads == 0 || memory.width % memory.heads == 0, "engram_n_embed_per_ngram",
        fmt::format("{} elements do not divide over {} heads", memory.width, memory.heads));
    config.require(memory.largest_ngram < 2 || memory.table_rows.empty() ||
                       static_cast<long>(memory.table_rows.size()) == memory.ngrams(),
                   "engram_vocab_size",
                   fmt::format("{} entries, expected one for each n from 2 to {}",
                               memory.table_rows.size(), memory.largest_ngram));
    std::sort(memory.layers.begin(), memory.layers.end());
    for (const long layer : memory.layers) {
        if (layer < layer_count(model)) {
            model.layers[static_cast<std::size_t>(layer)].engram = true;
        } else if (layer_count(model) > 0) {
            config.require(false, "engram_layer_ids",
                           fmt::format("{} is no layer of {}", layer, layer_count(model)));
        }
    }
}

void read_hyper_connections(ConfigReader& config, ModelSpec& model) {
    model.streams = config.size("hc_mult", 1000);
    model.stream_iterations = config.count("hc_sinkhorn_iters", 1000);
}

}  // namespace podsim
