#include "sim/placed_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace podsim {

std::vector<int> domain_counts(const std::vector<int>& ranks, long from, long domain_ranks) {
    std::map<long, int> of;
    for (const int rank : ranks) ++of[(rank - from) / domain_ranks];
    std::vector<int> sorted;
    for (const auto& [domain, count] : of) sorted.push_back(count);
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

namespace {

std::vector<int> counts(int members, long stride, long first, long domain_ranks) {
    std::vector<int> ranks;
    for (long i = 0; i < members; ++i) ranks.push_back(static_cast<int>(first + i * stride));
    return domain_counts(ranks, 0, domain_ranks);
}

}  // namespace

std::optional<int> stride_cut_alike(int members, int stride, int first, long domain_ranks,
                                    long total_ranks) {
    const std::vector<int> here = counts(members, stride, first, domain_ranks);
    if (here == counts(members, stride, 0, domain_ranks)) return stride;
    if (here.front() != here.back()) return std::nullopt;
    const long each = here.front();
    const long other = here.size() == 1 ? (domain_ranks - 1) / (members - 1) : domain_ranks / each;
    if (other < 1 || counts(members, other, 0, domain_ranks) != here ||
        (members - 1) * other >= total_ranks)
        return std::nullopt;
    return static_cast<int>(other);
}

std::optional<TraceProgram> cut_as_placed(const TraceProgram& traced, long domain_ranks,
                                          long total_ranks, std::string& warning) {
    const auto& transfers = traced.program.transfers;
    std::vector<std::pair<std::size_t, int>> changed;
    std::size_t cut = 0, odd = transfers.size();
    for (std::size_t t = 0; t < transfers.size(); ++t) {
        const int first = t < traced.first_ranks.size() ? traced.first_ranks[t] : -1;
        if (first < 0 || transfers[t].group_ranks < 2) continue;
        const auto stride = stride_cut_alike(transfers[t].group_ranks, transfers[t].stride, first,
                                             domain_ranks, total_ranks);
        if (!stride) {
            if (cut++ == 0) odd = t;
        } else if (*stride != transfers[t].stride) {
            changed.emplace_back(t, *stride);
        }
    }
    if (cut > 0) {
        warning = fmt::format(
            "{} of {} kinds of transfers begin inside a scale-up domain of {} ranks, which parts "
            "them unevenly; they take as long as from a domain's first rank on (the first: {} of "
            "{} ranks from rank {} on)",
            cut, transfers.size(), domain_ranks, transfers[odd].name, transfers[odd].group_ranks,
            traced.first_ranks[odd]);
    }
    if (changed.empty()) return std::nullopt;
    TraceProgram placed = traced;
    for (const auto& [t, stride] : changed) placed.program.transfers[t].stride = stride;
    return placed;
}

}  // namespace podsim
