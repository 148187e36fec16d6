// What holds of training steps whatever their plan.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <regex>
#include <string>

#include "tests/unit/workloads/training_jobs.hpp"
#include "workloads/training_need.hpp"
#include "workloads/training_pass.hpp"

namespace podsim {
namespace {

TrainingPlan any_plan() {
    TrainingPlan plan;
    plan.tensor_parallel = *rc::gen::element(1, 2, 4);
    plan.pipeline_parallel = *rc::gen::element(1, 2, 4);
    plan.data_parallel = *rc::gen::element(1, 2, 4);
    plan.micro_batch = *rc::gen::element(1L, 2L, 4L);
    plan.more.context_parallel = *rc::gen::element(1, 2);
    plan.more.sequence_parallel = plan.tensor_parallel > 1;
    plan.zero_stage = *rc::gen::inRange(0, 3);
    plan.recompute = *rc::gen::element(RecomputePolicy::none, RecomputePolicy::selective,
                                       RecomputePolicy::norms_and_activations);
    return plan;
}

TrainingJob any_job() {
    return *rc::gen::arbitrary<bool>() ? small_gpt() : small_moe();
}

double work(const TrainingJob& job, const TrainingPlan& plan, PassKind kind,
            const TrainingPosition& position) {
    PassRequest request;
    request.kind = kind;
    request.position = request.backward = position;
    const Program program = build_pass(job, plan, request);
    require_valid(program);
    double sum = 0;
    for (std::size_t id = 0; id < program.tasks.size(); ++id) {
        for (const int op : operators_of(program, static_cast<int>(id)))
            sum += work_of(program.operators[static_cast<std::size_t>(op)].body).value();
    }
    return sum;
}

// However a backward pass is cut, and beside whatever it runs, it is the same work.
TEST(TrainingPasses, HalvesAndPairsAddUp) {
    EXPECT_TRUE(rc::check([] {
        const TrainingJob job = any_job();
        const TrainingPlan plan = any_plan();
        for (const TrainingPosition& position : positions_of(job, plan)) {
            const double forward = work(job, plan, PassKind::forward, position);
            const double backward = work(job, plan, PassKind::backward, position);
            const double halves = work(job, plan, PassKind::input_gradient, position) +
                                  work(job, plan, PassKind::weight_gradient, position);
            RC_ASSERT(std::abs(halves - backward) <= 1e-9 * backward);
            const double pair = work(job, plan, PassKind::overlapped, position);
            RC_ASSERT(std::abs(pair - forward - backward) <= 1e-9 * pair);
        }
    }));
}

// More ZeRO, more recomputing never needs more; states alone never more than all.
TEST(TrainingMemory, DividingAndRecomputingNeverNeedMore) {
    EXPECT_TRUE(rc::check([] {
        const TrainingJob job = any_job();
        TrainingPlan plan = any_plan();
        const auto fullest = [&](const TrainingPlan& one) {
            const auto positions = positions_of(job, one);
            const PipelineTimes times = unit_times(job, one, positions);
            const Schedule schedule = make_schedule(one.request(job), times);
            Bytes most(0.0);
            for (const StageNeed& need :
                 training_need(job, one, positions, schedule, time_schedule(schedule, times)))
                most = max(most, need.need.total());
            RC_ASSERT(least_need(job, one, positions) <= most);
            return most;
        };
        const Bytes before = fullest(plan);
        TrainingPlan divided = plan;
        ++divided.zero_stage;
        if (plan.zero_stage < 2) RC_ASSERT(fullest(divided) <= before);
        TrainingPlan again = plan;
        again.recompute = RecomputePolicy::norms_and_activations;
        if (plan.recompute == RecomputePolicy::none) {
            // What one layer makes again stands beside, as long as more is saved.
            RC_ASSERT(fullest(again) <= before * 1.05);
        }
    }));
}

// Whatever the order of passes and however long they take, the most that a stage of a kind ever
// holds is what the kind needs, and it holds that when it is said to.
TEST(TrainingMemory, MostOverTimeIsTheNeed) {
    EXPECT_TRUE(rc::check([] {
        const TrainingJob job = any_job();
        TrainingPlan plan = any_plan();
        plan.schedule =
            (*rc::gen::elementOf(names_of(static_cast<const ScheduleKind*>(nullptr)))).second;
        plan.pipeline_parallel = *rc::gen::element(1, 2, 4);
        plan.more.positions_per_stage =
            plan.schedule == ScheduleKind::interleaved ? *rc::gen::element(1, 2) : 0;
        plan.overlap_passes = *rc::gen::arbitrary<bool>();
        RC_PRE(training_problems(job, plan, plan.ranks()).empty());
        const auto positions = positions_of(job, plan);
        PipelineTimes times = unit_times(job, plan, positions);
        for (PassTimes& one : times.positions) {
            one.forward = Seconds(*rc::gen::inRange(1, 20));
            one.input_gradient = Seconds(*rc::gen::inRange(1, 20));
            one.weight_gradient = Seconds(*rc::gen::inRange(1, 20));
        }
        const Schedule schedule = make_schedule(plan.request(job), times);
        const ScheduleTiming timing = time_schedule(schedule, times, true);
        for (const StageNeed& need : training_need(job, plan, positions, schedule, timing)) {
            Bytes most(0.0);
            for (const int stage : need.stages) {
                Seconds before(-1.0);
                for (const HeldMemory& held : memory_over_time(need, timing, stage)) {
                    RC_ASSERT(held.at > before);
                    before = held.at;
                    most = max(most, held.total());
                    if (stage == need.fullest_stage && held.at == need.peak_at)
                        RC_ASSERT(std::abs(held.total() / need.need.total() - 1) < 1e-9);
                }
                // States alone are left.
                const Bytes left = memory_over_time(need, timing, stage).back().total();
                RC_ASSERT(left.value() < need.need.total().value());
            }
            RC_ASSERT(std::abs(most / need.need.total() - 1) < 1e-9);
        }
    }));
}

// What a problem names is put in: "4 would", "expert_parallel 4 would", "2 with data_parallel 8
// would", "48 or 64 would".
void put_in(const StepError& problem, TrainingJob& job, TrainingPlan& plan) {
    static const std::regex would(
        R"(; (?:([a-z_]+):? )?([0-9]+|true|false)(?: with data_parallel ([0-9]+))?.* would)");
    std::smatch found;
    RC_ASSERT(std::regex_search(problem.reason, found, would));
    std::string key = found[1].str();
    if (key.empty()) key = problem.key.substr(problem.key.find('.') + 1);
    const std::string value = found[2].str();
    const auto set = [&](const std::string& name, int& degree) {
        if (key == name) degree = std::stoi(value);
    };
    set("tensor_parallel", plan.tensor_parallel);
    set("pipeline_parallel", plan.pipeline_parallel);
    set("data_parallel", plan.data_parallel);
    set("context_parallel", plan.more.context_parallel);
    set("expert_parallel", plan.expert_parallel);
    set("expert_tensor_parallel", plan.more.expert_tensor_parallel);
    set("positions_per_stage", plan.more.positions_per_stage);
    if (key == "global_batch") job.global_batch = std::stol(value);
    if (key == "sequence_parallel") plan.more.sequence_parallel = value == "true";
    if (found[3].matched) plan.data_parallel = std::stoi(found[3].str());
}

// Of a plan that runs one degree is made wrong: with the value that the problem at that degree
// names, or the problem of all degrees together, nothing is wrong any more.
TEST(TrainingProblems, WhatIsNamedWorks) {
    EXPECT_TRUE(rc::check([] {
        TrainingJob job = small_moe();
        job.global_batch = 96;
        TrainingPlan plan = any_plan();
        plan.recompute = RecomputePolicy::none;
        plan.zero_stage = 1;
        plan.more.sequence_parallel = true;
        plan.tensor_parallel = *rc::gen::element(2, 4);
        plan.micro_batch = 1;
        plan.expert_parallel = *rc::gen::element(1, 2, 4);
        const long ranks = plan.ranks();
        RC_PRE(training_problems(job, plan, ranks).empty());
        int* const degree = *rc::gen::element(
            &plan.tensor_parallel, &plan.pipeline_parallel, &plan.data_parallel,
            &plan.more.context_parallel, &plan.expert_parallel, &plan.more.expert_tensor_parallel);
        *degree = *rc::gen::inRange(1, 20);
        const auto problems = training_problems(job, plan, ranks);
        RC_PRE(!problems.empty());
        put_in(problems.front(), job, plan);
        const auto left = training_problems(job, plan, ranks);
        for (const StepError& one : left) RC_LOG(one.key + ": " + one.reason);
        RC_ASSERT(left.empty());
    }));
}

// The same of a batch for groups that need not be alike.
TEST(TrainingProblems, BatchesThatAreNamedForUnequalGroupsWork) {
    EXPECT_TRUE(rc::check([] {
        TrainingJob job = any_job();
        TrainingPlan plan;
        plan.more.unequal_groups = true;
        plan.data_parallel = *rc::gen::inRange(1, 13);
        plan.pipeline_parallel = *rc::gen::element(1, 2, 4);
        plan.micro_batch = *rc::gen::element(1L, 3L);
        plan.schedule =
            *rc::gen::element(ScheduleKind::one_forward_one_backward, ScheduleKind::dual_pipe);
        if (job.model.layers.front().experts) plan.expert_parallel = *rc::gen::element(1, 2, 4);
        job.global_batch = 24L * plan.data_parallel * plan.micro_batch;
        RC_PRE(training_problems(job, plan, plan.ranks()).empty());
        job.global_batch = *rc::gen::inRange(1L, 200L);
        const auto problems = training_problems(job, plan, plan.ranks());
        RC_PRE(!problems.empty());
        RC_LOG(problems.front().key + ": " + problems.front().reason);
        put_in(problems.front(), job, plan);
        RC_ASSERT(training_problems(job, plan, plan.ranks()).empty());
    }));
}

// The same of a batch and a schedule.
TEST(TrainingProblems, BatchesThatAreNamedWork) {
    EXPECT_TRUE(rc::check([] {
        TrainingJob job = small_gpt();
        TrainingPlan plan;
        plan.pipeline_parallel = *rc::gen::element(2, 4);
        plan.data_parallel = *rc::gen::element(1, 2, 3);
        plan.schedule =
            (*rc::gen::elementOf(names_of(static_cast<const ScheduleKind*>(nullptr)))).second;
        if (plan.schedule == ScheduleKind::interleaved) plan.more.positions_per_stage = 2;
        job.global_batch = *rc::gen::inRange(1, 60);
        const auto problems = training_problems(job, plan, plan.ranks());
        RC_PRE(!problems.empty());
        put_in(problems.front(), job, plan);
        RC_ASSERT(training_problems(job, plan, plan.ranks()).empty());
    }));
}

}  // namespace
}  // namespace podsim
