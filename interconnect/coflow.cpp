#include "interconnect/coflow.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace podsim {

namespace {

// Members of a group that share a scale-up domain: consecutive members lie `stride` ranks apart.
long local_members(const Transfer& t, const RankFabric& fabric) {
    return std::clamp(fabric.domain_ranks / static_cast<long>(t.stride), 1L,
                      static_cast<long>(t.group_ranks));
}

// Shares of a payload spread evenly over the group's members (the rank itself one of them).
struct Reach {
    double self, up, out;
};

Reach reach_of_all_to_all(double group, double local) {
    return {1.0 / group, (local - 1.0) / group, (group - local) / group};
}

// Ring over the local members, then over the domains with what one member holds, then back:
// bytes per rank for a buffer of `size` (one pass; an all-reduce is two).
Reach reach_of_gather(double group, double local) {
    const double domains = group / local;
    return {0.0, (local - 1.0) / local, (domains - 1.0) / domains / local};
}

struct Volume {
    Bytes send{0.0}, receive{0.0};
    Reach reach{0, 0, 0};
};

Volume volume_of(const Transfer& t, const TransferShare* share, double local) {
    const double group = t.group_ranks;
    switch (t.type) {
        case TransferType::dispatch:
        case TransferType::combine:
        case TransferType::all_to_all:
            return {share != nullptr ? share->send : t.size,
                    share != nullptr ? share->receive : t.size, reach_of_all_to_all(group, local)};
        case TransferType::all_reduce:
            return {2.0 * t.size, 2.0 * t.size, reach_of_gather(group, local)};
        case TransferType::all_gather:
        case TransferType::reduce_scatter:
            return {t.size, t.size, reach_of_gather(group, local)};
        case TransferType::send_recv:
            // Two neighbours: within the domain when both fit into it.
            return {t.size, t.size, local > 1.0 ? Reach{0, 1, 0} : Reach{0, 0, 1}};
    }
    return {};
}

// What padding every message to a multiple of `alignment` adds.
// Messages are tokens, equal in size: one padding for all classes.
double padding(const Transfer& t, Bytes alignment) {
    if (alignment <= Bytes(0.0) || t.messages_per_rank <= 0 || t.size <= Bytes(0.0)) return 1.0;
    const Bytes message = t.size / t.messages_per_rank;
    return std::ceil(message / alignment) * alignment / message;
}

CoflowShare share_of(const Transfer& t, const TransferShare* share, double local,
                     bool all_over_scale_out, Bytes alignment, const RankFabric& fabric,
                     double up_efficiency, double out_efficiency) {
    Volume volume = volume_of(t, share, local);
    const double pad = padding(t, alignment);
    volume.send *= pad;
    volume.receive *= pad;
    if (all_over_scale_out) {
        volume.reach.out += volume.reach.up;
        volume.reach.up = 0.0;
    }
    CoflowShare result;
    result.ranks = share != nullptr ? share->ranks : t.group_ranks;
    result.local = volume.reach.self * volume.send;
    const Bytes crossing[kPorts] = {volume.reach.up * volume.send, volume.reach.up * volume.receive,
                                    volume.reach.out * volume.send,
                                    volume.reach.out * volume.receive};
    const double up_planes =
        plane_imbalance(fabric.scale_up_balance, t.messages_per_rank, fabric.scale_up_planes);
    const double out_planes =
        plane_imbalance(fabric.scale_out_balance, t.messages_per_rank, fabric.scale_out_planes);
    for (int port = 0; port < kPorts; ++port) {
        const bool up = port < 2;
        result.bytes[port] = crossing[port];
        if (crossing[port] <= Bytes(0.0)) continue;
        const BytesPerSecond rate =
            up ? fabric.scale_up * up_efficiency : fabric.scale_out * out_efficiency;
        if (!(rate > BytesPerSecond(0.0))) {
            throw std::invalid_argument(
                fmt::format("{}: {} bytes must cross {} links, and there are none", t.name,
                            crossing[port].value(), up ? "scale-up" : "scale-out"));
        }
        result.port_time[port] = crossing[port] / rate * (up ? up_planes : out_planes);
        result.wire = max(result.wire, result.port_time[port]);
    }
    return result;
}

std::vector<const TransferShare*> parts_of(const Transfer& t) {
    std::vector<const TransferShare*> parts;
    for (const auto& share : t.shares) parts.push_back(&share);
    if (parts.empty()) parts.push_back(nullptr);
    return parts;
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

Coflow make_coflow(const Transfer& t, const RankFabric& fabric,
                   const CollectiveLibrarySpec& library, long total_ranks) {
    require_fits(t, total_ranks);
    const TransferHabits& habits = transfer_habits(library, t.type);
    const long local = local_members(t, fabric);
    const bool leaves_domain = local < t.group_ranks || habits.local_over_scale_out;

    Coflow coflow;
    coflow.record = &habits.record;
    if (t.group_ranks > 1) {
        coflow.latency = habits.base + static_cast<double>(t.group_ranks - 1) * habits.per_peer +
                         std::max(0.0, std::log2(t.group_ranks / 8.0)) * habits.per_doubling +
                         t.messages_per_rank * habits.per_message +
                         (leaves_domain ? fabric.scale_out_latency : fabric.scale_up_latency);
    }
    for (const TransferShare* part : parts_of(t)) {
        coflow.shares.push_back(share_of(t, part, static_cast<double>(local),
                                         habits.local_over_scale_out, habits.message_alignment,
                                         fabric, habits.scale_up_efficiency,
                                         habits.scale_out_efficiency));
    }
    return coflow;
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
    const double local = static_cast<double>(local_members(t, fabric));
    Seconds bound(0.0);
    for (const TransferShare* part : parts_of(t)) {
        const auto share = share_of(t, part, local, false, Bytes(0.0), fabric, 1.0, 1.0);
        for (int port = 0; port < kPorts; ++port) {
            if (share.bytes[port] <= Bytes(0.0)) continue;
            bound = max(bound, share.bytes[port] / (port < 2 ? fabric.scale_up : fabric.scale_out));
        }
    }
    return bound;
}

}  // namespace podsim
