// One expert layer of a whole expert group, with the dispatch that brings its tokens and the
// combine that takes the results back: one after another, or as one kernel.
#pragma once

#include "program/program.hpp"
#include "sim/moe_operator.hpp"

namespace podsim {

// Of `separate`, on every rank: dispatch, products, combine, sum of each token's results. Fused:
// the same as one task, of which products keep what passes between them on the chip, and only the
// activations go through memory. Unless popularity is balanced the busiest rank is a class of its
// own. Throws std::invalid_argument for tokens that do not divide over the ranks.
Program exchange_program(const MoeLayer& asked, ExpertExchange exchange);

// What DeepGEMM's benchmark of the fused kernel counts (deepseek-ai/DeepGEMM,
// tests/test_mega_moe.py), means over the ranks: weights of the experts that are asked anything,
// rows in and out of the products; tokens and results of all copies, the rank's own included. Both
// without the closing sum.
struct ExchangeBytes {
    Bytes experts{0.0}, links{0.0};
};
ExchangeBytes exchange_bytes(const MoeLayer& asked);

}  // namespace podsim
