// The routed experts of one MoE layer on one rank, as an experiment of one operator writes them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/model.hpp"
#include "program/operator.hpp"
#include "workloads/expert_balance.hpp"
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

// As written, with its formats by operand.
struct MoeLayer {
    MoeForm form;
    std::map<std::string, DType> dtypes;
};

// Formats are those of `weights`, `activations` (default: as the weights), `dispatch` (as the
// activations) and `combine` (bf16).
Precision moe_precision(const std::map<std::string, DType>& dtypes);
ModelSpec moe_model(const MoeForm& form);

// Ranks that are asked alike: all of them where popularity is balanced, else the busiest and the
// others, which count as their mean.
struct MoeClass {
    std::string name;
    int ranks = 1;
    ExpertRows rows;      // of each
    double arriving = 0;  // copies of tokens that reach each, unrounded
};
std::vector<MoeClass> moe_classes(const MoeForm& form);

// Standard deviation of the rows that one expert is asked, over draws and experts; 0 where
// balanced.
double moe_row_deviation(const MoeForm& form);

// Experts of a rank that any token reaches, unrounded: the mean over the ranks.
double moe_active_experts(const MoeForm& form);

// Gate-and-up, SwiGLU with quantise, down, with conversions before and after where dispatch or
// combine have another format; of the busiest rank where ranks differ.
std::vector<Operator> moe_operators(const MoeForm& form,
                                    const std::map<std::string, DType>& dtypes);

}  // namespace podsim
