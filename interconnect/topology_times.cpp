#include "interconnect/topology_times.hpp"

#include <algorithm>
#include <cstddef>

namespace podsim {

LinkSeconds link_seconds(const TopologyStack& stack, const CollectiveTerms& terms) {
    LinkSeconds seconds;
    seconds.whole = terms.seconds_per_byte;
    seconds.latency = terms.latency;
    for (std::size_t l = 0; l < stack.levels.size(); ++l) {
        const Topology& topology = stack.levels[l].topology;
        const std::size_t first = seconds.classes.size();
        seconds.classes.resize(first + topology.link_classes.size(), 0.0);
        if (l >= terms.link_bytes.size() || terms.link_bytes[l].empty()) continue;
        for (std::size_t i = 0; i < topology.links.size(); ++i) {
            const TopologyLink& link = topology.links[i];
            double& fullest = seconds.classes[first + static_cast<std::size_t>(link.link_class)];
            fullest = std::max(fullest, terms.link_bytes[l][i] / link.bandwidth);
        }
    }
    return seconds;
}

bool ports_decide(const TopologyStack& stack) {
    const Topology& topology = stack.levels.back().topology;
    const TopologyLevelSpec& level =
        stack.spec.levels.empty() ? stack.spec.level : stack.spec.levels.back();
    return stack.levels.size() == 1 && topology.symmetric && !topology.chips_forward &&
           topology.family != "dragonfly" && stack.spec.routing == RoutingPolicy::adaptive &&
           stack.spec.faults.empty() && level.oversubscription <= 1;
}

const std::vector<CollectiveTerms>& TopologyTimes::terms(Collective collective,
                                                         const ChipGroup& group,
                                                         std::optional<Algorithm> only) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto key = std::make_tuple(collective, group, only);
    const auto known = known_.find(key);
    if (known != known_.end()) return known->second;
    return known_.emplace(key, collective_terms(stack_, collective, group, reduces_, only))
        .first->second;
}

LinkSeconds TopologyTimes::seconds_per_byte(Collective collective, const ChipGroup& group,
                                            double enough) const {
    // The steps of a reduce-scatter are those of an all-gather.
    if (collective == Collective::reduce_scatter) collective = Collective::all_gather;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto known = least_.find({collective, group});
        if (known != least_.end()) return known->second;
    }
    LinkSeconds least = link_seconds(stack_, collective == Collective::send_recv
                                                 ? shifted_terms(stack_, group)
                                                 : least_bytes(stack_, collective, group, enough));
    // A broadcast may scatter, the way back of a reduce-scatter, and gather at all (Thakur,
    // Rabenseifner and Gropp 2005).
    if (collective == Collective::broadcast && least.whole > enough * (1 + 1e-9)) {
        LinkSeconds pass = seconds_per_byte(Collective::all_gather, group, enough / 2);
        pass.whole *= 2;
        for (double& fullest : pass.classes) fullest *= 2;
        if (pass.whole < least.whole) least = std::move(pass);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    return least_.emplace(std::make_pair(collective, group), least).first->second;
}

LinkSeconds TopologyTimes::between(Collective collective, const ChipGroup& group, long domain_chips,
                                   ExchangePath path) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto key = std::make_tuple(collective, group, domain_chips, path);
    const auto known = between_.find(key);
    if (known != between_.end()) return known->second;
    const CollectiveTerms terms = between_domains(stack_, collective, group, domain_chips, path);
    return between_.emplace(key, link_seconds(stack_, terms)).first->second;
}

double TopologyTimes::farthest(const ChipGroup& group) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto known = farthest_.find(group);
    if (known != farthest_.end()) return known->second;
    return farthest_.emplace(group, farthest_members(stack_, group)).first->second;
}

}  // namespace podsim
