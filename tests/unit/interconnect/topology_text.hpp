// Topologies of tests, from the YAML that a user would write.
#pragma once

#include <string>

#include "interconnect/collective_algorithms.hpp"
#include "tests/support/readers.hpp"

namespace podsim {

inline TopologyStack stack_of(const std::string& yaml, long chips, double bandwidth,
                              long planes = 1) {
    return build_topology(read<TopologySpec>(parse_yaml(yaml, "topology.yaml"), "topology"), chips,
                          BytesPerSecond(bandwidth), planes, "topology");
}

inline const Topology& only(const TopologyStack& stack) {
    return stack.levels.back().topology;
}

inline std::vector<int> everyone(const Topology& topology) {
    std::vector<int> chips;
    for (int chip = 0; chip < topology.chips; ++chip) chips.push_back(chip);
    return chips;
}

inline CollectiveTerms terms_of(const TopologyStack& stack, Collective collective,
                                Algorithm algorithm, int members = 0) {
    ChipGroup group;
    group.members = members > 0 ? members : static_cast<int>(stack.levels.back().chips);
    for (const CollectiveTerms& terms : collective_terms(stack, collective, group, true))
        if (terms.algorithm == algorithm) return terms;
    throw std::logic_error("no such algorithm here: " + to_string(algorithm));
}

}  // namespace podsim
