#include "workloads/training_need.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/at.hpp"
#include "workloads/step_parts.hpp"
#include "workloads/training_transfers.hpp"

namespace podsim {

namespace {

constexpr double linear_inputs = 32.0 / 34.0;

constexpr const char* kActivations = "activations";
constexpr const char* kMadeAgain = "activations of a layer again";

// Rows of the busiest rank's experts over those of an even load without drops.
double busy_rows(const TrainingPlan& plan) {
    return plan.routed.imbalance * (1 - plan.routed.dropped);
}

ActivationShape shape_of(const TrainingJob& job, const TrainingPlan& plan) {
    ActivationShape shape;
    shape.tokens = plan.tokens(job);
    shape.sequence = job.sequence;
    shape.tensor_parallel = plan.tensor_parallel;
    shape.sequence_parallel = plan.more.sequence_parallel;
    shape.flash_attention = job.habits().flash_attention;
    shape.dropout = job.dropout;
    shape.expert_tensor_parallel = plan.more.expert_tensor_parallel;
    if (const double rows = busy_rows(plan); rows != 1) {
        shape.routed_rows = rows * static_cast<double>(shape.tokens) *
                            static_cast<double>(job.model.experts_per_token) *
                            plan.more.expert_tensor_parallel / plan.tensor_parallel;
    }
    if (bytes_of(job.precision.activations) <= 1.0) shape.gate_up = job.precision.activations;
    return shape;
}

HeldParameters& operator+=(HeldParameters& sum, const HeldParameters& more) {
    sum.matrices += more.matrices;
    sum.vectors += more.vectors;
    sum.tables += more.tables;
    sum.experts += more.experts;
    sum.memory_tables += more.memory_tables;
    return sum;
}

TrainingState state_of(const TrainingJob& job, const TrainingPlan& plan,
                       const HeldParameters& held) {
    return training_state(held, job.precision, job.optimizer,
                          {plan.zero_stage, plan.replicas(), plan.expert_replicas()});
}

// Tokens that wait in buffers of an exchange: sent and received, in their formats.
Bytes exchange_buffers(const TrainingJob& job, const TrainingPlan& plan) {
    if (!has_experts(job.model) || plan.expert_parallel == 1) return Bytes(0.0);
    const double rows = static_cast<double>(plan.own_tokens(job)) *
                        static_cast<double>(job.model.experts_per_token);
    return busy_rows(plan) * rows *
           (dispatched_token(job.model, job.precision.dispatch) +
            dispatched_token(job.model, job.precision.combine));
}

}  // namespace

Bytes layer_activations(const TrainingJob& job, const TrainingPlan& plan, const LayerKind& kind,
                        bool again) {
    return total_of(kept_activations(job.model, job.precision, kind, shape_of(job, plan),
                                     again ? plan.recompute.parts() : Recompute{}));
}

PositionActivations activations_of(const TrainingJob& job, const TrainingPlan& plan,
                                   const TrainingPosition& position) {
    const ActivationShape shape = shape_of(job, plan);
    PositionActivations sum;
    Bytes widest(0.0), longest(0.0), gone(0.0);
    const double here = 1 - plan.offload.activations;
    const auto add_layers = [&](const LayerKind& kind, double count, bool again) {
        const Recompute recompute = again ? plan.recompute.parts() : Recompute{};
        const Bytes held =
            total_of(kept_activations(job.model, job.precision, kind, shape, recompute));
        const Bytes all =
            total_of(kept_activations(job.model, job.precision, kind, shape, Recompute{}));
        Recompute no_scores = recompute;
        no_scores.attention = true;
        const Bytes linear =
            recompute.layer
                ? held
                : total_of(kept_activations(job.model, job.precision, kind, shape, no_scores));
        sum.held += here * count * held;
        sum.away += (1 - here) * count * held;
        sum.kept += count * linear_inputs * linear;
        longest = max(longest, held);
        widest = max(widest, all - held);
        if (again) return;
        const Bytes stays = splits_backward(plan.schedule) ? linear_inputs * linear : Bytes(0.0);
        gone += here * count * max(Bytes(0.0), held - stays);
    };
    const auto add_row = [&](long begin, long end, bool again) {
        for (const LayerCount& alike : layer_kinds(job.model, begin, end))
            add_layers(alike.kind, static_cast<double>(alike.count), again);
    };
    add_row(position.begin, position.keeps_from(), true);
    add_row(position.keeps_from(), position.end, false);
    if (position.drafts) {
        const auto drafts = static_cast<double>(job.model.draft_layers);
        add_layers(job.model.draft_layer, drafts, position.makes_drafts_again());
        sum.held += drafts * (total_of(kept_by_draft(job.model, shape)) +
                              total_of(kept_by_head(job.model, shape)));
    }
    if (position.head) sum.held += total_of(kept_by_head(job.model, shape));
    // Those that keep all come last and have had their backward pass when the others begin theirs.
    sum.working = max(Bytes(0.0), widest - gone);
    // One on its way out or in, one that is worked on.
    sum.moving = 2 * plan.offload.activations * longest;
    return sum;
}

PipelineTimes unit_times(const TrainingJob& job, const TrainingPlan& plan,
                         const std::vector<TrainingPosition>& positions) {
    PipelineTimes times;
    std::map<std::string, PositionActivations> known;
    for (const TrainingPosition& position : positions) {
        const auto [it, fresh] = known.try_emplace(work_of(job, position));
        if (fresh) it->second = activations_of(job, plan, position);
        PassTimes one;
        one.forward = one.input_gradient = one.weight_gradient = Seconds(1.0);
        one.activation = it->second.held.value();
        one.again = it->second.working.value();
        // What was offloaded is back for its gradients of weights.
        one.kept = plan.offload.activations > 0
                       ? it->second.kept.value()
                       : std::min(it->second.kept, it->second.held).value();
        times.positions.push_back(one);
    }
    return times;
}

std::vector<int> positions_of_stage(const Schedule& schedule, int stage) {
    std::vector<int> held;
    for (const auto& stages : schedule.stage_of) {
        for (std::size_t p = 0; p < stages.size(); ++p) {
            if (stages[p] == stage) held.push_back(static_cast<int>(p));
        }
    }
    return held;
}

namespace {

std::string text_of(const std::vector<int>& stages, int all) {
    if (all == 1) return "ranks";
    if (stages.size() == 1) return fmt::format("stage {} ranks", stages.front() + 1);
    const bool row = stages.back() - stages.front() + 1 == static_cast<int>(stages.size());
    if (row) return fmt::format("stages {} to {} ranks", stages.front() + 1, stages.back() + 1);
    std::string text;
    for (std::size_t i = 0; i < stages.size(); ++i)
        text += fmt::format("{}{}", i == 0 ? "" : ", ", stages[i] + 1);
    return "stages " + text + " ranks";
}

// Where a rank keeps its part of the sums alone: the whole gradients of what is worked on, and of
// what is reduced meanwhile where the engine hides that. At most all that whole sums would take.
Bytes gradients_at_hand(const TrainingJob& job, const TrainingState& state,
                        const HeldParameters& held, double widest) {
    const double of_one = widest * bytes_of(job.gradient_reduction);
    const Bytes all = Bytes(held.total() * bytes_of(job.optimizer.gradients)) -
                      state.dense.gradients - state.experts.gradients;
    return min(Bytes((job.habits().overlap_gradients ? 2 : 1) * of_one), all);
}

}  // namespace

std::vector<StageNeed> training_need(const TrainingJob& job, const TrainingPlan& plan,
                                     const std::vector<TrainingPosition>& positions,
                                     const Schedule& schedule, const ScheduleTiming& timing) {
    std::vector<StageNeed> needs;
    std::map<std::string, std::size_t> index;
    std::vector<HeldActivations> peaks;
    std::vector<double> in_flight;
    for (int stage = 0; stage < schedule.stages; ++stage) {
        std::vector<int> held = positions_of_stage(schedule, stage);
        std::vector<std::string> parts;
        for (const int p : held) parts.push_back(work_of(job, at(positions, p)));
        // Two directions hold the same in either order.
        std::sort(parts.begin(), parts.end());
        std::string key;
        for (const std::string& part : parts) key += part + "|";
        const StageTiming& of_stage = at(timing.stages, stage);
        const auto [it, fresh] = index.try_emplace(key, needs.size());
        if (fresh) {
            needs.emplace_back();
            needs.back().positions = {held};
            peaks.emplace_back();
            in_flight.push_back(0);
        }
        in_flight[it->second] =
            std::max(in_flight[it->second], static_cast<double>(of_stage.peak_in_flight));
        StageNeed& kind = needs[it->second];
        kind.stages.push_back(stage);
        if (!fresh && of_stage.fullest.total() <= peaks[it->second].total()) continue;
        peaks[it->second] = of_stage.fullest;
        kind.fullest_stage = stage;
        kind.peak_at = of_stage.fullest_at;
        kind.peak_pass = of_stage.fullest_pass;
    }
    for (std::size_t i = 0; i < needs.size(); ++i) {
        StageNeed& one = needs[i];
        HeldParameters held;
        Bytes moving(0.0), away(0.0), layer(0.0);
        double widest = 0;  // parameters of a layer or of an end
        for (const int p : one.positions.front()) {
            const TrainingPosition& position = at(positions, p);
            held += held_by(job, plan, position);
            const PositionActivations of = activations_of(job, plan, position);
            moving = max(moving, of.moving);
            away = max(away, of.away);
            for (const bool head : {false, true}) {
                TrainingPosition end = position;
                end.end = end.begin;
                end.embedding = end.embedding && !head;
                end.head = end.head && head;
                end.drafts = end.drafts && head;
                widest = std::max(widest, held_by(job, plan, end).total());
            }
            if (position.begin == position.end) continue;
            TrainingPosition first = position;
            first.end = first.begin + 1;
            first.embedding = first.head = first.drafts = false;
            const HeldParameters of_layer = held_by(job, plan, first);
            layer = max(layer, Bytes(of_layer.total() * bytes_of(job.precision.weights)));
            widest = std::max(widest, of_layer.total());
        }
        const TrainingState state = state_of(job, plan, held);
        const double here = 1 - plan.offload.optimizer;
        const Bytes master = state.dense.master + state.experts.master,
                    moments = state.dense.moments + state.experts.moments;
        if (plan.offload.host_memory == BytesPerSecond(0.0))
            moving += 2.0 / kOffloadChunks * plan.offload.optimizer * (master + moments);
        one.host = plan.offload.optimizer * (master + moments) + in_flight[i] * away;
        MemoryNeed& need = one.need;
        need.rank_class = text_of(one.stages, schedule.stages);
        need.parts = {{"weights", state.dense.weights + state.experts.weights},
                      {"gradients", state.dense.gradients + state.experts.gradients},
                      {"master weights", here * master},
                      {"optimizer moments", here * moments},
                      {kActivations, Bytes(peaks[i].activation)},
                      {kMadeAgain, Bytes(peaks[i].again)},
                      {"exchange buffers", exchange_buffers(job, plan)},
                      {"runtime reserve", job.engine.memory_reserve.value}};
        if (plan.offload.any()) need.parts.emplace_back("offload buffers", moving);
        if (plan.zero_stage == 3) need.parts.emplace_back("gathered layers", 2.0 * layer);
        if (reduces_each(plan))
            need.parts.emplace_back("gradients of a layer, whole",
                                    gradients_at_hand(job, state, held, widest));
    }
    return needs;
}

Bytes least_need(const TrainingJob& job, const TrainingPlan& plan,
                 const std::vector<TrainingPosition>& positions) {
    const auto count = static_cast<long>(positions.size());
    const long per_stage = count / plan.pipeline_parallel;
    // Every position in the middle holds at least so many layers.
    TrainingPosition middle = positions[positions.size() / 2];
    const long least = layer_count(job.model) / count;
    middle.end = std::min(middle.end, middle.begin + least);
    middle.embedding = middle.head = middle.drafts = false;
    const TrainingState state = state_of(job, plan, held_by(job, plan, middle));
    const Bytes away = plan.offload.optimizer * (state.dense.master + state.dense.moments +
                                                 state.experts.master + state.experts.moments);
    return static_cast<double>(per_stage) * (state.total() - away) +
           job.engine.memory_reserve.value;
}

std::string text_of(const Pass& pass) {
    const char* name = "pass";
    switch (pass.kind) {
        case PassKind::forward:
            name = "forward pass";
            break;
        case PassKind::backward:
            name = "backward pass";
            break;
        case PassKind::input_gradient:
            name = "gradients of inputs";
            break;
        case PassKind::weight_gradient:
            name = "gradients of weights";
            break;
        case PassKind::overlapped:
            name = "forward and backward pass";
            break;
    }
    return fmt::format("{} of micro-batch {}, part {}", name, pass.cell.micro_batch,
                       pass.cell.position);
}

Bytes HeldMemory::total() const {
    Bytes sum(0.0);
    for (const Bytes& part : parts) sum += part;
    return sum;
}

std::vector<HeldMemory> memory_over_time(const StageNeed& need, const ScheduleTiming& timing,
                                         int stage) {
    std::vector<HeldMemory> held;
    const auto add = [&](Seconds at, double activation, double again) {
        HeldMemory one;
        one.at = at;
        for (const auto& [part, size] : need.need.parts) {
            one.parts.push_back(part == kActivations ? Bytes(activation)
                                : part == kMadeAgain ? Bytes(again)
                                                     : size);
        }
        // What ends and what begins at a time are one step.
        if (!held.empty() && held.back().at == at) held.pop_back();
        if (held.empty() || held.back().parts != one.parts) held.push_back(std::move(one));
    };
    add(Seconds(0.0), 0, 0);
    for (const PassRun& run : timing.passes) {
        if (run.stage != stage) continue;
        add(run.begin, run.held.activation, run.held.again);
        add(run.end, run.after, 0);
    }
    return held;
}

}  // namespace podsim
