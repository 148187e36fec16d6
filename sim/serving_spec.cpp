#include "sim/serving_spec.hpp"

namespace podsim {

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
