// A collective as one coflow: how many bytes cross each kind of port of each class of ranks, and
// the latency in front. Never a flow per pair.
//
//   alone, class c:  T = latency + max over its ports of bytes x imbalance / (port x efficiency)
//
// or, where a link inside a fabric is fuller than the port, that much longer (link_ratio.hpp).
//
// Exchanges (dispatch, combine, all-to-all) spread evenly over the P members, L of them in the
// domain: 1/P stays, (L-1)/P crosses the scale-up port, (P-L)/P the scale-out port. Collectives of
// nccl-tests go in rings of two levels, within the domain and between the D domains:
// (L-1)/L and (D-1)/(D L) of the size, twice for an all-reduce.
//
// A library with several protocols takes the one that is done first, alone on the fabric.
//
// Several at a time share ports and classes of links; that sharing is the machine's (sim/), by
// weighted max-min over coflows.
#pragma once

#include <vector>

#include "base/fit_record.hpp"
#include "base/units.hpp"
#include "interconnect/collective_library.hpp"
#include "interconnect/link_ratio.hpp"
#include "interconnect/reach.hpp"
#include "interconnect/system.hpp"
#include "program/transfer.hpp"

namespace podsim {

enum class Port { scale_up_send, scale_up_receive, scale_out_send, scale_out_receive };
inline constexpr int kPorts = 4;

// How long the fullest link of a class inside the fabric (interconnect/link_ratio.hpp) carries what
// ranks of one class and their siblings send.
struct LinkTime {
    int link = 0;
    Seconds time{0.0};
};

struct CoflowShare {
    int ranks = 1;
    Bytes bytes[kPorts];          // what crosses each port of one rank, padding included
    Seconds port_time[kPorts];    // those bytes at the attainable rate of the port
    Bytes local{0.0};             // payload that never leaves the rank
    Seconds carried{0.0};         // the longest of port_time, and of the links inside the fabric
    Seconds wire{0.0};            // that, and what the library's own habits add to it
    std::vector<LinkTime> links;  // where others than ports may be full
};

struct Coflow {
    Seconds latency{0.0};  // software and wire latency before the last byte
    std::vector<CoflowShare> shares;
    const FitRecord* record = nullptr;  // of the library, which must outlive the coflow
    std::vector<OutsideFit> outside;    // in what respects the record's rows do not cover it
    bool in_switch = false;             // by a protocol in which the switches add up
    double padding = 1;                 // of messages, in the shares' bytes
    Placement placement;                // of its group
};

// Throws std::invalid_argument: a group larger than `total_ranks`, a library without the type.
Coflow make_coflow(const Transfer& transfer, const RankFabric& fabric,
                   const CollectiveLibrarySpec& library, long total_ranks);

// The same of groups whose members sit where somebody says: what crosses ports as each parts over
// the domains, links as interconnect/placed_links.hpp has them and not by classes of links. All
// groups move at the same time; the one that takes longest is answered.
Coflow make_coflow(const Transfer& transfer, const RankFabric& fabric,
                   const CollectiveLibrarySpec& library,
                   const std::vector<std::vector<int>>& groups, const LinkRatio& placed);

// The record's; of a transfer that it does not cover derived at best.
Confidence basis_of(const Coflow& coflow);

// When each class is done, alone on the fabric, given when each enters: the transfer begins with
// the last to enter, each class ends with its own bytes.
std::vector<Seconds> completion_times(const Coflow& coflow, const std::vector<Seconds>& entries);

// No implementation is faster: what leaves a domain through the scale-out ports, and all that
// leaves a rank through both ports, at the data sheet's rates and without latency. Copies of a
// token that may travel as one count once, an all-reduce once where the domain's switches add up.
// Infinite where bytes need links that are not there.
Seconds wire_bound(const Transfer& transfer, const RankFabric& fabric, long total_ranks);
Seconds wire_bound(const Transfer& transfer, const RankFabric& fabric, const Placement& placement);

}  // namespace podsim
