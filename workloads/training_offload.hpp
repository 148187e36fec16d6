// What training keeps in the host's memory, over the chip's host link.
//
// Activations: a layer's leave after its forward pass beside the layers that follow, and come back
// while the layer above it has its backward pass, one ahead (as Megatron-Core's and
// TransformerEngine's offload does); two layers' worth stays as buffers. The copies of the layers
// at a pass's end run beside the next pass of equal length, so here beside its own beginning.
//
// Optimiser: a share of master weights and moments. With `host_memory`, the rate at which a rank's
// part of the host's memory is read and written, the host steps them (ZeRO-Offload, arXiv
// 2101.06840; Megatron-Core's optimizer_cpu_offload): gradients go up, new weights come down.
// Without it they come to the chip, are stepped there and go back (as ZeRO-Infinity's stream, arXiv
// 2104.07857). Either way in `kOffloadChunks` parts, one part's way beside another's step.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/form.hpp"

namespace podsim {

inline constexpr int kOffloadChunks = 16;

struct TrainingOffload {
    double activations = 0, optimizer = 0;  // shares
    BytesPerSecond host_memory{0.0};        // 0: the chip steps
    Bytes host_capacity{0.0};               // of a rank's part of the host's memory; 0: not asked
    bool any() const { return activations > 0 || optimizer > 0; }
};

// As a search names it: what is offloaded, whole or by the workload's share.
enum class OffloadPolicy { none, optimizer, activations, both };
const std::vector<std::pair<const char*, OffloadPolicy>>& names_of(const OffloadPolicy*);
TrainingOffload offloaded(OffloadPolicy policy, const TrainingOffload& shares);

// "optimizer 100 %, activations 50 %"; "none".
std::string to_string(const TrainingOffload& offload);

template <class Form>
void describe(Form& form, TrainingOffload& offload) {
    form.optional("activations", offload.activations,
                  "share of what a micro-batch keeps for its backward pass", share());
    form.optional("optimizer", offload.optimizer, "share of master weights and moments", share());
    form.optional("host_memory", offload.host_memory,
                  "rate of a rank's part of the host's memory, whose processors step the "
                  "optimizer; the chip does if absent",
                  positive());
    form.optional("host_capacity", offload.host_capacity,
                  "a rank's part of the host's memory, which what is offloaded has to fit; not "
                  "asked if absent",
                  positive());
}

}  // namespace podsim
