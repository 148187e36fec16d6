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
    // Destinations of a token: top-k, and the shared expert's rank if apart.
    long copies_per_token = 0;
};

// Throws DecodeError where routed + redundant experts do not divide over the ranks that hold
// them, naming a number that would, and where ranks for the shared expert have none to hold.
ExpertLayout expert_layout(const DecodeSpec& spec);

// What a MoE layer asks of the ranks of one expert-parallel group when each brings as many tokens.
struct ExpertLoad {
    // Of a routed rank. Balanced: every slot gets its share, rounded up to whole tokens; with
    // fewer assignments than slots, one token each for as many slots.
    long active_experts = 1, tokens_per_expert = 1;
    long tokens_per_shared_rank = 0;
    Transfer dispatch, combine;  // unrounded; what is dispatched comes back
};
ExpertLoad expert_load(const DecodeSpec& spec, const ExpertLayout& layout, long tokens_per_rank);

// A chain of operators as kernels: each by itself, or fused as the engine does. Both are added to
// the program where it has no equal one.
struct Kernel {
    bool pipeline = false;
    int body = 0;  // index into operators or pipelines
};
std::vector<Kernel> kernels_of(Program& program, const std::vector<Operator>& operators,
                               const EngineSpec& engine, bool is_attention);

// By class of ranks, in the order of the step's classes.
std::vector<MemoryNeed> decode_memory(const DecodeSpec& spec, const ExpertLayout& layout);

// Throws DecodeError as build_decode_step promises.
void require_consistent(const DecodeSpec& spec);

}  // namespace podsim
