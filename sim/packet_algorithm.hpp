// Which messages a transfer is of: the algorithm that tile's links have it take, and how its ranks
// lie on the fabric.
#pragma once

#include <string>

#include "interconnect/coflow.hpp"
#include "interconnect/packet_collectives.hpp"
#include "interconnect/system.hpp"
#include "program/transfer.hpp"

namespace podsim {

struct PacketAlgorithm {
    std::string stays;          // why no messages are made of it; "" where they are
    PacketCollectiveSpec spec;  // but for the bytes of an exchange's pairs
    double part = 1;            // of an exchange: of its bytes, what is left of merged copies
};

// Of a group whose first rank is `first_rank`. `uneven`: pairs of an exchange are not alike.
PacketAlgorithm packet_algorithm(const Transfer& transfer, const Coflow& coflow,
                                 const RankFabric& fabric, const CollectiveLibrarySpec& library,
                                 bool uneven, int first_rank = 0);

// Whether all its ranks share a scale-up domain.
bool in_one_domain(const Transfer& transfer, const RankFabric& fabric, int first_rank = 0);

}  // namespace podsim
