// What holds for every program that the machine runs.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "tests/property/sim/random_programs.hpp"
#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

bool same(const TaskRecord& a, const TaskRecord& b) {
    return a.ready == b.ready && a.start == b.start && a.end == b.end && a.gap == b.gap &&
           a.launch == b.launch && a.latency == b.latency && a.skew == b.skew &&
           a.alone == b.alone && a.cause == b.cause;
}

bool same(const UsageSegment& a, const UsageSegment& b) {
    return a.begin == b.begin && a.end == b.end && a.matrix_seconds == b.matrix_seconds &&
           a.hbm_bytes == b.hbm_bytes && a.port_bytes == b.port_bytes;
}

bool same(const RunRecord& a, const RunRecord& b) {
    const auto equal = [](const auto& x, const auto& y) {
        return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                          [](const auto& one, const auto& other) { return same(one, other); });
    };
    return a.end == b.end && a.events == b.events && a.critical_path == b.critical_path &&
           equal(a.tasks, b.tasks) &&
           std::equal(a.usage.begin(), a.usage.end(), b.usage.begin(), b.usage.end(), equal);
}

// Times are rounded to picoseconds wherever a speed changes.
double rounding(const RunRecord& r) {
    return 1e-12 * static_cast<double>(r.events + 1);
}

TEST(MachineProperty, SystemCAndThePlainLoopRecordTheSame) {
    EXPECT_TRUE(rc::check([] {
        const SmallProgram p = any_program(any(1, 3));
        RC_ASSERT(same(p.run(Driver::plain), p.run(Driver::systemc)));
    }));
}

// Whatever the order in which classes list their transfers, everything runs to its end, no task
// before what it waits for, no two at a time on a stream, and the path to the end has no holes.
TEST(MachineProperty, EverythingRunsInOrder) {
    EXPECT_TRUE(rc::check([] {
        SmallProgram p = any_program(any(1, 3));
        if (*rc::gen::arbitrary<bool>()) p = reordered(p);
        const RunRecord r = p.run();
        RC_ASSERT(r.unfinished == 0);
        const auto& tasks = p.program.tasks;
        for (std::size_t i = 0; i < tasks.size(); ++i) {
            RC_ASSERT(r.tasks[i].start >= r.tasks[i].ready);
            RC_ASSERT(r.tasks[i].end >= r.tasks[i].start);
            RC_ASSERT(r.tasks[i].end <= r.end);
            for (const int before : tasks[i].after)
                RC_ASSERT(r.tasks[static_cast<std::size_t>(before)].end <= r.tasks[i].ready);
            for (std::size_t k = 0; k < i; ++k) {
                if (tasks[k].rank_class != tasks[i].rank_class ||
                    tasks[k].stream != tasks[i].stream)
                    continue;
                RC_ASSERT(r.tasks[k].end <= r.tasks[i].start || r.tasks[i].end <= r.tasks[k].start);
            }
        }
        for (const TransferInstance& instance : p.program.instances) {
            for (const int id : instance.tasks)
                RC_ASSERT(r.tasks[static_cast<std::size_t>(id)].start ==
                          r.tasks[static_cast<std::size_t>(instance.tasks.front())].start);
        }
        Picoseconds sum = 0;
        for (const int id : r.critical_path)
            sum += r.tasks[static_cast<std::size_t>(id)].end -
                   r.tasks[static_cast<std::size_t>(id)].start;
        RC_ASSERT(sum == r.end);
        double parts = 0;
        for (const BreakdownPart& part : breakdown_of(p.input(r))) parts += part.seconds;
        RC_ASSERT(std::abs(parts - to_seconds(r.end).value()) <= 1e-15 * 100);
    }));
}

// roofline, critical path and busiest stream <= T; T <= everything one after the other. On one
// class a task slows others by no more than it gets done itself, so that a greedy order loses
// nothing against the serial one. Between classes it may (Machine.AShorterTaskMayMake...), but
// never against the sum over all classes.
TEST(MachineProperty, TimeLiesBetweenItsBounds) {
    EXPECT_TRUE(rc::check([] {
        const int classes = any(1, 3);
        SmallProgram p = any_program(classes);
        if (*rc::gen::arbitrary<bool>()) p = reordered(p);
        const RunRecord r = p.run();
        const double time = to_seconds(r.end).value(), slack = rounding(r);
        const Bounds bounds = bounds_of(p.input(r));
        RC_ASSERT(time >= bounds.roofline - slack);
        RC_ASSERT(time >= bounds.critical_path - slack);
        RC_ASSERT(time >= bounds.perfect_overlap - slack);
        double all = 0;
        for (const TaskRecord& t : r.tasks)
            all += to_seconds(t.gap + t.launch + t.latency + t.skew + t.alone).value();
        RC_ASSERT(time <= all + slack);
        RC_ASSERT(bounds.serial <= all + slack);
        RC_ASSERT(bounds.serial >= bounds.critical_path - slack);
        if (classes == 1) RC_ASSERT(time <= bounds.serial + slack);
    }));
}

// What tasks ask for is what segments say was used, and no window has more than there is.
TEST(MachineProperty, UseIsConserved) {
    EXPECT_TRUE(rc::check([] {
        const SmallProgram p = any_program(any(1, 3));
        const RunRecord r = p.run();
        std::vector<double> hbm(p.program.classes.size(), 0.0), sent = hbm, matrix = hbm;
        for (const Task& t : p.program.tasks) {
            const auto c = static_cast<std::size_t>(t.rank_class);
            if (t.kind == TaskKind::compute) {
                const auto& cost = p.costs.operators[0][static_cast<std::size_t>(t.body)];
                if (cost.time > cost.launch) {
                    hbm[c] += cost.hbm.value();
                    matrix[c] += cost.matrix.value();
                }
            } else if (t.kind == TaskKind::transfer) {
                const auto& instance = p.program.instances[static_cast<std::size_t>(t.body)];
                const auto& share =
                    p.costs.coflows[static_cast<std::size_t>(instance.transfer)].shares[c];
                for (const Bytes b : share.bytes) {
                    hbm[c] += b.value();
                    sent[c] += b.value();
                }
            }
        }
        for (std::size_t c = 0; c < hbm.size(); ++c) {
            double moved = 0, crossed = 0, multiplied = 0;
            Picoseconds before = 0;
            for (const UsageSegment& segment : r.usage[c]) {
                RC_ASSERT(segment.begin >= before);
                RC_ASSERT(segment.end > segment.begin);
                before = segment.end;
                moved += segment.hbm_bytes;
                multiplied += segment.matrix_seconds;
                for (const double bytes : segment.port_bytes) crossed += bytes;
            }
            // A task that ends within a picosecond of another leaves that much unaccounted.
            const double slack = rounding(r) * 1e9;
            RC_ASSERT(std::abs(moved - hbm[c]) <= slack);
            RC_ASSERT(std::abs(crossed - sent[c]) <= slack);
            RC_ASSERT(std::abs(multiplied - matrix[c]) <= rounding(r));
        }
        for (const ResourceUse& use : resource_use(p.input(r))) {
            for (const double window : use.windows) RC_ASSERT(window <= 1 + 1e-5);
        }
    }));
}

// One class of 2 n ranks, and two classes of n with the same program, joined by the same
// transfers: identical times, exactly.
TEST(MachineProperty, FoldedEqualsUnfolded) {
    EXPECT_TRUE(rc::check([] {
        const SmallProgram folded = any_program(1);
        SmallProgram unfolded = folded;
        auto& program = unfolded.program;
        const int tasks = static_cast<int>(program.tasks.size());
        program.classes.push_back(program.classes.front());
        for (int i = 0; i < tasks; ++i) {
            Task twin = program.tasks[static_cast<std::size_t>(i)];
            twin.rank_class = 1;
            for (int& before : twin.after) before += tasks;
            program.tasks.push_back(twin);
        }
        for (auto& instance : program.instances)
            instance.tasks.push_back(instance.tasks.front() + tasks);
        for (auto& coflow : unfolded.costs.coflows) coflow.shares.push_back(coflow.shares.front());

        const RunRecord one = folded.run(), two = unfolded.run();
        RC_ASSERT(one.end == two.end);
        for (int i = 0; i < tasks; ++i) {
            for (const int twin : {i, i + tasks}) {
                const auto& a = one.tasks[static_cast<std::size_t>(i)];
                const auto& b = two.tasks[static_cast<std::size_t>(twin)];
                RC_ASSERT(a.ready == b.ready);
                RC_ASSERT(a.start == b.start);
                RC_ASSERT(a.end == b.end);
                RC_ASSERT(a.skew == b.skew);
            }
        }
    }));
}

// All times k-fold (latencies x k, rates / k): the answer k-fold, but for rounding.
TEST(MachineProperty, TimesScale) {
    EXPECT_TRUE(rc::check([] {
        const SmallProgram p = any_program(any(1, 3));
        const int k = any(2, 5);
        SmallProgram slow = p;
        slow.program.kernel_gap *= k;
        for (auto& task : slow.program.tasks) task.host_time *= k;
        for (auto& of_stream : slow.costs.operators) {
            for (auto& cost : of_stream) {
                cost.time *= k;
                cost.launch *= k;
                cost.hbm_time *= k;
            }
        }
        for (auto& coflow : slow.costs.coflows) {
            coflow.latency *= k;
            for (auto& share : coflow.shares) {
                share.wire *= k;
                for (auto& time : share.port_time) time *= k;
            }
        }
        slow.hardware.hbm_bandwidth /= k;
        const RunRecord fast = p.run(), scaled = slow.run();
        // A tie that rounding breaks may go the other way; where none does, all starts scale.
        RC_PRE(fast.critical_path == scaled.critical_path);
        RC_ASSERT(std::abs(to_seconds(scaled.end).value() - k * to_seconds(fast.end).value()) <=
                  k * rounding(scaled));
    }));
}

// A class that takes part in nothing changes nothing.
TEST(MachineProperty, AnIdleClassIsNotNoticed) {
    EXPECT_TRUE(rc::check([] {
        const SmallProgram p = any_program(any(1, 3));
        SmallProgram more = p;
        const int idle = more.rank_class(3);
        if (*rc::gen::arbitrary<bool>()) more.host(idle, 0, 0);
        const RunRecord with = more.run(), without = p.run();
        RC_ASSERT(with.end == without.end);
        for (std::size_t i = 0; i < without.tasks.size(); ++i)
            RC_ASSERT(same(with.tasks[i], without.tasks[i]));
    }));
}

Operator any_operator() {
    if (any(0, 1) == 0) return {"product", Gemm{any(1, 200), any(1, 200), any(1, 500), any(1, 4)}};
    if (any(0, 1) == 0)
        return {"attention", Attention{AttentionForm::mla_absorbed, Phase::decode, any(1, 20), 1,
                                       any(1, 3000), 16, 1, 576, 512}};
    return {"vector", VectorWork{"x", 100.0 * any(1, 1000), 2.0, 1e3 * any(0, 100), 100}};
}

// For a chain of operators on one stream faster memory never costs time, nor do faster cores.
// Programs of several streams may be slower with faster parts: Graham's anomalies, see
// Machine.AShorterTaskMayMakeAProgramLonger.
TEST(MachineProperty, AChainIsNoSlowerOnAFasterChip) {
    EXPECT_TRUE(rc::check([] {
        Program program;
        program.classes = {{"ranks", 1}};
        program.streams = {{"stream", 1.0}};
        for (int i = any(1, 8); i > 0; --i) {
            Task task;
            task.body = intern(program, any_operator());
            if (!program.tasks.empty()) task.after = {static_cast<int>(program.tasks.size()) - 1};
            program.tasks.push_back(task);
        }
        const auto time = [&](double memory, double cores) {
            RankHardware hardware = tiny_chip();
            hardware.hbm_bandwidth *= memory;
            hardware.peak_matrix[DType::bf16] *= cores;
            hardware.peak_vector *= cores;
            CostCache cache(hardware, tiny_library(), Fidelity::tile, true);
            const ProgramCosts costs =
                cost_program(program, cache, RankFabric{}, CollectiveLibrarySpec{}, 1);
            return run_program(program, costs, hardware, Driver::plain).end;
        };
        const double memory = 1 + 0.1 * any(1, 50), cores = 1 + 0.1 * any(1, 50);
        const Picoseconds base = time(1, 1), rounded = static_cast<Picoseconds>(2 * 8);
        RC_ASSERT(time(memory, 1) <= base + rounded);
        RC_ASSERT(time(1, cores) <= base + rounded);
    }));
}

}  // namespace
}  // namespace podsim
