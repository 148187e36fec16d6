#include "sim/moe_operator.hpp"

#include "models/blocks.hpp"
#include "workloads/expert_balance.hpp"

namespace podsim {

namespace {

ExpertRows rows_of(const MoeForm& form) {
    const long slots = form.experts / form.ranks;
    if (form.popularity == Popularity::balanced) {
        const double assignments = static_cast<double>(form.tokens) *
                                   static_cast<double>(form.top_k) /
                                   static_cast<double>(form.ranks);
        return balanced_rows(assignments, slots);
    }
    const bool zipf = form.popularity == Popularity::zipf;
    const std::vector<double> shares = zipf_shares(form.experts, zipf ? form.zipf_exponent : 0);
    const int ranks = static_cast<int>(form.ranks);
    const SlotChances chances =
        slot_chances(expert_chances(shares, form.top_k),
                     place_experts(shares, form.experts, ranks, form.placement), ranks);
    return whole_rows(group_load(chances, static_cast<double>(form.tokens)).busiest);
}

}  // namespace

std::vector<Operator> moe_operators(const MoeForm& form,
                                    const std::map<std::string, DType>& dtypes) {
    const auto format = [&](const char* key, DType otherwise) {
        const auto found = dtypes.find(key);
        return found != dtypes.end() ? found->second : otherwise;
    };
    Precision precision;
    precision.experts = format("weights", DType::bf16);
    precision.activations = format("activations", precision.experts);
    precision.dispatch = format("dispatch", precision.activations);
    precision.combine = format("combine", DType::bf16);

    ModelSpec model;
    model.hidden = form.hidden;
    model.expert_intermediate = form.inter;
    model.routed_experts = form.experts;
    model.experts_per_token = form.top_k;
    model.scale_block = form.scale_block;
    return expert_block(model, precision, rows_of(form), "expert");
}

}  // namespace podsim
