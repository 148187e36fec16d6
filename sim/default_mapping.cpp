#include "sim/default_mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "sim/step_case.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

bool is_open(const PoolSpec& pool, const std::string& degree) {
    return !pool.places.has("mapping." + degree);
}

std::vector<int> tensor_degrees(const ResolvedAlternative& alternative) {
    const MappingSpec& mapping = alternative.pool.mapping;
    if (!is_open(alternative.pool, "tensor_parallel")) return {mapping.tensor_parallel};
    const long domain =
        static_cast<long>(alternative.system.scale_up.domain.value) * alternative.chip.ranks;
    std::vector<int> degrees;
    for (int degree = 1; degree <= std::min<long>(domain, alternative.ranks); degree *= 2)
        degrees.push_back(degree);
    return degrees;
}

std::vector<int> stage_counts(const ResolvedAlternative& alternative, const ModelSpec& model) {
    const MappingSpec& mapping = alternative.pool.mapping;
    // Micro-batches and stages exclude each other.
    if (!is_open(alternative.pool, "pipeline_parallel") || mapping.micro_batches > 1)
        return {mapping.pipeline_parallel};
    std::vector<int> counts;
    for (int stages = 1; stages <= std::min<long>(alternative.ranks, layer_count(model)); ++stages)
        if (alternative.ranks % stages == 0) counts.push_back(stages);
    return counts;
}

int expert_degree(const PoolSpec& pool, const ModelSpec& model, const MappingSpec& mapping) {
    const ExpertsSpec& experts = pool.experts;
    const int all = mapping.stage_ranks();
    if (experts.exchange == ExpertExchange::gather && mapping.tensor_parallel > 1)
        return mapping.tensor_parallel;
    if (!has_experts(model) || experts.redundant > 0 || experts.shared_ranks > 0) return all;
    for (int degree = all; degree > 1; --degree)
        if (all % degree == 0 && model.routed_experts % degree == 0) return degree;
    return 1;
}

// The mapping with the open degrees so filled, or nothing where they do not fill the ranks.
std::optional<MappingSpec> filled(const ResolvedAlternative& alternative, const ModelSpec& model,
                                  int stages, int tensor) {
    const PoolSpec& pool = alternative.pool;
    MappingSpec mapping = pool.mapping;
    mapping.pipeline_parallel = stages;
    mapping.tensor_parallel = tensor;
    const long group = mapping.group_ranks();
    if (group < 1 || alternative.ranks % group != 0) return {};
    const int groups = alternative.ranks / static_cast<int>(group);
    if (mapping.data_parallel != 0 && mapping.data_parallel != groups) return {};
    mapping.data_parallel = groups;
    if (mapping.expert_parallel == 0) mapping.expert_parallel = expert_degree(pool, model, mapping);
    return mapping;
}

// Of the fullest rank; nothing where such a step does not work out, or sequences are not whole.
std::optional<Bytes> memory_with(const ResolvedExperiment& experiment,
                                 ResolvedAlternative& alternative, const MappingSpec& mapping) {
    const MappingSpec before = alternative.pool.mapping;
    alternative.pool.mapping = mapping;
    const double batch = alternative.batch.latency_target
                             ? std::max(mapping.micro_batches, mapping.pipeline_parallel)
                             : sequences_per_group(alternative, experiment.spec.workload);
    std::optional<Bytes> memory;
    if (batch >= 1 && batch == std::floor(batch))
        memory = StepCase(experiment, alternative).memory_of(static_cast<long>(batch));
    alternative.pool.mapping = before;
    return memory;
}

}  // namespace

void choose_mapping(const ResolvedExperiment& experiment, ResolvedAlternative& alternative) {
    const ModelSpec& model = *experiment.model;
    const Bytes capacity = rank_hardware(alternative.chip).hbm_capacity;
    const std::vector<int> tensors = tensor_degrees(alternative);
    std::optional<MappingSpec> best;
    Bytes least(0.0);
    for (const int stages : stage_counts(alternative, model)) {
        for (const int tensor : tensors) {
            const auto mapping = filled(alternative, model, stages, tensor);
            if (!mapping) continue;
            const auto memory = memory_with(experiment, alternative, *mapping);
            if (!memory || (best && *memory >= least)) continue;
            best = mapping;
            least = *memory;
            if (least > capacity) continue;
            alternative.pool.mapping = *best;
            return;
        }
    }
    if (best) alternative.pool.mapping = *best;
}

void note_chosen(ResolvedAlternative& alternative) {
    const PoolSpec& pool = alternative.pool;
    const MappingSpec& mapping = pool.mapping;
    const std::vector<std::pair<const char*, int>> degrees = {
        {"data_parallel", mapping.data_parallel},
        {"tensor_parallel", mapping.tensor_parallel},
        {"pipeline_parallel", mapping.pipeline_parallel},
        {"expert_parallel", mapping.expert_parallel}};
    std::string said;
    for (const auto& [name, degree] : degrees) {
        if (!is_open(pool, name)) continue;
        alternative.chosen.emplace_back(name, degree);
        said += fmt::format("{}{} {}", said.empty() ? "" : ", ", name, degree);
    }
    // Ranks that are left over are arithmetic and no choice.
    if (is_open(pool, "tensor_parallel") || mapping.expert_parallel != mapping.stage_ranks() ||
        (is_open(pool, "pipeline_parallel") && mapping.pipeline_parallel > 1)) {
        if (!said.empty()) alternative.warnings.push_back("mapping by the default rule: " + said);
    }
}

}  // namespace podsim
