// Groups of a trace that begin inside a scale-up domain. What crosses ports is worked out for
// groups that begin with a domain (interconnect/coflow): here a group gets the stride at which such
// a one has as many members in each domain as it has where it sits.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "workloads/trace_program.hpp"

namespace podsim {

// How many of the ranks each domain has, the fewest first, where domains begin at rank `from`.
std::vector<int> domain_counts(const std::vector<int>& ranks, long from, long domain_ranks);

// Of `members` ranks from `first` on, every stride-th, among domains of `domain_ranks`: the stride,
// its own where nothing changes; none where no stride cuts a group as this one is. A pair on both
// sides of a border is a domain apart, a group of two and two half a domain.
std::optional<int> stride_cut_alike(int members, int stride, int first, long domain_ranks,
                                    long total_ranks);

// The program with those strides; none where all stay. `warning` is what could not be placed so,
// or stays empty.
std::optional<TraceProgram> cut_as_placed(const TraceProgram& traced, long domain_ranks,
                                          long total_ranks, std::string& warning);

}  // namespace podsim
