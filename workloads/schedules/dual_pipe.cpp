// DualPipe and DualPipeV: a forward pass of one micro-batch and the backward pass of another run as
// one, so that the exchange of experts of either hides behind the products of the other
// (DeepSeek-V3 technical report, arXiv 2412.19437, section 3.2.1; the order of passes is that of
// DeepSeek's published schedule, the same eight steps in both).
//
// DualPipe feeds micro-batches from both ends, each half as many; the second half of the stages
// sees the same program with the directions exchanged. With r the distance of a stage to the nearer
// end and h the number of such distances:
//
//   1  2 (h - 1 - r)        F0
//   2  r + 1                F0 F1
//   3  h - 1 - r            I1 W1 F1                    (backward in halves)
//   4  m/2 - 2 h + r + 1    F0 with B1, F1 with B0
//   5  h - 1 - r            B1, F1 with B0
//   6  r + 1                B1 B0                       (the later ones in halves)
//   7  h - 1 - r            W I0
//   8  r + 1                W
//
// DualPipeV folds this in the middle: every stage holds positions s and 2 S - 1 - s, h is S, and m
// stands for m/2 in step 4.
#include <array>
#include <deque>

#include "workloads/schedules/programs.hpp"

namespace podsim {

namespace {

// One stage's program being written. `flow` 0 or 1 is what the steps above count.
class Writer {
  public:
    Writer(std::vector<Pass>& program, std::array<Cell, 2> flows)
        : program_(program), flows_(flows) {}

    void forward(int flow) { program_.push_back(forward_of(next(flow, forwards_))); }
    void backward(int flow, bool in_halves) {
        const Cell cell = next(flow, backwards_);
        program_.push_back(in_halves ? input_gradient_of(cell) : backward_of(cell));
        if (in_halves) waiting_.push_back(cell);
    }
    void both(int forward_flow, int backward_flow) {
        const Cell forward = next(forward_flow, forwards_);
        program_.push_back(overlapped(forward, next(backward_flow, backwards_)));
    }
    void weight() {
        program_.push_back(weight_gradient_of(waiting_.front()));
        waiting_.pop_front();
    }

  private:
    Cell next(int flow, std::array<long, 2>& counts) {
        const auto f = static_cast<std::size_t>(flow);
        Cell cell = flows_[f];
        cell.micro_batch = counts[f]++;
        return cell;
    }

    std::vector<Pass>& program_;
    std::array<Cell, 2> flows_;  // pipe and position behind each flow
    std::array<long, 2> forwards_{}, backwards_{};
    std::deque<Cell> waiting_;
};

// `innermost`: the stage where a flow turns into the other has nothing to overlap at first.
void write(Writer& writer, int r, int h, long per_flow, bool innermost) {
    for (int i = 0; i < 2 * (h - 1 - r); ++i) writer.forward(0);
    for (int i = 0; i < r + 1; ++i) {
        writer.forward(0);
        writer.forward(1);
    }
    for (int i = 0; i < h - 1 - r; ++i) {
        writer.backward(1, true);
        writer.weight();
        writer.forward(1);
    }
    for (long i = 0; i < per_flow - 2 * h + r + 1; ++i) {
        if (i == 0 && innermost) {
            writer.forward(0);
            writer.backward(1, false);
        } else {
            writer.both(0, 1);
        }
        writer.both(1, 0);
    }
    for (int i = 0; i < h - 1 - r; ++i) {
        writer.backward(1, false);
        writer.both(1, 0);
    }
    bool in_halves = false;
    for (int i = 0; i < r + 1; ++i) {
        if (i == (r + 1) / 2 && r % 2 == 1) in_halves = true;
        writer.backward(1, in_halves);
        if (i == (r + 1) / 2 && r % 2 == 0) in_halves = true;
        writer.backward(0, in_halves);
    }
    for (int i = 0; i < h - 1 - r; ++i) {
        writer.weight();
        writer.backward(0, true);
    }
    for (int i = 0; i < r + 1; ++i) writer.weight();
}

}  // namespace

Schedule dual_pipe(const ScheduleRequest& request) {
    Schedule schedule = straight_layout(request);
    const int stages = request.stages;
    schedule.pipes = 2;
    schedule.stage_of.emplace_back();
    for (int q = 0; q < stages; ++q) schedule.stage_of[1].push_back(stages - 1 - q);
    for (int s = 0; s < stages; ++s) {
        const bool second = s >= stages / 2;
        const int r = second ? stages - 1 - s : s;
        const Cell down{0, s, 0}, up{1, stages - 1 - s, 0};
        Writer writer(schedule.programs[static_cast<std::size_t>(s)],
                      second ? std::array{up, down} : std::array{down, up});
        write(writer, r, stages / 2, request.micro_batches / 2, r == stages / 2 - 1);
    }
    return schedule;
}

Schedule dual_pipe_v(const ScheduleRequest& request) {
    Schedule schedule = v_layout(request);
    for (int s = 0; s < request.stages; ++s) {
        Writer writer(schedule.programs[static_cast<std::size_t>(s)],
                      {Cell{0, s, 0}, Cell{0, 2 * request.stages - 1 - s, 0}});
        write(writer, s, request.stages, request.micro_batches, s == request.stages - 1);
    }
    return schedule;
}

}  // namespace podsim
