// What collectives take on a system's topology, remembered by (collective, placement): every run
// and every mapping of a search asks the same ones.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "interconnect/between_domains.hpp"
#include "interconnect/topology.hpp"

namespace podsim {

// Seconds a byte of the size: of a collective, and of the fullest link of each class of links,
// classes of one level after those of the level below it.
struct LinkSeconds {
    double whole = 0;
    std::vector<double> classes;
    double latency = 0;  // s, of all steps; 0 where bytes alone were asked for
};
LinkSeconds link_seconds(const TopologyStack& stack, const CollectiveTerms& terms);

// No traffic that the chips' ports let through fills a link inside: switches without
// oversubscription or faults, all of whose paths are used.
bool ports_decide(const TopologyStack& stack);

// Remembers terms; safe for several threads.
class TopologyTimes {
  public:
    TopologyTimes(TopologyStack stack, bool reduces_in_switch)
        : stack_(std::move(stack)),
          reduces_(reduces_in_switch),
          ports_decide_(podsim::ports_decide(stack_)) {}
    const TopologyStack& stack() const { return stack_; }
    const std::vector<CollectiveTerms>& terms(Collective collective, const ChipGroup& group,
                                              std::optional<Algorithm> only = {}) const;
    // Of the best algorithm for long transfers, without what switches add up; others than the
    // direct one are looked at only where that takes more than `enough`.
    LinkSeconds seconds_per_byte(Collective collective, const ChipGroup& group,
                                 double enough) const;
    // Of what crosses between domains of `domain_chips` chips.
    LinkSeconds between(Collective collective, const ChipGroup& group, long domain_chips,
                        ExchangePath path) const;
    double farthest(const ChipGroup& group) const;  // hardware latency, s
    bool ports_decide() const { return ports_decide_; }

  private:
    TopologyStack stack_;
    bool reduces_, ports_decide_;
    mutable std::mutex mutex_;
    mutable std::map<std::tuple<Collective, ChipGroup, std::optional<Algorithm>>,
                     std::vector<CollectiveTerms>>
        known_;
    mutable std::map<std::tuple<Collective, ChipGroup, long, ExchangePath>, LinkSeconds> between_;
    mutable std::map<ChipGroup, double> farthest_;
    mutable std::map<std::pair<Collective, ChipGroup>, LinkSeconds> least_;
};

}  // namespace podsim
