// A collective by the algorithm that is asked for, and the least time of a library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interconnect/coflow.hpp"
#include "interconnect/topology_times.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

// Eight ranks with 100 GB/s each over seven links.
RankFabric mesh() {
    RankFabric fabric = plain_fabric();
    fabric.scale_up_links = std::make_shared<const TopologyTimes>(
        stack_of("family: full-mesh\ndimensions: [8]\n", 8, 100e9), false);
    return fabric;
}

double time_of(const RankFabric& fabric, const Transfer& transfer,
               const CollectiveLibrarySpec& library = plain_library()) {
    return microseconds_of(make_coflow(transfer, fabric, library, 8));
}

// 21 us and 2 x 7/8 of 1 GB: over one link of 100/7 GB/s in a ring; over all of them at best.
TEST(AskedAlgorithm, RingOnAMesh) {
    Transfer transfer = collective(TransferType::all_reduce, 8, 1e9);
    EXPECT_NEAR(time_of(mesh(), transfer), 21 + 17500, 1);
    transfer.algorithm = "ring";
    EXPECT_NEAR(time_of(mesh(), transfer), 21 + 7 * 17500, 1);
    EXPECT_NEAR(time_of(plain_fabric(), transfer), 20 + 14 + 17500, 1);  // ports alone
}

TEST(AskedAlgorithm, Refused) {
    Transfer transfer = collective(TransferType::all_reduce, 8, 1e9);
    transfer.algorithm = "in-switch";
    EXPECT_THROW(time_of(mesh(), transfer), std::invalid_argument);
    transfer.algorithm = "tree";
    EXPECT_THROW(time_of(plain_fabric(), transfer), std::invalid_argument);
    transfer = collective(TransferType::all_to_all, 8, 1e9);
    transfer.algorithm = "halving-doubling";
    try {
        time_of(mesh(), transfer);
        FAIL() << "accepted";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("there are direct"));
    }
}

// Where switches add up, only that protocol: 1 + 1/8 of a port, 11.25 ms for 1 GB.
TEST(AskedAlgorithm, InSwitch) {
    CollectiveLibrarySpec library = plain_library();
    TransferProtocol ring, adds;
    ring.name = "ring";
    ring.scale_up_efficiency = adds.scale_up_efficiency = 1;
    adds.name = "adds";
    adds.in_switch = true;
    library.transfers[TransferType::all_reduce].protocols = {ring, adds};
    RankFabric fabric = plain_fabric();
    fabric.scale_up_reduces = true;
    Transfer transfer = collective(TransferType::all_reduce, 8, 1e9);
    EXPECT_NEAR(time_of(fabric, transfer, library), 1 + 11250, 1);
    transfer.algorithm = "ring";  // 14 steps of 1 us
    EXPECT_NEAR(time_of(fabric, transfer, library), 14 + 17500, 1);
    transfer.algorithm = "in-switch";
    EXPECT_NEAR(time_of(fabric, transfer, library), 1 + 11250, 1);
}

// 21 us and what little there is to move: 50 us at least; 7/8 of 80 MB take 700 us.
TEST(AskedAlgorithm, LeastTime) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers[TransferType::all_to_all].least = microseconds(50);
    EXPECT_NEAR(time_of(plain_fabric(), collective(TransferType::all_to_all, 8, 8), library), 50,
                1e-6);
    EXPECT_NEAR(time_of(plain_fabric(), collective(TransferType::all_to_all, 8, 80e6), library),
                721, 1e-6);
}

// Two trees over eight chips put 2 S on their inner ones. Over several domains every member is the
// root of two, since all send what is left to their place in the next domain: 2 x 7/8 of S, 17.5 ms
// of 1 GB at 100 GB/s.
TEST(AskedAlgorithm, TreesOverDomainsHaveAllRoots) {
    RankFabric fabric = plain_fabric();
    fabric.scale_up_links = std::make_shared<const TopologyTimes>(
        stack_of("family: switched-planes\n", 8, 100e9), false);
    const auto wire = [&](int ranks) {
        Transfer transfer = collective(TransferType::all_reduce, ranks, 1e9);
        transfer.algorithm = "tree";
        return make_coflow(transfer, fabric, plain_library(), 16).shares.front().wire.value();
    };
    EXPECT_NEAR(wire(8), 20e-3, 1e-9);
    EXPECT_NEAR(wire(16), 17.5e-3, 1e-9);
}

}  // namespace
}  // namespace podsim
