// What holds for every set of coflows on every set of links.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "interconnect/shared_coflows.hpp"

namespace podsim {
namespace {

// Doubles and picoseconds: times are microseconds and more.
constexpr double rounding = 1e-5;

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}

std::vector<BytesPerSecond> any_links() {
    std::vector<BytesPerSecond> links;
    for (long i = any(1, 8); i > 0; --i) links.emplace_back(1e9 * static_cast<double>(any(1, 50)));
    return links;
}

SharedCoflow any_coflow(int links, long most_classes) {
    SharedCoflow coflow;
    coflow.weight = static_cast<double>(any(1, 8));
    coflow.latency = Seconds(1e-6 * static_cast<double>(any(0, 5)));
    for (long c = any(1, most_classes); c > 0; --c) {
        SharedCoflow::Class its;
        its.entry = Seconds(1e-6 * static_cast<double>(any(0, 50)));
        for (long d = any(1, 4); d > 0; --d) {
            its.demands.push_back({static_cast<int>(any(0, links - 1)),
                                   Bytes(1e4 * static_cast<double>(any(1, 100)))});
        }
        coflow.classes.push_back(std::move(its));
    }
    return coflow;
}

Seconds latest_entry(const SharedCoflow& coflow) {
    Seconds last(0.0);
    for (const auto& its : coflow.classes) last = max(last, its.entry);
    return last;
}

Seconds alone(const std::vector<BytesPerSecond>& links, const SharedCoflow& coflow) {
    return run_coflows(links, {coflow}).front().end - latest_entry(coflow) - coflow.latency;
}

// Never before it would be alone, and, with one class each, never later than its weight's share of
// everything would make it.
TEST(SharedCoflowsProperty, BetweenAloneAndItsShare) {
    EXPECT_TRUE(rc::check([] {
        const auto links = any_links();
        std::vector<SharedCoflow> coflows;
        double weights = 0;
        for (long i = any(1, 6); i > 0; --i) {
            coflows.push_back(any_coflow(static_cast<int>(links.size()), 1));
            weights += coflows.back().weight;
        }
        const auto times = run_coflows(links, coflows);
        for (std::size_t i = 0; i < coflows.size(); ++i) {
            const Seconds start = latest_entry(coflows[i]) + coflows[i].latency;
            const Seconds least = alone(links, coflows[i]);
            RC_ASSERT(times[i].end - start >= least * (1 - rounding));
            RC_ASSERT(times[i].end - start <=
                      least * (weights / coflows[i].weight) * (1 + rounding));
        }
    }));
}

// Order of the list does not matter, weights count as ratios, and twice the bytes on links of twice
// the bandwidth take as long.
TEST(SharedCoflowsProperty, SameInOtherWords) {
    EXPECT_TRUE(rc::check([] {
        auto links = any_links();
        std::vector<SharedCoflow> coflows;
        for (long i = any(1, 5); i > 0; --i)
            coflows.push_back(any_coflow(static_cast<int>(links.size()), 3));
        const auto times = run_coflows(links, coflows);
        std::vector<SharedCoflow> other(coflows.rbegin(), coflows.rend());
        for (auto& link : links) link *= 2;
        for (auto& coflow : other) {
            coflow.weight *= 3;
            for (auto& its : coflow.classes)
                for (auto& demand : its.demands) demand.bytes *= 2;
        }
        const auto again = run_coflows(links, other);
        for (std::size_t i = 0; i < times.size(); ++i) {
            const auto& same = again[times.size() - 1 - i];
            for (std::size_t c = 0; c < times[i].classes.size(); ++c) {
                RC_ASSERT(std::abs(same.classes[c] / times[i].classes[c] - 1) < rounding);
            }
        }
    }));
}

// A coflow of flows over ways of two or three links, alone: the flows by themselves are never done
// before it, and at most as many times later as their ways have links.
TEST(SharedCoflowsProperty, FlowsAreAtMostTheirWaysLater) {
    EXPECT_TRUE(rc::check([] {
        const auto links = any_links();
        const long hops = any(1, 3);
        std::vector<SharedCoflow> flows;
        SharedCoflow whole;
        whole.classes.emplace_back();
        for (long f = any(1, 12); f > 0; --f) {
            const Bytes bytes(1e4 * static_cast<double>(any(1, 100)));
            SharedCoflow flow;
            flow.classes.emplace_back();
            std::vector<int> way;
            for (long h = 0; h < hops; ++h) {
                const int link = static_cast<int>(any(0, static_cast<long>(links.size()) - 1));
                if (std::find(way.begin(), way.end(), link) != way.end()) continue;
                way.push_back(link);
                flow.classes.front().demands.push_back({link, bytes});
                whole.classes.front().demands.push_back({link, bytes});
            }
            flows.push_back(flow);
        }
        Seconds last(0.0);
        for (const auto& times : run_coflows(links, flows)) last = max(last, times.end);
        const Seconds coflow = run_coflows(links, {whole}).front().end;
        RC_ASSERT(last >= coflow * (1 - rounding));
        RC_ASSERT(last <= coflow * static_cast<double>(hops) * (1 + rounding));
    }));
}

}  // namespace
}  // namespace podsim
