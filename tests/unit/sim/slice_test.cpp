// A part of a torus as a machine of its own.
#include "sim/slice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "interconnect/coflow.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

SystemSpec system_named(const std::string& name) {
    return read_system(Catalog(configs_root).load("system", name, {}, ""), name);
}

PoolSpec shaped(const std::vector<long>& shape, int chips) {
    PoolSpec pool;
    pool.slice = shape;
    pool.chips = chips;
    pool.path = "alternatives.A";
    return pool;
}

// An all-gather of 1 GB among 64 chips whose six links have 100 GB/s each: a cube of four has six
// links a chip, 63/64 of the size over 600 GB/s; 16 x 4 x 1, the first in a row, has rings both
// ways of one side and of the other.
TEST(Slice, ACubeHasAllItsLinks) {
    const auto seconds = [](const std::vector<long>& shape) {
        SystemSpec system = system_named("tpu-v5p-pod");
        Problems problems;
        cut_slice(system, shaped(shape, 64), problems);
        EXPECT_TRUE(problems.empty());
        EXPECT_EQ(system.chips, 64);
        CollectiveLibrarySpec library;
        TransferHabits plain;
        plain.scale_up_efficiency = 1;
        library.transfers[TransferType::all_gather] = plain;
        Transfer transfer;
        transfer.type = TransferType::all_gather;
        transfer.group_ranks = 64;
        transfer.size = Bytes(1e9);
        return make_coflow(transfer, rank_fabric(system, 1), library, 64)
            .shares.front()
            .wire.value();
    };
    EXPECT_NEAR(seconds({4, 4, 4}), 63.0 / 64 / 600, 1e-9);
    // A link takes (n - 1) / n / 2 of what begins along a side: shares are as 3/8 to 15/32, and in
    // the second phase a sixteenth and a quarter of them go along the other side.
    const double first = 0.375 / (0.375 + 15.0 / 32), second = 1 - first;
    const double phases = first * 15 / 32 + std::max(first / 16 * 0.375, second / 4 * 15 / 32);
    EXPECT_NEAR(seconds({16, 4, 1}), phases / 100, 1e-9);
}

TEST(Slice, RefusesWhatIsNotThere) {
    const auto refusal = [](const std::string& system, const std::vector<long>& shape, int chips) {
        SystemSpec spec = system_named(system);
        Problems problems;
        cut_slice(spec, shaped(shape, chips), problems);
        return problems.size() == 1 ? problems.front().what + " | " + problems.front().hint
                                    : std::string();
    };
    EXPECT_THAT(refusal("cloudmatrix384", {4, 4}, 16), HasSubstr("no torus or mesh"));
    EXPECT_THAT(refusal("tpu-v5p-pod", {4, 4}, 16), HasSubstr("which is [16, 20, 28]"));
    EXPECT_THAT(refusal("tpu-v5p-pod", {17, 1, 1}, 17), HasSubstr("[17, 1, 1] is not in"));
    EXPECT_THAT(refusal("tpu-v5p-pod", {4, 4, 4}, 60),
                HasSubstr("[4, 4, 4] are 64 chips, the alternative has 60 | chips: 64"));
}

}  // namespace
}  // namespace podsim
