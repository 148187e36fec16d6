#include "interconnect/coflow.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "interconnect/fullest_link.hpp"
#include "interconnect/link_ratio.hpp"

namespace podsim {

namespace {

// What the mean member sends and receives; of a message, which has no others to share links with,
// what its ends do.
TransferShare mean_of(TransferType type, const std::vector<TransferShare>& parts) {
    TransferShare mean;
    if (type == TransferType::send_recv) {
        for (const TransferShare& part : parts)
            mean = {1, max(mean.send, part.send), max(mean.receive, part.receive)};
        return mean;
    }
    for (const TransferShare& part : parts) {
        mean.ranks += part.ranks;
        mean.send += static_cast<double>(part.ranks) * part.send;
        mean.receive += static_cast<double>(part.ranks) * part.receive;
    }
    mean.send /= static_cast<double>(mean.ranks);
    mean.receive /= static_cast<double>(mean.ranks);
    return mean;
}

// The classes that take part; one when all ranks are alike.
std::vector<TransferShare> parts_of(const Transfer& t) {
    if (!t.shares.empty()) return t.shares;
    return {{t.group_ranks, t.size, t.size}};
}

// What padding every message to a multiple of `alignment` multiplies the bytes by. Messages are
// tokens, equal in size: one factor for all classes.
double padding(const Transfer& t, Bytes alignment) {
    if (alignment <= Bytes(0.0) || t.messages_per_rank <= 0 || t.size <= Bytes(0.0)) return 1.0;
    const Bytes message = t.size / t.messages_per_rank;
    // A quotient a rounding error above a whole number is that number.
    const double blocks = std::ceil(message / alignment * (1.0 - 1e-9));
    return std::max(1.0, blocks * alignment / message);
}

// Rates a library attains on a rank's ports for messages of one transfer: the fullest plane
// decides, and every message costs its own time beside that of its bytes.
struct PortRates {
    BytesPerSecond up, out;
};

BytesPerSecond with_messages(BytesPerSecond rate, Seconds per_message, const Transfer& t) {
    if (per_message <= Seconds(0.0) || t.messages_per_rank <= 0 || t.size <= Bytes(0.0))
        return rate;
    const Bytes message = t.size / t.messages_per_rank;
    return message / (message / rate + per_message);
}

PortRates rates_of(const Transfer& t, const RankFabric& fabric, const TransferProtocol& protocol,
                   Seconds per_message) {
    // All wait for the fullest plane of any member's port, out or in.
    const auto fullest = [&](PlaneBalance balance, long planes) {
        return balance == PlaneBalance::packet
                   ? 1.0
                   : fullest_link(t.messages_per_rank, planes, 2.0 * t.group_ranks);
    };
    const double up_planes = fullest(fabric.scale_up_balance, fabric.scale_up_planes);
    const double out_planes = fullest(fabric.scale_out_balance, fabric.scale_out_planes);
    const auto rate = [&](BytesPerSecond port, double efficiency, double planes) {
        return with_messages(port * efficiency / planes, per_message, t);
    };
    return {rate(fabric.scale_up, protocol.scale_up_efficiency, up_planes),
            rate(fabric.scale_out, protocol.scale_out_efficiency, out_planes)};
}

// A member's bytes on links inside the fabric that are `ratio` times as full as ports where all
// members send alike. Links that many share carry what the mean member sends, and of what a busier
// one has beyond that a part each; where chips pass on for each other, its own links, as wide as
// its port, carry the others' bytes beside it.
Seconds on_links(double ratio, double shared, Seconds own, Seconds mean) {
    if (own <= mean) return ratio * own;
    if (shared <= 1) return ratio * mean + std::min(1.0, ratio) * (own - mean);
    return max(std::min(1.0, ratio) * own, ratio * (mean + (own - mean) / shared));
}

CoflowShare share_of(const TransferShare& part, const TransferShare& mean, const Reach& reach,
                     const PortRates& rates, const LinkRatio& links, const std::string& name) {
    CoflowShare share;
    share.ranks = part.ranks;
    share.local = reach.self * part.send;
    Seconds even[kPorts];  // the mean member's port times
    const auto put = [&](Port port, double crossing, Bytes own, Bytes of_mean) {
        const bool up = port == Port::scale_up_send || port == Port::scale_up_receive;
        const BytesPerSecond rate = up ? rates.up : rates.out;
        const int i = static_cast<int>(port);
        share.bytes[i] = crossing * own;
        if (share.bytes[i] <= Bytes(0.0)) return;
        if (!(rate > BytesPerSecond(0.0))) {
            throw std::invalid_argument(
                fmt::format("{}: {} bytes must cross {} links, and there are none", name,
                            share.bytes[i].value(), up ? "scale-up" : "scale-out"));
        }
        share.port_time[i] = share.bytes[i] / rate;
        even[i] = crossing * of_mean / rate;
        share.wire = max(
            share.wire, on_links(up ? links.up : links.out, up ? links.up_shared : links.out_shared,
                                 share.port_time[i], even[i]));
        share.carried = share.wire;
    };
    put(Port::scale_up_send, reach.up, part.send, mean.send);
    put(Port::scale_up_receive, reach.up, part.receive, mean.receive);
    put(Port::scale_out_send, reach.out, part.send, mean.send);
    put(Port::scale_out_receive, reach.out, part.receive, mean.receive);
    const auto put_links = [&](const std::vector<LinkUse>& uses, double shared, Port send,
                               Port receive) {
        const int s = static_cast<int>(send), r = static_cast<int>(receive);
        if (max(share.port_time[s], share.port_time[r]) <= Seconds(0.0)) return;
        for (const LinkUse& use : uses) {
            share.links.push_back(
                {use.link, max(on_links(use.ratio, shared, share.port_time[s], even[s]),
                               on_links(use.ratio, shared, share.port_time[r], even[r]))});
        }
    };
    put_links(links.up_uses, links.up_shared, Port::scale_up_send, Port::scale_up_receive);
    put_links(links.out_uses, links.out_shared, Port::scale_out_send, Port::scale_out_receive);
    return share;
}

// Software, and the wire's: the level's latency, or that of the farthest members where the topology
// has them farther apart; of an algorithm that is asked for all of its steps, one after the other.
// What a library was fitted on has the steps of its own in it.
Seconds latency_of(const Transfer& t, const RankFabric& fabric, const TransferHabits& habits,
                   const TransferProtocol& protocol, const LinkRatio& links, bool leaves_domain) {
    if (t.group_ranks == 1) return Seconds(0.0);
    const Seconds level = leaves_domain ? fabric.scale_out_latency : fabric.scale_up_latency;
    Seconds wire = max(level, leaves_domain ? links.out_latency : links.up_latency);
    if (habits.record.rows == 0) wire = max(wire, links.steps);
    return protocol.base + static_cast<double>(t.group_ranks - 1) * protocol.per_peer +
           std::max(0.0, std::log2(t.group_ranks / 8.0)) * habits.per_doubling +
           static_cast<double>(t.experts) * habits.per_expert + wire;
}

// What cores need for the tokens of a rank that sends `t.size`, beside the ports: each core takes
// its tokens one after the other. Kernels start one core an expert, up to what the chip gives them.
Seconds sending_time(const Transfer& t, const TransferHabits& habits) {
    if (t.copies == 0 || t.group_ranks == 1) return Seconds(0.0);
    const double tokens = t.messages_per_rank / static_cast<double>(t.copies);
    long cores = std::max(1L, habits.senders);
    if (t.experts > 0) cores = std::min(cores, t.experts);
    return tokens / static_cast<double>(cores) * habits.per_token;
}

// Where the switches of a domain add up, a rank sends its S once and S/L of the sum, which the
// switches copy to all; and takes in as much (NVLink SHARP). In units of what a ring's pass sends.
double up_passes(TransferType type, const TransferProtocol& protocol, const Placement& p) {
    if (!protocol.in_switch || p.largest <= 1) return passes(type);
    return (1.0 + 1.0 / p.largest) * p.largest / (p.largest - 1.0);
}

// What cutting a message into chunks costs beside its bytes, and copying the part that stays.
Seconds in_chunks(const TransferProtocol& protocol, const Transfer& t, const Placement& placement,
                  const CoflowShare& share) {
    Seconds more(2 * std::sqrt(share.wire.value() * protocol.per_chunk.value()));
    if (protocol.copy_bandwidth > BytesPerSecond(0.0))
        more += t.size / placement.members / protocol.copy_bandwidth;
    return more;
}

Coflow coflow_by(const TransferProtocol& protocol, const Transfer& t, const RankFabric& fabric,
                 const TransferHabits& habits, const Placement& placement, const LinkRatio& links) {
    Reach reach = habits.merges_copies && t.group_ranks > 1 ? reach_of_merged(t, placement)
                                                            : reach_of_asked(t, placement);
    if (habits.local_over_scale_out) reach = {reach.self, 0.0, reach.up + reach.out};
    reach.up *= up_passes(t.type, protocol, placement);
    reach.out *= passes(t.type);
    const PortRates rates = rates_of(t, fabric, protocol, habits.per_message);
    const double factor = padding(t, habits.message_alignment);

    Coflow coflow;
    coflow.record = &habits.record;
    coflow.in_switch = protocol.in_switch;
    coflow.padding = factor;
    coflow.latency = latency_of(t, fabric, habits, protocol, links,
                                placement.domains > 1 || habits.local_over_scale_out);
    TransferShare mean = mean_of(t.type, parts_of(t));
    mean.send *= factor;
    mean.receive *= factor;
    for (TransferShare part : parts_of(t)) {
        part.send *= factor;
        part.receive *= factor;
        coflow.shares.push_back(share_of(part, mean, reach, rates, links, t.name));
        if (habits.per_token > Seconds(0.0) && t.size > Bytes(0.0)) {
            coflow.shares.back().wire +=
                max(part.send, part.receive) / (factor * t.size) * sending_time(t, habits);
        }
        // Channels to all peers run at a time, each with its part.
        if (t.group_ranks > 1 && protocol.peer_bandwidth > BytesPerSecond(0.0)) {
            Seconds& wire = coflow.shares.back().wire;
            wire = max(wire,
                       max(part.send, part.receive) / placement.members / protocol.peer_bandwidth);
        }
    }
    if (t.group_ranks > 1) {
        for (CoflowShare& share : coflow.shares)
            share.wire += in_chunks(protocol, t, placement, share);
    }
    return coflow;
}

Seconds alone(const Coflow& coflow) {
    Seconds wire(0.0);
    for (const CoflowShare& share : coflow.shares) wire = max(wire, share.wire);
    return coflow.latency + wire;
}

bool asks_switches(const Transfer& t) {
    return asks(t, Algorithm::in_switch);
}

TransferWay way_of(const Transfer& t, const TransferHabits& habits, const Placement& placement) {
    TransferWay way;
    way.in_domain = static_cast<long>(placement.largest);
    way.least_in_domain = static_cast<long>(placement.smallest);
    if (habits.merges_copies || asks(t, Algorithm::hierarchical))
        way.path = ExchangePath::equal_places;
    way.local_over_scale_out = habits.local_over_scale_out;
    return way;
}

void put_links(const LinkRatio& placed, LinkRatio& links) {
    links.up = placed.up;
    links.out = placed.out;
    links.up_uses = placed.up_uses;
    links.out_uses = placed.out_uses;
}

void require_fits(const Transfer& t, long total_ranks) {
    require_valid(t);
    const long span = static_cast<long>(t.group_ranks - 1) * t.stride + 1;
    if (span > total_ranks) {
        throw std::invalid_argument(fmt::format("{}: a group that spans {} ranks, the pool has {}",
                                                t.name, span, total_ranks));
    }
}

}  // namespace

namespace {

// Where a group sits: how it parts over domains, its first chip in the pool, and in its domain the
// first one of the largest part.
struct PlacedGroup {
    Placement placement;
    int first = 0, first_in_domain = 0;
};

PlacedGroup placed_group(const std::vector<int>& ranks, const RankFabric& fabric) {
    PlacedGroup placed;
    placed.placement = placement_of(ranks, fabric.domain_ranks);
    const int per_chip = std::max(1, fabric.ranks_per_chip);
    placed.first = *std::min_element(ranks.begin(), ranks.end()) / per_chip;
    std::map<long, std::pair<long, int>> parts;  // of a domain: members, the first of them
    for (const int rank : ranks) {
        auto& [members, first] =
            parts.try_emplace(rank / fabric.domain_ranks, 0, rank).first->second;
        ++members;
        first = std::min(first, rank);
    }
    long most = 0;
    for (const auto& [domain, part] : parts) {
        if (part.first <= most) continue;
        most = part.first;
        placed.first_in_domain =
            static_cast<int>((part.second - domain * fabric.domain_ranks) / per_chip);
    }
    return placed;
}

Coflow coflow_of(const Transfer& t, const RankFabric& fabric, const CollectiveLibrarySpec& library,
                 const PlacedGroup& group, const LinkRatio* placed) {
    const TransferHabits& habits = transfer_habits(library, t.type);
    if (habits.merges_copies && t.copies == 0 && t.group_ranks > 1) {
        throw std::invalid_argument(
            fmt::format("{}: {} merges the copies of a token, and how many there are is not said",
                        t.name, library.name));
    }
    const Placement& placement = group.placement;
    TransferWay way = way_of(t, habits, placement);
    way.placed = placed != nullptr;
    way.first = group.first;
    way.first_in_domain = group.first_in_domain;
    LinkRatio links = link_ratio(t, fabric, way);
    if (placed != nullptr) put_links(*placed, links);
    std::optional<Coflow> best;
    for (const TransferProtocol& protocol : protocols_of(habits)) {
        if (protocol.in_switch && !fabric.scale_up_reduces) continue;
        if (!t.algorithm.empty() && protocol.in_switch != asks_switches(t)) continue;
        Coflow coflow = coflow_by(protocol, t, fabric, habits, placement, links);
        if (!best || alone(coflow) < alone(*best)) best = std::move(coflow);
    }
    if (!best && !t.algorithm.empty()) {
        throw std::invalid_argument(fmt::format(
            "{}: {} does not do it by algorithm {}{}", t.name, library.name, t.algorithm,
            asks_switches(t) && !fabric.scale_up_reduces ? ": its switches do not add up" : ""));
    }
    if (!best) {
        throw std::invalid_argument(
            fmt::format("{}: all protocols of {} need switches that add up, and these do not",
                        t.name, library.name));
    }
    if (t.group_ranks > 1) best->latency += max(Seconds(0.0), habits.least - alone(*best));
    best->placement = placement;
    best->outside = outside_fit(t, habits.ranges);
    if (library.transfers.count(t.type) == 0)
        best->outside.push_back({t.type, FitQuantity::type, 0, 0, 0});
    return std::move(*best);
}

}  // namespace

Coflow make_coflow(const Transfer& t, const RankFabric& fabric,
                   const CollectiveLibrarySpec& library, long total_ranks) {
    require_fits(t, total_ranks);
    return coflow_of(t, fabric, library, {placement_of(t, fabric)}, nullptr);
}

Coflow make_coflow(const Transfer& t, const RankFabric& fabric,
                   const CollectiveLibrarySpec& library,
                   const std::vector<std::vector<int>>& groups, const LinkRatio& placed) {
    require_valid(t);
    std::optional<Coflow> longest;
    std::set<std::tuple<double, double, double>> known;  // ways to part
    for (const std::vector<int>& ranks : groups) {
        const PlacedGroup group = placed_group(ranks, fabric);
        const Placement& p = group.placement;
        if (!known.emplace(p.domains, p.largest, p.smallest).second) continue;
        Coflow coflow = coflow_of(t, fabric, library, group, &placed);
        if (!longest || alone(*longest) < alone(coflow)) longest = std::move(coflow);
    }
    if (!longest) throw std::invalid_argument(t.name + ": no group of ranks moves by it");
    return std::move(*longest);
}

Confidence basis_of(const Coflow& coflow) {
    const Confidence basis = coflow.record->basis;
    return coflow.outside.empty() ? basis : std::max(basis, Confidence::derived);
}

std::vector<Seconds> completion_times(const Coflow& coflow, const std::vector<Seconds>& entries) {
    if (entries.size() != coflow.shares.size()) {
        throw std::invalid_argument(
            fmt::format("{} entry times for {} classes", entries.size(), coflow.shares.size()));
    }
    Seconds last(0.0);
    for (const Seconds entry : entries) last = max(last, entry);
    std::vector<Seconds> ends;
    for (const auto& share : coflow.shares) ends.push_back(last + coflow.latency + share.wire);
    return ends;
}

Seconds wire_bound(const Transfer& t, const RankFabric& fabric, long total_ranks) {
    require_fits(t, total_ranks);
    return wire_bound(t, fabric, placement_of(t, fabric));
}

Seconds wire_bound(const Transfer& t, const RankFabric& fabric, const Placement& placement) {
    if (t.group_ranks == 1) return Seconds(0.0);
    double out = passes(t.type) * reach_of(t.type, placement).out;
    double crossing = bus_factor(t.type, t.group_ranks);
    if (fabric.scale_up_reduces && t.type == TransferType::all_reduce) {
        out /= 2;  // what is not added up on the way out, or copied on the way in, crosses once
        crossing /= 2;
    }
    if (t.copies > 0) {  // copies of a token for one rank, or one domain, may travel as one
        const Reach merged = reach_of_merged(t, placement);
        out = std::min(out, merged.out);
        crossing = std::min(crossing, (placement.members - 1) * merged.self);
    }
    Seconds bound(0.0);
    for (const TransferShare& part : parts_of(t)) {
        const Bytes volume = max(part.send, part.receive);
        if (crossing * volume > Bytes(0.0))
            bound = max(bound, crossing * volume / (fabric.scale_up + fabric.scale_out));
        if (out * volume > Bytes(0.0)) bound = max(bound, out * volume / fabric.scale_out);
    }
    return bound;
}

}  // namespace podsim
