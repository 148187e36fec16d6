// Closed forms of collectives at zero software latency, against the routes of the graph.
#include <gtest/gtest.h>

#include <algorithm>

#include <chrono>
#include <cmath>

#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

constexpr double kRate = 50e9;   // of a chip
constexpr double kHop = 0.5e-6;  // of a link
constexpr double kSize = 256e6;

TopologyStack switch_of(long chips) {
    // Two links of a quarter of a hop and half of the switch: one hop in all.
    return stack_of("{family: switched-planes, electrical_latency: 0.25 us}", chips, kRate);
}
TopologyStack ring_of(long chips) {
    return stack_of(
        "{family: torus, dimensions: [" + std::to_string(chips) + "], electrical_latency: 0.5 us}",
        chips, kRate);
}
TopologyStack mesh_of(long chips) {
    return stack_of("{family: full-mesh, dimensions: [" + std::to_string(chips) +
                        "], electrical_latency: 0.5 us}",
                    chips, kRate);
}

void expect_terms(const CollectiveTerms& terms, double latency, double wire) {
    EXPECT_NEAR(terms.latency / latency, 1, 1e-3);
    EXPECT_NEAR(terms.seconds_per_byte * kSize / wire, 1, 1e-3);
}

class ClosedForm : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ClosedForm, testing::Values(8, 16, 64, 256, 1024));

// 2 (P - 1) steps of S/P: the wire term of eight ranks is 2 x 7/8 x 256 MB / 50 GB/s = 8.96 ms.
TEST_P(ClosedForm, RingAllReduce) {
    const double p = GetParam(), steps = 2 * (p - 1);
    expect_terms(terms_of(switch_of(GetParam()), Collective::all_reduce, Algorithm::ring),
                 steps * kHop, steps / p * kSize / kRate);
    // A ring has two links a chip of half the rate and sends half of the bytes each way.
    expect_terms(terms_of(ring_of(GetParam()), Collective::all_reduce, Algorithm::ring),
                 steps * kHop, steps / p * kSize / 2 / (kRate / 2));
    // A mesh uses one of its P - 1 links.
    expect_terms(terms_of(mesh_of(GetParam()), Collective::all_reduce, Algorithm::ring),
                 steps * kHop, steps / p * kSize / (kRate / (p - 1)));
}

// 2 log2 P steps; on a ring the exchange at distance d has d pairs over each link: every step loads
// it with S/2, and takes d hops.
TEST_P(ClosedForm, HalvingDoublingAllReduce) {
    const double p = GetParam(), log = std::log2(p), bytes = 2 * (p - 1) / p * kSize;
    expect_terms(
        terms_of(switch_of(GetParam()), Collective::all_reduce, Algorithm::halving_doubling),
        2 * log * kHop, bytes / kRate);
    expect_terms(terms_of(mesh_of(GetParam()), Collective::all_reduce, Algorithm::halving_doubling),
                 2 * log * kHop, bytes / (kRate / (p - 1)));
    // Of the last step, half way round, half goes each way.
    expect_terms(terms_of(ring_of(GetParam()), Collective::all_reduce, Algorithm::halving_doubling),
                 2 * (p - 1) * kHop, 2 * (log - 0.5) * kSize / 2 / (kRate / 2));
}

// (P - 1)/P of S over the port; over a ring S P / 8 each way; over a mesh S/P a link.
TEST_P(ClosedForm, DirectAllToAll) {
    const double p = GetParam();
    expect_terms(terms_of(switch_of(GetParam()), Collective::all_to_all, Algorithm::direct), kHop,
                 (p - 1) / p * kSize / kRate);
    expect_terms(terms_of(ring_of(GetParam()), Collective::all_to_all, Algorithm::direct),
                 p / 2 * kHop, kSize * p / 8 / (kRate / 2));
    expect_terms(terms_of(mesh_of(GetParam()), Collective::all_to_all, Algorithm::direct), kHop,
                 kSize / p / (kRate / (p - 1)));
}

// 63/64 x 1 GiB / 50 GiB/s = 19.69 ms.
TEST(CollectiveAlgorithms, NoAllToAllIsFasterThanItsPort) {
    const double gib = 1 << 30;
    const TopologyStack stack = stack_of("{family: switched-planes}", 64, 50 * gib);
    const auto all = collective_terms(stack, Collective::all_to_all, {64, 1, 0}, false);
    EXPECT_GE(best_of(all, gib).time(gib), 19.687e-3);
    EXPECT_NEAR(best_of(all, gib).time(gib), 19.6875e-3, 1e-7);
}

// Dally and Towles: a torus of k along a dimension carries S k / 8 over each of its links.
TEST(CollectiveAlgorithms, TorusAllToAllMeetsItsBound) {
    const TopologyStack stack = stack_of(
        "{family: torus, dimensions: [16, 8], link_bandwidth: [10 GB/s, 10 GB/s]}", 128, 40e9);
    const auto terms = terms_of(stack, Collective::all_to_all, Algorithm::direct);
    EXPECT_NEAR(terms.seconds_per_byte * 1e9, 16.0 / 8 * 1e9 / 10e9, 1e-6);
}

TEST(CollectiveAlgorithms, LargeTorusAllToAllIsQuick) {
    const TopologyStack stack = stack_of("{family: torus, dimensions: [32, 16, 16]}", 8192, 600e9);
    const auto begin = std::chrono::steady_clock::now();
    const auto all = collective_terms(stack, Collective::all_to_all, {8192, 1, 0}, false);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_NEAR(all.front().seconds_per_byte * 100e9, 4.0, 1e-9);
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
    EXPECT_LT(took.count(), 0.25);  // 0.05 on a quiet machine
#endif
    RecordProperty("milliseconds", std::to_string(took.count() * 1e3));
    std::printf("8192-chip torus all-to-all: %.1f ms\n", took.count() * 1e3);
}

// 2 (N - 1)/N S over all four links of a chip.
TEST(CollectiveAlgorithms, DimensionWiseUsesEveryLinkOfATorus) {
    const TopologyStack stack =
        stack_of("{family: torus, dimensions: [8, 8], electrical_latency: 1 us}", 64, 40e9);
    const auto terms = terms_of(stack, Collective::all_reduce, Algorithm::dimension_wise);
    EXPECT_NEAR(terms.seconds_per_byte, 2 * 63.0 / 64 / 40e9, 1e-15);
    EXPECT_NEAR(terms.latency, 2 * (7 + 7) * 1e-6, 1e-12);
}

// S (1 + 1/P) a port: 9/8 against 14/8 of a ring.
// 8 x 2 chips of a torus of 8 x 8, links of 25 GB/s: rings of eight both ways, 7/16 of a share a
// link; rows of two that are not closed, 1/2. Shares of 8/15 and 7/15 begin along one each and end
// their first phase together, 7/30; of what is left the second, 7/15 / 2 x 7/16, takes longer.
TEST(CollectiveAlgorithms, ABoxOfATorusGoesAlongItsSides) {
    const TopologyStack torus = stack_of("{family: torus, dimensions: [8, 8]}", 64, 100e9);
    const auto terms = terms_of(torus, Collective::all_gather, Algorithm::dimension_wise, 16);
    EXPECT_NEAR(terms.seconds_per_byte, (7.0 / 30 + 49.0 / 480) / 25e9, 1e-22);
    EXPECT_EQ(terms.steps, 14);  // seven along the ring in either phase
    // 2 x 16 links of two rings both ways, 2 x 8 between them; the rest of the torus is free.
    const LinkBytes& loads = terms.link_bytes.at(0);
    EXPECT_EQ(std::count_if(loads.begin(), loads.end(), [](double b) { return b > 0; }), 48);
    // Nine chips are a row and one of the next: no box.
    EXPECT_THROW((void)terms_of(torus, Collective::all_gather, Algorithm::dimension_wise, 9),
                 std::logic_error);
}

// A ring of a torus of 8 x 8 lacks a link: rows are left along that dimension, which hold up the
// other rings, 7/8 of a share one way where 7/16 went both; the shares 1 : 2 end their first phase
// together, 7/24 of S, and of what is left, an eighth, 2/3 take the row and 1/3 the rings. A second
// link of the same ring would cut it.
TEST(CollectiveAlgorithms, ARingThatLacksALinkIsARow) {
    const std::string torus = "family: torus\ndimensions: [8, 8]\nfaults:\n";
    const TopologyStack one = stack_of(torus + "  - {link: [chip3, chip4]}\n", 64, 100e9);
    const auto terms = terms_of(one, Collective::all_gather, Algorithm::dimension_wise, 64);
    EXPECT_NEAR(terms.seconds_per_byte, (7.0 / 24 + 2.0 / 3 / 8 * 7 / 8) / 25e9, 1e-22);
    const TopologyStack slow =
        stack_of(torus + "  - {link: [chip3, chip4], capacity: 0.5}\n", 64, 100e9);
    const auto held_up = terms_of(slow, Collective::all_gather, Algorithm::dimension_wise, 64);
    EXPECT_NEAR(held_up.seconds_per_byte, terms.seconds_per_byte, 1e-22);  // half the rate instead
    const TopologyStack two =
        stack_of(torus + "  - {link: [chip3, chip4]}\n  - {link: [chip5, chip6]}\n", 64, 100e9);
    EXPECT_THROW((void)terms_of(two, Collective::all_gather, Algorithm::dimension_wise, 64),
                 std::logic_error);
    const TopologyStack apart =
        stack_of(torus + "  - {link: [chip3, chip4]}\n  - {link: [chip13, chip14]}\n", 64, 100e9);
    EXPECT_NEAR(
        terms_of(apart, Collective::all_gather, Algorithm::dimension_wise, 64).seconds_per_byte,
        terms.seconds_per_byte, 1e-22);
}

// Two chips of a mesh that lost their link have no step of their own.
TEST(CollectiveAlgorithms, AMeshThatLacksALinkHasNoDimensionWise) {
    const std::string mesh = "family: full-mesh\ndimensions: [8]\n";
    EXPECT_NO_THROW((void)terms_of(stack_of(mesh, 8, 100e9), Collective::all_gather,
                                   Algorithm::dimension_wise, 8));
    const TopologyStack broken = stack_of(mesh + "faults:\n  - {link: [chip0, chip1]}\n", 8, 100e9);
    EXPECT_THROW((void)terms_of(broken, Collective::all_gather, Algorithm::dimension_wise, 8),
                 std::logic_error);
}

// Every second chip of a ring of eight, and those between in a ring of their own: links carry both,
// 2 x 3/4 / 2 of the size.
TEST(CollectiveAlgorithms, SiblingsShareTheLinksOfADimension) {
    const TopologyStack ring = stack_of("{family: torus, dimensions: [8]}", 8, 100e9);
    const auto terms = collective_terms(ring, Collective::all_gather, {4, 2, 0, 2}, false,
                                        Algorithm::dimension_wise);
    ASSERT_EQ(terms.size(), 1U);
    EXPECT_NEAR(terms[0].seconds_per_byte, 0.75 / 50e9, 1e-22);
}

TEST(CollectiveAlgorithms, SwitchesThatAddUpNearlyHalveTheBytes) {
    const auto terms = terms_of(switch_of(8), Collective::all_reduce, Algorithm::in_switch);
    EXPECT_NEAR(terms.seconds_per_byte, 1.125 / kRate, 1e-15);
}

// Small sizes take few steps, large ones few bytes.
TEST(CollectiveAlgorithms, TheSizeChoosesTheAlgorithm) {
    const auto all = collective_terms(ring_of(16), Collective::all_reduce, {16, 1, 0}, false);
    EXPECT_LT(best_of(all, 8).steps, best_of(all, 1e9).steps);
    EXPECT_LT(best_of(all, 1e9).seconds_per_byte, best_of(all, 8).seconds_per_byte);
}

// A routing matrix of equal rows is the even exchange.
TEST(CollectiveAlgorithms, EvenMatrixIsTheDirectExchange) {
    const TopologyStack stack = stack_of("{family: torus, dimensions: [4, 4]}", 16, 40e9);
    const std::vector<std::vector<double>> even(16, std::vector<double>(16, 1.0 / 16));
    EXPECT_NEAR(exchange_terms(stack, {16, 1, 0}, even).seconds_per_byte,
                terms_of(stack, Collective::all_to_all, Algorithm::direct).seconds_per_byte, 1e-18);
    // All for chip 0: 15/16 of a byte times 16 over its four links, no less than 3.75 of one.
    std::vector<std::vector<double>> hot(16, std::vector<double>(16, 0.0));
    for (auto& row : hot) row[0] = 1.0;
    EXPECT_NEAR(exchange_terms(stack, {16, 1, 0}, hot).seconds_per_byte * 10e9, 15.0 / 4, 1e-9);
}

// Halves of a group of nodes: 7/8 within at the inner rate, the others over the outer level.
TEST(CollectiveAlgorithms, LevelsShareAnExchange) {
    const TopologyStack stack = stack_of(
        "{levels: [{family: full-mesh, chips: 8, dimensions: [8], bandwidth: 350 GB/s},"
        " {family: switched-planes, bandwidth: 50 GB/s}]}",
        32, 400e9);
    const auto terms = terms_of(stack, Collective::all_to_all, Algorithm::direct);
    EXPECT_NEAR(terms.seconds_per_byte, 24.0 / 32 / 50e9, 1e-15);
}

}  // namespace
}  // namespace podsim
