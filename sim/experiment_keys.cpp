#include "sim/experiment_keys.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace podsim {

namespace {

// Keys of a pool that say nothing to a kind of workload: whoever wrote them expects an effect.
std::vector<std::string> unused_keys(const WorkloadSpec& workload, const PoolSpec& pool) {
    std::vector<std::string> of_training(training_mapping_keys().begin(),
                                         training_mapping_keys().end());
    of_training.insert(of_training.end(), {"experts.capacity_factor", "experts.node_limited"});
    if (workload.kind == WorkloadKind::serving) {
        of_training.insert(of_training.end(),
                           {"batch_per_chip", "batch_per_rank", "batch_per_group",
                            "tokens_per_rank", "latency_target"});
        return of_training;
    }
    if (is_step(workload.kind)) {
        of_training.insert(of_training.end(), {"replicas", "autoscaling", "scheduler"});
        if (workload.kind == WorkloadKind::decode)
            of_training.insert(of_training.end(), {"tokens_per_rank", "mapping.context_exchange"});
        return of_training;
    }
    if (workload.kind == WorkloadKind::training)
        return {"experts.tensor_parallel",
                "batch_per_chip",
                "batch_per_rank",
                "batch_per_group",
                "tokens_per_rank",
                "latency_target",
                "mapping.micro_batches",
                "mapping.attention",
                "mapping.head_parallel",
                "mapping.engram_tables",
                "experts.shared_ranks",
                "experts.exchange",
                "experts.offload",
                "precision.kv_cache",
                "precision.indexer",
                "replicas",
                "autoscaling",
                "scheduler"};
    if (workload.kind == WorkloadKind::replay)
        return {"precision",      "mapping",        "experts",         "engine",
                "batch_per_chip", "batch_per_rank", "batch_per_group", "tokens_per_rank",
                "latency_target", "replicas",       "autoscaling",     "scheduler"};
    std::vector<std::string> keys = {
        "precision",       "mapping",        "batch_per_chip", "batch_per_rank", "batch_per_group",
        "tokens_per_rank", "latency_target", "replicas",       "autoscaling",    "scheduler"};
    if (workload.layer && pool.exchanges_layer()) {
        for (const auto& [key, place] : pool.places.keys) {
            if (key.rfind("experts.", 0) == 0 && key != "experts.exchange") keys.push_back(key);
        }
        return keys;
    }
    keys.emplace_back("engine");
    if (workload.collective && workload.collective->copies > 0) {
        for (const char* key :
             {"experts.exchange", "experts.shared_ranks", "experts.tensor_parallel",
              "experts.capacity_factor", "experts.node_limited"})
            if (pool.places.has(key)) keys.emplace_back(key);
    } else {
        keys.emplace_back("experts");
    }
    keys.emplace_back(workload.kind == WorkloadKind::kernel ? "collectives" : "kernels");
    return keys;
}

// An exchange that the kind of workload cannot have.
void require_exchange(const WorkloadSpec& workload, const PoolSpec& pool,
                      std::vector<Diagnostic>& problems) {
    const bool step = is_step(workload.kind);
    const ExpertExchange refused = step ? ExpertExchange::fused : ExpertExchange::gather;
    if (!pool.exchanges_layer() || pool.experts.exchange != refused) return;
    if (!step && !workload.layer) return;
    problems.push_back(
        {pool.places.of("experts.exchange"), pool.path + ".experts.exchange",
         step ? "fused is of one expert layer by itself (kind operator, type moe)"
              : "gather is of whole steps alone",
         step ? "all_to_all, with an engine that has expert_parts" : "all_to_all or fused"});
}

// How ranks that share sequences exchange says nothing where none do, and to pools that only
// decode, which exchange in one way; `podsim plan` may search the degree.
void require_context_used(const ExperimentSpec& experiment, const PoolSpec& pool,
                          std::vector<Diagnostic>& problems) {
    if (!pool.places.has("mapping.context_exchange")) return;
    const WorkloadKind kind = experiment.workload.kind;
    if (kind != WorkloadKind::prefill && kind != WorkloadKind::serving) return;
    const bool decodes = pool.role == "decode" || pool.role == "attention" || pool.role == "ffn";
    bool is_searched = false;
    if (const auto& plan = experiment.serving_plan) {
        is_searched = !plan->choices.context_parallel.empty();
        for (const PoolChoices& own : plan->pools)
            if (own.name == pool.name && !own.choices.context_parallel.empty()) is_searched = true;
    }
    const bool one = pool.mapping.context_parallel() == 1 && !is_searched;
    if (!one && !(kind == WorkloadKind::serving && decodes)) return;
    problems.push_back({pool.places.of("mapping.context_exchange"),
                        pool.path + ".mapping.context_exchange",
                        one ? "says nothing where no ranks share a sequence (context_parallel 1)"
                            : "is of prompts: a pool of role " + pool.role + " cuts the cache",
                        one ? "context_parallel, or remove it" : "remove it"});
}

}  // namespace

void require_used(const ExperimentSpec& experiment, std::vector<Diagnostic>& problems) {
    const std::string kind = name_of(experiment.workload.kind);
    for (const auto& alternative : experiment.alternatives) {
        for (const auto& pool : alternative.pools) {
            require_exchange(experiment.workload, pool, problems);
            require_context_used(experiment, pool, problems);
            std::vector<std::string> unused = unused_keys(experiment.workload, pool);
            if (experiment.workload.kind != WorkloadKind::collective)
                unused.emplace_back("packets");
            for (const auto& key : unused) {
                if (!pool.places.has(key)) continue;
                problems.push_back({pool.places.of(key), pool.path + "." + key,
                                    fmt::format("says nothing to a workload of kind {}", kind),
                                    "remove it"});
            }
        }
    }
}

}  // namespace podsim
