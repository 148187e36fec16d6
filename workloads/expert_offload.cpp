#include "workloads/expert_offload.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "models/sizes.hpp"

namespace podsim {

long resident_slots(const ExpertOffload& offload, long slots) {
    if (!offload.is_used()) return slots;
    const double share = offload.resident.value_or(0);
    return std::min(slots,
                    static_cast<long>(std::floor(share * static_cast<double>(slots) + 1e-9)));
}

MissShares miss_shares(const StepSpec& spec, const ExpertLayout& layout, double tokens,
                       std::size_t balance) {
    const ExpertOffload& offload = spec.experts.offload;
    if (!offload.is_used()) return {};
    if (offload.hit_rate) return {1 - *offload.hit_rate, 1 - *offload.hit_rate};
    const auto stay = static_cast<std::size_t>(resident_slots(offload, layout.slots_per_rank));
    const auto each = static_cast<std::size_t>(layout.slots_per_rank);
    if (layout.balances.empty()) {
        const double share = 1 - static_cast<double>(stay) / static_cast<double>(each);
        return {share, share};
    }
    const SlotChances& slots = layout.balances.at(balance);
    double asked = 0, missing = 0, rows = 0, missing_rows = 0;
    for (int rank = 0; rank < slots.ranks; ++rank) {
        const auto first = slots.chances.begin() + static_cast<long>(each) * rank;
        std::vector<double> chances(first, first + static_cast<long>(each));
        std::sort(chances.begin(), chances.end(), std::greater<>());
        asked += active_slots(chances.data(), each, tokens);
        missing += active_slots(chances.data() + stay, each - stay, tokens);
        for (std::size_t i = 0; i < each; ++i) (i < stay ? rows : missing_rows) += chances[i];
    }
    rows += missing_rows;
    return {asked > 0 ? missing / asked : 0, rows > 0 ? missing_rows / rows : 0};
}

OffloadedExperts offloaded_experts(const ExpertOffload& offload, const ExpertRows& asked,
                                   const MissShares& missing) {
    OffloadedExperts load;
    load.on_chip = asked;
    const auto experts = static_cast<double>(asked.active_experts);
    if (!offload.is_used()) return load;
    if (offload.compute == OffloadCompute::chip) {
        load.fetched = experts * missing.experts;
        return load;
    }
    const auto rows = static_cast<double>(asked.rows());
    load.at_host = experts * missing.experts;
    load.rows = rows * missing.rows;
    load.on_chip = whole_rows({rows - load.rows, experts - load.at_host});
    return load;
}

Bytes expert_bytes(const StepSpec& spec, const ExpertLayout& layout) {
    return weight_bytes(spec.model, spec.precision, spec.mapping.tensor_parallel,
                        spec.mapping.attention)
               .routed_expert /
           layout.width_ranks;
}

Seconds host_time(const StepSpec& spec, const ExpertLayout& layout, const OffloadedExperts& load) {
    const ModelSpec& model = spec.model;
    const double products = model.gated ? 3 : 2;
    const double width = static_cast<double>(model.expert_intermediate) / layout.width_ranks;
    const Flops work(2 * products * load.rows * static_cast<double>(model.hidden) * width);
    const ExpertOffload& offload = spec.experts.offload;
    return max(load.at_host * expert_bytes(spec, layout) / offload.host_memory,
               work / offload.host_peak);
}

Bytes fetch_buffers(const StepSpec& spec, const ExpertLayout& layout, double tokens) {
    const ExpertOffload& offload = spec.experts.offload;
    if (!offload.is_used() || offload.compute == OffloadCompute::host) return Bytes(0.0);
    const long outside = layout.slots_per_rank - resident_slots(offload, layout.slots_per_rank);
    double most = 0;
    for (std::size_t i = 0; i < std::max<std::size_t>(1, layout.balances.size()); ++i) {
        const ExpertLoad load = expert_load(spec, layout, tokens, i);
        const MissShares missing = miss_shares(spec, layout, load.in_flight, i);
        for (const ExpertRows& rows : {load.here, load.elsewhere})
            most = std::max(most, offloaded_experts(offload, rows, missing).fetched);
    }
    // A measured hit rate may leave more to fetch at a time than lies outside by popularity.
    most = std::min(std::ceil(most - 1e-9),
                    static_cast<double>(offload.hit_rate ? layout.slots_per_rank : outside));
    return (offload.prefetch ? 2.0 : 1.0) * most * expert_bytes(spec, layout);
}

Bytes all_experts(const StepSpec& spec, const ExpertLayout& layout) {
    const ModelSpec& model = spec.model;
    double layers = static_cast<double>(expert_layers(model));
    if (spec.speculation.draft_tokens > 0 && !spec.speculation.draft && model.draft_layer.experts)
        layers += static_cast<double>(model.draft_layers);
    const auto slots = static_cast<double>(layout.routed_ranks * layout.slots_per_rank);
    return layers * layout.groups * slots * layout.width_ranks * expert_bytes(spec, layout);
}

}  // namespace podsim
