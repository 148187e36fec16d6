#include "sim/serving_faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/names.hpp"

namespace podsim {

namespace {

bool touches(const PoolFault& fault, int replica) {
    return fault.replicas.empty() ||
           std::find(fault.replicas.begin(), fault.replicas.end(), replica) != fault.replicas.end();
}

double begin_of(const PoolFault& fault) {
    return fault.from ? fault.from->value() : 0;
}

double end_of(const PoolFault& fault) {
    return fault.until ? fault.until->value() : std::numeric_limits<double>::infinity();
}

bool stops_replica(const PoolFault& fault, int packages) {
    return fault.part.chip && *fault.part.chip < packages && fault.part.capacity == 0;
}

std::size_t number_of(std::vector<std::vector<std::size_t>>& conditions,
                      const std::vector<std::size_t>& held) {
    const auto found = std::find(conditions.begin(), conditions.end(), held);
    if (found != conditions.end()) return static_cast<std::size_t>(found - conditions.begin());
    conditions.push_back(held);
    return conditions.size() - 1;
}

}  // namespace

FaultTimeline fault_timeline(const PoolSpec& pool, int packages) {
    FaultTimeline timeline;
    std::vector<std::size_t> of_links;
    std::vector<double> times;
    for (std::size_t i = 0; i < pool.faults.size(); ++i) {
        const PoolFault& fault = pool.faults[i];
        if (!fault.is_timed()) continue;
        if (!stops_replica(fault, packages)) {
            of_links.push_back(i);
            times.push_back(begin_of(fault));
            if (fault.until) times.push_back(end_of(fault));
            continue;
        }
        for (int replica = 0; replica < pool.replicas; ++replica) {
            if (touches(fault, replica))
                timeline.outages.push_back({Seconds(begin_of(fault)), fault.until, replica});
        }
    }
    std::sort(times.begin(), times.end());
    times.erase(std::unique(times.begin(), times.end()), times.end());
    for (int replica = 0; replica < pool.replicas; ++replica) {
        std::size_t before = 0;
        for (const double time : times) {
            std::vector<std::size_t> held;
            for (const std::size_t i : of_links) {
                const PoolFault& fault = pool.faults[i];
                if (touches(fault, replica) && begin_of(fault) <= time && time < end_of(fault))
                    held.push_back(i);
            }
            const std::size_t condition = number_of(timeline.conditions, held);
            if (condition != before)
                timeline.changes.push_back({Seconds(time), replica, condition});
            before = condition;
        }
    }
    return timeline;
}

Problems timed_fault_problems(const PoolSpec& pool, WorkloadKind kind) {
    Problems problems;
    for (std::size_t i = 0; i < pool.faults.size(); ++i) {
        const PoolFault& fault = pool.faults[i];
        if (!fault.is_timed()) continue;
        const std::string where = fmt::format("{}.faults[{}]", pool.path, i);
        if (kind != WorkloadKind::serving) {
            problems.push_back(
                {fault.part.place, where,
                 fmt::format("has a time or replicas, which say nothing to a workload of kind {}",
                             name_of(kind)),
                 "remove from, until and replicas: the part is broken in the whole run"});
            continue;
        }
        for (const int replica : fault.replicas) {
            if (replica < pool.replicas) continue;
            problems.push_back({fault.part.place, where + ".replicas",
                                fmt::format("{}: there {} {} replica{}, counted from 0", replica,
                                            pool.replicas == 1 ? "is" : "are", pool.replicas,
                                            pool.replicas == 1 ? "" : "s"),
                                ""});
        }
    }
    return problems;
}

}  // namespace podsim
