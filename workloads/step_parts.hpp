// The arithmetic under a decode step: who holds which experts, how many tokens reach them, what
// fits into one kernel, what fills a rank's memory.
#pragma once

#include <cstddef>
#include <vector>

#include "workloads/expert_balance.hpp"
#include "workloads/step.hpp"

namespace podsim {

// Expert slots of one expert-parallel group.
struct ExpertLayout {
    int stages = 1;  // of the pipeline, each with its own layers' experts
    int groups = 1;  // expert-parallel groups in a stage
    int group_ranks = 1;
    int routed_ranks = 1;     // of a group, holding routed experts; where ranks share the width of
                              // each expert, so many of them count as one
    int width_ranks = 1;      // that share it
    int shared_ranks = 0;     // of a group, holding the shared expert alone
    long slots_per_rank = 0;  // routed experts and copies a rank holds, or its part of them
    // Destinations of a token: top-k, and the shared expert's rank if apart.
    long copies_per_token = 0;
    // Where experts are not equally loaded: how tokens reach the slots, one entry for each counted
    // layer, or one for all. Empty: balanced.
    std::vector<SlotChances> balances;
    std::vector<long> balance_layers;  // of `balances`, ascending
    // The entry of the counted layer nearest to `layer`, of two the lower.
    std::size_t balance_of(long layer) const;
    // Whether one of the ranks with routed experts counts as busier than the others.
    bool uneven() const { return !balances.empty() && routed_ranks > 1; }
};

// Ranks that share sequences as a shape has it, before sequences and tokens are known.
StepShape empty_shape(const StepSpec& spec);

// Of `sequences` of a data-parallel group, with `query` new tokens each, the tokens that one
// tensor-parallel group of it works on.
long group_tokens(const StepSpec& spec, long sequences, long query);

// Of so many prompts of a data-parallel group the last tokens that one tensor-parallel group of it
// takes to the head: ranks that share sequences deal them out.
long last_tokens(const StepSpec& spec, long sequences);

// Whether a layer routes tokens, a draft module's or one of the others.
bool has_experts(const ModelSpec& model);

// A token on its way to an expert or back, scales included.
Bytes dispatched_token(const ModelSpec& model, DType dtype);

// Throws StepError where routed + redundant experts do not divide over the ranks that hold
// them, naming a number that would, where ranks for the shared expert have none to hold, and where
// counted experts are not the model's.
ExpertLayout expert_layout(const StepSpec& spec);

// Shares of assignments by expert in one counted layer, or in all: those that experts are placed
// for, and those of other traffic that popularity moves to, where there is such.
struct LayerPopularity {
    long layer = 0;
    std::vector<double> shares, toward;
    // The shares once so much of the popularity has moved (workloads/expert_drift).
    std::vector<double> moved(double part) const;
};
// Nothing for balanced experts. Throws StepError for counts that are not the model's.
std::vector<LayerPopularity> expert_popularity(const StepSpec& spec);

// Classes of a pool's ranks: all alike; those with the shared expert alone after the others; under
// uneven load the busiest of each expert-parallel group first. With pipeline stages the same of
// each stage, one stage after the other.
std::vector<RankClass> rank_classes(const ExpertLayout& layout);

// What a MoE layer asks of the ranks of one expert-parallel group when each brings as many tokens.
struct ExpertLoad {
    ExpertRows here{1, 1, 0};  // of a routed rank, the busiest where they differ
    ExpertRows elsewhere;      // of each other routed rank, where they differ: their mean
    long tokens_per_shared_rank = 0;
    double imbalance = 1;        // assignments of the busiest routed rank over the mean
    double dropped = 0;          // share of the assignments that experts have no room for
    long seen_tokens = 0;        // gather: that each rank has before it
    double in_flight = 0;        // tokens of the group
    Transfer dispatch, combine;  // unrounded; what is dispatched comes back
};
// Whether each rank of a tensor-parallel group takes all the group's tokens to its experts.
bool sees_group(const StepSpec& spec);
// Of `tokens` of a tensor-parallel group those that a rank takes to the experts.
long tokens_to_experts(const StepSpec& spec, long tokens);
// The same of a data-parallel group that works on so many: where groups share sequences the mean
// over its ranks, since with fewer sequences than ranks some have none.
double mean_tokens_to_experts(const StepSpec& spec, long sequences, long query);
// Under the popularity of entry `balance` of the layout; `tokens_per_rank` as above.
ExpertLoad expert_load(const StepSpec& spec, const ExpertLayout& layout, double tokens_per_rank,
                       std::size_t balance = 0);

// A chain of operators as kernels: each by itself, or fused as the engine does. Both are added to
// the program where it has no equal one.
struct Kernel {
    bool pipeline = false;
    int body = 0;  // index into operators or pipelines
};
std::vector<Kernel> kernels_of(Program& program, const std::vector<Operator>& operators,
                               const EngineSpec& engine, bool is_attention);

// By class of ranks, in the order of the step's classes.
std::vector<MemoryNeed> step_memory(const StepSpec& spec, const ExpertLayout& layout);

// Throws StepError as build_step promises.
void require_consistent(const StepSpec& spec);

// The step as the model that drafts beside it sees it: its own weights and cache, divided over the
// same tensor-parallel group, in one stage (the last). Only where speculation.draft is there.
StepSpec draft_spec(const StepSpec& spec);

// What a rank of a stage holds of the cached prefixes of all sequences (prefill).
Bytes prefix_bytes(const StepSpec& spec, int stage);

// The name of the task that fetches them.
inline constexpr const char* kPrefixFetch = "prefix fetch";

// The name of what the host's processors do for experts.
inline constexpr const char* kHostExperts = "experts of the host";

}  // namespace podsim
