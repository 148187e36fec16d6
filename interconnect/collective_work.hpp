// What the steps of a collective cost a group on a stack of topologies: bytes on every link,
// seconds a byte, latency. The algorithms (collective_algorithms) say who sends to whom.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

#include "interconnect/collective_algorithms.hpp"
#include "interconnect/routing.hpp"
#include "interconnect/topology.hpp"

namespace podsim {

// A reduce-scatter and an all-gather of the same bytes, or one pass.
inline double passes(Collective collective) {
    return collective == Collective::all_reduce ? 2.0 : 1.0;
}

// Of which every member has a part in the end, or in the beginning.
inline bool is_gather(Collective collective) {
    return collective == Collective::all_reduce || collective == Collective::all_gather ||
           collective == Collective::reduce_scatter;
}

// Chips of a stack as chips of one group of a level.
struct Placed {
    std::size_t level;
    int from, to;
};
Placed place_of(const TopologyStack& stack, int from, int to);

// Above, patterns of pairs are left out.
inline constexpr std::size_t kMostFlows = 4096;
// Above, of siblings a part stands for all: a fabric is searched from each of their members.
inline constexpr std::size_t kMostSources = 1024;
inline constexpr std::size_t kSampledSources = 512;  // of those that stand for more

// Works out one algorithm after the other for one group and its siblings. Loads of inner groups are
// those of the group that has the first member; groups are alike.
class CollectiveWork {
  public:
    CollectiveWork(const TopologyStack& stack, const ChipGroup& group);

    // Only bytes a second are asked for, and those of algorithms that take less than this: a step
    // that can no longer be chosen is not worked out, and no latency is.
    void look_for_less_than(double seconds_per_byte) { most_ = seconds_per_byte; }

    // Members in an order in which neighbours are near.
    std::vector<int> near_order() const;

    // All flows at once, `times` times one after the other. Both directions round where asked.
    void step(CollectiveTerms& terms, const std::vector<Flow>& flows, double times) const;

    // Every member to every member, 1 byte a member in all, `times` times. What stays within a
    // domain of `domain_chips` chips goes other ways and is left out.
    void exchange(CollectiveTerms& terms, double times, long domain_chips = 1) const;

    // Hardware latency of each flow; zeros where only rates are asked for.
    std::vector<double> latencies(const std::vector<Flow>& flows) const;

    // Hardware latency of the farthest pair of members.
    double farthest_members() const;

    bool rates_alone() const { return most_ < std::numeric_limits<double>::infinity(); }
    const std::vector<int>& chips() const { return chips_; }
    const TopologyStack& stack() const { return stack_; }

  private:
    // Siblings that are looked at on a level.
    struct Sample {
        std::vector<int> shifts;  // from the group to them, 0 the first
        double each = 1;          // of them stands for so many
    };
    Sample sample_on(const TopologyStack::Level& level) const;

    // Of the members `here` of a level and of those of the siblings, between cells.
    LinkBytes siblings_loads(std::size_t level, const std::vector<int>& here, long cell) const;

    // Makes what the siblings that are looked at put on links what all do: a chip's own links carry
    // what it sends, those between switches the others' bytes too, evenly where all chips take
    // part.
    void stand_for_all(std::size_t level, LinkBytes& loads) const;

    // Of one level, whose number the members have there.
    double farthest_pair(std::size_t level, const std::vector<int>& members) const;

    const TopologyStack& stack_;
    ChipGroup group_;
    std::vector<int> chips_;
    std::vector<Sample> samples_;  // by level
    double most_ = std::numeric_limits<double>::infinity();
};

}  // namespace podsim
