// Bubbles of pipeline schedules against the published ones, closed forms and hand-worked programs.
#include "workloads/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/names.hpp"
#include "workloads/schedule_timing.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

PipelineTimes equal_times(double forward, double input, double weight, double transfer = 0) {
    PipelineTimes times;
    times.positions = {{Seconds(forward), Seconds(input), Seconds(weight), Seconds(0.0), 1.0, 1.0}};
    times.transfer = Seconds(transfer);
    return times;
}

ScheduleTiming timing_of(ScheduleKind kind, int stages, long micro_batches,
                         const PipelineTimes& times, int parts = 1) {
    return time_schedule(make_schedule({kind, stages, parts, micro_batches}, times), times, true);
}

double peak_activation(const ScheduleTiming& timing) {
    double peak = 0;
    for (const StageTiming& stage : timing.stages) peak = std::max(peak, stage.peak_activation);
    return peak;
}

// Two stages, two micro-batches, forward 1 and backward 2, written out:
//   stage 0  F0 F1 . . B0 . B1         0-1 1-2     4-6   7-9... as stage 1 ends B0 at 4, B1 at 7
//   stage 1    F0 B0 B0 F1 B1 B1       1-2 2-4 4-5 5-7
TEST(Schedule, OneForwardOneBackwardByHand) {
    const ScheduleTiming timing =
        timing_of(ScheduleKind::one_forward_one_backward, 2, 2, equal_times(1, 1, 1));
    ASSERT_EQ(timing.passes.size(), 8U);
    EXPECT_DOUBLE_EQ(timing.passes[1].begin.value(), 1);  // stage 0 warms up with one, then F1
    EXPECT_DOUBLE_EQ(timing.passes[2].begin.value(), 4);
    EXPECT_DOUBLE_EQ(timing.passes[3].end.value(), 9);
    EXPECT_DOUBLE_EQ(timing.makespan.value(), 9);
    EXPECT_DOUBLE_EQ(timing.bubble_fraction, 1.0 / 3.0);  // 1 - 6 / 9
    EXPECT_EQ(timing.stages[0].peak_in_flight, 2);
    EXPECT_EQ(timing.stages[1].peak_in_flight, 1);
}

// The same, where one pass takes a second longer: F0 of stage 1 holds up all that follows; B0 of
// stage 0 ends at 7, when B1 may begin anyway.
TEST(Schedule, OneLatePassHoldsUpWhatWaitsForIt) {
    const PipelineTimes times = equal_times(1, 1, 1);
    const Schedule schedule =
        make_schedule({ScheduleKind::one_forward_one_backward, 2, 1, 2}, times);
    const auto late = [&](PassKind kind, int position) {
        return time_schedule(schedule, times, false, [=](const Pass& pass) {
            const bool it =
                pass.kind == kind && pass.cell.position == position && pass.cell.micro_batch == 0;
            return Seconds(it ? 1.0 : 0.0);
        });
    };
    EXPECT_DOUBLE_EQ(late(PassKind::forward, 1).makespan.value(), 10);
    const ScheduleTiming hidden = late(PassKind::backward, 0);
    EXPECT_DOUBLE_EQ(hidden.makespan.value(), 9);
    EXPECT_DOUBLE_EQ(hidden.stages[0].busy.value(), 7);
}

// Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, tables 5 and 9: times in ms of a
// micro-batch and stage, and the bubble rate of each schedule. Activations of a layer without flash
// attention are 34 + 5 a s / h bytes a token and hidden element, 32 of which weight gradients need.
struct PublishedBubbles {
    int stages;
    long micro_batches;
    double hidden, heads, forward, input, weight, transfer;
    double one_forward_one_backward, h1, h2, p1, p2;
};

class ZeroBubblePaper : public ::testing::TestWithParam<PublishedBubbles> {
  protected:
    static PipelineTimes times_of_row(const PublishedBubbles& row) {
        PipelineTimes times = equal_times(row.forward, row.input, row.weight, row.transfer);
        times.positions[0].activation = 34 + 5 * row.heads * 1024 / row.hidden;
        times.positions[0].kept = 32;
        return times;
    }
    static ScheduleTiming run(ScheduleKind kind) {
        const PublishedBubbles& row = GetParam();
        return timing_of(kind, row.stages, row.micro_batches, times_of_row(row));
    }
};

TEST_P(ZeroBubblePaper, ReproducesBubbleRates) {
    const PublishedBubbles& row = GetParam();
    // Printed with four decimals.
    EXPECT_NEAR(run(ScheduleKind::one_forward_one_backward).bubble_fraction,
                row.one_forward_one_backward, 0.5e-4);
    EXPECT_NEAR(run(ScheduleKind::zero_bubble_h1).bubble_fraction, row.h1, 0.5e-4);
    EXPECT_NEAR(run(ScheduleKind::zero_bubble_h2).bubble_fraction, row.h2, 0.5e-4);
    EXPECT_NEAR(run(ScheduleKind::zero_bubble_1p).bubble_fraction, row.p1, 0.5e-4);
    EXPECT_NEAR(run(ScheduleKind::zero_bubble_2p).bubble_fraction, row.p2, 0.004);
}

TEST_P(ZeroBubblePaper, HoldsWhatItMay) {
    const PublishedBubbles& row = GetParam();
    const double one = 34 + 5 * row.heads * 1024 / row.hidden;
    const double few = row.stages * one * (1 + 1e-9);
    EXPECT_LE(peak_activation(run(ScheduleKind::one_forward_one_backward)), few);
    EXPECT_LE(peak_activation(run(ScheduleKind::zero_bubble_h1)), few);
    EXPECT_LE(peak_activation(run(ScheduleKind::zero_bubble_1p)), few);
    EXPECT_LE(peak_activation(run(ScheduleKind::zero_bubble_v)), 2 * few);
    EXPECT_LE(peak_activation(run(ScheduleKind::zero_bubble_h2)), 2 * few);
    EXPECT_LE(peak_activation(run(ScheduleKind::zero_bubble_2p)), 2 * few);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ZeroBubblePaper,
    ::testing::Values(PublishedBubbles{8, 24, 2304, 24, 18.522, 18.086, 9.337, 0.601, 0.2431,
                                       0.1585, 0.1083, 0.1585, 0.0433},
                      PublishedBubbles{8, 32, 2304, 24, 18.513, 18.086, 9.331, 0.626, 0.1985,
                                       0.1242, 0.0837, 0.1242, 0.0039},
                      PublishedBubbles{8, 64, 2304, 24, 18.546, 18.097, 9.321, 0.762, 0.124, 0.0674,
                                       0.0444, 0.0674, 0.0026},
                      PublishedBubbles{8, 24, 4096, 32, 29.718, 29.444, 19.927, 0.527, 0.2347,
                                       0.1323, 0.0698, 0.1323, 0.0029},
                      PublishedBubbles{8, 32, 4096, 32, 29.802, 29.428, 19.53, 0.577, 0.1898,
                                       0.1045, 0.0559, 0.1045, 0.0022},
                      PublishedBubbles{8, 64, 4096, 32, 29.935, 29.621, 19.388, 0.535, 0.1091,
                                       0.0554, 0.0294, 0.0554, 0.001},
                      PublishedBubbles{16, 48, 5120, 40, 11.347, 11.248, 8.132, 0.377, 0.2552,
                                       0.1397, 0.0672, 0.1397, 0.0066},
                      PublishedBubbles{16, 64, 5120, 40, 11.307, 11.254, 8.101, 0.379, 0.2082,
                                       0.1088, 0.0516, 0.1088, 0.0054},
                      PublishedBubbles{16, 128, 5120, 40, 11.325, 11.308, 8.109, 0.378, 0.1251,
                                       0.0576, 0.0266, 0.0576, 0.0028},
                      PublishedBubbles{32, 96, 6144, 48, 10.419, 10.207, 7.715, 0.408, 0.2646,
                                       0.1421, 0.0641, 0.1421, 0.0038},
                      PublishedBubbles{32, 128, 6144, 48, 10.408, 10.204, 7.703, 0.408, 0.2168,
                                       0.1106, 0.049, 0.1106, 0.0029},
                      PublishedBubbles{32, 256, 6144, 48, 10.402, 10.248, 7.698, 0.46, 0.1352,
                                       0.0594, 0.0257, 0.0594, 0.0018}));

// Narayanan et al., arXiv 2104.04473, section 2.2: with equal stages the bubble of gpipe and 1f1b
// is (S - 1) (F + B), interleaving divides it by the parts V.
TEST(Schedule, ClosedFormBubbles) {
    for (const int stages : {2, 4, 8}) {
        for (const long count : {1L * stages, 3L * stages}) {
            const double work = 6.0 * static_cast<double>(count);
            const double bubble = 6.0 * (stages - 1);
            const PipelineTimes whole = equal_times(2, 2, 2), half = equal_times(1, 1, 1);
            EXPECT_DOUBLE_EQ(timing_of(ScheduleKind::gpipe, stages, count, whole).makespan.value(),
                             work + bubble);
            EXPECT_DOUBLE_EQ(timing_of(ScheduleKind::one_forward_one_backward, stages, count, whole)
                                 .makespan.value(),
                             work + bubble);
            EXPECT_DOUBLE_EQ(
                timing_of(ScheduleKind::interleaved, stages, count, half, 2).makespan.value(),
                work + bubble / 2);
        }
    }
}

// DeepSeek-V3, arXiv 2412.19437, table 2: DualPipe's bubble is (S/2 - 1) (F&B + B - 3 W), B the
// whole backward pass, and S + 1 micro-batches are held; DualPipeV does the same on half the
// stages. It is exact where F&B is one after the other, and no less where they overlap.
TEST(Schedule, DualPipeBubble) {
    for (const int stages : {4, 8, 16}) {
        for (const long count : {2L * stages, 6L * stages}) {
            for (const double both : {2.0, 2.5, 3.0}) {
                PipelineTimes times = equal_times(1, 1, 1);
                times.positions[0].overlapped = Seconds(both);
                const double bubble = (stages / 2.0 - 1) * (both + 2 - 3);
                const ScheduleTiming two = timing_of(ScheduleKind::dual_pipe, stages, count, times);
                const ScheduleTiming v =
                    timing_of(ScheduleKind::dual_pipe_v, stages / 2, count / 2, times);
                const double idle = (two.makespan - two.stages[0].busy).value();
                EXPECT_LE(idle, bubble + 1e-9);
                if (both == 3 || stages == 4) {
                    EXPECT_NEAR(idle, bubble, 1e-9);
                }
                EXPECT_NEAR(v.makespan.value(), two.makespan.value(), 1e-9);
                EXPECT_EQ(two.stages[0].peak_in_flight, stages + 1);
            }
        }
    }
}

// Equal halves and no transfers: zb-v has no bubble beyond the way down the pipeline and back.
TEST(Schedule, ZeroBubbleVIsTight) {
    const ScheduleTiming timing =
        timing_of(ScheduleKind::zero_bubble_v, 8, 32, equal_times(1, 1, 1), 2);
    EXPECT_NEAR(timing.span.value(), timing.stages[0].busy.value(), 8.0);
    EXPECT_DOUBLE_EQ(peak_activation(timing), 16);
}

// One stage, four micro-batches, F 1 and B 2: a forward pass, three pairs, a backward pass. Of two
// stages the first is three forward passes ahead, the second one: with pairs of 3 (nothing hidden)
//   stage 0  F0 F1 F2 (F3 B0) B1 B2 B3     0-3   6-9        12-...  as pairs of stage 1 end at 5, 8
//   stage 1     F0 (F1 B0) (F2 B1) (F3 B2) B3   1-2 2-5 5-8 9-12 12-14
TEST(Schedule, PassesThatOverlapByHand) {
    PipelineTimes times = equal_times(1, 1, 1);
    times.positions.front().overlapped = Seconds(2.5);
    const auto timing = [&](int stages, ScheduleKind kind, int parts, long micro_batches) {
        return time_schedule(make_schedule({kind, stages, parts, micro_batches, true}, times),
                             times, true);
    };
    const auto one = ScheduleKind::one_forward_one_backward;
    EXPECT_DOUBLE_EQ(timing(1, one, 1, 4).makespan.value(), 1 + 3 * 2.5 + 2);
    EXPECT_EQ(timing(1, one, 1, 4).stages[0].peak_in_flight, 2);

    times.positions.front().overlapped = Seconds(3.0);
    const ScheduleTiming two = timing(2, one, 1, 4);
    EXPECT_EQ(two.stages[0].peak_in_flight, 4);
    EXPECT_EQ(two.stages[1].peak_in_flight, 2);
    // Stage 0: F0 F1 F2 end at 3, F3 with B0, which ends on stage 1 at 5, at 8; B3 of stage 1 needs
    // F3 from there: F3 with B2 8-11, B3 11-13, and B3 of stage 0 follows at 15.
    EXPECT_DOUBLE_EQ(two.makespan.value(), 15);
    // What is long enough hides all but the ends: a stage's own work.
    EXPECT_NEAR(timing(4, one, 1, 400).bubble_fraction, 0, 0.03);
    EXPECT_NEAR(timing(4, ScheduleKind::interleaved, 4, 400).bubble_fraction, 0, 0.02);
}

TEST(Schedule, SaysWhatItCannotRun) {
    EXPECT_THAT(schedule_problem({ScheduleKind::zero_bubble_h1, 2, 1, 4, true}).value_or(""),
                HasSubstr("has no forward and backward pass side by side"));
    EXPECT_THAT(schedule_problem({ScheduleKind::dual_pipe, 2, 1, 4, true}).value_or(""),
                HasSubstr("by itself"));

    const auto problem = [](ScheduleKind kind, int stages, int parts, long count) {
        return schedule_problem({kind, stages, parts, count}).value_or("");
    };
    EXPECT_THAT(problem(ScheduleKind::interleaved, 4, 2, 10), HasSubstr("8 or 12, not 10"));
    EXPECT_THAT(problem(ScheduleKind::interleaved, 4, 1, 8), HasSubstr("with 1 it is 1f1b"));
    EXPECT_THAT(problem(ScheduleKind::dual_pipe, 3, 1, 8), HasSubstr("even number of stages"));
    EXPECT_THAT(problem(ScheduleKind::dual_pipe, 8, 1, 17), HasSubstr("18, not 17"));
    EXPECT_THAT(problem(ScheduleKind::dual_pipe_v, 8, 2, 15), HasSubstr("at least 16"));
    EXPECT_THAT(problem(ScheduleKind::one_forward_one_backward, 4, 2, 8), HasSubstr("not 2"));
    EXPECT_EQ(problem(ScheduleKind::one_forward_one_backward, 4, 1, 1), "");
    EXPECT_THROW(make_schedule({ScheduleKind::gpipe, 0, 1, 1}, equal_times(1, 1, 1)),
                 std::invalid_argument);
}

TEST(Schedule, NoticesProgramsThatWaitForEachOther) {
    const PipelineTimes times = equal_times(1, 1, 1);
    Schedule schedule = make_schedule({ScheduleKind::one_forward_one_backward, 2, 1, 2}, times);
    std::swap(schedule.programs[1][0], schedule.programs[1][1]);
    EXPECT_THROW(time_schedule(schedule, times), std::logic_error);
    schedule = make_schedule({ScheduleKind::one_forward_one_backward, 2, 1, 2}, times);
    schedule.programs[0].pop_back();
    EXPECT_THROW(time_schedule(schedule, times), std::logic_error);
}

// The nearest numbers that work, each once, and never none at all.
TEST(ScheduleProblems, InterleavedNamesTheNearestGroups) {
    ScheduleRequest request;
    request.kind = ScheduleKind::interleaved;
    request.stages = 4;
    request.positions_per_stage = 2;
    request.micro_batches = 2;
    EXPECT_EQ(schedule_problem(request).value(),
              "interleaved takes micro-batches in groups of 4 stages: 4, not 2");
    request.micro_batches = 10;
    EXPECT_EQ(schedule_problem(request).value(),
              "interleaved takes micro-batches in groups of 4 stages: 8 or 12, not 10");
}

}  // namespace
}  // namespace podsim
