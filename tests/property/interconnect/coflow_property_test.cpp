// What holds for every transfer on every fabric with every library.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "interconnect/coflow.hpp"
#include "interconnect/fullest_link.hpp"

namespace podsim {
namespace {

constexpr double rounding = 1e-9;

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}
double any_scale(double least, double most) {
    return least * std::pow(most / least, static_cast<double>(any(0, 1000)) / 1000.0);
}
Seconds any_time(double most_microseconds) {
    return microseconds(most_microseconds * static_cast<double>(any(0, 100)) / 100.0);
}

RankFabric any_fabric() {
    RankFabric fabric;
    fabric.scale_up = BytesPerSecond(any_scale(1e10, 2e12));
    fabric.scale_out = BytesPerSecond(any_scale(1e9, 2e12));
    fabric.domain_ranks = any(1, 100);
    fabric.scale_up_latency = any_time(3);
    fabric.scale_out_latency = any_time(10);
    fabric.scale_up_planes = any(1, 9);
    fabric.scale_out_planes = any(1, 9);
    fabric.scale_up_balance = *rc::gen::element(PlaneBalance::packet, PlaneBalance::message);
    fabric.scale_out_balance = *rc::gen::element(PlaneBalance::packet, PlaneBalance::message);
    return fabric;
}

CollectiveLibrarySpec any_library() {
    CollectiveLibrarySpec library;
    for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr))) {
        TransferHabits habits;
        habits.base = any_time(50);
        habits.per_peer = any_time(1);
        habits.per_doubling = any_time(9);
        habits.scale_up_efficiency = static_cast<double>(any(1, 100)) / 100.0;
        habits.scale_out_efficiency = static_cast<double>(any(1, 100)) / 100.0;
        habits.message_alignment = Bytes(*rc::gen::element(0.0, 128.0, 512.0));
        habits.local_over_scale_out = any(0, 1) == 1;
        library.transfers[type] = habits;
    }
    return library;
}

TransferType any_type() {
    return *rc::gen::element(TransferType::dispatch, TransferType::combine,
                             TransferType::all_to_all, TransferType::all_reduce,
                             TransferType::all_gather, TransferType::reduce_scatter,
                             TransferType::send_recv);
}

Transfer any_uniform() {
    Transfer t;
    t.name = "any";
    t.type = any_type();
    t.group_ranks = static_cast<int>(any(1, 400));
    t.stride = static_cast<int>(any(1, 20));
    t.size = Bytes(static_cast<double>(any(0, 100'000'000)));
    t.messages_per_rank = static_cast<double>(any(0, 2000));
    return t;
}

// An exchange among classes that send and receive different amounts, whole bytes that add up.
Transfer any_exchange() {
    Transfer t = any_uniform();
    t.type = *rc::gen::element(TransferType::dispatch, TransferType::combine);
    const long classes = any(1, 5);
    t.group_ranks = 0;
    double sent = 0, weight = 0;
    std::vector<double> weights;
    for (long c = 0; c < classes; ++c) {
        const int ranks = static_cast<int>(any(1, 60));
        t.shares.push_back({ranks, Bytes(static_cast<double>(any(0, 10'000'000))), {}});
        t.group_ranks += ranks;
        sent += ranks * t.shares.back().send.value();
        weights.push_back(static_cast<double>(any(1, 10)));
        weight += ranks * weights.back();
    }
    for (std::size_t c = 0; c < t.shares.size(); ++c)
        t.shares[c].receive = Bytes(sent * weights[c] / weight);
    return t;
}

Transfer any_transfer() {
    return any(0, 1) == 0 ? any_uniform() : any_exchange();
}

long pool_of(const Transfer& t) {
    return static_cast<long>(t.group_ranks) * t.stride;
}

Coflow coflow_of(const Transfer& t, const RankFabric& fabric,
                 const CollectiveLibrarySpec& library) {
    return make_coflow(t, fabric, library, pool_of(t));
}

// The last class to end, all entering at once.
double time_of(const Transfer& t, const RankFabric& fabric, const CollectiveLibrarySpec& library) {
    const Coflow c = coflow_of(t, fabric, library);
    const auto ends = completion_times(c, std::vector<Seconds>(c.shares.size()));
    return std::max_element(ends.begin(), ends.end())->value();
}

bool at_most(double a, double b) {
    return a <= b * (1 + rounding);
}

double total(const Coflow& c, Port port) {
    double sum = 0;
    for (const auto& share : c.shares)
        sum += share.ranks * share.bytes[static_cast<int>(port)].value();
    return sum;
}

TEST(CoflowProperty, BytesSentAreBytesReceived) {
    EXPECT_TRUE(rc::check([] {
        const Transfer t = any_transfer();
        const Coflow c = coflow_of(t, any_fabric(), any_library());
        int ranks = 0;
        for (const auto& share : c.shares) ranks += share.ranks;
        RC_ASSERT(ranks == t.group_ranks);
        const double up = total(c, Port::scale_up_send), out = total(c, Port::scale_out_send);
        RC_ASSERT(std::abs(up - total(c, Port::scale_up_receive)) <= rounding * (up + 1));
        RC_ASSERT(std::abs(out - total(c, Port::scale_out_receive)) <= rounding * (out + 1));
    }));
}

// What stays on the rank, in the domain, and leaves it is all that was sent, where the group fills
// its domains evenly; where it does not, each port counts its busiest rank, so no less.
TEST(CoflowProperty, PartsOfAnExchangeAddUp) {
    EXPECT_TRUE(rc::check([] {
        Transfer t = any_transfer();
        t.type = TransferType::all_to_all;
        t.messages_per_rank = 0;
        RankFabric fabric = any_fabric();
        const bool even = any(0, 1) == 1;
        if (even) {
            t.stride = 1;
            if (t.group_ranks % fabric.domain_ranks != 0) fabric.domain_ranks = t.group_ranks;
        }
        const Coflow c = coflow_of(t, fabric, any_library());
        for (std::size_t i = 0; i < c.shares.size(); ++i) {
            const double payload = t.shares.empty() ? t.size.value() : t.shares[i].send.value();
            const auto& share = c.shares[i];
            const double parts = share.local.value() +
                                 share.bytes[static_cast<int>(Port::scale_up_send)].value() +
                                 share.bytes[static_cast<int>(Port::scale_out_send)].value();
            RC_ASSERT(at_most(payload, parts));
            if (even) RC_ASSERT(at_most(parts, payload));
        }
    }));
}

TEST(CoflowProperty, NeverUnderTheWire) {
    EXPECT_TRUE(rc::check([] {
        const Transfer t = any_transfer();
        const RankFabric fabric = any_fabric();
        RC_ASSERT(
            at_most(wire_bound(t, fabric, pool_of(t)).value(), time_of(t, fabric, any_library())));
    }));
}

TEST(CoflowProperty, BetterFabricsAndHabitsAreNeverSlower) {
    EXPECT_TRUE(rc::check([] {
        const Transfer t = any_transfer();
        const RankFabric fabric = any_fabric();
        const CollectiveLibrarySpec library = any_library();
        const double before = time_of(t, fabric, library);
        const auto with_fabric = [&](const auto& improve) {
            RankFabric better = fabric;
            improve(better);
            return time_of(t, better, library);
        };
        const auto with_habits = [&](const auto& improve) {
            CollectiveLibrarySpec better = library;
            improve(better.transfers[t.type]);
            return time_of(t, fabric, better);
        };
        const double factor = 1 + any_scale(0.01, 10);
        RC_ASSERT(at_most(with_fabric([&](RankFabric& f) { f.scale_up *= factor; }), before));
        RC_ASSERT(at_most(with_fabric([&](RankFabric& f) { f.scale_out *= factor; }), before));
        RC_ASSERT(at_most(with_fabric([](RankFabric& f) {
                              f.scale_up_latency = f.scale_out_latency = Seconds(0);
                          }),
                          before));
        RC_ASSERT(at_most(with_fabric([](RankFabric& f) {
                              f.scale_up_balance = f.scale_out_balance = PlaneBalance::packet;
                          }),
                          before));
        RC_ASSERT(at_most(with_habits([](TransferHabits& h) { h.base = Seconds(0); }), before));
        RC_ASSERT(at_most(with_habits([](TransferHabits& h) { h.per_peer = Seconds(0); }), before));
        RC_ASSERT(
            at_most(with_habits([](TransferHabits& h) { h.per_doubling = Seconds(0); }), before));
        RC_ASSERT(
            at_most(with_habits([](TransferHabits& h) { h.scale_up_efficiency = 1; }), before));
        RC_ASSERT(
            at_most(with_habits([](TransferHabits& h) { h.scale_out_efficiency = 1; }), before));
        // Padding only adds.
        RC_ASSERT(at_most(with_habits([](TransferHabits& h) { h.message_alignment = Bytes(0); }),
                          before));
    }));
}

// More bytes in messages of the same size, or longer messages, never take less time.
TEST(CoflowProperty, MoreBytesAreNeverFaster) {
    EXPECT_TRUE(rc::check([] {
        Transfer t = any_uniform();
        RankFabric fabric = any_fabric();
        const CollectiveLibrarySpec library = any_library();
        Transfer longer = t;
        longer.size += Bytes(static_cast<double>(any(0, 10'000'000)));
        RC_ASSERT(at_most(time_of(t, fabric, library), time_of(longer, fabric, library)));
        Transfer twice = t;
        twice.size *= 2.0;
        twice.messages_per_rank *= 2;
        RC_ASSERT(at_most(time_of(t, fabric, library), time_of(twice, fabric, library)));
    }));
}

// One domain is never slower than several, where scale-up is so much faster that scale-out decides.
// (Else it may be: both ports work at once, and the one domain leaves the other port idle.)
TEST(CoflowProperty, OneDomainIsNeverSlower) {
    EXPECT_TRUE(rc::check([] {
        Transfer t = any_transfer();
        t.stride = 1;
        RankFabric fabric = any_fabric();
        fabric.scale_up = t.group_ranks * fabric.scale_out;
        fabric.scale_up_balance = fabric.scale_out_balance = PlaneBalance::packet;
        fabric.scale_up_latency = min(fabric.scale_up_latency, fabric.scale_out_latency);
        CollectiveLibrarySpec library = any_library();
        for (auto& [type, habits] : library.transfers)
            habits.scale_up_efficiency = habits.scale_out_efficiency;
        const double before = time_of(t, fabric, library);
        fabric.domain_ranks = std::max<long>(fabric.domain_ranks, t.group_ranks);
        RC_ASSERT(at_most(time_of(t, fabric, library), before));
    }));
}

TEST(CoflowProperty, OrderOfClassesDoesNotMatter) {
    EXPECT_TRUE(rc::check([] {
        const Transfer t = any_exchange();
        const RankFabric fabric = any_fabric();
        const CollectiveLibrarySpec library = any_library();
        Transfer turned = t;
        std::rotate(turned.shares.begin(), turned.shares.begin() + 1, turned.shares.end());
        const Coflow a = coflow_of(t, fabric, library), b = coflow_of(turned, fabric, library);
        RC_ASSERT(a.latency == b.latency);
        for (std::size_t i = 0; i < a.shares.size(); ++i) {
            const CoflowShare& here = a.shares[(i + 1) % a.shares.size()];
            RC_ASSERT(here.ranks == b.shares[i].ranks);
            RC_ASSERT(here.wire == b.shares[i].wire);
            for (int port = 0; port < kPorts; ++port)
                RC_ASSERT(here.bytes[port] == b.shares[i].bytes[port]);
        }
    }));
}

// Equal ranks in several classes end like equal ranks in one.
TEST(CoflowProperty, SplittingAClassOfEqualsChangesNothing) {
    EXPECT_TRUE(rc::check([] {
        Transfer t = any_uniform();
        t.type = TransferType::dispatch;
        t.group_ranks += 1;
        const RankFabric fabric = any_fabric();
        const CollectiveLibrarySpec library = any_library();
        const double before = time_of(t, fabric, library);
        const int first = static_cast<int>(any(1, t.group_ranks - 1));
        t.shares = {{first, t.size, t.size}, {t.group_ranks - first, t.size, t.size}};
        RC_ASSERT(time_of(t, fabric, library) == before);
    }));
}

// All times k-fold (latencies x k, rates / k): the result is k-fold.
TEST(CoflowProperty, ScaleInvariance) {
    EXPECT_TRUE(rc::check([] {
        const Transfer t = any_transfer();
        RankFabric fabric = any_fabric();
        CollectiveLibrarySpec library = any_library();
        const double before = time_of(t, fabric, library);
        const double bound = wire_bound(t, fabric, pool_of(t)).value();
        const double k = any_scale(0.01, 100);
        fabric.scale_up /= k;
        fabric.scale_out /= k;
        fabric.scale_up_latency *= k;
        fabric.scale_out_latency *= k;
        for (auto& [type, habits] : library.transfers) {
            habits.base *= k;
            habits.per_peer *= k;
            habits.per_doubling *= k;
        }
        RC_ASSERT(std::abs(time_of(t, fabric, library) - k * before) <= rounding * k * before);
        RC_ASSERT(std::abs(wire_bound(t, fabric, pool_of(t)).value() - k * bound) <=
                  rounding * k * bound);
    }));
}

// Nobody ends before the last has entered; the later it enters, the later all end, by as much.
TEST(CoflowProperty, TheLastToEnterStartsIt) {
    EXPECT_TRUE(rc::check([] {
        const Coflow c = coflow_of(any_transfer(), any_fabric(), any_library());
        std::vector<Seconds> entries;
        Seconds last(0);
        for (std::size_t i = 0; i < c.shares.size(); ++i) {
            entries.push_back(any_time(100));
            last = max(last, entries.back());
        }
        const auto ends = completion_times(c, entries);
        for (std::size_t i = 0; i < ends.size(); ++i) {
            RC_ASSERT(ends[i] >= last);
            const Seconds own = c.latency + c.shares[i].wire;
            RC_ASSERT(std::abs((ends[i] - last - own).value()) <= rounding * ends[i].value());
        }
    }));
}

// A dead plane takes its share of the port with it, no more and no less.
TEST(SystemProperty, DeadPlanesTakeTheirShare) {
    EXPECT_TRUE(rc::check([] {
        SystemSpec system;
        for (auto* level : {&system.scale_up, &system.scale_out}) {
            level->bandwidth.value = BytesPerSecond(any_scale(1e9, 1e12));
            level->planes.value = any(1, 16);
            level->domain.value = any(1, 1000);
            level->oversubscription = any_scale(1, 8);
        }
        const int ranks = static_cast<int>(any(1, 4));
        const RankFabric whole = rank_fabric(system, ranks);
        system.scale_up.planes_down = any(0, system.scale_up.planes.value - 1);
        const RankFabric degraded = rank_fabric(system, ranks);
        const double up =
            static_cast<double>(system.scale_up.planes.value - system.scale_up.planes_down) /
            static_cast<double>(system.scale_up.planes.value);
        RC_ASSERT(std::abs(degraded.scale_up / whole.scale_up - up) <= rounding);
        RC_ASSERT(degraded.scale_out == whole.scale_out);
        RC_ASSERT(degraded.domain_ranks == whole.domain_ranks);
    }));
}

// Between even and everything on one link, less for more messages, more where more sets draw.
TEST(FullestLinkProperty, BoundsAndOrder) {
    EXPECT_TRUE(rc::check([] {
        const long links = any(1, 32);
        const double messages = any_scale(0.1, 1e6);
        const double groups = static_cast<double>(any(1, 1000));
        const double fullest = fullest_link(messages, links, groups);
        RC_ASSERT(fullest >= 1);
        RC_ASSERT(fullest <= static_cast<double>(links));
        // Three ways of working it out meet within 3 %.
        RC_ASSERT(fullest_link(2 * messages, links, groups) <= 1.03 * fullest);
        RC_ASSERT(fullest <= 1.03 * fullest_link(messages, links, 2 * groups));
    }));
}

}  // namespace
}  // namespace podsim
