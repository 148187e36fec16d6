#include "sim/placed_groups.hpp"

#include <algorithm>
#include <map>

namespace podsim {

std::vector<int> domain_counts(const std::vector<int>& ranks, long domain_ranks) {
    std::map<long, int> of;
    for (const int rank : ranks) ++of[rank / domain_ranks];
    std::vector<int> sorted;
    for (const auto& [domain, count] : of) sorted.push_back(count);
    std::sort(sorted.begin(), sorted.end());
    return sorted;
}

namespace {

// Of as many ranks from the first one on.
std::vector<int> aligned_counts(long members, long stride, long domain_ranks) {
    std::vector<int> ranks;
    for (long i = 0; i < members; ++i) ranks.push_back(static_cast<int>(i * stride));
    return domain_counts(ranks, domain_ranks);
}

}  // namespace

std::optional<int> stride_cut_alike(const std::vector<int>& group, int stride, long domain_ranks,
                                    long total_ranks) {
    const auto members = static_cast<long>(group.size());
    const std::vector<int> here = domain_counts(group, domain_ranks);
    if (members < 2 || here == aligned_counts(members, stride, domain_ranks)) return stride;
    if (here.front() != here.back()) return std::nullopt;
    const long each = here.front();
    const long other = here.size() == 1 ? (domain_ranks - 1) / (members - 1) : domain_ranks / each;
    if (other < 1 || aligned_counts(members, other, domain_ranks) != here ||
        (members - 1) * other >= total_ranks)
        return std::nullopt;
    return static_cast<int>(other);
}

int stride_of_smallest_part(const std::vector<int>& group, long domain_ranks, long total_ranks) {
    const auto members = static_cast<long>(group.size());
    const long fewest = domain_counts(group, domain_ranks).front();
    const long apart = std::max(1L, domain_ranks / fewest);
    return static_cast<int>(
        std::max(1L, std::min(apart, (total_ranks - 1) / std::max(1L, members - 1))));
}

}  // namespace podsim
