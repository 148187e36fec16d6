#include "sim/moe_operator.hpp"

#include <algorithm>
#include <cmath>

#include "models/blocks.hpp"

namespace podsim {

namespace {

SlotChances chances_of(const MoeForm& form) {
    const bool zipf = form.popularity == Popularity::zipf;
    const std::vector<double> shares = zipf_shares(form.experts, zipf ? form.zipf_exponent : 0);
    const int ranks = static_cast<int>(form.ranks);
    return slot_chances(expert_chances(shares, form.top_k),
                        place_experts(shares, form.experts, ranks, form.placement), ranks);
}

}  // namespace

std::vector<MoeClass> moe_classes(const MoeForm& form) {
    const double all = static_cast<double>(form.tokens) * static_cast<double>(form.top_k);
    const int ranks = static_cast<int>(form.ranks);
    if (form.popularity == Popularity::balanced) {
        const double each = all / static_cast<double>(form.ranks);
        return {{"ranks", ranks, balanced_rows(each, form.experts / form.ranks), each}};
    }
    const GroupLoad load = group_load(chances_of(form), static_cast<double>(form.tokens));
    if (ranks == 1) return {{"ranks", 1, whole_rows(load.busiest), all}};
    // What arrives adds up to what is sent.
    return {{"busiest rank", 1, whole_rows(load.busiest), load.busiest.tokens},
            {"other ranks", ranks - 1, whole_rows(load.others),
             (all - load.busiest.tokens) / (ranks - 1)}};
}

double moe_row_deviation(const MoeForm& form) {
    if (form.popularity == Popularity::balanced) return 0;
    const SlotChances slots = chances_of(form);
    const double tokens = static_cast<double>(form.tokens),
                 count = static_cast<double>(slots.chances.size());
    double mean = 0, square = 0, drawn = 0;
    for (const double chance : slots.chances) {
        mean += tokens * chance / count;
        square += tokens * chance * tokens * chance / count;
        drawn += tokens * chance * (1 - chance) / count;
    }
    return std::sqrt(std::max(0.0, drawn + square - mean * mean));
}

double moe_active_experts(const MoeForm& form) {
    if (form.popularity == Popularity::balanced)
        return static_cast<double>(moe_classes(form).front().rows.active_experts);
    double active = 0;
    for (const double chance : chances_of(form).chances)
        active += 1 - std::pow(1 - std::min(1.0, chance), static_cast<double>(form.tokens));
    return active / static_cast<double>(form.ranks);
}

ModelSpec moe_model(const MoeForm& form) {
    ModelSpec model;
    model.hidden = form.hidden;
    model.expert_intermediate = form.inter;
    model.routed_experts = form.experts;
    model.experts_per_token = form.top_k;
    model.scale_block = form.scale_block;
    return model;
}

Precision moe_precision(const std::map<std::string, DType>& dtypes) {
    const auto format = [&](const char* key, DType otherwise) {
        const auto found = dtypes.find(key);
        return found != dtypes.end() ? found->second : otherwise;
    };
    Precision precision;
    precision.experts = format("weights", DType::bf16);
    precision.activations = format("activations", precision.experts);
    precision.dispatch = format("dispatch", precision.activations);
    precision.combine = format("combine", DType::bf16);
    return precision;
}

std::vector<Operator> moe_operators(const MoeForm& form,
                                    const std::map<std::string, DType>& dtypes) {
    return expert_block(moe_model(form), moe_precision(dtypes), moe_classes(form).front().rows,
                        "expert");
}

}  // namespace podsim
