#include "sim/serving_spec.hpp"

namespace podsim {

const std::vector<std::pair<const char*, PoolLink>>& names_of(const PoolLink*) {
    static const std::vector<std::pair<const char*, PoolLink>> names = {
        {"scale_up", PoolLink::scale_up}, {"scale_out", PoolLink::scale_out}};
    return names;
}

const std::vector<std::pair<const char*, TierPlace>>& names_of(const TierPlace*) {
    static const std::vector<std::pair<const char*, TierPlace>> names = {
        {"host", TierPlace::host}, {"drives", TierPlace::drives}, {"pool", TierPlace::pool}};
    return names;
}

TierPlace tier_place(const CacheTierSetting& tier) {
    if (tier.place) return *tier.place;
    if (tier.shared) return TierPlace::pool;
    for (const char* drives : {"nvme", "ssd", "drives"})
        if (tier.name == drives || tier.medium == drives) return TierPlace::drives;
    return TierPlace::host;
}

ReplicaKnobs knobs_of(const SchedulerSettings& workload, const SchedulerSettings& pool) {
    ReplicaKnobs knobs;
    for (const SchedulerSettings* settings : {&workload, &pool}) {
        const auto turn = [](const auto& setting, auto& knob) {
            if (setting) knob = *setting;
        };
        SchedulerKnobs& scheduler = knobs.scheduler;
        turn(settings->max_num_seqs, scheduler.max_num_seqs);
        turn(settings->max_num_batched_tokens, scheduler.max_num_batched_tokens);
        turn(settings->block_size, scheduler.block_size);
        turn(settings->long_prefill_token_threshold, scheduler.long_prefill_token_threshold);
        turn(settings->enable_chunked_prefill, scheduler.enable_chunked_prefill);
        turn(settings->enable_prefix_caching, scheduler.enable_prefix_caching);
        turn(settings->preemption, scheduler.preemption);
        turn(settings->scheduling_policy, scheduler.scheduling_policy);
        turn(settings->capacity_policy, scheduler.capacity_policy);
        turn(settings->cache_tiers, knobs.cache_tiers);
        turn(settings->gpu_memory_utilization, knobs.gpu_memory_utilization);
    }
    return knobs;
}

}  // namespace podsim
