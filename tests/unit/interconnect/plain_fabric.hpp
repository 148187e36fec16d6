// A fabric and a library with round numbers: eight ranks a domain, 100 GB/s within it and 10 GB/s
// between domains, 1 us and 3 us of wire, 20 us of software.
#pragma once

#include "interconnect/coflow.hpp"

namespace podsim {

inline RankFabric plain_fabric() {
    RankFabric fabric;
    fabric.scale_up = BytesPerSecond(100e9);
    fabric.scale_out = BytesPerSecond(10e9);
    fabric.domain_ranks = 8;
    fabric.scale_up_latency = microseconds(1);
    fabric.scale_out_latency = microseconds(3);
    return fabric;
}

// The same habits for every type.
inline CollectiveLibrarySpec plain_library() {
    TransferHabits habits;
    habits.base = microseconds(20);
    habits.scale_up_efficiency = habits.scale_out_efficiency = 1.0;
    CollectiveLibrarySpec library;
    library.name = "plain";
    for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr)))
        library.transfers[type] = habits;
    return library;
}

// `group` ranks, one after the other, that all send `bytes`.
inline Transfer collective(TransferType type, int group, double bytes) {
    Transfer t;
    t.name = "it";
    t.type = type;
    t.group_ranks = group;
    t.size = Bytes(bytes);
    return t;
}

inline double microseconds_of(const Coflow& coflow) {
    double longest = 0;
    for (const auto& share : coflow.shares) longest = std::max(longest, share.wire.value());
    return (coflow.latency.value() + longest) * 1e6;
}

inline double port_bytes(const CoflowShare& share, Port port) {
    return share.bytes[static_cast<int>(port)].value();
}

}  // namespace podsim
