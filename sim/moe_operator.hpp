// The routed experts of one MoE layer on one rank, as an experiment of one operator writes them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "program/operator.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

// `tokens` are those of the whole expert group, `experts` are spread evenly over its `ranks`.
struct MoeForm {
    long tokens = 0, hidden = 0, inter = 0, experts = 0, top_k = 0, ranks = 1;
    long scale_block = 0;  // elements that share a scale in FP8, 0: those of a row
    Popularity popularity = Popularity::balanced;
    double zipf_exponent = 0;
    ExpertPlacement placement = ExpertPlacement::eplb;
};

// Gate-and-up, SwiGLU with quantise, down, with conversions before and after where dispatch or
// combine have another format; of the busiest rank where ranks differ. Formats are those of
// `weights`, `activations` (default: as the weights), `dispatch` (as the activations) and `combine`
// (bf16).
std::vector<Operator> moe_operators(const MoeForm& form,
                                    const std::map<std::string, DType>& dtypes);

}  // namespace podsim
