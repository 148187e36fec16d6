#include "sim/serving_bound.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/statistics.hpp"

namespace podsim {

namespace {

constexpr double kPerOctave = 2;  // loads that are looked at

// Calls `look` with whole loads from 1 to `most`, that one included.
template <class Look>
void at_loads(double most, const Look& look) {
    const double ratio = std::exp2(1 / kPerOctave);
    double last = 0;
    for (double load = 1; load < most; load *= ratio) {
        const double whole = std::round(load);
        if (whole > last && whole < most) look(last = whole);
    }
    look(most);
}

void look_at_reading(ServingBound& bound, const ServingDemand& demand, const BoundReplica& replica,
                     StepTable& table) {
    at_loads(static_cast<double>(replica.knobs.max_num_batched_tokens), [&](double tokens) {
        const double seconds = table.time({0, 0, tokens, demand.prompt_context()}).value();
        bound.read_rate = std::max(bound.read_rate, tokens / seconds);
    });
    bound.reading = demand.computed / bound.read_rate / demand.last_promised;
}

void look_at_writing(ServingBound& bound, const ServingDemand& demand, const BoundReplica& replica,
                     StepTable& table) {
    const double context = demand.answer_context(), gained = replica.tokens_per_step;
    const double room = std::floor(static_cast<double>(replica.kv_blocks) *
                                   static_cast<double>(replica.knobs.block_size) / context);
    const auto sequences = static_cast<double>(replica.knobs.max_num_seqs);
    const auto each = [&](double batch) {
        return table.time({batch, context, 0, 0}).value() / gained;
    };
    double most = std::max(1.0, std::min(room, sequences));
    bound.limit = room < sequences ? "KV room" : "max_num_seqs";
    if (demand.loosest_token > 0 && each(most) > demand.loosest_token) {
        bound.limit = "tpot";
        double kept = 1, broken = most;
        while (broken - kept > std::max(1.0, 0.005 * kept)) {
            const double middle = std::round((kept + broken) / 2);
            (each(middle) <= demand.loosest_token ? kept : broken) = middle;
        }
        most = kept;
    }
    at_loads(most, [&](double batch) {
        const double rate = batch / each(batch);
        if (rate <= bound.write_rate) return;
        bound.write_rate = rate;
        bound.batch = batch;
    });
    bound.writing = demand.output / bound.write_rate / demand.last_promised;
}

// By one of the groups, the others having nothing to read.
double read_alone(const DemandSample& sample, const BoundReplica& replica, StepTable& table) {
    const SchedulerKnobs& knobs = replica.knobs;
    long chunk = std::max(1L, knobs.max_num_batched_tokens / replica.groups);
    if (knobs.long_prefill_token_threshold > 0)
        chunk = std::min(chunk, knobs.long_prefill_token_threshold);
    double seconds = 0;
    for (long done = sample.cached; done < sample.input;) {
        const long tokens = std::min(chunk, sample.input - done);
        const auto part = static_cast<double>(tokens);
        StepLoad load{0, 0, part, static_cast<double>(done) + (part + 1) / 2};
        if (replica.groups > 1) load.fullest_prefill = part;
        seconds += table.time(load).value();
        done += tokens;
    }
    return seconds;
}

void look_at_each_alone(ServingBound& bound, const ServingDemand& demand,
                        const BoundReplica& replica, double good, StepTable& table) {
    std::vector<double> first, each;
    long kept = 0;
    for (const DemandSample& sample : demand.samples) {
        bool keeps = true;
        if (replica.role != PoolRole::decode) {
            first.push_back(read_alone(sample, replica, table));
            keeps = first.back() <= sample.first_token;
        }
        if (replica.role != PoolRole::prefill && sample.output > 1) {
            const double context =
                static_cast<double>(sample.input) + static_cast<double>(sample.output) / 2;
            each.push_back(table.time({1, context, 0, 0}).value() / replica.tokens_per_step);
            keeps = keeps && each.back() <= sample.each_token;
        }
        kept += keeps ? 1 : 0;
    }
    if (!first.empty()) bound.first_token_alone = percentile(std::move(first), 100 * good);
    if (!each.empty()) bound.each_token_alone = percentile(std::move(each), 100 * good);
    if (!demand.samples.empty())
        bound.kept_alone = static_cast<double>(kept) / static_cast<double>(demand.samples.size());
}

int whole(double replicas) {
    return static_cast<int>(std::clamp(std::ceil(replicas - 1e-9), 1.0, 1e6));
}

}  // namespace

ServingBound serving_bound(const ServingDemand& demand, const BoundReplica& replica, double good,
                           StepTable& table) {
    ServingBound bound;
    if (replica.role != PoolRole::decode) look_at_reading(bound, demand, replica, table);
    if (replica.role != PoolRole::prefill) look_at_writing(bound, demand, replica, table);
    look_at_each_alone(bound, demand, replica, good, table);
    // So many of the requests, of average size, may come too late.
    bound.replicas = whole(good * std::max(bound.reading, bound.writing));
    bound.likely = std::max(bound.replicas, whole(1.1 * (bound.reading + bound.writing)));
    return bound;
}

}  // namespace podsim
