// The arithmetic under a decode step: who holds which experts, how many tokens reach them, what
// fits into one kernel, what fills a rank's memory.
#pragma once

#include <vector>

#include "workloads/decode.hpp"

namespace podsim {

// Expert slots of one expert-parallel group.
struct ExpertLayout {
    int groups = 1;  // expert-parallel groups in the pool
    int group_ranks = 1;
    int routed_ranks = 1;     // of a group, holding routed experts
    int shared_ranks = 0;     // of a group, holding the shared expert alone
    long slots_per_rank = 0;  // routed experts and copies a rank holds
    long copies_per_token =
        0;  // destinations of a token: top-k, and the shared expert's rank if apart
};

// Throws std::invalid_argument where routed + redundant experts do not divide over the ranks
// that hold them, naming numbers that would.
ExpertLayout expert_layout(const DecodeSpec& spec);

struct ExpertLoad {
    long active_experts = 1, tokens_per_expert = 1;  // of a routed rank, balanced
    long tokens_per_shared_rank = 0;
    Transfer dispatch, combine;
};
ExpertLoad expert_load(const DecodeSpec& spec, const ExpertLayout& layout, long tokens_per_rank);

// A chain of operators as kernels: each by itself, or fused as the engine does.
struct Kernel {
    bool pipeline = false;
    int body = 0;  // index into operators or pipelines
};
std::vector<Kernel> kernels_of(Program& program, const std::vector<Operator>& operators,
                               const EngineSpec& engine, bool is_attention);

bool same_transfer(const Transfer& a, const Transfer& b);

std::vector<MemoryNeed> decode_memory(const DecodeSpec& spec, const ExpertLayout& layout);

// Throws std::invalid_argument as build_decode_step promises.
void require_consistent(const DecodeSpec& spec);

}  // namespace podsim
