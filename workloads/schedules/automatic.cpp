// Schedules that look at what the passes cost: zb-1p and zb-2p hold no more than once and twice
// what 1f1b holds (Qi et al., arXiv 2401.10241, section 3).
//
// The order of forward passes and input gradients is fixed by how many forward passes each stage
// warms up with; weight gradients then go wherever the stage would wait, or where memory is full.
// Warm-ups, and how long a wait must be to be worth a weight gradient, are tried out, the schedules
// written by hand among them; the shortest span wins, of equal ones the first.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <queue>

#include "workloads/schedule_timing.hpp"
#include "workloads/schedules/programs.hpp"

namespace podsim {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();

struct Due {
    double time;
    int stage;
    // The earliest first; of equal times the lower stage.
    bool operator<(const Due& other) const {
        return time != other.time ? time > other.time : stage > other.stage;
    }
};

// What a stage has done while programs are being made.
struct StageState {
    std::vector<Pass> program;
    std::vector<double> forward_ready, gradient_ready;  // [micro-batch]
    long forwards = 0, inputs = 0, weights = 0;         // passes done
    double free = 0, held = 0;
};

// What is tried out.
struct Trial {
    double ahead = 1;  // warm-up passes for each stage that follows
    double worth = 0;  // shortest wait to fill, in weight gradients
    long most = 1;     // warm-up passes at all
    double limit = 1;  // activations held
};

class Maker {
  public:
    Maker(const Schedule& layout, const PipelineTimes& times, const Trial& trial)
        : schedule_(layout), times_(times), trial_(trial), count_(layout.micro_batches) {
        states_.resize(static_cast<std::size_t>(layout.stages));
        for (StageState& state : states_) {
            state.forward_ready.assign(static_cast<std::size_t>(count_), never);
            state.gradient_ready = state.forward_ready;
        }
        std::fill(states_[0].forward_ready.begin(), states_[0].forward_ready.end(), 0.0);
    }

    // Nothing where memory holds it up for ever.
    std::optional<Schedule> make() {
        for (int s = 0; s < schedule_.stages; ++s) due_.push({0, s});
        while (!due_.empty()) {
            const Due due = due_.top();
            due_.pop();
            if (due.time >= of(due.stage).free) step(due.stage, due.time);
        }
        for (std::size_t s = 0; s < states_.size(); ++s) {
            if (states_[s].weights != count_) return std::nullopt;
            schedule_.programs[s] = std::move(states_[s].program);
        }
        return std::move(schedule_);
    }

  private:
    StageState& of(int stage) { return states_[static_cast<std::size_t>(stage)]; }
    const PassTimes& cost(int stage) const { return times_of(times_, stage); }

    void step(int stage, double now) {
        StageState& state = of(stage);
        if (state.inputs == count_) {
            if (state.weights < count_) weight(stage, now);
            return;
        }
        const long warm_up =
            std::clamp(static_cast<long>(trial_.ahead * (schedule_.stages - 1 - stage)) + 1, 1L,
                       std::min(trial_.most, count_));
        const bool forward = state.forwards < count_ && state.forwards - state.inputs < warm_up;
        const auto next = static_cast<std::size_t>(forward ? state.forwards : state.inputs);
        const double ready = (forward ? state.forward_ready : state.gradient_ready)[next];
        const bool full =
            forward && state.held + cost(stage).activation > trial_.limit * (1 + 1e-9);
        if (!full && ready <= now) {
            forward ? run_forward(stage, now) : run_input(stage, now);
            return;
        }
        const double wait = full ? never : ready - now;
        if (state.weights < state.inputs &&
            wait >= trial_.worth * cost(stage).weight_gradient.value()) {
            weight(stage, now);
        } else if (!full && ready < never) {
            due_.push({ready, stage});
        }  // else what arrives wakes the stage
    }

    void finish(int stage, PassKind kind, long micro_batch, double end) {
        StageState& state = of(stage);
        state.free = end;
        state.program.push_back({kind, {0, stage, micro_batch}, {}});
        due_.push({end, stage});
    }

    void deliver(int stage, bool forward, long micro_batch, double time) {
        StageState& state = of(stage);
        (forward ? state.forward_ready
                 : state.gradient_ready)[static_cast<std::size_t>(micro_batch)] = time;
        due_.push({std::max(time, state.free), stage});
    }

    void run_forward(int stage, double now) {
        const double end = now + cost(stage).forward.value();
        const long m = of(stage).forwards++;
        of(stage).held += cost(stage).activation;
        const bool last = stage + 1 == schedule_.stages;
        finish(stage, PassKind::forward, m, end);
        if (last) {
            deliver(stage, false, m, end);
        } else {
            deliver(stage + 1, true, m, end + times_.transfer.value());
        }
    }

    void run_input(int stage, double now) {
        const double end = now + cost(stage).input_gradient.value();
        const long m = of(stage).inputs++;
        of(stage).held -= cost(stage).activation - cost(stage).kept;
        finish(stage, PassKind::input_gradient, m, end);
        if (stage > 0) deliver(stage - 1, false, m, end + times_.transfer.value());
    }

    void weight(int stage, double now) {
        const long m = of(stage).weights++;
        of(stage).held -= cost(stage).kept;
        finish(stage, PassKind::weight_gradient, m, now + cost(stage).weight_gradient.value());
    }

    Schedule schedule_;
    const PipelineTimes& times_;
    Trial trial_;
    long count_;
    std::vector<StageState> states_;
    std::priority_queue<Due> due_;
};

}  // namespace

Schedule zero_bubble_automatic(const ScheduleRequest& request, const PipelineTimes& times) {
    const int factor = request.kind == ScheduleKind::zero_bubble_1p ? 1 : 2;
    const Schedule layout = straight_layout(request);
    double most = 0;
    for (int q = 0; q < layout.positions; ++q) most = std::max(most, times_of(times, q).activation);

    Schedule best = factor == 1 ? zero_bubble_h1(request) : zero_bubble_h2(request);
    best.kind = request.kind;
    best.choice = factor == 1 ? "as zb-h1" : "as zb-h2";
    Seconds span = time_schedule(best, times).span;
    Trial trial{1, 0, static_cast<long>(factor) * request.stages, factor * request.stages * most};
    for (int eighths = 8; eighths <= 8 * factor + 4; ++eighths) {
        for (const double worth : {0.0, 0.5, 1.0}) {
            trial.ahead = eighths / 8.0;
            trial.worth = worth;
            std::optional<Schedule> made = Maker(layout, times, trial).make();
            if (!made) continue;
            const Seconds reached = time_schedule(*made, times).span;
            if (reached >= span) continue;
            span = reached;
            best = std::move(*made);
            best.choice = fmt::format(
                "{:.4g} forward passes ahead for each stage behind, waits "
                "from {:.1f} of a weight gradient filled",
                trial.ahead, worth);
        }
    }
    return best;
}

}  // namespace podsim
