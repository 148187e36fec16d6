#include "workloads/schedule_timing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace podsim {

namespace {

constexpr double never = -1;

// Ends of passes by (pipe, position, micro-batch), in seconds; `never` while they have not run.
class Ends {
  public:
    Ends(int pipes, int positions, long micro_batches)
        : positions_(positions),
          micro_batches_(micro_batches),
          ends_(
              static_cast<std::size_t>(pipes * positions) * static_cast<std::size_t>(micro_batches),
              never) {}
    double& at(const Cell& cell) {
        return ends_[static_cast<std::size_t>(
            (cell.pipe * positions_ + cell.position) * micro_batches_ + cell.micro_batch)];
    }

  private:
    long positions_, micro_batches_;
    std::vector<double> ends_;
};

class Player {
  public:
    Player(const Schedule& schedule, const PipelineTimes& times, bool with_passes,
           const PassDelay& delay)
        : schedule_(schedule),
          times_(times),
          with_passes_(with_passes),
          delay_(delay),
          forward_(schedule.pipes, schedule.positions, schedule.micro_batches),
          input_(schedule.pipes, schedule.positions, schedule.micro_batches),
          next_(schedule.programs.size(), 0),
          free_(schedule.programs.size(), 0.0),
          held_(schedule.programs.size(), 0.0),
          in_flight_(schedule.programs.size(), 0),
          begun_(schedule.programs.size(), false) {
        timing_.stages.resize(schedule.programs.size());
        if (with_passes) runs_.resize(schedule.programs.size());
    }

    ScheduleTiming play() {
        std::vector<int> ready;
        for (int stage = schedule_.stages - 1; stage >= 0; --stage) ready.push_back(stage);
        while (!ready.empty()) {
            const int stage = ready.back();
            ready.pop_back();
            advance(stage, ready);
        }
        check();
        for (auto& runs : runs_) {
            timing_.passes.insert(timing_.passes.end(), runs.begin(), runs.end());
        }
        return std::move(timing_);
    }

  private:
    // Runs what the stage can run, and names the stages that may go on because of it.
    void advance(int stage, std::vector<int>& ready) {
        const auto s = static_cast<std::size_t>(stage);
        const std::vector<Pass>& program = schedule_.programs[s];
        for (; next_[s] < program.size(); ++next_[s]) {
            const Pass& pass = program[next_[s]];
            const double waits_for = arrival(pass, stage);
            if (waits_for == never) return;
            run(pass, stage, std::max(free_[s], waits_for));
            wake(pass, ready);
        }
    }

    double arrived(double end, const Cell& from, int stage) const {
        if (end == never) return never;
        const int source = schedule_.stage_of[static_cast<std::size_t>(from.pipe)]
                                             [static_cast<std::size_t>(from.position)];
        return source == stage ? end : end + times_.transfer.value();
    }

    double forward_arrival(const Cell& cell, int stage) {
        if (cell.position == 0) return 0;
        Cell before = cell;
        --before.position;
        return arrived(forward_.at(before), before, stage);
    }

    double backward_arrival(const Cell& cell, int stage) {
        const double own = forward_.at(cell);
        if (own == never || cell.position == schedule_.positions - 1) return own;
        Cell after = cell;
        ++after.position;
        const double gradient = arrived(input_.at(after), after, stage);
        return gradient == never ? never : std::max(own, gradient);
    }

    double arrival(const Pass& pass, int stage) {
        switch (pass.kind) {
            case PassKind::forward:
                return forward_arrival(pass.cell, stage);
            case PassKind::backward:
            case PassKind::input_gradient:
                return backward_arrival(pass.cell, stage);
            case PassKind::weight_gradient:
                return input_.at(pass.cell);
            case PassKind::overlapped:
                break;
        }
        const double forward = forward_arrival(pass.cell, stage);
        const double backward = backward_arrival(pass.backward, stage);
        return forward == never || backward == never ? never : std::max(forward, backward);
    }

    double duration(const Pass& pass) const {
        const PassTimes& t = times_of(times_, pass.cell.position);
        switch (pass.kind) {
            case PassKind::forward:
                return t.forward.value();
            case PassKind::backward:
                return (t.input_gradient + t.weight_gradient).value();
            case PassKind::input_gradient:
                return t.input_gradient.value();
            case PassKind::weight_gradient:
                return t.weight_gradient.value();
            case PassKind::overlapped:
                break;
        }
        const PassTimes& b = times_of(times_, pass.backward.position);
        if (t.overlapped > Seconds(0.0)) return 0.5 * (t.overlapped + b.overlapped).value();
        return (t.forward + b.input_gradient + b.weight_gradient).value();
    }

    void hold(std::size_t s, double amount, long cells) {
        held_[s] += amount;
        in_flight_[s] += cells;
        StageTiming& stage = timing_.stages[s];
        stage.peak_activation = std::max(stage.peak_activation, held_[s]);
        stage.peak_in_flight = std::max(stage.peak_in_flight, in_flight_[s]);
    }

    // What a pass needs while it runs, beside what its stage holds already.
    void fill(std::size_t s, const Pass& pass, double begin) {
        const PassTimes& t = times_of(times_, pass.cell.position);
        HeldActivations held{held_[s], 0};
        if (pass.kind == PassKind::forward || pass.kind == PassKind::overlapped)
            held.activation += t.activation;
        if (pass.kind == PassKind::backward || pass.kind == PassKind::input_gradient)
            held.again = t.again;
        if (pass.kind == PassKind::overlapped)
            held.again = times_of(times_, pass.backward.position).again;
        if (with_passes_) runs_[s].back().held = held;
        StageTiming& of = timing_.stages[s];
        if (held.total() <= of.fullest.total()) return;
        of.fullest = held;
        of.fullest_at = Seconds(begin);
        of.fullest_pass = pass;
    }

    void run(const Pass& pass, int stage, double begin) {
        const auto s = static_cast<std::size_t>(stage);
        const double late = delay_ ? delay_(pass).value() : 0;
        const double length = std::max(0.0, duration(pass) + late), end = begin + length;
        free_[s] = end;
        StageTiming& of = timing_.stages[s];
        if (!begun_[s]) of.first = Seconds(begin);
        begun_[s] = true;
        of.last = Seconds(end);
        of.busy += Seconds(length);
        if (with_passes_) runs_[s].push_back({stage, pass, Seconds(begin), Seconds(end)});
        fill(s, pass, begin);
        const PassTimes& t = times_of(times_, pass.cell.position);
        switch (pass.kind) {
            case PassKind::forward:
                forward_.at(pass.cell) = end;
                hold(s, t.activation, 1);
                break;
            case PassKind::backward:
                input_.at(pass.cell) = end;
                hold(s, -t.activation, -1);
                ++weights_done_;
                break;
            case PassKind::input_gradient:
                input_.at(pass.cell) = end;
                hold(s, t.kept - t.activation, -1);
                break;
            case PassKind::weight_gradient:
                hold(s, -t.kept, 0);
                ++weights_done_;
                break;
            case PassKind::overlapped:
                forward_.at(pass.cell) = end;
                hold(s, t.activation, 1);
                input_.at(pass.backward) = end;
                hold(s, -times_of(times_, pass.backward.position).activation, -1);
                ++weights_done_;
                break;
        }
        if (with_passes_) runs_[s].back().after = held_[s];
    }

    void wake_at(int pipe, int position, std::vector<int>& ready) const {
        if (position < 0 || position >= schedule_.positions) return;
        ready.push_back(
            schedule_.stage_of[static_cast<std::size_t>(pipe)][static_cast<std::size_t>(position)]);
    }

    void wake(const Pass& pass, std::vector<int>& ready) const {
        const Cell& cell = pass.cell;
        if (pass.kind == PassKind::forward || pass.kind == PassKind::overlapped)
            wake_at(cell.pipe, cell.position + 1, ready);
        if (pass.kind == PassKind::backward || pass.kind == PassKind::input_gradient)
            wake_at(cell.pipe, cell.position - 1, ready);
        if (pass.kind == PassKind::overlapped)
            wake_at(pass.backward.pipe, pass.backward.position - 1, ready);
    }

    void check() {
        for (std::size_t s = 0; s < next_.size(); ++s) {
            if (next_[s] < schedule_.programs[s].size()) {
                throw std::logic_error(fmt::format("{}: stage {} waits for ever before its pass {}",
                                                   name_of_kind(), s, next_[s]));
            }
        }
        const long cells = schedule_.micro_batches * schedule_.positions;
        if (weights_done_ != cells) {
            throw std::logic_error(fmt::format("{}: {} of {} weight gradients were run",
                                               name_of_kind(), weights_done_, cells));
        }
        double first = free_.empty() ? 0 : free_[0], last = 0, busiest = 0;
        for (const StageTiming& stage : timing_.stages) {
            first = std::min(first, stage.first.value());
            last = std::max(last, stage.last.value());
            busiest = std::max(busiest, stage.busy.value());
            timing_.span = max(timing_.span, stage.last - stage.first);
        }
        timing_.makespan = Seconds(last - first);
        if (timing_.span > Seconds(0.0)) {
            const double idle = 1 - busiest / timing_.span.value();
            constexpr double rounding = 1e-12;  // of sums over thousands of passes
            timing_.bubble_fraction = idle > rounding ? idle : 0;
        }
    }

    std::string name_of_kind() const {
        for (const auto& [name, kind] : names_of(static_cast<const ScheduleKind*>(nullptr))) {
            if (kind == schedule_.kind) return name;
        }
        return "?";
    }

    const Schedule& schedule_;
    const PipelineTimes& times_;
    bool with_passes_;
    const PassDelay& delay_;
    Ends forward_, input_;
    std::vector<std::size_t> next_;
    std::vector<double> free_, held_;
    std::vector<long> in_flight_;
    std::vector<bool> begun_;
    std::vector<std::vector<PassRun>> runs_;
    long weights_done_ = 0;
    ScheduleTiming timing_;
};

}  // namespace

ScheduleTiming time_schedule(const Schedule& schedule, const PipelineTimes& times, bool with_passes,
                             const PassDelay& delay) {
    return Player(schedule, times, with_passes, delay).play();
}

}  // namespace podsim
