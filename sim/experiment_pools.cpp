#include "sim/experiment_pools.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace podsim {

namespace {

// Attention and feed-forward blocks on pools of their own: one of each, the latter last, as many
// replicas of both, which come and go together.
void require_disaggregated(const WorkloadSpec& workload, const AlternativeSpec& alternative,
                           std::vector<Diagnostic>& problems) {
    const PoolSpec* attention = nullptr;
    int attentions = 0, feed_forwards = 0;
    for (const PoolSpec& pool : alternative.pools) {
        if (pool.role == "attention") {
            ++attentions;
            attention = &pool;
        }
        if (pool.role == "ffn") ++feed_forwards;
        if (pool.exchange_over && pool.role != "ffn")
            problems.push_back({pool.places.of("exchange_over"), pool.path + ".exchange_over",
                                "is of a pool of role ffn", "remove it"});
    }
    if (attentions == 0 && feed_forwards == 0) return;
    const PoolSpec& last = alternative.pools.back();
    if (attentions != 1 || feed_forwards != 1 || last.role != "ffn") {
        problems.push_back(
            {alternative.pools_place, "alternatives." + alternative.name + ".pools",
             fmt::format("{} pools of role attention and {} of role ffn: they come as a pair",
                         attentions, feed_forwards),
             "one of each, that of role ffn last"});
        return;
    }
    const auto refuse = [&](const PoolSpec& pool, const char* key, std::string what,
                            std::string hint) {
        problems.push_back(
            {pool.places.of(key), pool.path + "." + key, std::move(what), std::move(hint)});
    };
    if (last.replicas != attention->replicas)
        refuse(last, "replicas",
               fmt::format("{} beside {} of the attention pool: each has a part of its own of the "
                           "feed-forward pool",
                           last.replicas, attention->replicas),
               fmt::format("replicas: {}", attention->replicas));
    for (const char* key : {"mapping.expert_parallel", "experts"})
        if (attention->places.has(key))
            refuse(*attention, key, "is the feed-forward pool's to say: it holds the experts",
                   "remove it");
    for (const char* key : {"faults", "autoscaling", "scheduler"})
        if (last.places.has(key))
            refuse(last, key, "is the attention pool's to say: both work as one", "remove it");
    if (workload.serving && workload.serving->expert_balance)
        problems.push_back({workload.places.of("expert_balance"), "workload.expert_balance",
                            "is not modelled where experts are on a pool of their own",
                            "remove it, or pools of role decode"});
    if (workload.speculation.draft_tokens > 0)
        problems.push_back({workload.places.of("speculation"), "workload.speculation",
                            "is not modelled where attention and feed-forward blocks are apart",
                            "remove it, or pools of role decode"});
}

// Feed-forward blocks see tokens and no sequences.
void require_batch_of_attention(const AlternativeSpec& alternative,
                                std::vector<Diagnostic>& problems) {
    const PoolSpec& last = alternative.pools.back();
    if (!last.batch.given()) return;
    problems.push_back({last.places.of(last.batch.key()), last.path + "." + last.batch.key(),
                        "is the attention pool's to say: it has the sequences", "remove it"});
}

// What whoever writes several pools may have meant.
std::string of_one_pool(WorkloadKind kind) {
    std::string hint = "one pool, or an alternative for each";
    if (kind == WorkloadKind::decode)
        hint += "; attention and experts apart: roles attention and ffn, that one last";
    if (is_step(kind))
        hint += "; prompts and answers apart: kind serving, roles prefill and decode";
    return hint;
}

}  // namespace

void require_pools(const ExperimentSpec& experiment, std::vector<Diagnostic>& problems) {
    const bool serving = experiment.workload.kind == WorkloadKind::serving;
    for (const auto& alternative : experiment.alternatives) {
        const std::string path = "alternatives." + alternative.name + ".pools";
        const bool pair = experiment.workload.kind == WorkloadKind::decode &&
                          alternative.pools.size() == 2 && alternative.pools.back().role == "ffn";
        if (pair) {
            require_disaggregated(experiment.workload, alternative, problems);
            require_batch_of_attention(alternative, problems);
            continue;
        }
        if (!serving) {
            if (alternative.pools.size() != 1)
                problems.push_back(
                    {alternative.pools_place, path,
                     fmt::format("{} pools: a workload of kind {} runs on one",
                                 alternative.pools.size(), name_of(experiment.workload.kind)),
                     of_one_pool(experiment.workload.kind)});
            for (const auto& pool : alternative.pools) {
                if (pool.role == "serve" || pool.role == "attention" || pool.role == "ffn")
                    problems.push_back({pool.places.of("role"), pool.path + ".role",
                                        pool.role == "serve"
                                            ? "serve is of a workload of kind serving"
                                            : fmt::format("{} is half of a pair, of kind decode or "
                                                          "serving",
                                                          pool.role),
                                        pool.role == "serve"
                                            ? "decode or prefill"
                                            : "one pool of role attention and one of role ffn, "
                                              "that one last"});
            }
            continue;
        }
        int reads = 0, writes = 0, both = 0;
        for (const auto& pool : alternative.pools) {
            if (pool.role != "ffn")
                ++(pool.role == "prefill"                              ? reads
                   : pool.role == "decode" || pool.role == "attention" ? writes
                                                                       : both);
            if (pool.chips % pool.replicas != 0)
                problems.push_back({pool.places.of("replicas"), pool.path + ".replicas",
                                    fmt::format("{} chips do not divide over {} replicas",
                                                pool.chips, pool.replicas),
                                    "each replica has as many chips"});
        }
        if (both == 0 && (reads == 0 || writes == 0))
            problems.push_back({alternative.pools_place, path,
                                reads == 0 ? "no pool reads prompts" : "no pool writes answers",
                                "pools of role prefill and decode, or one of role serve"});
        if (both > 0 && (reads > 0) != (writes > 0))
            problems.push_back({alternative.pools_place, path,
                                reads > 0 ? "no pool of role decode takes over from prefill"
                                          : "no pool of role prefill feeds the decode pool",
                                "prefill and decode come together"});
        require_disaggregated(experiment.workload, alternative, problems);
    }
}

}  // namespace podsim
