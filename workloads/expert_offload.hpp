// Routed experts whose weights lie in the host's memory or on its drives, with some of them kept in
// the chip's own memory.
//
// Of the S slots of a rank the r most popular stay, r = floor(resident x S). With T tokens in
// flight, of which each goes to slot i with the chance p_i, a layer asks for sum of 1 - (1 - p_i)^T
// slots, and for sum of T p_i rows; the same sums over the slots that do not stay, over those, are
// the shares of the experts and of the rows that miss. Popularity is taken as it is known: what
// users ask next to each other, which a cache by last use would find again, is left out; where it
// was measured `hit_rate` says so. Balanced routing asks for all alike: 1 - r / S misses.
//
// What misses comes over the host link once a layer and step, and its products follow; or its rows
// go to the host, whose processors take
//
//   max(weights of the experts / host memory, 2 x 3 x rows x hidden x width / host peak)
#pragma once

#include "workloads/step_parts.hpp"

namespace podsim {

// Of a rank's slots those that stay in its memory.
long resident_slots(const ExpertOffload& offload, long slots);

// Shares of the experts that a layer asks for, and of their rows, that are not in the chips'
// memory. 0 where nothing is offloaded. Throws std::out_of_range for no such `balance`.
struct MissShares {
    double experts = 0, rows = 0;
};
MissShares miss_shares(const StepSpec& spec, const ExpertLayout& layout, double tokens,
                       std::size_t balance);

// A rank's experts of a layer, where they are asked so much.
struct OffloadedExperts {
    ExpertRows on_chip;            // that the chip works on
    double fetched = 0;            // experts whose weights come to it first
    double at_host = 0, rows = 0;  // experts and rows that the host works on
};
OffloadedExperts offloaded_experts(const ExpertOffload& offload, const ExpertRows& asked,
                                   const MissShares& missing);

// Bytes of one routed expert of one layer, or of a rank's part of its width.
Bytes expert_bytes(const StepSpec& spec, const ExpertLayout& layout);

// The host's part of a layer.
Seconds host_time(const StepSpec& spec, const ExpertLayout& layout, const OffloadedExperts& load);

// Weights that come in beside those that stay: of the layer that asks for the most, of two of them
// where one is fetched ahead.
Bytes fetch_buffers(const StepSpec& spec, const ExpertLayout& layout, double tokens);

// All routed experts, copies too, of every layer and expert group.
Bytes all_experts(const StepSpec& spec, const ExpertLayout& layout);

}  // namespace podsim
