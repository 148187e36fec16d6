// How ranks share the tokens of a sequence: keys of `mapping` that training and serving have in
// common.
#pragma once

#include <utility>
#include <vector>

namespace podsim {

// How ranks that share sequences bring queries together with all keys and values, where they work
// on whole sequences (training, prefill). ring: keys and values go round while attention works on
// those that are here (Liu et al., Ring Attention, arXiv 2310.01889). all_gather: they are gathered
// first (Llama 3, arXiv 2407.21783, section 3.3.2). all_to_all: each rank gets all tokens of some
// heads (DeepSpeed Ulysses, arXiv 2309.14509). In decode there is one way (workloads/step.cpp).
enum class ContextExchange { ring, all_gather, all_to_all };
const std::vector<std::pair<const char*, ContextExchange>>& names_of(const ContextExchange*);

struct ContextMapping {
    int context_parallel = 1;  // ranks that share the tokens of each sequence
    ContextExchange context_exchange = ContextExchange::ring;
};

}  // namespace podsim
