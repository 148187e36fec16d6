#include "sim/default_mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/names.hpp"
#include "sim/step_case.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

bool is_left(const PoolSpec& pool, const std::string& key) {
    return !pool.places.has(key) || pool.places.of(key).file == kDefaultRule;
}

bool is_open(const PoolSpec& pool, const std::string& degree) {
    return is_left(pool, "mapping." + degree);
}

bool leaves_exchange(const PoolSpec& pool) {
    return is_left(pool, "experts.exchange");
}
bool leaves_widths(const PoolSpec& pool) {
    return is_left(pool, "experts.tensor_parallel");
}

// Without what the rule once chose.
void reset_open(PoolSpec& pool) {
    const MappingSpec fresh;
    if (is_open(pool, "data_parallel")) pool.mapping.data_parallel = fresh.data_parallel;
    if (is_open(pool, "tensor_parallel")) pool.mapping.tensor_parallel = fresh.tensor_parallel;
    if (is_open(pool, "expert_parallel")) pool.mapping.expert_parallel = fresh.expert_parallel;
    if (is_open(pool, "pipeline_parallel"))
        pool.mapping.pipeline_parallel = fresh.pipeline_parallel;
    const ExpertsSpec experts;
    if (leaves_exchange(pool)) pool.experts.exchange = experts.exchange;
    if (leaves_widths(pool)) pool.experts.tensor_parallel = experts.tensor_parallel;
}

// Ranks that are one tensor-parallel group all have its tokens: none is sent to its experts. Each
// rank then has its part of every expert's width, or whole experts where expert_parallel is said.
// Data-parallel groups exchange tokens as their engine does.
void lay_out_experts(const ModelSpec& model, const EngineSpec& engine, PoolSpec& pool) {
    const MappingSpec& mapping = pool.mapping;
    ExpertsSpec& experts = pool.experts;
    const int group = mapping.tensor_parallel;
    if (!has_experts(model) || experts.shared_ranks > 0 || engine.expert_parts > 1 ||
        mapping.attention == AttentionSplit::sp_tp_sp)
        return;
    if (group == 1) {
        if (leaves_exchange(pool))
            experts.exchange = engine.expert_exchange.value_or(experts.exchange);
        return;
    }
    if (mapping.stage_ranks() != group || mapping.expert_parallel != group) return;
    if (leaves_exchange(pool)) experts.exchange = ExpertExchange::gather;
    if (experts.exchange == ExpertExchange::gather && leaves_widths(pool) &&
        is_open(pool, "expert_parallel") && experts.redundant == 0 && !experts.offload.is_used() &&
        model.expert_intermediate % group == 0)
        experts.tensor_parallel = group;
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
    // One group that has every token: its ranks share the widths of experts.
    if (leaves_exchange(pool) && mapping.tensor_parallel == all &&
        (!leaves_widths(pool) || model.expert_intermediate % all == 0))
        return all;
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
          experts_(alternative.pool.experts),
          capacity_(hardware_of(alternative).hbm_capacity) {}

    // Of the fullest rank with the batch that is given, or for a latency target with the smallest;
    // nothing where such a step does not work out.
    std::optional<Bytes> memory(const MappingSpec& mapping) {
        if (alternative_.batch.latency_target) return smallest_memory(mapping);
        take(mapping);
        // That sequences are whole is checked when the mapping is known.
        const double batch = sequences_per_group(alternative_, experiment_.spec.workload);
        return memory_of(std::max(1.0, std::ceil(batch)));
    }
    std::optional<Bytes> smallest_memory(const MappingSpec& mapping) {
        take(mapping);
        return memory_of(std::max(mapping.micro_batches, mapping.pipeline_parallel));
    }
    bool fits(const std::optional<Bytes>& memory) const { return memory && *memory <= capacity_; }

  private:
    void take(const MappingSpec& mapping) {
        alternative_.pool.mapping = mapping;
        alternative_.pool.experts = experts_;
        lay_out_experts(*experiment_.model, *alternative_.engine, alternative_.pool);
    }
    std::optional<Bytes> memory_of(double batch) const {
        return StepCase(experiment_, alternative_).memory_of(static_cast<long>(batch));
    }

    const ResolvedExperiment& experiment_;
    ResolvedAlternative alternative_;
    ExpertsSpec experts_;  // as they were before any mapping
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

// The one that fits, else the first that takes a smaller batch, else the nearest to it.
MappingSpec chosen_of(const std::vector<MappingSpec>& tried, Trial& trial) {
    if (trial.fits(trial.memory(tried.back()))) return tried.back();
    const auto takes_some = [&](const MappingSpec& one) {
        return trial.fits(trial.smallest_memory(one));
    };
    const auto less = [&](const MappingSpec& a, const MappingSpec& b) {
        return *trial.memory(a) < *trial.memory(b);
    };
    const auto some = std::find_if(tried.begin(), tried.end(), takes_some);
    return some != tried.end() ? *some : *std::min_element(tried.begin(), tried.end(), less);
}

// How experts were laid out, where it was left to the rule, and where an engine's words mean
// something else here.
void note_experts(const ModelSpec& model, ResolvedAlternative& alternative) {
    const PoolSpec& pool = alternative.pool;
    const MappingSpec& mapping = pool.mapping;
    const ExpertsSpec& experts = pool.experts;
    const int group = mapping.tensor_parallel;
    const bool one_group = mapping.stage_ranks() == group;
    if (!has_experts(model)) return;
    if (one_group && group > 1 && !is_open(pool, "expert_parallel") &&
        mapping.expert_parallel < group && leaves_exchange(pool)) {
        alternative.warnings.push_back(
            mapping.expert_parallel == 1
                ? "mapping.expert_parallel: 1 keeps all experts on every rank; what engines call "
                  "an expert parallelism of 1 is had without it"
                : fmt::format("mapping.expert_parallel: {} keeps {} copies of the experts in the "
                              "tensor-parallel group; what engines call so is experts: "
                              "{{tensor_parallel: {}}} without it",
                              mapping.expert_parallel, group / mapping.expert_parallel,
                              group / mapping.expert_parallel));
    }
    if (leaves_exchange(pool) && !one_group && group > 1 &&
        alternative.engine->expert_exchange == ExpertExchange::gather &&
        experts.exchange == ExpertExchange::all_to_all)
        alternative.warnings.push_back(
            fmt::format("experts by the default rule: exchange all_to_all; {} gathers tokens, "
                        "which is modelled "
                        "of one tensor-parallel group, and of data-parallel groups of one rank",
                        alternative.engine->title));
    if (experts.exchange != ExpertExchange::gather) return;
    if (leaves_widths(pool))
        alternative.chosen.emplace_back("experts.tensor_parallel",
                                        std::to_string(experts.tensor_parallel));
    if (leaves_exchange(pool))
        alternative.chosen.emplace_back("experts.exchange", name_of(experts.exchange));
    if (leaves_widths(pool) && experts.tensor_parallel > 1) {
        alternative.warnings.push_back(
            fmt::format("experts by the default rule: each of the {} ranks of the tensor-parallel "
                        "group has its part of every expert's width (expert_parallel: {} gives it "
                        "whole experts)",
                        experts.tensor_parallel, mapping.expert_parallel));
    } else if (leaves_exchange(pool)) {
        alternative.warnings.push_back(
            one_group ? "experts by the default rule: exchange gather, the ranks of the "
                        "tensor-parallel group have all its tokens"
                      : fmt::format("experts by the default rule: exchange gather, as {} does",
                                    alternative.engine->title));
    }
}

}  // namespace

void choose_mapping(const ResolvedExperiment& experiment, ResolvedAlternative& alternative) {
    reset_open(alternative.pool);
    Trial trial(experiment, alternative);
    const auto tried = candidates(alternative, *experiment.model, trial);
    if (tried.empty()) return;
    alternative.pool.mapping = chosen_of(tried, trial);
    lay_out_experts(*experiment.model, *alternative.engine, alternative.pool);
}

bool shares_widths_by_rule(const PoolSpec& pool) {
    return is_open(pool, "expert_parallel") && leaves_widths(pool) &&
           pool.experts.tensor_parallel > 1;
}

void choose_popularity(const ModelSpec& model, ResolvedAlternative& alternative) {
    if (!has_experts(model) || !is_left(alternative.pool, "experts.popularity")) return;
    alternative.pool.experts.popularity = Popularity::uniform;
    alternative.chosen.emplace_back("experts.popularity", name_of(Popularity::uniform));
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
        alternative.chosen.emplace_back(std::string("mapping.") + name, std::to_string(degree));
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
    note_experts(model, alternative);
}

}  // namespace podsim
