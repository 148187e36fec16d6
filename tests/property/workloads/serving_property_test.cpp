// What holds of any traffic on any engine.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "workloads/serving.hpp"

namespace podsim {
namespace {

struct Draw {
    double gap;
    long input, output;
};

rc::Gen<std::vector<Draw>> any_traffic() {
    return rc::gen::nonEmpty(rc::gen::container<std::vector<Draw>>(rc::gen::construct<Draw>(
        rc::gen::map(rc::gen::inRange(0, 200), [](int ms) { return ms * 1e-3; }),
        rc::gen::inRange<long>(1, 300), rc::gen::inRange<long>(1, 120))));
}

RequestStream stream_of(const std::vector<Draw>& draws, bool names) {
    RequestStream stream;
    stream.block_tokens = names ? 32 : 0;
    auto next = std::make_shared<std::size_t>(0);
    auto time = std::make_shared<double>(0);
    stream.next = [=](Request& request) {
        if (*next == draws.size()) return false;
        const Draw& one = draws[*next];
        *time += one.gap;
        request = Request();
        request.arrival = Seconds(*time);
        request.input_tokens = one.input;
        request.output_tokens = one.output;
        for (long i = 0; names && (i + 1) * 32 <= one.input; ++i)
            request.prefix_blocks.push_back(
                static_cast<std::uint64_t>(100 * (*next % 3) + static_cast<std::size_t>(i)));
        ++*next;
        return true;
    };
    return stream;
}

Seconds a_step(const StepLoad& load) {
    return Seconds(2e-3 + 1e-4 * load.decodes + 1e-7 * load.decodes * load.decode_context +
                   5e-5 * load.prefill_tokens + 1e-8 * load.prefill_tokens * load.prefill_context);
}

ServingCase any_engine() {
    ServingCase serving;
    ServingPool pool;
    pool.name = "pool";
    pool.step_time = a_step;
    SchedulerKnobs& knobs = pool.knobs;
    knobs.block_size = *rc::gen::element(1L, 4L, 16L);
    knobs.max_num_seqs = *rc::gen::inRange<long>(1, 12);
    knobs.max_num_batched_tokens = *rc::gen::inRange<long>(16, 400);
    knobs.enable_chunked_prefill = *rc::gen::arbitrary<bool>();
    knobs.preemption = *rc::gen::element(Preemption::recompute, Preemption::swap);
    pool.kv_blocks = *rc::gen::inRange<long>(430, 1500) / knobs.block_size + 1;
    pool.tokens_per_step = *rc::gen::element(1.0, 1.7, 2.44);
    pool.query_tokens = pool.tokens_per_step > 1 ? 3 : 1;
    pool.swap_each = Seconds(1e-6);
    pool.replicas = *rc::gen::inRange(1, 4);
    pool.link = BytesPerSecond(1e8);
    serving.routing =
        *rc::gen::element(Routing::round_robin, Routing::least_loaded, Routing::prefix_aware);
    serving.pools = {pool};
    if (*rc::gen::arbitrary<bool>()) {
        serving.pools.push_back(pool);
        serving.pools[0].role = PoolRole::prefill;
        serving.pools[1].role = PoolRole::decode;
        serving.kv_per_token = Bytes(1000);
        serving.transfer_latency = Seconds(1e-3);
    }
    return serving;
}

RC_GTEST_PROP(ServingProperty, NothingIsLost, ()) {
    const auto draws = *any_traffic();
    const ServingCase serving = any_engine();
    RequestStream stream = stream_of(draws, *rc::gen::arbitrary<bool>());
    const ServingOutcome out = simulate_serving(serving, stream);
    RC_ASSERT(out.arrived == static_cast<long>(draws.size()));
    RC_ASSERT(out.finished + out.rejected + out.timed_out == out.arrived);
    RC_ASSERT(out.in_flight == 0);
    double read = 0, written = 0;
    for (std::size_t i = 0; i < out.pools.size(); ++i) {
        const PoolOutcome& pool = out.pools[i];
        read += pool.prefill_tokens;
        written += pool.written_tokens;
        RC_ASSERT(pool.peak_blocks <= serving.pools[i].kv_blocks);
        RC_ASSERT(pool.peak_sequences <= serving.pools[i].knobs.max_num_seqs);
        RC_ASSERT(pool.busy <= out.span * serving.pools[i].replicas * (1 + 1e-9) + 1e-9);
    }
    RC_ASSERT(std::abs(written - out.output_tokens) < 1e-6 * written + 1e-6);
    RC_ASSERT(std::abs(read - (out.input_tokens - out.cached_tokens + out.recomputed_tokens)) <
              1e-6 * read + 1e-6);
    RC_ASSERT(std::abs(out.number_integral - out.sojourn_sum) < 1e-6 * out.sojourn_sum + 1e-9);
    RC_ASSERT(std::abs(out.waits.total() - out.sojourn_sum) < 1e-6 * out.sojourn_sum + 1e-9);
    for (const double part : {out.waits.queue, out.waits.prefill, out.waits.transfer,
                              out.waits.decode, out.waits.preempted})
        RC_ASSERT(part > -1e-9);
}

// Each request alone in the fleet: how fast it can be.
RC_GTEST_PROP(ServingProperty, NobodyIsFasterThanAlone, ()) {
    const auto draws = *any_traffic();
    ServingCase serving = any_engine();
    // With accepted drafts a sequence may join when the others' next token is almost whole.
    for (ServingPool& pool : serving.pools) pool.tokens_per_step = 1;
    RequestStream all = stream_of(draws, false);
    const ServingOutcome out = simulate_serving(serving, all);
    double alone = 0;
    for (const Draw& one : draws) {
        RequestStream single = stream_of({one}, false);
        alone += simulate_serving(serving, single).end_to_end.mean;
    }
    RC_ASSERT(out.end_to_end.mean * static_cast<double>(out.finished) >= alone * (1 - 1e-5));
}

// Twice the replicas, and requests in turn: every replica has half the requests it had.
RC_GTEST_PROP(ServingProperty, TwiceTheReplicasAreNotSlower, ()) {
    const auto draws = *any_traffic();
    ServingCase serving = any_engine();
    serving.routing = Routing::round_robin;
    serving.pools.resize(1);
    serving.pools[0].role = PoolRole::serve;
    serving.pools[0].knobs.enable_chunked_prefill = true;
    // Without preemption: whose blocks are taken is an accident that more replicas move about.
    serving.pools[0].kv_blocks *= 100;
    RequestStream one = stream_of(draws, false), other = stream_of(draws, false);
    const ServingOutcome few = simulate_serving(serving, one);
    serving.pools[0].replicas *= 2;
    const ServingOutcome many = simulate_serving(serving, other);
    RC_ASSERT(many.end_to_end.mean <= few.end_to_end.mean * (1 + 0.02) + 0.005);
    RC_ASSERT(many.span <= few.span * 1.02 + 0.02);
}

RC_GTEST_PROP(ServingProperty, TheSameTrafficGivesTheSame, ()) {
    const auto draws = *any_traffic();
    const ServingCase serving = any_engine();
    RequestStream one = stream_of(draws, true), other = stream_of(draws, true);
    const ServingOutcome a = simulate_serving(serving, one), b = simulate_serving(serving, other);
    RC_ASSERT(a.span == b.span);
    RC_ASSERT(a.end_to_end.mean == b.end_to_end.mean);
    RC_ASSERT(a.events == b.events);
}

// All times k times as long: the result is k times as long.
RC_GTEST_PROP(ServingProperty, TimeHasNoScale, ()) {
    auto draws = *any_traffic();
    ServingCase serving = any_engine();
    RequestStream one = stream_of(draws, true);
    const ServingOutcome a = simulate_serving(serving, one);
    for (Draw& draw : draws) draw.gap *= 8;
    for (ServingPool& pool : serving.pools) {
        pool.step_time = [](const StepLoad& load) { return 8.0 * a_step(load); };
        pool.swap_each = 8.0 * pool.swap_each;
        pool.link = pool.link * (1.0 / 8);
    }
    serving.transfer_latency = 8.0 * serving.transfer_latency;
    RequestStream other = stream_of(draws, true);
    const ServingOutcome b = simulate_serving(serving, other);
    RC_ASSERT(std::abs(b.end_to_end.mean - 8 * a.end_to_end.mean) < 1e-4 * b.end_to_end.mean);
    RC_ASSERT(a.events == b.events);
}

}  // namespace
}  // namespace podsim
