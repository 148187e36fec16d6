// What an alternative breaks, and tokens that do not spread evenly.
#include "sim/faults.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interconnect/coflow.hpp"
#include "sim/routed_collective.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SystemSpec system_named(const std::string& name) {
    return read_system(Catalog(configs_root).load("system", name, {}, ""), name);
}
PoolFault plane(long number, double capacity = 0) {
    PoolFault fault;
    fault.part.plane = number;
    fault.part.capacity = capacity;
    return fault;
}

// 7 of 7 planes against 6, and 6.5.
TEST(Faults, PlanesOfAnAlternative) {
    const auto seconds = [](const std::vector<PoolFault>& faults) {
        SystemSpec system = system_named("cloudmatrix384");
        Problems problems;
        break_parts(system, faults, "alternatives.A", problems);
        EXPECT_TRUE(problems.empty());
        CollectiveLibrarySpec library;
        TransferHabits plain;
        plain.scale_up_efficiency = 1;
        library.transfers[TransferType::all_to_all] = plain;
        Transfer transfer;
        transfer.type = TransferType::all_to_all;
        transfer.group_ranks = 64;
        transfer.size = Bytes(1e9);
        return make_coflow(transfer, rank_fabric(system, 2), library, 64)
            .shares.front()
            .wire.value();
    };
    EXPECT_NEAR(seconds({plane(3)}) / seconds({}), 7.0 / 6, 1e-6);
    EXPECT_NEAR(seconds({plane(3, 0.5)}) / seconds({}), 7.0 / 6.5, 1e-6);
}

TEST(Faults, InWords) {
    SystemSpec system = system_named("cloudmatrix384");
    PoolFault link;
    link.part.link = {"l1.p0.0", "l2.p0.1"};
    Problems problems;
    EXPECT_THAT(break_parts(system, {plane(3, 0.5), link}, "alternatives.A", problems),
                ElementsAre("plane 3 of scale_up has 50 % of its bandwidth",
                            "link l1.p0.0 - l2.p0.1 of scale_up is dead"));
    EXPECT_TRUE(problems.empty());
}

// All that is wrong in one go, each with its number in the list.
TEST(Faults, WhatIsNotThere) {
    SystemSpec system = system_named("cloudmatrix384");
    PoolFault name;
    name.part.switch_name = "l3.p0.0";
    name.part.place = {"mine.yaml", 12, 9};
    Problems problems;
    EXPECT_TRUE(break_parts(system, {plane(9), name}, "alternatives.A", problems).empty());
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[0].path, "alternatives.A.faults[0]");
    EXPECT_THAT(problems[0].what, HasSubstr("plane 9"));
    EXPECT_EQ(problems[1].path, "alternatives.A.faults[1]");
    EXPECT_EQ(problems[1].place.line, 12);
    EXPECT_THAT(problems[1].what, HasSubstr("l3.p0.0"));

    SystemSpec ports = system_named("custom-supernode");
    problems.clear();
    EXPECT_TRUE(break_parts(ports, {plane(0)}, "alternatives.B", problems).empty());
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_THAT(problems[0].what, HasSubstr("ports alone"));
}

Transfer exchange(TransferType type) {
    Transfer transfer;
    transfer.type = type;
    transfer.group_ranks = 8;
    transfer.messages_per_rank = 128 * 8;
    transfer.size = Bytes(128 * 8 * 7168.0);
    transfer.copies = 8;
    transfer.experts = 256;
    return transfer;
}

// What is sent arrives; a combine is the way back; the more popular some experts are, the more the
// busiest rank gets. Without a difference only the luck of 8,192 draws is left: below 5 %.
TEST(RoutedCollective, Shares) {
    ExpertsSpec experts;
    experts.popularity = Popularity::zipf;
    experts.placement = ExpertPlacement::contiguous;
    double before = 0;
    for (const double exponent : {0.0, 0.3, 0.6}) {
        experts.zipf_exponent = exponent;
        const Transfer there = exchange(TransferType::dispatch);
        const auto out = routed_shares(there, experts);
        const auto back = routed_shares(exchange(TransferType::combine), experts);
        ASSERT_EQ(out.size(), 2U);
        EXPECT_EQ(out[0].ranks, 1);
        EXPECT_EQ(out[1].ranks, 7);
        EXPECT_NEAR((out[0].receive + 7 * out[1].receive) / (8 * there.size), 1, 1e-9);
        EXPECT_EQ(out[0].send, there.size);
        EXPECT_EQ(back[0].send, out[0].receive);
        EXPECT_EQ(back[0].receive, out[0].send);
        const double busiest = out[0].receive / there.size;
        EXPECT_GT(busiest, before);
        if (exponent == 0) {
            EXPECT_GT(busiest, 1);
            EXPECT_LT(busiest, 1.05);
        }
        before = busiest;
    }
    const Program program = routed_program(exchange(TransferType::dispatch), std::nullopt, experts);
    EXPECT_EQ(program.classes.size(), 2U);
    EXPECT_EQ(program.instances.front().tasks.size(), 2U);
}

// Half of all on one expert of four, one for each rank: counts 2, 1, 1, 0 and top-1. Of 400 tokens
// 200 are expected at the first rank, and no other comes near.
TEST(RoutedCollective, Counted) {
    ExpertsSpec experts;
    experts.popularity = Popularity::histogram;
    experts.placement = ExpertPlacement::contiguous;
    experts.counts = {{0, {2, 1, 1, 0}}};
    Transfer transfer = exchange(TransferType::dispatch);
    transfer.group_ranks = 4;
    transfer.messages_per_rank = 100;
    transfer.size = Bytes(100.0);
    transfer.copies = 1;
    transfer.experts = 4;
    const auto shares = routed_shares(transfer, experts);
    EXPECT_NEAR(shares[0].receive.value(), 200, 1);
    EXPECT_NEAR(shares[1].receive.value(), 200.0 / 3, 1);
}

}  // namespace
}  // namespace podsim
