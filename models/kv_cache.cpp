#include "models/kv_cache.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace podsim {

namespace {

double checked(const char* what, long value) {
    if (value < 1) {
        throw std::invalid_argument(fmt::format("{} is {}, expected at least 1", what, value));
    }
    return static_cast<double>(value);
}

}  // namespace

Bytes grouped_query_kv_bytes_per_token(long kv_heads, long head_dim, long layers, DType format) {
    return Bytes(2.0 * checked("kv heads", kv_heads) * checked("head dim", head_dim) *
                 checked("layers", layers) * bytes_of(format));
}

Bytes latent_kv_bytes_per_token(long kv_rank, long rope_head_dim, long layers, DType format) {
    return Bytes((checked("kv rank", kv_rank) + checked("rope head dim", rope_head_dim)) *
                 checked("layers", layers) * bytes_of(format));
}

}  // namespace podsim
