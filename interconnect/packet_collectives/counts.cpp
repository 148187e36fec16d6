#include "interconnect/packet_collectives/counts.hpp"

#include <algorithm>
#include <cmath>

#include "interconnect/collective_work.hpp"
#include "interconnect/packet_collectives/steps.hpp"

namespace podsim {

namespace packet_collectives {

namespace {

int between_one_and(int most, double pieces) {
    return std::clamp(static_cast<int>(std::min(pieces, 1e6)), 1, std::max(1, most));
}

}  // namespace

// Many pieces of many ranks would be more messages than links are worth.
int pieces_of(const PacketCollectiveSpec& spec, double bytes) {
    constexpr double kEnoughMessages = 2e6;
    const double inner = std::max(1, spec.layout.inner), ranks = spec.ranks;
    const double of_a_piece = podsim::passes(spec.collective) * ranks * (2 * inner + ranks / inner);
    return between_one_and(
        spec.most_pieces,
        std::min(bytes / spec.least_piece.value(), std::max(16.0, kEnoughMessages / of_a_piece)));
}

bool gathers_part_by_part(const PacketCollectiveSpec& spec) {
    return gathers(spec.collective) && !scatters(spec.collective) && spec.layout.sizes.empty() &&
           spec.layout.inner > 1 && spec.most_pieces > 1;
}

std::size_t pieces_of_parts(const PacketCollectiveSpec& spec, std::size_t groups) {
    const auto pieces = static_cast<std::size_t>(pieces_of(spec, spec.size.value() / spec.ranks));
    return (pieces + groups - 1) / groups;
}

int rings_of(const PacketCollectiveSpec& spec, double bytes) {
    return between_one_and(std::min(4, spec.most_pieces), bytes / spec.least_link.value());
}

int tree_pieces_of(const PacketCollectiveSpec& spec) {
    return between_one_and(spec.most_links / 8, spec.size / 2 / spec.least_link);
}

int row_pieces_of(const PacketCollectiveSpec& spec, std::size_t parts) {
    return between_one_and(spec.most_links / static_cast<int>(parts),
                           spec.size / spec.least_link / static_cast<double>(parts));
}

}  // namespace packet_collectives

namespace {

// Messages of a chain, and of the pieces of its rows.
double links_of_chain(const PacketCollectiveSpec& spec) {
    return std::min<double>(spec.most_links + spec.layout.inner,
                            spec.size / spec.least_link + spec.layout.inner);
}

}  // namespace

double most_messages(const PacketCollectiveSpec& spec) {
    const double ranks = spec.ranks, inner = std::max(1, spec.layout.inner),
                 walks = std::max(1, spec.exchange.walks), size = spec.size.value();
    const double passes = podsim::passes(spec.collective);
    double sides = 0;
    for (const RankSide& side : spec.layout.sides) sides += static_cast<double>(side.members);
    if (spec.scatters_first) {
        PacketCollectiveSpec gather = spec;
        gather.scatters_first = false;
        gather.collective = Collective::all_gather;
        return most_messages(gather) +
               2 * ranks * static_cast<double>(std::max<std::size_t>(1, spec.layout.sides.size()));
    }
    if (spec.collective == Collective::broadcast && spec.algorithm == Algorithm::direct)
        return ranks;
    if (spec.collective == Collective::broadcast && spec.algorithm == Algorithm::ring)
        return ranks * links_of_chain(spec);
    switch (spec.algorithm) {
        case Algorithm::direct:
            return passes * ranks * ranks * walks;
        case Algorithm::hierarchical:
            return passes * ranks * (inner + ranks / inner) * walks *
                   (spec.in_pieces ? packet_collectives::pieces_of(spec, size / inner) : 1);
        case Algorithm::ring:
            if (packet_collectives::gathers_part_by_part(spec)) {
                const double groups = std::ceil(ranks / inner);
                return ranks * (groups + groups * inner * walks) *
                       static_cast<double>(packet_collectives::pieces_of_parts(
                           spec, static_cast<std::size_t>(groups)));
            }
            return inner > 1 ? passes * ranks * (2 * inner * walks + ranks / inner) *
                                   packet_collectives::pieces_of(spec, size / ranks)
                             : passes * ranks * ranks * (spec.layout.is_torus ? 2 : 1) *
                                   packet_collectives::rings_of(spec, size / ranks);
        case Algorithm::halving_doubling:
            return passes * ranks * std::log2(ranks);
        case Algorithm::tree:
            return passes * 2 * ranks * packet_collectives::tree_pieces_of(spec);
        case Algorithm::dimension_wise:
            return passes * ranks * sides * 2 * static_cast<double>(spec.layout.sides.size()) *
                   walks;
        case Algorithm::in_switch:
            break;
    }
    return 0;
}

}  // namespace podsim
