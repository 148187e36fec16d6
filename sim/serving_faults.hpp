// Faults that come and go while a pool serves: which fabric each of its replicas has when, and when
// one of its chips is dead, without which it does not work at all.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/experiment_spec.hpp"
#include "workloads/serving.hpp"

namespace podsim {

struct FaultTimeline {
    // Faults of the pool, by their numbers, that hold together; the first is none.
    std::vector<std::vector<std::size_t>> conditions = {{}};
    std::vector<ConditionChange> changes;
    std::vector<ReplicaOutage> outages;
};

// Of the faults of a pool that have a time or name replicas; the others always hold.
// `packages`: of a replica, whose chips are the first of its system.
FaultTimeline fault_timeline(const PoolSpec& pool, int packages);

// What is wrong with such faults in a workload of this kind: all of them where it serves nothing,
// replicas that are not there.
Problems timed_fault_problems(const PoolSpec& pool, WorkloadKind kind);

}  // namespace podsim
