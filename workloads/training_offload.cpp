#include "workloads/training_offload.hpp"

#include <fmt/format.h>

namespace podsim {

const std::vector<std::pair<const char*, OffloadPolicy>>& names_of(const OffloadPolicy*) {
    static const std::vector<std::pair<const char*, OffloadPolicy>> names = {
        {"none", OffloadPolicy::none},
        {"optimizer", OffloadPolicy::optimizer},
        {"activations", OffloadPolicy::activations},
        {"both", OffloadPolicy::both}};
    return names;
}

TrainingOffload offloaded(OffloadPolicy policy, const TrainingOffload& shares) {
    const bool optimizer = policy == OffloadPolicy::optimizer || policy == OffloadPolicy::both;
    const bool activations = policy == OffloadPolicy::activations || policy == OffloadPolicy::both;
    TrainingOffload offload;
    offload.host_memory = shares.host_memory;
    offload.host_capacity = shares.host_capacity;
    if (optimizer) offload.optimizer = shares.optimizer > 0 ? shares.optimizer : 1;
    if (activations) offload.activations = shares.activations > 0 ? shares.activations : 1;
    return offload;
}

std::string to_string(const TrainingOffload& offload) {
    std::string text;
    if (offload.optimizer > 0) text = fmt::format("optimizer {:.4g} %", 100 * offload.optimizer);
    if (offload.activations > 0) {
        text += fmt::format("{}activations {:.4g} %", text.empty() ? "" : ", ",
                            100 * offload.activations);
    }
    return text.empty() ? "none" : text;
}

}  // namespace podsim
