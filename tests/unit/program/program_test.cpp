// Programs: interning, total work, and each way of being invalid.
#include "program/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace podsim {
namespace {

using testing::HasSubstr;

Operator product(const std::string& name, long m) {
    return {name, Gemm{m, 10, 10, 1}};
}

Task task_of(TaskKind kind, int body, int rank_class, std::vector<int> after) {
    Task task;
    task.kind = kind;
    task.body = body;
    task.rank_class = rank_class;
    task.after = std::move(after);
    return task;
}

// Two classes of 3 and 1 ranks. Both compute, exchange, and compute again: a pipeline and a host
// task at the end of the first.
//
//   class 0:  0 product -> 2 exchange -> 4 pipeline -> 5 host
//   class 1:  1 product -> 3 exchange
Program two_classes() {
    Program p;
    p.classes = {{"many", 3}, {"one", 1}};
    p.streams = {{"compute", 1.0}};
    p.operators = {product("a", 1), product("b", 2)};
    p.pipelines = {{"a + b", {0, 1}, 0}};
    Transfer t;
    t.name = "exchange";
    t.type = TransferType::dispatch;
    t.group_ranks = 4;
    t.shares = {{3, Bytes(10), Bytes(8)}, {1, Bytes(10), Bytes(16)}};
    p.transfers = {t};
    p.instances = {{0, {2, 3}}};
    p.tasks = {task_of(TaskKind::compute, 0, 0, {}),   task_of(TaskKind::compute, 1, 1, {}),
               task_of(TaskKind::transfer, 0, 0, {0}), task_of(TaskKind::transfer, 0, 1, {1}),
               task_of(TaskKind::pipeline, 0, 0, {2}), task_of(TaskKind::host, 0, 0, {4})};
    return p;
}

std::string refusal(const Program& program) {
    try {
        require_valid(program);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "accepted";
}

TEST(Intern, EqualOperatorsOnce) {
    Program p;
    EXPECT_EQ(intern(p, product("a", 1)), 0);
    EXPECT_EQ(intern(p, product("a", 2)), 1);
    EXPECT_EQ(intern(p, product("b", 1)),
              2);  // the same shape under another name is reported apart
    EXPECT_EQ(intern(p, product("a", 2)), 1);
    EXPECT_EQ(p.operators.size(), 3u);
}

// 2 x 1 x 10 x 10 = 200 FLOP for `a`, 400 for `b`. Class of three: a, then a + b; class of one: b.
TEST(TotalWork, CountsRanksAndPipelines) {
    EXPECT_EQ(total_work(two_classes()).value(), 3 * 200 + 1 * 400 + 3 * (200 + 400));
}

TEST(Program, ValidOnePasses) {
    EXPECT_EQ(refusal(two_classes()), "accepted");
}

TEST(Program, RefusesNothingToDo) {
    Program p = two_classes();
    p.tasks.clear();
    EXPECT_THAT(refusal(p), HasSubstr("without tasks"));
}

TEST(Program, RefusesInvalidParts) {
    Program p = two_classes();
    std::get<Gemm>(p.operators[1].body).k = 0;
    EXPECT_THAT(refusal(p), HasSubstr("b: k is 0"));
    p = two_classes();
    p.transfers[0].group_ranks = 5;
    EXPECT_THAT(refusal(p), HasSubstr("shares hold 4 ranks"));
    p = two_classes();
    p.classes[1].count = 0;
    EXPECT_EQ(refusal(p), "one: a class without ranks");
}

TEST(Program, RefusesPipelinesOfNothing) {
    Program p = two_classes();
    p.pipelines[0].operators.clear();
    EXPECT_EQ(refusal(p), "a + b: an empty pipeline");
    p = two_classes();
    p.pipelines[0].operators = {0, 2};
    EXPECT_EQ(refusal(p), "a + b: operator 2 of 2");
    // 200 + 240 B cross memory once: [1,10] x [10,10] and [2,10] x [10,10] in BF16 are 240 and
    // 280 B. No more of it can stay on the chip.
    p = two_classes();
    p.pipelines[0].on_chip = 520;
    EXPECT_EQ(refusal(p), "accepted");
    p.pipelines[0].on_chip = 521;
    EXPECT_EQ(refusal(p), "a + b: 521 of 520 bytes stay on the chip");
    p.pipelines[0].on_chip = -1;
    EXPECT_EQ(refusal(p), "a + b: -1 of 520 bytes stay on the chip");
}

TEST(Program, RefusesCoreSharesThatAreNone) {
    for (const double share : {0.0, -0.5, 1.5, std::numeric_limits<double>::quiet_NaN()}) {
        Program p = two_classes();
        p.streams[0].core_share = share;
        EXPECT_THAT(refusal(p), HasSubstr("compute: core share"));
    }
}

TEST(Program, RefusesTimesBelowZero) {
    Program p = two_classes();
    p.tasks[5].host_time = Seconds(-1);
    EXPECT_EQ(refusal(p), "task 5: host time -1 s");
    p = two_classes();
    p.kernel_gap = Seconds(-1);
    EXPECT_THAT(refusal(p), HasSubstr("kernel gap"));
    p = two_classes();
    for (const double skew : {-0.01, std::numeric_limits<double>::quiet_NaN()}) {
        p = two_classes();
        p.rank_skew = skew;
        EXPECT_THAT(refusal(p), HasSubstr("rank skew"));
    }
}

TEST(Program, RefusesIndicesOutOfRange) {
    const auto with = [](int task, int Task::*field, int value) {
        Program p = two_classes();
        p.tasks[static_cast<std::size_t>(task)].*field = value;
        return refusal(p);
    };
    EXPECT_EQ(with(0, &Task::rank_class, 2), "task 0: class 2 of 2");
    EXPECT_EQ(with(0, &Task::rank_class, -1), "task 0: class -1 of 2");
    EXPECT_EQ(with(1, &Task::stream, 1), "task 1: stream 1 of 1");
    EXPECT_EQ(with(1, &Task::body, 2), "task 1: operator 2 of 2");
    EXPECT_EQ(with(4, &Task::body, 1), "task 4: pipeline 1 of 1");
    EXPECT_EQ(with(3, &Task::body, 1), "task 3: instance 1 of 1");
    Program p = two_classes();
    p.instances[0].transfer = 1;
    EXPECT_EQ(refusal(p), "instance 0: transfer 1 of 1");
    p = two_classes();
    p.instances[0].tasks = {2, 6};
    EXPECT_EQ(refusal(p), "exchange: participant 6 of 6");
}

TEST(Program, RefusesDependenciesOnLaterTasksAndOtherClasses) {
    Program p = two_classes();
    p.tasks[2].after = {4};
    EXPECT_EQ(refusal(p), "task 2: dependency 4 of 2");
    p = two_classes();
    p.tasks[2].after = {2};  // on itself
    EXPECT_EQ(refusal(p), "task 2: dependency 2 of 2");
    p = two_classes();
    p.tasks[4].after = {1};
    EXPECT_THAT(refusal(p), HasSubstr("task 4 waits for task 1 of another class"));
}

TEST(Program, RefusesInstancesThatDoNotMatchTheirShares) {
    Program p = two_classes();
    p.instances[0].tasks = {2};
    EXPECT_EQ(refusal(p), "exchange: 1 tasks take part, its shares name 2");
    p = two_classes();
    p.instances[0].tasks = {2, 4};
    EXPECT_EQ(refusal(p), "exchange: task 4 does not take part in it");
    p = two_classes();
    p.transfers[0].shares.clear();
    p.instances[0].tasks.clear();
    EXPECT_EQ(refusal(p), "exchange: no task takes part");
    // The same task twice, so that task 3 would wait for ever.
    p = two_classes();
    p.instances[0].tasks = {2, 2};
    EXPECT_EQ(refusal(p), "exchange: task 2 takes part twice");
    // A third task says that it takes part; the instance does not know it.
    p = two_classes();
    p.tasks.push_back(task_of(TaskKind::transfer, 0, 0, {5}));
    EXPECT_EQ(refusal(p), "task 6: exchange does not name it");
}

// Each class enters the exchanges in the other order: each waits for the other's.
TEST(Program, RefusesTransfersThatWaitForEachOther) {
    Program p = two_classes();
    p.instances = {{0, {0, 3}}, {0, {1, 2}}};
    p.tasks = {task_of(TaskKind::transfer, 0, 0, {}), task_of(TaskKind::transfer, 1, 0, {0}),
               task_of(TaskKind::transfer, 1, 1, {}), task_of(TaskKind::transfer, 0, 1, {2})};
    EXPECT_EQ(refusal(p), "exchange: transfers wait for each other in a circle");
    // In one order they do not.
    p.tasks[2].body = 0;
    p.tasks[3].body = 1;
    p.instances = {{0, {0, 2}}, {0, {1, 3}}};
    EXPECT_EQ(refusal(p), "accepted");
}

}  // namespace
}  // namespace podsim
