// How much longer the links inside a fabric take than a rank's port, for the bytes of a transfer
// as libraries send them: 1 where ports decide. Worked out once for each kind of transfer and
// placement and remembered with the topology.
#pragma once

#include "interconnect/system.hpp"
#include "program/transfer.hpp"

namespace podsim {

struct LinkRatio {
    double up = 1, out = 1;  // at least 1
};

// Of a group that has `in_domain` members in the fullest domain. Throws std::invalid_argument where
// faults leave no route between two of them, naming the pair.
LinkRatio link_ratio(const Transfer& transfer, const RankFabric& fabric, long in_domain);

}  // namespace podsim
