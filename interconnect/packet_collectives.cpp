#include "interconnect/packet_collectives.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "interconnect/collective_work.hpp"
#include "interconnect/packet_collectives/algorithms.hpp"
#include "interconnect/packet_collectives/chains.hpp"
#include "interconnect/packet_collectives/near_groups.hpp"
#include "interconnect/packet_collectives/steps.hpp"

namespace podsim {

namespace {

// Of what near groups do before or after the rings between them.
std::string without_messages_within(const PacketCollectiveSpec& spec) {
    PacketCollectiveSpec part = spec;
    part.algorithm = spec.layout.within;
    part.ranks = spec.layout.inner;
    part.layout = spec.layout.group.empty() ? RankLayout{} : spec.layout.group.front();
    const bool tree = part.algorithm == Algorithm::tree;
    part.scatters_first = false;
    if (spec.scatters_first) part.collective = Collective::all_gather;
    if (!tree && part.collective == Collective::all_reduce)  // a part at each member in between
        part.collective = Collective::reduce_scatter;
    return without_messages(part);
}

// The first rank gives everybody his part; when all have theirs they gather. Who began before would
// be in other steps than the rest, and rings of one dimension in the way of those of another. Of
// near groups each place gets what is for its equals in all groups, and passes it on.
PacketTraffic after_scatter(PacketTraffic gather, const PacketCollectiveSpec& spec) {
    PacketTraffic traffic;
    std::vector<int> parts;
    const auto give = [&](int from, int to, double share, std::vector<int> after) {
        PacketMessage part;
        part.source = from;
        part.destination = to;
        part.size = spec.size * share;
        part.collective = spec.exchange.collective;
        part.after = std::move(after);
        traffic.push_back(std::move(part));
        return static_cast<int>(traffic.size()) - 1;
    };
    const int ranks = spec.ranks;
    const int inner = spec.algorithm == Algorithm::hierarchical ? spec.layout.inner : ranks;
    for (int place = 0; place < inner; ++place) {
        std::vector<int> came;
        if (place > 0) came = {give(0, place, 1.0 / inner, {})};
        parts.insert(parts.end(), came.begin(), came.end());
        for (int to = place + inner; to < ranks; to += inner)
            parts.push_back(give(place, to, 1.0 / ranks, came));
    }
    const auto before_all = static_cast<int>(traffic.size());
    for (PacketMessage& message : gather) {
        for (int& before : message.after) before += before_all;
        if (message.after.empty()) message.after = parts;
        traffic.push_back(std::move(message));
    }
    return traffic;
}

}  // namespace

std::string without_messages(const PacketCollectiveSpec& spec) {
    const bool gather = is_gather(spec.collective) || spec.scatters_first;
    const auto of = [&](const char* what) {
        return fmt::format("algorithm {} {}", to_string(spec.algorithm), what);
    };
    long product = 1;
    for (const RankSide& side : spec.layout.sides) product *= side.members;
    const std::vector<int>& sizes = spec.layout.sizes;
    switch (spec.algorithm) {
        case Algorithm::in_switch:
            return "the switches add up, and packets' switches do not";
        case Algorithm::direct:
            // Every message of the second pass waits for P - 1 of the first.
            return spec.collective == Collective::all_reduce && spec.ranks > 256
                       ? of("of more than 256 ranks has too many messages that wait for others")
                       : "";
        case Algorithm::halving_doubling:
            if (!gather) return of("is of all_reduce, all_gather and reduce_scatter");
            return (spec.ranks & (spec.ranks - 1)) != 0 ? of("wants a power of two of ranks") : "";
        case Algorithm::tree:
            return spec.collective == Collective::all_reduce ||
                           (spec.collective == Collective::broadcast && !spec.scatters_first)
                       ? ""
                       : of("is of all_reduce and broadcast");
        case Algorithm::dimension_wise:
            return gather && product == spec.ranks && !spec.layout.sides.empty()
                       ? ""
                       : of("wants ranks that fill a torus or a mesh");
        case Algorithm::hierarchical:
            return (gather || spec.collective == Collective::all_to_all) && spec.layout.inner > 1 &&
                           spec.ranks % spec.layout.inner == 0 && sizes.empty()
                       ? ""
                       : of("wants equal groups of ranks that are near");
        case Algorithm::ring:
            if (spec.collective == Collective::all_to_all) return of("is of gathers");
            if (!gather && !sizes.empty() && spec.collective == Collective::broadcast)
                return of("of a broadcast wants as many ranks in each domain");
            if (spec.scatters_first && !sizes.empty())
                return of("after a scatter wants as many ranks in each domain");
            return gather && spec.layout.inner > 1 ? without_messages_within(spec) : "";
    }
    return "";
}

PacketTraffic collective_traffic(const PacketCollectiveSpec& spec) {
    if (spec.ranks < 2) throw std::invalid_argument("a collective wants two ranks at least");
    if (const std::string why = without_messages(spec); !why.empty())
        throw std::invalid_argument(why);
    packet_collectives::Pipeline pipeline = packet_collectives::pipeline_of(spec);
    pipeline.joins = packet_collectives::joins_of(spec);
    PacketTraffic traffic = packet_collectives::messages_of(
        packet_collectives::chains_of(spec), pipeline, spec.ranks, spec.exchange.collective);
    // Rings in two levels scatter along rows of groups themselves.
    const bool rows = spec.algorithm == Algorithm::ring && spec.layout.inner > 1;
    if (!spec.scatters_first || rows) return traffic;
    return after_scatter(std::move(traffic), spec);
}

}  // namespace podsim
