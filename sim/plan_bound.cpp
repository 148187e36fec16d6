#include "sim/plan_bound.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/at.hpp"

namespace podsim {

const PlanBound::Part& PlanBound::part(const TrainingPlan& plan, const TrainingPosition& part,
                                       bool busy) {
    const bool apart = splits_backward(plan.schedule);
    // What passes depend on (TrainingCase::pass).
    TrainingPlan depends = plan;
    depends.pipeline_parallel = depends.data_parallel = 1;
    depends.zero_stage = 0;
    // A layer's copies may be hidden beside another's work.
    depends.offload = {};
    TrainingPlan asked = plan;
    asked.offload = {};
    const bool counted = job_.experts.popularity == Popularity::histogram;
    const std::string key = fmt::format("{}|{}|{}|{}{}{}", plan_key(depends), placement_key(plan),
                                        work_of(job_, part), apart, busy, counted ? part.begin : 0);
    const auto [it, fresh] = known_.try_emplace(key);
    if (!fresh) return it->second;
    const auto seconds = [&](PassKind kind) {
        const TrainingPassPtr pass = training_.part(asked, part, kind);
        return (busy ? pass->busy : pass->time()).value();
    };
    Part& times = it->second;
    times.forward = seconds(PassKind::forward);
    if (apart) {
        times.input = seconds(PassKind::input_gradient);
        times.weight = seconds(PassKind::weight_gradient);
    } else {
        times.input = seconds(PassKind::backward);
    }
    return times;
}

PlanBound::Part PlanBound::position(const TrainingPlan& plan, const TrainingPosition& position) {
    const bool busy = overlaps_passes(plan.request(job_));
    Part sum;
    const auto add = [&](const Part& one, double count) {
        sum.forward += count * one.forward;
        sum.input += count * one.input;
        sum.weight += count * one.weight;
    };
    const auto add_layer = [&](long layer, double count, bool again) {
        TrainingPosition one;
        one.begin = layer;
        one.end = layer + 1;
        one.again = again ? -1 : 0;
        add(part(plan, one, busy), count);
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
        add(part(plan, ends, busy), 1);
    }
    return sum;
}

Seconds PlanBound::of(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions) {
    const auto count = static_cast<int>(positions.size());
    const int stages = plan.pipeline_parallel;
    const bool both = plan.schedule == ScheduleKind::dual_pipe;
    const bool folds =
        plan.schedule == ScheduleKind::zero_bubble_v || plan.schedule == ScheduleKind::dual_pipe_v;
    const bool apart = splits_backward(plan.schedule);
    std::map<std::string, Part> alike;
    std::vector<Part> parts;
    for (const TrainingPosition& one : positions) {
        const auto [it, fresh] = alike.try_emplace(work_of(job_, one));
        if (fresh) it->second = position(plan, one);
        parts.push_back(it->second);
    }
    std::vector<double> before(parts.size() + 1), after(parts.size() + 1);
    for (std::size_t p = 0; p < parts.size(); ++p) {
        before[p + 1] = before[p] + parts[p].forward;
        after[p + 1] = after[p] + (apart ? 0 : parts[p].input + parts[p].weight);
    }
    const auto micro_batches = static_cast<double>(plan.micro_batches(job_));
    double longest = 0;
    for (int stage = 0; stage < stages; ++stage) {
        double work = 0;
        int first = stage;
        const auto hold = [&](int p, double share) {
            const Part& one = at(parts, p);
            work += share * (one.forward + one.input + one.weight);
        };
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
        longest = std::max(longest, micro_batches * work + at(before, first) + at(after, first));
    }
    return Seconds(kPlanBoundMargin * longest) + job_.engine.host_step.value;
}

}  // namespace podsim
