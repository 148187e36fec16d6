// Schedules that are written down in advance, whatever the passes cost.
//
//   gpipe        all forward passes, then all backward passes (Huang et al., arXiv 1811.06965)
//   1f1b         stage s warms up with S - 1 - s forward passes, then one forward, one backward
//                (PipeDream-flush; Narayanan et al., arXiv 2006.09503)
//   interleaved  the same over several positions a stage, in groups of S micro-batches (Narayanan
//                et al., arXiv 2104.04473, section 2.2): 2 (S - s - 1) + (V - 1) S warm up
//   both with passes that overlap: a pair waits for all that either of its passes waits for, so
//   that
//                stage s is 2 (S - s - 1) + 1 forward passes ahead, where interleaved is one more
//                ahead than it was (Megatron Core, overlap_moe_expert_parallel_comm)
//   zb-h1        1f1b with the backward pass in halves; weight gradients of stage s lag s behind,
//                so that no stage holds more than with 1f1b
//   zb-h2        twice the warm-up, weight gradients lag 2 s behind, twice the memory (both: Qi et
//                al., arXiv 2401.10241, section 2)
//   zb-v         positions s and 2 S - 1 - s on stage s, no bubble where the three passes cost the
//                same, memory of 1f1b (Qi et al., Pipeline Parallelism with Controllable Memory,
//                arXiv 2405.15362)
#include <algorithm>
#include <array>

#include "workloads/schedules/programs.hpp"

namespace podsim {

Schedule straight_layout(const ScheduleRequest& request) {
    Schedule schedule;
    schedule.kind = request.kind;
    schedule.stages = request.stages;
    schedule.positions = request.stages * positions_per_stage(request);
    schedule.micro_batches = request.micro_batches;
    schedule.stage_of.resize(1);
    for (int q = 0; q < schedule.positions; ++q) schedule.stage_of[0].push_back(q % request.stages);
    schedule.programs.resize(static_cast<std::size_t>(request.stages));
    return schedule;
}

Schedule v_layout(const ScheduleRequest& request) {
    Schedule schedule = straight_layout(request);
    schedule.positions = 2 * request.stages;
    schedule.stage_of[0].clear();
    for (int q = 0; q < schedule.positions; ++q)
        schedule.stage_of[0].push_back(std::min(q, schedule.positions - 1 - q));
    return schedule;
}

Schedule gpipe(const ScheduleRequest& request) {
    Schedule schedule = straight_layout(request);
    for (int s = 0; s < request.stages; ++s) {
        auto& program = schedule.programs[static_cast<std::size_t>(s)];
        for (long m = 0; m < request.micro_batches; ++m) program.push_back(forward_of({0, s, m}));
        for (long m = request.micro_batches - 1; m >= 0; --m)
            program.push_back(backward_of({0, s, m}));
    }
    return schedule;
}

namespace {

// A forward and a backward pass, one after the other or as one.
void push_pair(const ScheduleRequest& request, const Cell& forward, const Cell& backward,
               std::vector<Pass>& program) {
    if (request.overlaps) {
        program.push_back(overlapped(forward, backward));
    } else {
        program.push_back(forward_of(forward));
        program.push_back(backward_of(backward));
    }
}

}  // namespace

Schedule one_forward_one_backward(const ScheduleRequest& request) {
    Schedule schedule = straight_layout(request);
    const long count = request.micro_batches;
    for (int s = 0; s < request.stages; ++s) {
        auto& program = schedule.programs[static_cast<std::size_t>(s)];
        const long after = request.stages - 1 - s;
        const long warm_up = std::min<long>(request.overlaps ? 2 * after + 1 : after, count);
        long done = 0;
        for (long m = 0; m < warm_up; ++m) program.push_back(forward_of({0, s, m}));
        for (long m = warm_up; m < count; ++m, ++done)
            push_pair(request, {0, s, m}, {0, s, done}, program);
        while (done < count) program.push_back(backward_of({0, s, done++}));
    }
    return schedule;
}

Schedule interleaved(const ScheduleRequest& request) {
    Schedule schedule = straight_layout(request);
    const long stages = request.stages, parts = positions_per_stage(request);
    const long total = request.micro_batches * parts;
    // The k-th forward (or backward) pass of stage s: groups of S micro-batches, part by part.
    const auto cell = [&](long k, long s, bool forward) {
        const long part = k % (stages * parts) / stages;
        const long position = (forward ? part : parts - 1 - part) * stages + s;
        return Cell{0, static_cast<int>(position), k / (stages * parts) * stages + k % stages};
    };
    for (long s = 0; s < stages; ++s) {
        auto& program = schedule.programs[static_cast<std::size_t>(s)];
        const long ahead = request.overlaps ? 1 : 0;
        const long warm_up = std::min(2 * (stages - s - 1) + (parts - 1) * stages + ahead, total);
        long done = 0;
        for (long k = 0; k < warm_up; ++k) program.push_back(forward_of(cell(k, s, true)));
        for (long k = warm_up; k < total; ++k, ++done)
            push_pair(request, cell(k, s, true), cell(done, s, false), program);
        while (done < total) program.push_back(backward_of(cell(done++, s, false)));
    }
    return schedule;
}

namespace {

Schedule zero_bubble_by_hand(const ScheduleRequest& request, long times) {
    Schedule schedule = straight_layout(request);
    const long count = request.micro_batches;
    for (int s = 0; s < request.stages; ++s) {
        auto& program = schedule.programs[static_cast<std::size_t>(s)];
        const long warm_up = std::min(times * (request.stages - 1 - s), count);
        const long lag = times * s;
        long inputs = 0, weights = 0;
        for (long m = 0; m < warm_up; ++m) program.push_back(forward_of({0, s, m}));
        for (long m = warm_up; m < count; ++m) {
            program.push_back(forward_of({0, s, m}));
            program.push_back(input_gradient_of({0, s, inputs++}));
            if (inputs - weights > lag) program.push_back(weight_gradient_of({0, s, weights++}));
        }
        while (inputs < count) {
            program.push_back(input_gradient_of({0, s, inputs++}));
            program.push_back(weight_gradient_of({0, s, weights++}));
        }
        while (weights < count) program.push_back(weight_gradient_of({0, s, weights++}));
    }
    return schedule;
}

}  // namespace

Schedule zero_bubble_h1(const ScheduleRequest& request) {
    return zero_bubble_by_hand(request, 1);
}

Schedule zero_bubble_h2(const ScheduleRequest& request) {
    return zero_bubble_by_hand(request, 2);
}

namespace {

// Passes of a stage's two positions in order. Too few micro-batches for the pattern leave holes:
// what is beyond them is not run.
class VWriter {
  public:
    VWriter(std::vector<Pass>& program, int first, int second, long count)
        : program_(program), parts_{{{first}, {second}}}, count_(count) {}

    struct Part {
        int position;
        long forwards = 0, inputs = 0, weights = 0;
    };
    const Part& first() const { return parts_[0]; }
    const Part& second() const { return parts_[1]; }

    void forward(std::size_t p) {
        add(PassKind::forward, parts_[p].position, parts_[p].forwards++);
    }
    void input(std::size_t p) {
        add(PassKind::input_gradient, parts_[p].position, parts_[p].inputs++);
    }
    void weight(std::size_t p) {
        add(PassKind::weight_gradient, parts_[p].position, parts_[p].weights++);
    }

  private:
    void add(PassKind kind, int position, long micro_batch) {
        if (micro_batch < count_) program_.push_back({kind, {0, position, micro_batch}, {}});
    }

    std::vector<Pass>& program_;
    std::array<Part, 2> parts_;
    long count_;
};

}  // namespace

Schedule zero_bubble_v(const ScheduleRequest& request) {
    Schedule schedule = v_layout(request);
    const int stages = request.stages;
    const long pattern = std::max<long>(2L * stages - 1, request.micro_batches);
    for (int s = 0; s < stages; ++s) {
        VWriter w(schedule.programs[static_cast<std::size_t>(s)], s, 2 * stages - 1 - s,
                  request.micro_batches);
        for (int i = 0; i < 2 * (stages - s) - 1; ++i) w.forward(0);
        for (int i = 0; i < s; ++i) {
            w.forward(1);
            w.forward(0);
        }
        for (int i = 0; i < stages - s; ++i) {
            w.forward(1);
            w.input(1);
            w.weight(1);
        }
        while (w.second().forwards < w.first().forwards || w.first().forwards < pattern) {
            if (w.first().forwards < pattern) w.forward(0);
            w.input(0);
            w.weight(0);
            w.forward(1);
            w.input(1);
            w.weight(1);
        }
        for (int i = 0; i < s; ++i) {
            w.input(0);
            w.input(1);
        }
        for (int i = 0; i < stages - s; ++i) {
            w.input(0);
            w.weight(0);
        }
        while (w.second().weights < w.second().inputs) w.weight(1);
        while (w.first().weights < w.first().inputs) w.weight(0);
    }
    return schedule;
}

}  // namespace podsim
