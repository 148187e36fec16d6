// Passes of one micro-batch through one part of a model, as programs of a stage's ranks.
//
// Forward, of a layer under tensor parallelism t with sequence parallelism (Korthikanti et al.,
// arXiv 2205.05198, section 4.2.2):
//
//   norm (own tokens) -> all-gather -> attention -> reduce-scatter -> norm -> all-gather -> FFN
//   -> reduce-scatter
//
// without it both halves end in an all-reduce. An MoE layer: router on own tokens, dispatch ->
// experts -> combine over the expert group, the shared expert beside them, weighted sum. Backward
// is the mirror image: all-gather and reduce-scatter change places, dispatch and combine too, in
// the format of combine (or of dispatch, where the engine narrows gradients) on the way out and in
// BF16 on the way back. The gradient of a
// column-parallel product's input is reduced beside that of its weights, whose operand is gathered
// again beside the former. Context parallelism brings keys and values together, and takes the sums
// of their gradients apart.
//
// Data parallelism: gradients are reduced, and parameters gathered, layer by layer on a stream of
// their own, in the passes that the request names. With ZeRO 2 and 3 each backward pass reduces,
// with ZeRO 3 each pass gathers.
//
// Order of ranks: tensor, context, data parallel, then stages; of experts: expert tensor, expert,
// replicas. Left out: collectives of a few bytes (loss, gradient norm).
#pragma once

#include <string>

#include "program/program.hpp"
#include "workloads/training_placement.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

struct PassRequest {
    PassKind kind = PassKind::forward;
    TrainingPosition position;                         // of `overlapped`: of the forward pass
    TrainingPosition backward;                         // of `overlapped` alone
    bool receives = false, receives_gradient = false;  // from another stage
    bool gathers = false, reduces = false;             // parameters before, gradients after
    double busiest = 0;  // assignments of an expert group's busiest rank; 0: those expected
};

// Equal text of requests of one plan: equal programs.
std::string pass_key(const TrainingJob& job, const PassRequest& request);

// What a pass depends on of its plan: of plans with equal text a pass is the same.
std::string plan_key(const TrainingPlan& plan);

// What a rank moves in a step, by whom with: of a stage in the middle, as all layers of its kind.
struct GroupTransfer {
    RankGroup group = RankGroup::tensor;
    TransferType type = TransferType::all_reduce;
    double bytes = 0, times = 1;
};
std::vector<GroupTransfer> traffic_of(const TrainingJob& job, const TrainingPlan& plan);

Program build_pass(const TrainingJob& job, const TrainingPlan& plan, const PassRequest& request);

// What follows the last pass on a stage that holds these positions, up to what all stages wait for:
// gradients that were not reduced beside a pass, and their norm, by which gradients are clipped.
Program build_reduction(const TrainingJob& job, const TrainingPlan& plan,
                        const std::vector<TrainingPosition>& positions);

// What is left once the norm of all stages is known: the optimiser's step, sums of gradients set to
// zero for the next one, parameters that are not gathered beside the next forward pass, weights
// converted where products read them in 8 bits and fewer, in the orders of both passes.
//
// Adam reads gradients, master weights and moments and writes master weights, moments and weights.
// Muon brings the matrices together that a rank has a part of and orthogonalises each by five
// Newton-Schulz iterations (workloads/training_muon.hpp).
Program build_optimizer(const TrainingJob& job, const TrainingPlan& plan,
                        const std::vector<TrainingPosition>& positions);

// The norm's sum over the stages of a pipeline: a number of each.
Transfer norm_sum(const TrainingPlan& plan);

// Hidden states of a micro-batch on their way to another stage, of one rank.
Transfer stage_send(const TrainingJob& job, const TrainingPlan& plan);

}  // namespace podsim
