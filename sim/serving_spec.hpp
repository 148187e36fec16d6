// How an experiment says which traffic is served, what is promised, and how engines schedule.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/expert_balance_spec.hpp"
#include "sim/form_variants.hpp"
#include "sim/lifecycle.hpp"
#include "sim/traffic_spec.hpp"
#include "workloads/serving.hpp"

namespace podsim {

// Over which links of the fabric pools reach each other, or memory.
enum class PoolLink { scale_up, scale_out };
const std::vector<std::pair<const char*, PoolLink>>& names_of(const PoolLink*);

// Where a cache tier lies: in the memory of the replica's hosts, on their drives, or in memory that
// stands by itself and is reached over the fabric.
enum class TierPlace { host, drives, pool };
const std::vector<std::pair<const char*, TierPlace>>& names_of(const TierPlace*);

// Memory below the chips' that keeps prefixes, of a replica or of all.
struct CacheTierSetting {
    std::string name;
    std::string medium;  // of the price list; "": not paid for
    Bytes capacity{0.0};
    BytesPerSecond bandwidth{0.0};
    Seconds latency{0.0};
    std::optional<Seconds> time_to_live;
    bool shared = false;             // one for all replicas of the alternative's pools
    std::optional<TierPlace> place;  // absent: as tier_place() has it
    std::optional<PoolLink> over;    // shared: absent: scale_up within one domain
    bool operator==(const CacheTierSetting&) const = default;
};

// As said, else by what it is: shared ones are in a pool, media of drives (nvme) and tiers called
// ssd, nvme or drives on drives, all others with the host.
TierPlace tier_place(const CacheTierSetting& tier);

// Knobs as somebody turned them: of a pool over those of the workload over the usual ones.
struct SchedulerSettings {
    std::optional<long> max_num_seqs, max_num_batched_tokens, block_size,
        long_prefill_token_threshold;
    std::optional<bool> enable_chunked_prefill, enable_prefix_caching;
    std::optional<Preemption> preemption;
    std::optional<SchedulingPolicy> scheduling_policy;
    std::optional<CapacityPolicy> capacity_policy;
    std::optional<double> gpu_memory_utilization;
    std::optional<std::vector<CacheTierSetting>> cache_tiers;
};

struct ReplicaKnobs {
    SchedulerKnobs scheduler;
    double gpu_memory_utilization = 0.9;
    std::vector<CacheTierSetting> cache_tiers;
};
ReplicaKnobs knobs_of(const SchedulerSettings& workload, const SchedulerSettings& pool);

// Of a chip: a replica stops with any of its own.
struct ServingFailures {
    Seconds mean_time_between{0.0}, repair{0.0};
};

struct ServingSpec {
    TrafficSpec traffic;
    ServiceObjective slo;
    SchedulerSettings scheduler;
    Routing routing = Routing::least_loaded;
    long max_model_len = 0;           // 0: what the model was made for
    long max_queue = 0;               // at a replica, 0: any number
    std::vector<double> rate_scales;  // of further runs, for a curve over load
    std::optional<LifecycleSpec> lifecycle;
    std::optional<ServingFailures> failures;
    std::optional<ExpertBalanceSpec> expert_balance;
};

template <class Form>
void describe(Form& form, ServiceObjective& slo) {
    form.optional("ttft", slo.time_to_first_token, "time to the first token, of each request",
                  positive());
    form.optional("tpot", slo.time_per_output_token,
                  "time per output token after the first, mean over a request", positive());
}

template <class Form>
void describe(Form& form, CacheTierSetting& tier) {
    form.required("name", tier.name, "host, pool, ssd");
    form.optional("medium", tier.medium,
                  "what it is made of, by the price list's names (ddr5, nvme, ...): for what "
                  "keeping sessions costs; not counted if absent");
    form.required("capacity", tier.capacity, "for one replica; shared: of all of it",
                  Check{0, 1e18, true, "above 0 and at most 1,000,000 TB, more than any site has"});
    form.required("bandwidth", tier.bandwidth,
                  "at which one replica's caches come up from it; shared: of all of it, reads and "
                  "writes of all replicas together",
                  Check{0, 1e18, true, "above 0 and at most 1,000,000 TB/s"});
    form.optional("latency", tier.latency, "once for a prompt", non_negative());
    form.optional("time_to_live", tier.time_to_live, "since the last use", positive());
    form.optional("shared", tier.shared,
                  "one pool for all replicas of the alternative: what one has written others find "
                  "(Mooncake Store, EMS); below the replicas' own tiers (false)");
    form.optional("place", tier.place,
                  "host: memory of the replica's hosts; drives: theirs; pool: memory reached over "
                  "the fabric (shared: pool; medium nvme: drives; else host)");
    form.optional("over", tier.over,
                  "shared: links that a chip's own path goes over (scale_up where all chips stand "
                  "in one domain, else scale_out)");
    if (form.ok() && tier.over && !tier.shared)
        form.problem("over", "is of tiers that replicas share", "shared: true, or leave it out");
    if (form.ok() && tier.shared && tier.place && *tier.place != TierPlace::pool)
        form.problem("place", "shared tiers are reached over the fabric",
                     "place: pool, or leave it out");
}

template <class Form>
void describe(Form& form, SchedulerSettings& settings) {
    form.optional("max_num_seqs", settings.max_num_seqs,
                  "sequences of a data-parallel group at once (256)", count());
    form.optional("max_num_batched_tokens", settings.max_num_batched_tokens,
                  "tokens of a data-parallel group in a step (8192)", count());
    form.optional("block_size", settings.block_size, "tokens of a block of the KV cache (16)",
                  Check{1, 65536, false, "a value of 1 to 65,536"});
    form.optional("gpu_memory_utilization", settings.gpu_memory_utilization,
                  "share of a rank's memory that the engine may take (0.9)", share_above_zero());
    form.optional("enable_chunked_prefill", settings.enable_chunked_prefill,
                  "prompts are read in parts beside sequences that decode (true)");
    form.optional("enable_prefix_caching", settings.enable_prefix_caching,
                  "prompts use what others left of the same prefix (true)");
    form.optional("long_prefill_token_threshold", settings.long_prefill_token_threshold,
                  "tokens of one prompt in a step; 0: as many as fit (0)", non_negative());
    form.optional("preemption", settings.preemption,
                  "what becomes of a sequence that loses its blocks (recompute)");
    form.optional("scheduling_policy", settings.scheduling_policy, "who goes first (fcfs)");
    form.optional("capacity_policy", settings.capacity_policy,
                  "who is taken in: whose prompt fits, or who has room to its last token "
                  "(max_utilization)");
    form.optional("cache_tiers", settings.cache_tiers,
                  "where prefixes go that give way in the chips' memory, from the nearest down");
    if (!form.ok() || !settings.cache_tiers) return;
    if (settings.cache_tiers->size() >= kMostCacheTiers)
        form.problem("cache_tiers", "are too many", "at most 5");
    for (std::size_t i = 1; i < settings.cache_tiers->size(); ++i) {
        const CacheTierSetting &above = (*settings.cache_tiers)[i - 1],
                               &below = (*settings.cache_tiers)[i];
        if (above.shared && !below.shared)
            form.problem(
                "cache_tiers",
                below.name + ", of each replica, stands below " + above.name + ", which they share",
                "a replica's own tiers first");
    }
}

template <class Form>
void describe(Form& form, ServingFailures& failures) {
    form.required("mean_time_between", failures.mean_time_between,
                  "between two failures of one chip and its share of the node, exponential",
                  positive());
    form.required("repair", failures.repair, "until its replica serves again, start-up included",
                  non_negative());
}

template <class Form>
void describe_serving(Form& form, bool serving, ServingSpec& spec) {
    of_variant(form, serving, "traffic", spec.traffic,
               "serving: which requests come when (docs/traffic.md)");
    optional_of_variant(form, serving, "slo", spec.slo,
                        "serving: what is promised, for goodput; classes of the traffic may have "
                        "their own");
    optional_of_variant(form, serving, "scheduler", spec.scheduler,
                        "serving: knobs of the engine, by vLLM's names");
    optional_of_variant(form, serving, "routing", spec.routing,
                        "serving: which replica gets a request");
    optional_of_variant(form, serving, "max_model_len", spec.max_model_len,
                        "serving: tokens of prompt and answer together, the model's if absent",
                        count());
    optional_of_variant(form, serving, "max_queue", spec.max_queue,
                        "serving: requests that may wait at a replica; further ones are rejected",
                        count());
    optional_of_variant(form, serving, "rate_scales", spec.rate_scales,
                        "serving: further runs with so many times the rate (closed loops: the "
                        "users), for a curve of throughput against speed",
                        Check{1e-6, 1e6, false, "a value of 0.000001 to 1,000,000"});
    optional_of_variant(form, serving, "failures", spec.failures,
                        "serving: replicas fail, their requests are begun again elsewhere");
    optional_of_variant(form, serving, "expert_balance", spec.expert_balance,
                        "serving: the popularity of experts drifts, and they are placed anew");
    optional_of_variant(form, serving, "lifecycle", spec.lifecycle,
                        "serving: what training cost beside the bills of such days");
}

}  // namespace podsim
