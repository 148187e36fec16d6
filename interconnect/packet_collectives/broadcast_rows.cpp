#include "interconnect/packet_collectives/broadcast_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "interconnect/packet_collectives/counts.hpp"
#include "interconnect/packet_collectives/near_groups.hpp"
#include "interconnect/packet_collectives/steps.hpp"

namespace podsim::packet_collectives {

std::vector<Chain> rows(const PacketCollectiveSpec& spec) {
    const std::vector<int> order = near_order(spec);
    const auto inner = static_cast<std::size_t>(std::max(1, spec.layout.inner));
    const bool one_row = inner == 1;
    const std::size_t n = one_row ? order.size() : inner, groups = order.size() / n;
    const std::size_t parts = one_row ? 1 : inner;
    const int pieces = row_pieces_of(spec, parts);
    const double bytes = spec.size.value() / pieces / static_cast<double>(parts);
    std::vector<Chain> chains;
    for (int piece = 0; piece < pieces; ++piece) {
        for (std::size_t k = 0; k < parts; ++k) {
            Chain chain(n - 1 + (groups > 1 ? k + groups - 1 : 0));
            for (std::size_t j = 0; j + 1 < n; ++j)
                chain[j].push_back({order[j], order[j + 1], bytes});
            for (std::size_t g = 1; g < groups; ++g) {
                chain[k + g - 1].push_back({order[(g - 1) * n + k], order[g * n + k], bytes});
                for (std::size_t j = 0; j + 1 < n; ++j)
                    chain[k + g + j].push_back(
                        {order[g * n + (k + j) % n], order[g * n + (k + j + 1) % n], bytes});
            }
            chains.push_back(std::move(chain));
        }
    }
    return chains;
}

std::vector<Chain> scattered_rows(const PacketCollectiveSpec& spec) {
    const std::vector<int> order = near_order(spec);
    const auto n = static_cast<std::size_t>(spec.layout.inner);
    const std::size_t groups = order.size() / n;
    std::vector<std::size_t> group_of(order.size(), 0);
    for (std::size_t i = 0; i < order.size(); ++i)
        group_of[static_cast<std::size_t>(order[i])] = i / n;
    const int pieces = pieces_of(spec, spec.size.value() / spec.ranks);
    const double bytes = spec.size.value() / pieces, part = bytes / static_cast<double>(n);
    const Chain gather = within_groups(spec, bytes, false);
    Chain chain(groups + gather.size());
    for (std::size_t k = 1; k < n; ++k) chain[0].push_back({order[0], order[k], part, true});
    for (std::size_t g = 1; g < groups; ++g)
        for (std::size_t k = 0; k < n; ++k)
            chain[g].push_back({order[(g - 1) * n + k], order[g * n + k], part});
    for (std::size_t s = 0; s < gather.size(); ++s)
        for (const Send& send : gather[s])
            chain[group_of[static_cast<std::size_t>(send.from)] + 1 + s].push_back(send);
    return std::vector<Chain>(static_cast<std::size_t>(pieces), chain);
}

}  // namespace podsim::packet_collectives
