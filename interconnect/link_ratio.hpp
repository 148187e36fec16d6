// How much longer the links inside a fabric take than a rank's port, for the bytes of a transfer
// as libraries send them: 1 where ports decide. Worked out once for each kind of transfer and
// placement and remembered with the topology.
//
// Where members are every s-th chip, the chips between are members of sibling groups that do the
// same at the same time, and links carry the bytes of all.
#pragma once

#include <vector>

#include "interconnect/between_domains.hpp"
#include "interconnect/system.hpp"
#include "program/transfer.hpp"

namespace podsim {

// A class of links that the symmetry of a fabric maps onto each other, those of scale-up first, and
// the time of its fullest link over that of the port.
struct LinkUse {
    int link = 0;
    double ratio = 0;
};

struct LinkRatio {
    double up = 1, out = 1;                  // at least 1
    std::vector<LinkUse> up_uses, out_uses;  // none where ports decide whatever is sent
    // Between the members that are farthest apart in a domain, and anywhere; 0 of ports alone.
    Seconds up_latency{0.0}, out_latency{0.0};
    Seconds steps{0.0};  // of all steps of an algorithm that is asked for, one after the other
    // Chips that share the fullest links: those of a leaf; 1 where chips pass on for each other.
    double up_shared = 1, out_shared = 1;
};

// Classes of links inside both fabrics; 0 of ports alone.
int link_classes(const RankFabric& fabric);

// Dispatch and combine are exchanges.
Collective collective_of(TransferType type);

bool asks(const Transfer& transfer, Algorithm algorithm);
// Every member sends every other one its part at once.
bool sends_pairs(const Transfer& transfer);

// How a library sends, and a group lies.
struct TransferWay {
    long in_domain = 1, least_in_domain = 1;  // members in the domain with the most, the fewest
    ExchangePath path = ExchangePath::pairwise;
    bool local_over_scale_out = false;  // to members of the own domain too
    bool placed = false;  // what links carry is known from where members sit: latencies alone
    // Of placed ones: the first chip of the pool, and in its domain that of the largest part.
    int first = 0, first_in_domain = 0;
};

// Throws std::invalid_argument where faults leave no route between two members, naming the pair,
// and of an algorithm that is not there.
LinkRatio link_ratio(const Transfer& transfer, const RankFabric& fabric, const TransferWay& way);

}  // namespace podsim
