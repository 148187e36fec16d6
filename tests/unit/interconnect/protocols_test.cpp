// Libraries with several protocols, merged copies and costs by expert, message and token: numbers
// worked by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "interconnect/coflow.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

// Eight ranks a domain, 100 GB/s within and 10 GB/s beyond, 1 us and 2 us.
RankFabric fabric_of(bool reduces) {
    RankFabric fabric;
    fabric.scale_up = BytesPerSecond(100e9);
    fabric.scale_out = BytesPerSecond(10e9);
    fabric.domain_ranks = 8;
    fabric.scale_up_latency = Seconds(1e-6);
    fabric.scale_out_latency = Seconds(2e-6);
    fabric.scale_up_reduces = reduces;
    return fabric;
}

CollectiveLibrarySpec library_of(const std::string& transfers) {
    return read_collective_library(parse_yaml("title: L\ntransfers:\n" + transfers, "l.yaml"), "l");
}

const char* const record = "    record: {basis: assumed, source: a test, date: 2026-01-01}\n";

std::string all_reduce_text() {
    return std::string("  all_reduce:\n    protocols:\n") +
           "      - {name: flags, base: 4 us, per_peer: 1 us, scale_up_efficiency: 0.1}\n"
           "      - {name: ring, base: 40 us, scale_up_efficiency: 0.8}\n"
           "      - {name: switch, base: 90 us, scale_up_efficiency: 0.8, in_switch: true}\n" +
           record;
}

double micros(const Transfer& t, const RankFabric& fabric, const CollectiveLibrarySpec& library) {
    const Coflow c = make_coflow(t, fabric, library, t.group_ranks);
    return completion_times(c, {Seconds(0.0)}).front().value() * 1e6;
}

Transfer sized(TransferType type, int ranks, double bytes) {
    Transfer t;
    t.name = "t";
    t.type = type;
    t.group_ranks = ranks;
    t.size = Bytes(bytes);
    return t;
}

TEST(Protocols, TheFirstToBeDoneIsTaken) {
    const auto library = library_of(all_reduce_text());
    const auto time = [&](double bytes, bool reduces) {
        return micros(sized(TransferType::all_reduce, 8, bytes), fabric_of(reduces), library);
    };
    // 4 + 7 x 1 + 1 us, and 80 kB x 2 x 7/8 at 10 GB/s.
    EXPECT_NEAR(time(80e3, true), 12 + 14, 1e-9);
    // 41 + 4 MB x 7/4 at 80 GB/s, 128.5 us; by the switches 91 + 4 MB x 9/8 at 80, 147.25.
    EXPECT_NEAR(time(4e6, true), 41 + 87.5, 1e-9);
    // 80 MB: 91 + 1125 by the switches, 41 + 1750 by rings where they cannot add up.
    EXPECT_NEAR(time(80e6, true), 91 + 1125, 1e-9);
    EXPECT_NEAR(time(80e6, false), 41 + 1750, 1e-9);
}

TEST(Protocols, InSwitchCrossesThePortOnceAndTheSum) {
    const Transfer t = sized(TransferType::all_reduce, 8, 80e6);
    const Coflow c = make_coflow(t, fabric_of(true), library_of(all_reduce_text()), 8);
    EXPECT_NEAR(c.shares[0].bytes[0].value(), 80e6 * 9 / 8, 1);
    // The bound knows that: one crossing of 7/8 over both ports at most, not two.
    EXPECT_NEAR(wire_bound(t, fabric_of(true), 8).value(), 70e6 / 110e9, 1e-12);
    EXPECT_NEAR(wire_bound(t, fabric_of(false), 8).value(), 140e6 / 110e9, 1e-12);
}

TEST(Protocols, BetweenDomainsTheRingRemains) {
    // 16 ranks in two domains: 80 MB x 2 x 1/16 at 90 % of 10 GB/s, 1111 us, and the switches'
    // 1125 us within. 90 + 2 + 1125.
    EXPECT_NEAR(micros(sized(TransferType::all_reduce, 16, 80e6), fabric_of(true),
                       library_of(all_reduce_text())),
                92 + 1125, 1e-9);
}

// 800 MB gathered by eight: 700 MB over a port of 100 GB/s are 7,000 us; chunks of 7 us each cost
// 2 sqrt(7,000 x 7) = 442.7 us more at the best size, the own eighth 100 us at 1,000 GB/s.
TEST(Protocols, ChunksAndTheOwnPart) {
    const auto time = [&](const char* more) {
        const auto library =
            library_of(std::string("  all_gather:\n    protocols:\n      - {name: a, base: 10 us, "
                                   "scale_up_efficiency: 1") +
                       more + "}\n" + record);
        return micros(sized(TransferType::all_gather, 8, 800e6), fabric_of(false), library);
    };
    EXPECT_NEAR(time(""), 7011, 1e-6);
    EXPECT_NEAR(time(", per_chunk: 7 us"), 7011 + 2 * std::sqrt(49000), 1e-6);
    EXPECT_NEAR(time(", copy_bandwidth: 1000 GB/s"), 7111, 1e-6);
}

TEST(Protocols, AChannelToEachPeer) {
    const auto library =
        library_of(std::string("  all_to_all:\n    protocols:\n      - {name: slow, base: 2 us, "
                               "scale_up_efficiency: 1, peer_bandwidth: 5 GB/s}\n") +
                   record);
    // 80 kB: 10 kB to each of 8 at 5 GB/s, 2 us; the port's 70 kB take 0.7 us.
    EXPECT_NEAR(micros(sized(TransferType::all_to_all, 8, 80e3), fabric_of(false), library), 3 + 2,
                1e-9);
}

TEST(Protocols, NoneThatTheFabricCan) {
    const auto library =
        library_of(std::string("  all_reduce:\n    protocols:\n      - {name: s, base: 9 us, "
                               "scale_up_efficiency: 0.8, in_switch: true}\n") +
                   record);
    EXPECT_THROW(micros(sized(TransferType::all_reduce, 8, 1e6), fabric_of(false), library),
                 std::invalid_argument);
}

Transfer dispatch(int ranks, double tokens, long copies, long experts, double token) {
    const double messages = tokens * static_cast<double>(copies);
    Transfer t = sized(TransferType::dispatch, ranks, messages * token);
    t.messages_per_rank = messages;
    t.copies = copies;
    t.experts = experts;
    return t;
}

// Two of four experts on two ranks: a rank is missed by C(2,2)/C(4,2) = 1/6, so 5/3 are meant.
TEST(MergedCopies, DistinctPlaces) {
    EXPECT_NEAR(distinct_places(2, 4, 2), 5.0 / 3, 1e-12);
    EXPECT_NEAR(distinct_places(8, 256, 8), 5.2947, 1e-4);
    EXPECT_EQ(distinct_places(4, 4, 4), 4);
    EXPECT_EQ(distinct_places(1, 16, 2), 1);
}

TEST(MergedCopies, OnceADomainThenOnceARank) {
    const auto library = library_of(
        std::string("  dispatch: {base: 0 us, scale_up_efficiency: 1, scale_out_efficiency: 1, "
                    "merges_copies: true,\n    record: {basis: assumed, source: t, date: "
                    "2026-01-01}}\n"));
    // Two domains of eight, 16 experts one a rank, two copies: a domain is missed by
    // (8 x 7)/(16 x 15) = 7/30, so 46/30 domains are meant, half of them away; ranks all 2.
    const Transfer t = dispatch(16, 1000, 2, 16, 1000);
    const Coflow c = make_coflow(t, fabric_of(false), library, 16);
    const int out = static_cast<int>(Port::scale_out_send);
    EXPECT_NEAR(c.shares[0].bytes[out].value(), 1e6 * 46 / 30 / 2, 1);
    EXPECT_NEAR(c.shares[0].bytes[0].value(), 1e6 * 2 * 7 / 8, 1);
    // With one domain a token at most: one of two, half of them away.
    Transfer near = t;
    near.domain_limit = 1;
    const Coflow limited = make_coflow(near, fabric_of(false), library, 16);
    EXPECT_NEAR(limited.shares[0].bytes[out].value(), 1e6 / 2, 1);

    Transfer unknown = t;
    unknown.copies = 0;
    EXPECT_THROW(make_coflow(unknown, fabric_of(false), library, 16), std::invalid_argument);
}

TEST(ExpertCosts, ByExpertMessageAndToken) {
    const auto library = library_of(
        std::string("  combine: {base: 5 us, scale_up_efficiency: 0.5, per_expert: 0.1 us, "
                    "per_message: 0.01 us,\n    per_token: 2 us, senders: 32,\n    record: "
                    "{basis: assumed, source: t, date: 2026-01-01}}\n"));
    Transfer t = dispatch(8, 320, 2, 64, 1000);
    t.type = TransferType::combine;
    // 5 + 1 + 64 x 0.1 us; 640 messages x 7/8 of 20 ns bytes and 10 ns; 320 tokens on 32 cores.
    EXPECT_NEAR(micros(t, fabric_of(false), library), 12.4 + 560 * 0.03 + 20, 1e-9);
    // Sixteen experts start sixteen cores.
    t.experts = 16;
    EXPECT_NEAR(micros(t, fabric_of(false), library), 7.6 + 560 * 0.03 + 40, 1e-9);
}

std::string refusal(const std::string& transfers) {
    return refusal_of([&] { library_of(transfers); });
}

TEST(Protocols, RefusesWhatCannotBe) {
    const std::string text = all_reduce_text();
    EXPECT_THAT(refusal(replaced(text, "    record:", "    base: 3 us\n    record:")),
                HasSubstr("transfers.all_reduce.base: stands beside `protocols`"));
    EXPECT_THAT(refusal(replaced(text, "name: ring", "name: flags")),
                HasSubstr("two are called flags"));
    EXPECT_THAT(refusal(std::string("  all_reduce:\n    protocols: []\n") + record),
                HasSubstr("names no protocol"));
    EXPECT_THAT(refusal(replaced(text, "  all_reduce:", "  all_gather:")),
                HasSubstr("in_switch is of all_reduce"));
    EXPECT_THAT(refusal(replaced(text, "base: 40 us", "base: 40 us, peer_bandwidth: 1 GB/s")),
                HasSubstr("peer_bandwidth of all_to_all"));
    EXPECT_THAT(
        refusal(std::string("  all_gather:\n    base: 1 us\n    merges_copies: true\n") + record),
        HasSubstr("are of dispatch and combine"));
}

}  // namespace
}  // namespace podsim
