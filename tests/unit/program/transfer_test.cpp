// Payloads, bus factors and validity of transfers, by hand.
#include "program/transfer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace podsim {
namespace {

using testing::HasSubstr;

// Two classes of an exchange: 3 ranks that send 10 B and receive 8 B, 1 rank that sends 10 B and
// receives 16 B. 40 B each way.
Transfer exchange() {
    Transfer t;
    t.name = "exchange";
    t.type = TransferType::dispatch;
    t.group_ranks = 4;
    t.size = Bytes(10);
    t.messages_per_rank = 5;
    t.shares = {{3, Bytes(10), Bytes(8)}, {1, Bytes(10), Bytes(16)}};
    return t;
}

std::string refusal(const Transfer& transfer) {
    try {
        require_valid(transfer);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "accepted";
}

TEST(TransferType, Names) {
    std::string all;
    for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr))) {
        EXPECT_EQ(to_string(type), name);
        all += std::string(name) + " ";
    }
    EXPECT_EQ(
        all,
        "dispatch combine all_to_all all_reduce all_gather reduce_scatter broadcast send_recv ");
}

// 7168 FP8 elements and a 4-byte scale for each 128 of them: 7168 + 4 x 56 = 7392 B; a last block
// may be short: 100 elements in blocks of 32 have 4 scales. BF16 without scales: 14,336 B. INT8
// with one scale a token: 7172 B.
TEST(TokenBytes, ElementsAndScales) {
    EXPECT_EQ(token_bytes(7168, 1.0, 128).value(), 7392.0);
    EXPECT_EQ(token_bytes(100, 1.0, 32).value(), 116.0);
    EXPECT_EQ(token_bytes(7168, 2.0, 0).value(), 14336.0);
    EXPECT_EQ(token_bytes(7168, 1.0, 7168).value(), 7172.0);
}

// DeepEP's unit: 128 tokens x 8 experts x 7392 B = 7,569,408 B, 98 GB/s when it takes 77 us.
TEST(ExpertPayload, TokensTimesCopiesTimesBytes) {
    const Bytes payload = expert_payload(128, 8, Bytes(7392));
    EXPECT_EQ(payload.value(), 7'569'408.0);
    EXPECT_NEAR(payload.value() / 77e-6 / 1e9, 98.0, 0.5);
    // The bound of "Insights into DeepSeek-V3" (arXiv 2505.09343): dispatch in one and combine in
    // two bytes, 32 tokens to 9 experts of 7,000 elements, 50 GB/s: 120.96 us.
    const Bytes both = expert_payload(32, 9, (1 + 2) * Bytes(7000));
    EXPECT_NEAR((both / BytesPerSecond(50e9)).value(), 120.96e-6, 1e-12);
}

// nccl-tests, PERFORMANCE.md: all-reduce 2 (n-1)/n, one-pass collectives (n-1)/n, send 1.
TEST(BusFactor, OfNcclTests) {
    EXPECT_EQ(bus_factor(TransferType::all_reduce, 8), 1.75);
    EXPECT_EQ(bus_factor(TransferType::all_gather, 8), 0.875);
    EXPECT_EQ(bus_factor(TransferType::reduce_scatter, 8), 0.875);
    EXPECT_EQ(bus_factor(TransferType::all_to_all, 8), 0.875);
    EXPECT_EQ(bus_factor(TransferType::dispatch, 4), 0.75);
    EXPECT_EQ(bus_factor(TransferType::combine, 4), 0.75);
    EXPECT_EQ(bus_factor(TransferType::send_recv, 2), 1.0);
    EXPECT_EQ(bus_factor(TransferType::all_reduce, 1), 0.0);
}

TEST(Transfer, ValidOnesPass) {
    EXPECT_EQ(refusal(exchange()), "accepted");
    EXPECT_EQ(refusal(Transfer{}), "accepted");
}

TEST(Transfer, RefusesAGroupWithoutRanks) {
    Transfer t = exchange();
    t.group_ranks = 0;
    EXPECT_EQ(refusal(t), "exchange: a group of 0 ranks with stride 1");
    t = exchange();
    t.stride = 0;
    EXPECT_EQ(refusal(t), "exchange: a group of 4 ranks with stride 0");
}

TEST(Transfer, RefusesSizesThatAreNone) {
    for (const double size : {-1.0, std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::infinity()}) {
        Transfer t = exchange();
        t.size = Bytes(size);
        EXPECT_EQ(refusal(t), "exchange: negative or infinite size");
        t = exchange();
        t.messages_per_rank = size;
        EXPECT_EQ(refusal(t), "exchange: negative or infinite number of messages");
        t = exchange();
        t.shares[0].send = Bytes(size);
        EXPECT_THAT(refusal(t), HasSubstr("negative or infinite bytes"));
        t = exchange();
        t.shares[1].receive = Bytes(size);
        EXPECT_THAT(refusal(t), HasSubstr("negative or infinite bytes"));
    }
}

TEST(Transfer, RefusesSharesThatAreNotTheGroup) {
    Transfer t = exchange();
    t.shares[0].ranks = 0;
    EXPECT_THAT(refusal(t), HasSubstr("a share without ranks"));
    t = exchange();
    t.group_ranks = 5;
    EXPECT_EQ(refusal(t), "exchange: shares hold 4 ranks, the group has 5");
}

// 3 x 10 + 1 x 10 = 40 B leave, 3 x 8 + 1 x 17 = 41 B would arrive.
TEST(Transfer, RefusesBytesThatAppear) {
    Transfer t = exchange();
    t.shares[1].receive = Bytes(17);
    EXPECT_EQ(refusal(t), "exchange: 40 bytes sent but 41 received");
}

}  // namespace
}  // namespace podsim
