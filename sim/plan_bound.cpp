#include "sim/plan_bound.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/at.hpp"
#include "workloads/training_transfers.hpp"

namespace podsim {

void PlanBound::Part::add(const Part& one, double count) {
    forward += count * one.forward;
    input += count * one.input;
    weight += count * one.weight;
    sums += count * one.sums;
    for (std::size_t i = 0; i < streams.size(); ++i) streams[i] += count * one.streams[i];
}

const PlanBound::Part& PlanBound::part(const TrainingPlan& plan, const TrainingPosition& part,
                                       Detail detail) {
    const bool apart = splits_backward(plan.schedule);
    const bool as_one = overlaps_passes(plan.request(job_));
    const bool reduces = detail == Detail::closer && plan.replicas() > 1 &&
                         (reduces_each(plan) || job_.habits().overlap_gradients);
    if (detail == Detail::closer && !as_one && !reduces) return this->part(plan, part, Detail::sum);
    // What passes depend on (TrainingCase::pass).
    TrainingPlan depends = plan;
    depends.pipeline_parallel = 1;
    if (!reduces) {
        depends.data_parallel = 1;
        depends.zero_stage = 0;
    }
    // A layer's copies may be hidden beside another's work.
    depends.offload = {};
    TrainingPlan asked = plan;
    asked.offload = {};
    const bool counted = job_.experts.popularity == Popularity::histogram;
    const std::string key = fmt::format(
        "{}|{}|{}|{}{}{}{}{}", plan_key(depends), placement_key(plan), work_of(job_, part), apart,
        as_one, detail == Detail::closer,
        reduces ? two_directions(plan) ? plan.pipeline_parallel : 1 : 0, counted ? part.begin : 0);
    const auto known = known_.find(key);
    if (known != known_.end()) return known->second;
    const PassKind last = apart ? PassKind::weight_gradient : PassKind::backward;
    Part times;
    if (detail == Detail::closer) {
        times = this->part(plan, part, Detail::sum);
        // Of what a layer's sums add, their stream alone: the next layer's work hides them.
        if (reduces)
            times.sums = training_.part(asked, part, last, true)->streams[data_stream].value();
        // On the cores that such a pass leaves to compute.
        if (as_one) {
            const TrainingPassPtr pass = training_.part(asked, part, PassKind::overlapped);
            for (std::size_t i = 0; i < kChainStreams; ++i)
                times.streams[i] = pass->streams[i].value();
        }
        return known_[key] = times;
    }
    const auto run = [&](PassKind kind) {
        const TrainingPassPtr pass = training_.part(asked, part, kind);
        for (std::size_t i = 0; i < kChainStreams; ++i)
            times.streams[i] += pass->streams[i].value();
        return pass->time().value();
    };
    times.forward = run(PassKind::forward);
    if (apart) times.input = run(PassKind::input_gradient);
    (apart ? times.weight : times.input) = run(last);
    return known_[key] = times;
}

PlanBound::Part PlanBound::position(const TrainingPlan& plan, const TrainingPosition& position,
                                    Detail detail) {
    Part sum;
    const auto add_layer = [&](long layer, double count, bool again) {
        TrainingPosition one;
        one.begin = layer;
        one.end = layer + 1;
        one.again = again ? -1 : 0;
        sum.add(part(plan, one, detail), count);
    };
    if (job_.experts.popularity == Popularity::histogram) {
        // Counted experts differ from layer to layer.
        for (long layer = position.begin; layer < position.end; ++layer)
            add_layer(layer, 1, position.makes_again(layer));
    } else {
        const auto& layers = job_.model.layers;
        const auto add_row = [&](long begin, long end, bool again) {
            for (const LayerCount& alike : layer_kinds(job_.model, begin, end)) {
                const auto first = std::find(layers.begin(), layers.end(), alike.kind);
                add_layer(first - layers.begin(), static_cast<double>(alike.count), again);
            }
        };
        add_row(position.begin, position.keeps_from(), true);
        add_row(position.keeps_from(), position.end, false);
    }
    if (position.embedding || position.head) {
        TrainingPosition ends = position;
        ends.begin = ends.end;
        if (ends.again >= 0) ends.again = 0;
        sum.add(part(plan, ends, detail), 1);
    }
    return sum;
}

std::vector<PlanBound::Part> PlanBound::parts(const TrainingPlan& plan,
                                              const std::vector<TrainingPosition>& positions,
                                              Detail detail) {
    std::map<std::string, Part> alike;
    std::vector<Part> parts;
    for (const TrainingPosition& one : positions) {
        const auto [it, fresh] = alike.try_emplace(work_of(job_, one));
        if (fresh) it->second = position(plan, one, detail);
        parts.push_back(it->second);
    }
    return parts;
}

Seconds PlanBound::of(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions) {
    const auto count = static_cast<int>(positions.size());
    const int stages = plan.pipeline_parallel;
    const bool both = plan.schedule == ScheduleKind::dual_pipe;
    const bool folds =
        plan.schedule == ScheduleKind::zero_bubble_v || plan.schedule == ScheduleKind::dual_pipe_v;
    const bool apart = splits_backward(plan.schedule);
    const bool as_one = overlaps_passes(plan.request(job_));
    const std::vector<Part> parts = this->parts(plan, positions, Detail::sum);
    std::vector<double> before(parts.size() + 1), after(parts.size() + 1);
    for (std::size_t p = 0; p < parts.size(); ++p) {
        before[p + 1] = before[p] + parts[p].forward;
        after[p + 1] = after[p] + (apart || as_one ? 0 : parts[p].input + parts[p].weight);
    }
    const auto micro_batches = static_cast<double>(plan.micro_batches(job_));
    double longest = 0;
    for (int stage = 0; stage < stages; ++stage) {
        Part work;
        int first = stage;
        const auto hold = [&](int p, double share) { work.add(at(parts, p), share); };
        if (both) {
            // The second pipe goes the other way round: half the micro-batches each.
            hold(stage, 0.5);
            hold(count - 1 - stage, 0.5);
            first = std::min(stage, count - 1 - stage);
        } else if (folds) {
            hold(stage, 1);
            hold(count - 1 - stage, 1);
        } else {
            for (int p = stage; p < count; p += stages) hold(p, 1);
        }
        const double one = as_one ? *std::max_element(work.streams.begin(), work.streams.end())
                                  : work.forward + work.input + work.weight;
        longest = std::max(longest, micro_batches * one + at(before, first) + at(after, first));
    }
    return Seconds(kPlanBoundMargin * longest) + job_.engine.host_step.value;
}

Seconds PlanBound::closer(const TrainingPlan& plan,
                          const std::vector<TrainingPosition>& positions) {
    // The order of automatic schedules is made from the times: shorter ones may make a longer one.
    if (plan.schedule == ScheduleKind::zero_bubble_1p ||
        plan.schedule == ScheduleKind::zero_bubble_2p)
        return of(plan, positions);
    const bool as_one = overlaps_passes(plan.request(job_));
    const bool each = reduces_each(plan), apart = splits_backward(plan.schedule);
    const std::vector<Part> parts = this->parts(plan, positions, Detail::closer);
    PipelineTimes times;
    times.transfer = training_.send_time(plan);
    for (const Part& part : parts) {
        PassTimes one;
        const double sums = each ? part.sums : 0;
        one.forward = Seconds(part.forward);
        one.input_gradient = Seconds(apart ? part.input : std::max(part.input, sums));
        one.weight_gradient = Seconds(apart ? std::max(part.weight, sums) : 0);
        if (as_one)
            one.overlapped = Seconds(
                std::max(sums, *std::max_element(part.streams.begin(), part.streams.end())));
        times.positions.push_back(one);
    }
    const Schedule schedule = make_schedule(plan.request(job_), times);
    const ScheduleTiming timing = time_schedule(schedule, times);
    const auto last =
        std::max_element(timing.stages.begin(), timing.stages.end(),
                         [](const auto& a, const auto& b) { return a.last < b.last; });
    std::vector<TrainingPosition> held;
    // Sums that go beside a stage's last pass; whose that is the schedule does not say.
    double longer = each ? 0 : std::numeric_limits<double>::infinity();
    for (const int p :
         positions_of_stage(schedule, static_cast<int>(last - timing.stages.begin()))) {
        held.push_back(at(positions, p));
        const Part& part = at(parts, p);
        longer = std::min(longer, std::max(0.0, part.sums - (apart ? part.weight : part.input)));
    }
    return kPlanBoundMargin * (last->last + Seconds(longer) + training_.after_passes(plan, held)) +
           job_.engine.host_step.value;
}

}  // namespace podsim
