#include "sim/default_mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "sim/step_case.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

bool is_open(const PoolSpec& pool, const std::string& degree) {
    const std::string key = "mapping." + degree;
    return !pool.places.has(key) || pool.places.of(key).file == kDefaultRule;
}

// Without what the rule once chose.
void reset_open(PoolSpec& pool) {
    const MappingSpec fresh;
    if (is_open(pool, "data_parallel")) pool.mapping.data_parallel = fresh.data_parallel;
    if (is_open(pool, "tensor_parallel")) pool.mapping.tensor_parallel = fresh.tensor_parallel;
    if (is_open(pool, "expert_parallel")) pool.mapping.expert_parallel = fresh.expert_parallel;
    if (is_open(pool, "pipeline_parallel"))
        pool.mapping.pipeline_parallel = fresh.pipeline_parallel;
}

bool has_transfer(const ResolvedAlternative& alternative, TransferType type) {
    return alternative.collectives.transfers.count(type) > 0;
}

std::vector<int> tensor_degrees(const ResolvedAlternative& alternative) {
    const MappingSpec& mapping = alternative.pool.mapping;
    if (!is_open(alternative.pool, "tensor_parallel")) return {mapping.tensor_parallel};
    if (!has_transfer(alternative, TransferType::all_reduce)) return {1};
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
    if (!is_open(alternative.pool, "pipeline_parallel") || mapping.micro_batches > 1 ||
        !has_transfer(alternative, TransferType::send_recv))
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

// Tries mappings on a copy of an alternative.
class Trial {
  public:
    Trial(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative)
        : experiment_(experiment),
          alternative_(alternative),
          capacity_(hardware_of(alternative).hbm_capacity) {}

    // Of the fullest rank with the batch that is given, or for a latency target with the smallest;
    // nothing where such a step does not work out.
    std::optional<Bytes> memory(const MappingSpec& mapping) {
        if (alternative_.batch.latency_target) return smallest_memory(mapping);
        alternative_.pool.mapping = mapping;
        // That sequences are whole is checked when the mapping is known.
        const double batch = sequences_per_group(alternative_, experiment_.spec.workload);
        return memory_of(std::max(1.0, std::ceil(batch)));
    }
    std::optional<Bytes> smallest_memory(const MappingSpec& mapping) {
        alternative_.pool.mapping = mapping;
        return memory_of(std::max(mapping.micro_batches, mapping.pipeline_parallel));
    }
    bool fits(const std::optional<Bytes>& memory) const { return memory && *memory <= capacity_; }

  private:
    std::optional<Bytes> memory_of(double batch) const {
        return StepCase(experiment_, alternative_).memory_of(static_cast<long>(batch));
    }

    const ResolvedExperiment& experiment_;
    ResolvedAlternative alternative_;
    Bytes capacity_;
};

// The mappings that work out, in the order they are tried, up to the first that fits.
std::vector<MappingSpec> candidates(const ResolvedAlternative& alternative, const ModelSpec& model,
                                    Trial& trial) {
    const std::vector<int> tensors = tensor_degrees(alternative);
    std::vector<MappingSpec> tried;
    for (const int stages : stage_counts(alternative, model)) {
        for (const int tensor : tensors) {
            const auto mapping = filled(alternative, model, stages, tensor);
            if (!mapping) continue;
            const auto memory = trial.memory(*mapping);
            if (memory) tried.push_back(*mapping);
            if (trial.fits(memory)) return tried;
        }
        // What is wrong is not the memory, and more stages do not mend it.
        if (tried.empty()) return {};
    }
    return tried;
}

}  // namespace

void choose_mapping(const ResolvedExperiment& experiment, ResolvedAlternative& alternative) {
    reset_open(alternative.pool);
    Trial trial(experiment, alternative);
    const auto tried = candidates(alternative, *experiment.model, trial);
    if (tried.empty()) return;
    MappingSpec& mapping = alternative.pool.mapping;
    mapping = tried.back();
    if (trial.fits(trial.memory(mapping))) return;
    const auto takes_some = [&](const MappingSpec& one) {
        return trial.fits(trial.smallest_memory(one));
    };
    const auto less = [&](const MappingSpec& a, const MappingSpec& b) {
        return *trial.memory(a) < *trial.memory(b);
    };
    const auto some = std::find_if(tried.begin(), tried.end(), takes_some);
    mapping = some != tried.end() ? *some : *std::min_element(tried.begin(), tried.end(), less);
}

void note_chosen(const ModelSpec& model, ResolvedAlternative& alternative) {
    const PoolSpec& pool = alternative.pool;
    const MappingSpec& mapping = pool.mapping;
    const std::vector<std::pair<const char*, int>> degrees = {
        {"data_parallel", mapping.data_parallel},
        {"tensor_parallel", mapping.tensor_parallel},
        {"pipeline_parallel", mapping.pipeline_parallel},
        {"expert_parallel", mapping.expert_parallel}};
    std::string said;
    for (const auto& [name, degree] : degrees) {
        const bool of_experts = std::string_view(name) == "expert_parallel";
        if (!is_open(pool, name) || (of_experts && !has_experts(model))) continue;
        alternative.chosen.emplace_back(name, degree);
        if (std::string_view(name) == "pipeline_parallel" && degree == 1) continue;
        said += fmt::format("{}{} {}", said.empty() ? "" : ", ", name, degree);
    }
    // What the ranks leave for one degree is arithmetic and no choice.
    const bool chose_tensor = is_open(pool, "tensor_parallel") && is_open(pool, "data_parallel");
    const bool chose_stages = is_open(pool, "pipeline_parallel") && mapping.pipeline_parallel > 1;
    const bool chose_experts = is_open(pool, "expert_parallel") &&
                               mapping.expert_parallel != mapping.stage_ranks() &&
                               has_experts(model);
    if (chose_tensor || chose_stages || chose_experts)
        alternative.warnings.push_back("mapping by the default rule: " + said);
}

}  // namespace podsim
