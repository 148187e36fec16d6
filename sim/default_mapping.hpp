// The mapping of an alternative that does not say one.
#pragma once

#include "sim/resolve.hpp"

namespace podsim {

// The origin of what the rule chose, in a result's configuration. Run again from itself, a result
// chooses anew.
inline constexpr const char* kDefaultRule = "default rule";

// Fills the degrees that the experiment leaves open, in `alternative.pool.mapping`:
//
// - tensor_parallel: the smallest of 1, 2, 4, ... up to the scale-up domain over which heads divide
//   and with which the fullest rank fits into memory. 1 is data-parallel attention.
// - pipeline_parallel: 1; the smallest divisor of the ranks with which a tensor_parallel fits,
// where
//   none does without stages.
// - data_parallel: what the ranks leave.
// - expert_parallel: all ranks of a stage, or the largest divisor of them over which routed experts
//   divide. With redundant experts or shared-expert ranks somebody had a number in mind: all ranks,
//   and an error where they do not divide. With exchange gather in a tensor-parallel group: that.
// - experts.exchange and experts.tensor_parallel, each where it is not said and all ranks of a
// stage
//   are one tensor-parallel group, which has its tokens anyway: gather, and each rank has its part
//   of every expert's width, as vLLM, SGLang and TensorRT-LLM do unless told otherwise. Where
//   mapping.expert_parallel is said, or the width does not divide, whole experts.
//
// It fits with the batch that is given, and of a latency target with the smallest. Where nothing
// fits it is the first mapping that has room for a smaller batch, or the one that comes nearest;
// its memory is refused later. Degrees that need a collective which the library has not are not
// tried.
void choose_mapping(const ResolvedExperiment& experiment, ResolvedAlternative& alternative);

// Whether ranks share experts' widths because nothing was said: whoever writes the mapping out
// leaves expert_parallel open, which would ask for whole experts.
bool shares_widths_by_rule(const PoolSpec& pool);

// Serving: requests are not routed equally, to the token. Experts that nobody says anything of are
// equally popular, with chance left in.
void choose_popularity(const ModelSpec& model, ResolvedAlternative& alternative);

// What the rule chose, as an experiment would say it, or empty where all was given: notes it in the
// alternative. The mapping has to be complete.
void note_chosen(const ModelSpec& model, ResolvedAlternative& alternative);

}  // namespace podsim
