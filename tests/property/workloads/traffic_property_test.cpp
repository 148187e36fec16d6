// What holds of any streams: merging loses nothing and keeps the order, rates divide gaps, slices
// are parts of the whole, the store never holds more than it may.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/random.hpp"
#include "workloads/kv_cache.hpp"
#include "workloads/request_streams.hpp"
#include "workloads/traffic.hpp"

namespace podsim {
namespace {

std::vector<double> any_arrivals() {
    auto times = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 100));
    std::sort(times.begin(), times.end());
    return {times.begin(), times.end()};
}

RequestStream stream_of(const std::vector<double>& times, long length) {
    RequestStream stream;
    stream.format = "given";
    stream.next = [times, length, at = std::size_t{0}](Request& request) mutable {
        if (at == times.size()) return false;
        request.arrival = Seconds(times[at++]);
        request.input_tokens = length;
        request.service_class = 0;
        return true;
    };
    return stream;
}

std::vector<Request> all_of(const RequestStream& stream) {
    std::vector<Request> requests;
    Request request;
    while (stream.next(request)) requests.push_back(request);
    return requests;
}

RC_GTEST_PROP(Streams, MergingKeepsTheOrderAndLosesNothing, ()) {
    std::vector<RequestStream> streams;
    std::vector<std::vector<double>> times(static_cast<std::size_t>(*rc::gen::inRange(1, 5)));
    for (std::size_t i = 0; i < times.size(); ++i) {
        times[i] = any_arrivals();
        streams.push_back(stream_of(times[i], static_cast<long>(i)));
    }
    std::vector<std::vector<double>> found(times.size());
    double last = 0;
    int last_class = 0;
    for (const Request& one : all_of(merge(std::move(streams)))) {
        const double at = one.arrival.value();
        RC_ASSERT(at >= last);
        if (at == last) RC_ASSERT(one.service_class >= last_class);
        last = at;
        last_class = one.service_class;
        RC_ASSERT(one.service_class == one.input_tokens);
        found[static_cast<std::size_t>(one.service_class)].push_back(at);
    }
    RC_ASSERT(found == times);
}

RC_GTEST_PROP(Streams, ARateScaledDividesGaps, ()) {
    const auto times = any_arrivals();
    const double factor = *rc::gen::inRange(1, 9);
    const auto scaled = all_of(scale_rate(stream_of(times, 1), factor));
    RC_ASSERT(scaled.size() == times.size());
    for (std::size_t i = 0; i < times.size(); ++i)
        RC_ASSERT(scaled[i].arrival.value() == times[i] / factor);
}

RC_GTEST_PROP(Streams, SlicesPartTheWhole, ()) {
    const auto times = any_arrivals();
    std::vector<double> together;
    const double step = *rc::gen::inRange(1, 120);
    for (double from = 0; from < 100; from += step)
        for (const Request& one :
             all_of(slice(stream_of(times, 1), Seconds(from), Seconds(from + step))))
            together.push_back(one.arrival.value() + from);
    RC_ASSERT(together == times);
    const long count = *rc::gen::inRange(0, 120);
    RC_ASSERT(all_of(first_requests(stream_of(times, 1), count)).size() ==
              std::min(times.size(), static_cast<std::size_t>(count)));
}

// Apart from the test, where the compiler takes its optional parts for uninitialised.
[[gnu::noinline]] StreamSpec sessions_of_three_turns() {
    StreamSpec spec;
    spec.arrivals = ArrivalSpec{};
    spec.arrivals->rate = Hertz(1);
    spec.input = LengthSpec{};
    spec.input->law = LengthLaw::exponential;
    spec.input->mean = Tokens(200);
    spec.output = spec.input;
    spec.sessions = SessionSpec{};
    spec.sessions->turns = 3;
    spec.duration = Seconds(1000);
    return spec;
}

// The same seed gives the same requests, whenever each of a session's turns is asked for.
RC_GTEST_PROP(Streams, SessionsDoNotDependOnEachOther, ()) {
    const StreamSpec spec = sessions_of_three_turns();
    const auto seed = static_cast<std::uint64_t>(*rc::gen::inRange(0, 1000));
    const auto order = *rc::gen::container<std::vector<bool>>(40, rc::gen::arbitrary<bool>());
    using Key = std::pair<long, int>;
    const auto run = [&](bool mixed) {
        const RequestStream stream = make_stream(spec, seed);
        std::map<Key, std::pair<long, std::vector<std::uint64_t>>> seen;
        std::vector<Request> open;
        Request request;
        std::size_t step = 0;
        for (int begun = 0; begun < 8 || !open.empty();) {
            const bool first = begun < 8 && (!mixed || open.empty() || order[step++ % 40]);
            if (first) {
                ++begun;
                if (!stream.next(request)) continue;
            } else {
                const std::size_t which = mixed ? step % open.size() : 0;
                const Request ended = open[which];
                open.erase(open.begin() + static_cast<long>(which));
                if (!stream.follow(ended, ended.arrival, request)) continue;
            }
            seen[{request.session, request.turn}] = {request.input_tokens, request.prefix_blocks};
            if (request.continues) open.push_back(request);
        }
        return seen;
    };
    RC_ASSERT(run(false) == run(true));
}

// Against a store that is worked out naively: prompts one after the other, the least recently used
// block first out, of those used together the last of the prompt.
RC_GTEST_PROP(Store, IsTheLeastRecentlyUsed, ()) {
    const long capacity = *rc::gen::inRange(1, 12);
    const auto prompts = *rc::gen::container<std::vector<std::vector<int>>>(
        rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 3)));
    BlockCacheSpec spec;
    spec.tiers.resize(1);
    spec.tiers[0].blocks = capacity;
    BlockCache cache(spec);
    std::vector<std::uint64_t> recent;  // last used first
    for (const auto& prompt : prompts) {
        // A name stands for all that is before it too.
        std::vector<std::uint64_t> names;
        for (const int one : prompt)
            names.push_back(random_bits(names.empty() ? 0 : names.back(), one));
        long hits = 0;
        for (const std::uint64_t name : names) {
            if (std::find(recent.begin(), recent.end(), name) == recent.end()) break;
            ++hits;
        }
        RC_ASSERT(cache.refer(names, Seconds(0)).blocks == hits);
        names.resize(std::min(names.size(), static_cast<std::size_t>(capacity)));
        std::vector<std::uint64_t> now = names;
        for (const std::uint64_t name : recent)
            if (std::find(names.begin(), names.end(), name) == names.end()) now.push_back(name);
        now.resize(std::min(now.size(), static_cast<std::size_t>(capacity)));
        recent = now;
        RC_ASSERT(cache.held(0) == static_cast<long>(recent.size()));
        for (const std::uint64_t name : recent)
            RC_ASSERT(cache.match(std::vector<std::uint64_t>{name}, Seconds(0)).blocks == 1);
    }
}

// Requests come and go in any order: blocks are never more than there are, what is pinned stays,
// and at the end nothing is pinned or fresh.
RC_GTEST_PROP(Store, KeepsItsBounds, ()) {
    BlockCacheSpec spec;
    spec.tiers.resize(static_cast<std::size_t>(*rc::gen::inRange(1, 4)));
    for (CacheTierSpec& tier : spec.tiers) {
        tier.blocks = *rc::gen::inRange(1, 10);
        if (*rc::gen::arbitrary<bool>()) tier.time_to_live = Seconds(*rc::gen::inRange(1, 8));
    }
    const long capacity = spec.tiers[0].blocks;
    BlockCache cache(spec);
    struct Running {
        std::vector<std::uint64_t> names;
        long fresh = 0;
    };
    std::vector<Running> running;
    const auto steps = *rc::gen::container<std::vector<std::pair<int, int>>>(
        rc::gen::pair(rc::gen::inRange(0, 4), rc::gen::inRange(0, 1000)));
    double now = 0;
    for (const auto& [what, which] : steps) {
        now += which % 3;
        if (what < 2) {
            std::vector<std::uint64_t> names;
            for (int i = 0; i < which % 6; ++i)
                names.push_back(static_cast<std::uint64_t>(100 * (which % 3) + i));
            const long blocks = static_cast<long>(names.size()) + which % 2;
            const PrefixHit seen = cache.match(names, Seconds(now));
            const auto hit = cache.acquire(names, blocks, Seconds(now));
            if (!hit) continue;
            RC_ASSERT(hit->blocks == seen.blocks);
            const std::span<const std::uint64_t> all(names);
            cache.name(all.subspan(static_cast<std::size_t>(hit->blocks)), Seconds(now));
            running.push_back({names, blocks - static_cast<long>(names.size())});
        } else if (what == 2 && !running.empty()) {
            Running& one = running[static_cast<std::size_t>(which) % running.size()];
            if (cache.grow(1, Seconds(now))) ++one.fresh;
        } else if (!running.empty()) {
            const auto at = static_cast<long>(static_cast<std::size_t>(which) % running.size());
            cache.release(running[static_cast<std::size_t>(at)].names,
                          running[static_cast<std::size_t>(at)].fresh, Seconds(now));
            running.erase(running.begin() + at);
        }
        RC_ASSERT(cache.held(0) + cache.fresh() <= capacity);
        RC_ASSERT(cache.available() >= 0);
        for (std::size_t t = 1; t < spec.tiers.size(); ++t)
            RC_ASSERT(cache.held(t) <= spec.tiers[t].blocks);
        for (const Running& one : running) {
            const PrefixHit hit = cache.match(one.names, Seconds(now));
            RC_ASSERT(hit.by_tier[0] == static_cast<long>(one.names.size()));
        }
    }
    for (const Running& one : running) cache.release(one.names, one.fresh, Seconds(now));
    RC_ASSERT(cache.pinned() == 0);
    RC_ASSERT(cache.fresh() == 0);
}

}  // namespace
}  // namespace podsim
