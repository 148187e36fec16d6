// How training is laid over ranks beyond what serving knows, and what a training engine does: keys
// of `mapping` in experiments of kind training, and of `training` in an engine's record.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/form.hpp"
#include "workloads/context_mapping.hpp"

namespace podsim {

// Dimensions by which ranks are counted, the innermost first (workloads/training_placement.hpp).
enum class RankDimension { tensor, context, data, pipeline };
using RankOrder = std::array<RankDimension, 4>;
inline constexpr RankOrder kFlatOrder = {RankDimension::tensor, RankDimension::context,
                                         RankDimension::data, RankDimension::pipeline};
enum class PlacementKind { topology, flat, given };
struct TrainingPlacement {
    PlacementKind kind = PlacementKind::topology;
    RankOrder order = kFlatOrder;  // where it is given
};
// "topology", "flat", or an order as tp-cp-dp-pp, where ep may stand in front of dp as Megatron has
// it. Nothing for another text.
std::optional<TrainingPlacement> placement_from(const std::string& text);
std::string to_string(const TrainingPlacement& placement);
std::string to_string(const RankOrder& order);

struct TrainingMapping : ContextMapping {
    bool sequence_parallel =
        false;  // norms and what is between blocks over a tensor-parallel group
    int expert_tensor_parallel = 1;  // ranks that share each expert's width
    int positions_per_stage = 0;     // parts of the model a stage holds; 0: what the schedule needs
    TrainingPlacement placement;
    // Data-parallel groups need not be alike, and ranks that make no group stand by
    // (workloads/training_groups.hpp).
    bool unequal_groups = false;
    long last_block_micro_batches =
        0;                     // of the groups that the blocks leave over; 0: as the others
    std::vector<long> layers;  // of each position; empty: as even as they go, the ends with fewer
};

// What a training engine does. Facts of its publication or source, no fits.
struct TrainingHabits {
    bool flash_attention = true;     // else scores go through memory, all of the square
    bool overlap_gradients = true;   // reduced while the last micro-batch's backward pass runs
    bool overlap_parameters = true;  // gathered while the first one's forward pass runs
    bool overlap_tensor = true;      // a product's weight gradient beside its input's collective
    bool scatters_sends = true;     // ranks of a tensor-parallel group send a part each to the next
                                    // stage, and gather there
    bool reads_rows_again = false;  // gradients of biases and of norms' weights in kernels of their
                                    // own (apex, Megatron-LM before Transformer Engine)
    // Time of a product of 8 bits that makes gradients of weights over that of the library's
    // products of the same shape: both operands have scales along the sum.
    double narrow_weight_gradients = 1;
    // Time of attention's backward kernels over their work at the rate of the forward kernel: five
    // products for two, with sums of dQ over blocks and two kernels around them.
    double attention_backward = 1;
    // Time of kernels that convert 16 bits to 8 over that of their bytes at the library's rate:
    // scales along rows and along columns, those turned round. What is in 8 bits is turned as fast
    // as other bytes are.
    double narrow_casts = 1;
    // Time of products of 8 bits whose operands have a scale for each 32 elements, over that of
    // products with one for the tensor.
    double micro_scaled_products = 1;
    // Gradients go to the experts in the format of dispatch, not in that of combine.
    bool narrow_gradient_dispatch = false;
};

template <class Form>
void describe(Form& form, TrainingHabits& habits) {
    form.optional("flash_attention", habits.flash_attention,
                  "attention without scores in memory; else as products and softmax");
    form.optional("overlap_gradients", habits.overlap_gradients,
                  "gradients are reduced beside the last micro-batch's backward pass");
    form.optional("overlap_parameters", habits.overlap_parameters,
                  "parameters are gathered beside the first micro-batch's forward pass");
    form.optional("overlap_tensor", habits.overlap_tensor,
                  "collectives of tensor parallelism run beside weight gradients");
    form.optional("scatters_sends", habits.scatters_sends,
                  "each rank of a tensor-parallel group sends its part to the next stage");
    form.optional("reads_rows_again", habits.reads_rows_again,
                  "gradients of biases and norms' weights have kernels of their own");
    form.optional("narrow_weight_gradients", habits.narrow_weight_gradients,
                  "time of weight gradients in 8 bits over that of other products of their shape",
                  at_least(1));
    form.optional("attention_backward", habits.attention_backward,
                  "time of attention's backward pass over that of its work at the forward rate",
                  at_least(1));
    form.optional("narrow_casts", habits.narrow_casts,
                  "time of conversions to 8 bits over that of their bytes", at_least(1));
    form.optional("micro_scaled_products", habits.micro_scaled_products,
                  "time of products in 8 bits with a scale for each 32 elements over that of "
                  "others",
                  at_least(1));
    form.optional("narrow_gradient_dispatch", habits.narrow_gradient_dispatch,
                  "gradients go to the experts in the format of dispatch, else in that of combine");
}

}  // namespace podsim
