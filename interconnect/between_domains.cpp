#include "interconnect/between_domains.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <vector>

#include "interconnect/collective_work.hpp"

namespace podsim {

CollectiveTerms shifted_terms(const TopologyStack& stack, const ChipGroup& group) {
    // A domain of one chip: every message leaves it.
    return between_domains(stack, Collective::send_recv, group, 1, ExchangePath::pairwise);
}

std::vector<Flow> to_next_domains(const std::map<long, std::vector<int>>& domains, bool is_chain) {
    double members = 0;
    for (const auto& [number, here] : domains) members += static_cast<double>(here.size());
    std::vector<Flow> flows;
    for (auto from = domains.begin(); from != domains.end(); ++from) {
        const auto next = std::next(from);
        if (is_chain && next == domains.end()) break;
        const std::vector<int>& to = (next == domains.end() ? domains.begin() : next)->second;
        const double here = static_cast<double>(to.size());
        for (std::size_t k = 0; k < to.size(); ++k)
            flows.push_back({from->second[k % from->second.size()], to[k],
                             (is_chain ? 1 : (members - here) / members) / here});
    }
    return flows;
}

CollectiveTerms between_domains(const TopologyStack& stack, Collective collective,
                                const ChipGroup& group, long domain_chips, ExchangePath path) {
    CollectiveTerms terms;
    const CollectiveWork work(stack, group);
    const std::vector<int>& chips = work.chips();
    std::map<long, std::vector<int>> domains;
    for (const int chip : chips) domains[chip / domain_chips].push_back(chip);
    if (domains.size() < 2) return terms;
    if (collective == Collective::all_to_all) {
        const std::size_t each = chips.size() / domains.size();
        const bool equal = std::all_of(domains.begin(), domains.end(), [each](const auto& domain) {
            return domain.second.size() == each;
        });
        if (path == ExchangePath::pairwise || !equal) {
            work.exchange(terms, 1, domain_chips);
            return terms;
        }
        // Groups of one place are siblings: each begins at another chip of the first domain.
        const int step = chips[each] - chips.front();
        const ChipGroup places{static_cast<int>(domains.size()), step, group.first,
                               std::min(step, static_cast<int>(domain_chips))};
        CollectiveWork(stack, places).exchange(terms, 1);
        return terms;
    }
    std::vector<Flow> flows;
    if (collective == Collective::send_recv) {
        for (std::size_t i = 0; i < chips.size(); ++i) {
            const int next = chips[(i + 1) % chips.size()];
            if (chips[i] / domain_chips != next / domain_chips)
                flows.push_back({chips[i], next, 1.0});
        }
    } else {
        flows = to_next_domains(domains, collective == Collective::broadcast);
    }
    work.step(terms, flows, 1);
    return terms;
}

}  // namespace podsim
