// Groups of a trace that begin inside a scale-up domain. What crosses ports is worked out for
// groups that begin with a domain (interconnect/coflow): here a group gets the stride at which such
// a one has as many members in each domain as it has where it sits.
#pragma once

#include <optional>
#include <vector>

namespace podsim {

// How many of the ranks each domain has, the fewest first.
std::vector<int> domain_counts(const std::vector<int>& ranks, long domain_ranks);

// Of `group`, whose ranks are about `stride` apart, among domains of `domain_ranks`: the stride,
// its own where nothing changes; none where no stride cuts a group as this one is. A pair on both
// sides of a border is a domain apart, a group of two and two half a domain.
std::optional<int> stride_cut_alike(const std::vector<int>& group, int stride, long domain_ranks,
                                    long total_ranks);

// Where there is none: the stride at which a group that begins with a domain has as few members in
// each domain as this one has in the one with the fewest, whose ports carry most, or a few more
// where that divides no domain; as far apart as the pool allows.
int stride_of_smallest_part(const std::vector<int>& group, long domain_ranks, long total_ranks);

}  // namespace podsim
