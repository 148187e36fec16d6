// What a collective of a group puts on links that join domains; what stays within a domain goes
// over links of its own and is left out.
#pragma once

#include <map>
#include <vector>

#include "interconnect/collective_algorithms.hpp"

namespace podsim {

// When each member sends 1 byte to the next.
CollectiveTerms shifted_terms(const TopologyStack& stack, const ChipGroup& group);

// Who sends what a domain of chips has for members of others: each member to each of them, or the
// member that has the receiver's place in the row, once what its domain has for it is there.
enum class ExchangePath { pairwise, equal_places };

// From each domain to the next, of a size of 1 byte: every member takes in its part of what its
// domain lacks; in a chain, which does not close, of the whole.
std::vector<Flow> to_next_domains(const std::map<long, std::vector<int>>& domains, bool is_chain);

// What crosses from domain to domain of `domain_chips` chips, of a size of 1 byte: exchanges
// everywhere; all-gathers and reduce-scatters in rings that take in at every member of a domain its
// part of what the domain lacks, broadcasts in such a row; messages to the next member.
CollectiveTerms between_domains(const TopologyStack& stack, Collective collective,
                                const ChipGroup& group, long domain_chips, ExchangePath path);

}  // namespace podsim
