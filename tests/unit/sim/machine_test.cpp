// Small programs against their hand-worked times.
#include "sim/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sim/small_programs.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const TaskRecord& of(const RunRecord& record, int id) {
    return record.tasks[static_cast<std::size_t>(id)];
}
double start_of(const RunRecord& record, int id) {
    return in_microseconds(of(record, id).start);
}
double end_of(const RunRecord& record, int id) {
    return in_microseconds(of(record, id).end);
}

TEST(Machine, AStreamRunsOneTaskAtATime) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream();
    const int a = p.work(c, s, 10), b = p.work(c, s, 5);
    const RunRecord r = p.run();
    EXPECT_EQ(end_of(r, a), 10);
    EXPECT_EQ(start_of(r, b), 10);
    EXPECT_EQ(in_microseconds(r.end), 15);
    EXPECT_EQ(r.unfinished, 0);
    EXPECT_THAT(r.critical_path, ElementsAre(a, b));
}

TEST(Machine, StreamsOverlap) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    const int a = p.work(c, s, 10), b = p.work(c, t, 4);
    const RunRecord r = p.run();
    EXPECT_EQ(end_of(r, a), 10);
    EXPECT_EQ(end_of(r, b), 4);
    EXPECT_EQ(in_microseconds(r.end), 10);
    EXPECT_THAT(r.critical_path, ElementsAre(a));
}

TEST(Machine, ADependencyHoldsBack) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    const int a = p.work(c, s, 10), b = p.work(c, t, 4, {a});
    const RunRecord r = p.run();
    EXPECT_EQ(start_of(r, b), 10);
    EXPECT_EQ(of(r, b).cause, a);
    EXPECT_THAT(r.critical_path, ElementsAre(a, b));
}

// Two kernels that stream memory all the time, 10 us each when alone: half the speed each, both
// end at 20 us. One of 10 and one of 4: the short one ends at 8, when the long one has done 4; the
// remaining 6 at full speed, 14 in all.
TEST(Machine, MemoryIsShared) {
    for (const auto& [second, first_end, second_end] :
         {std::tuple(10.0, 20.0, 20.0), std::tuple(4.0, 14.0, 8.0)}) {
        SmallProgram p;
        const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
        const int a = p.work(c, s, 10, {}, {.memory = 1});
        const int b = p.work(c, t, second, {}, {.memory = 1});
        const RunRecord r = p.run();
        EXPECT_EQ(end_of(r, a), first_end);
        EXPECT_EQ(end_of(r, b), second_end);
        EXPECT_EQ(in_microseconds(of(r, a).alone), 10);
    }
}

// Shares 1 and 0.5 of the memory: both at L with L + 0.5 L = 1, two thirds of their speed.
TEST(Machine, UnequalAsksGetEqualSpeeds) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    const int a = p.work(c, s, 10, {}, {.memory = 1});
    const int b = p.work(c, t, 10, {}, {.memory = 0.5});
    const RunRecord r = p.run();
    EXPECT_NEAR(end_of(r, a), 15, 2e-6);
    EXPECT_NEAR(end_of(r, b), 15, 2e-6);
}

TEST(Machine, CoresAreSharedAndVectorCoresAreApart) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(), t = p.stream();  // each wants the whole chip
    const int a = p.work(c, s, 10), b = p.work(c, t, 10);
    EXPECT_EQ(end_of(p.run(), a), 20);
    EXPECT_EQ(end_of(p.run(), b), 20);

    SmallProgram q;
    const int d = q.rank_class(), u = q.stream(), v = q.stream();
    const int m = q.work(d, u, 10), w = q.work(d, v, 10, {}, {.on_vector_cores = true});
    EXPECT_EQ(end_of(q.run(), m), 10);
    EXPECT_EQ(end_of(q.run(), w), 10);
}

// 1 us idle and 2 us launch before each 10 us of work; only the work shares the memory.
TEST(Machine, GapAndLaunchComeBeforeTheWork) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(1);
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    const int a = p.work(c, s, 10, {}, {.memory = 1, .launch = 2});
    const int b = p.work(c, s, 10, {a}, {.launch = 2});
    RunRecord r = p.run();
    EXPECT_EQ(end_of(r, a), 13);
    EXPECT_EQ(end_of(r, b), 26);
    EXPECT_EQ(in_microseconds(of(r, b).gap), 1);
    EXPECT_EQ(in_microseconds(of(r, b).launch), 2);
    EXPECT_EQ(in_microseconds(of(r, b).alone), 10);

    // A second streaming kernel, without launch, is alone from 1 to 3 us; then both share: it has
    // 8 us left, done at 3 + 16 = 19; the first then has 2 left, done at 21.
    const int d = p.work(c, t, 10, {}, {.memory = 1});
    r = p.run();
    EXPECT_EQ(end_of(r, d), 19);
    EXPECT_EQ(end_of(r, a), 21);
}

// A later part of a running kernel: 10 us of work after 13, and a transfer of 5 without its
// latency.
TEST(Machine, LaterPartsOfAKernelPayNoFixedDelays) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(1);
    p.program.rank_skew = 0.5;
    const int c = p.rank_class(), s = p.stream(), t = p.stream();
    const int a = p.work(c, s, 10, {}, {.launch = 2});
    const int b = p.work(c, s, 10, {a}, {.launch = 2});
    p.of(b).continues = true;
    const int sent = p.part(p.enter(p.transfer(3, {5})), c, t, {b});
    p.of(sent).continues = true;
    const RunRecord r = p.run();
    EXPECT_EQ(end_of(r, b), 23);
    EXPECT_EQ(end_of(r, sent), 28);
}

TEST(Machine, HostWorkHasNoGap) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(1);
    const int c = p.rank_class(), s = p.stream(), h = p.stream();
    const int a = p.work(c, s, 10), b = p.host(c, h, 7, {a});
    const RunRecord r = p.run();
    EXPECT_EQ(start_of(r, b), 11);
    EXPECT_EQ(end_of(r, b), 18);
    EXPECT_EQ(of(r, b).gap, 0);
}

// Class 0 enters at 4 us, class 1 at 10: latency 3, then 5 and 2 us on the wire.
TEST(Machine, ATransferStartsWithTheLastEntry) {
    SmallProgram p;
    const int c = p.rank_class(3), d = p.rank_class(2), s = p.stream(), t = p.stream();
    const int a = p.work(c, s, 4), b = p.work(d, s, 10);
    const int x = p.enter(p.transfer(3, {5, 2}));
    const int xa = p.part(x, c, t, {a}), xb = p.part(x, d, t, {b});
    const int after = p.work(d, s, 1, {xb});
    const RunRecord r = p.run();
    EXPECT_EQ(start_of(r, xa), 10);
    EXPECT_EQ(in_microseconds(of(r, xa).ready), 4);
    EXPECT_EQ(end_of(r, xa), 18);
    EXPECT_EQ(end_of(r, xb), 15);  // an early finisher goes on
    EXPECT_EQ(start_of(r, after), 15);
    EXPECT_THAT(r.critical_path, ElementsAre(b, xa));
    EXPECT_EQ(of(r, xa).cause, b);
}

// A transfer needs the streams of all its classes at once.
TEST(Machine, ATransferWaitsForTheStreamsOfAllItsClasses) {
    SmallProgram p;
    const int c = p.rank_class(), d = p.rank_class(), s = p.stream();
    const int a = p.work(c, s, 4), b = p.work(d, s, 10);
    const int x = p.enter(p.transfer(3, {5, 2}));
    const int xa = p.part(x, c, s), xb = p.part(x, d, s);
    const RunRecord r = p.run();
    // Both are ready at once and come first.
    EXPECT_EQ(start_of(r, xa), 0);
    EXPECT_EQ(start_of(r, xb), 0);
    EXPECT_EQ(start_of(r, a), 8);
    EXPECT_EQ(start_of(r, b), 5);

    SmallProgram q;
    q.rank_class(), q.rank_class(), q.stream(0.5), q.stream(0.5);
    const int e = q.work(c, s, 2);
    const int busy = q.work(d, s, 10);
    const int y = q.enter(q.transfer(3, {5, 2}));
    const int ya = q.part(y, c, s, {e});
    const int free = q.work(d, 1, 1);
    q.part(y, d, s, {free});
    const RunRecord waited = q.run();
    EXPECT_EQ(start_of(waited, ya), 10);
    EXPECT_EQ(of(waited, ya).cause, busy);
}

// Two of 4 us on the same port: 8 us for both. On different ports they do not notice each other.
TEST(Machine, TransfersShareThePorts) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(), t = p.stream();
    p.hardware.hbm_bandwidth = BytesPerSecond(1e12);
    const int x = p.part(p.enter(p.transfer(1, {4})), c, s);
    const int y = p.part(p.enter(p.transfer(1, {4})), c, t);
    const RunRecord r = p.run();
    EXPECT_EQ(end_of(r, x), 9);
    EXPECT_EQ(end_of(r, y), 9);

    auto& other = p.costs.coflows[1].shares[0];  // by another port
    std::swap(other.port_time[0], other.port_time[3]);
    std::swap(other.bytes[0], other.bytes[3]);
    EXPECT_EQ(end_of(p.run(), y), 5);
}

// Two of 4 us that fill a link inside the fabric and half of the port: on one class of links 8 us,
// on two neither notices the other. One that fills its port alone: a and b at L with L/2 + L = 1,
// b (4 us) ends at 6 us, then a has 4 - 2/3 x 6 = 0 left: both after 6.
TEST(Machine, TransfersShareClassesOfLinks) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(), t = p.stream();
    p.hardware.hbm_bandwidth = BytesPerSecond(1e12);
    const int x = p.part(p.enter(p.transfer(1, {4})), c, s);
    const int y = p.part(p.enter(p.transfer(1, {4})), c, t);
    auto& first = p.costs.coflows[0].shares[0];
    auto& second = p.costs.coflows[1].shares[0];
    first.port_time[0] = second.port_time[0] = microseconds(2);
    first.links = second.links = {{1, microseconds(4)}};
    EXPECT_EQ(end_of(p.run(), x), 9);
    EXPECT_EQ(end_of(p.run(), y), 9);

    second.links = {{0, microseconds(4)}};
    EXPECT_EQ(end_of(p.run(), x), 5);
    EXPECT_EQ(end_of(p.run(), y), 5);

    second.links.clear();
    second.port_time[0] = microseconds(4);
    EXPECT_NEAR(end_of(p.run(), x), 7, 2e-6);
    EXPECT_NEAR(end_of(p.run(), y), 7, 2e-6);
}

// 4 us on the wire at 1 B a ns are 4000 B read from memory: at 0.5 B a ns that takes 8 us.
TEST(Machine, ATransferIsNoFasterThanTheMemoryItReads) {
    SmallProgram p;
    p.hardware.hbm_bandwidth = BytesPerSecond(0.5e9);
    const int c = p.rank_class(), s = p.stream();
    const int x = p.part(p.enter(p.transfer(1, {4})), c, s);
    const RunRecord r = p.run();
    EXPECT_EQ(end_of(r, x), 9);
    EXPECT_EQ(in_microseconds(of(r, x).alone), 8);
    for (const ResourceUse& use : resource_use(p.input(r))) EXPECT_LE(use.peak, 1 + 1e-9);
}

// Bytes that land share the memory with kernels: 1000 B/us of 2000 B/us are half of it.
TEST(Machine, LandingBytesSlowAKernelThatStreams) {
    SmallProgram p;
    p.hardware.hbm_bandwidth = BytesPerSecond(2e9);
    const int c = p.rank_class(), s = p.stream(), t = p.stream();
    const int a = p.work(c, s, 10, {}, {.memory = 1});
    const int x = p.part(p.enter(p.transfer(0, {10})), c, t);
    const RunRecord r = p.run();
    // Both at L = 2/3: both are done at 15 us.
    EXPECT_NEAR(end_of(r, a), 15, 2e-6);
    EXPECT_NEAR(end_of(r, x), 15, 2e-6);
}

// 5 % of the 20 us of compute since the last transfer of that micro-batch; the most of any class.
TEST(Machine, TheSlowestRankIsWaitedFor) {
    SmallProgram p;
    p.program.rank_skew = 0.05;
    p.program.kernel_gap = microseconds(1);
    const int c = p.rank_class(), d = p.rank_class(), s = p.stream(), t = p.stream();
    const int a = p.work(c, s, 19), b = p.work(d, s, 9);
    const int transfer = p.transfer(3, {5, 5});
    const int x = p.enter(transfer);
    const int xa = p.part(x, c, t, {a}), xb = p.part(x, d, t, {b});
    const int y = p.enter(transfer);
    const int ya = p.part(y, c, t, {xa}), yb = p.part(y, d, t, {xb});
    const int other = p.work(c, s, 9, {a});
    p.of(other).micro_batch = 1;
    const RunRecord r = p.run();
    EXPECT_EQ(start_of(r, xa), 20);
    EXPECT_EQ(in_microseconds(of(r, xa).skew), 1);
    EXPECT_EQ(in_microseconds(of(r, xb).skew), 1);
    EXPECT_EQ(end_of(r, xa), 20 + 3 + 1 + 5);
    EXPECT_EQ(of(r, ya).skew, 0);  // no compute of this micro-batch in between
    EXPECT_EQ(end_of(r, yb), 29 + 3 + 5);
}

// The first chain is kept to although the second has been ready for longer.
TEST(Machine, AStreamKeepsToTheChainItIsOn) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream();
    const int a = p.work(c, s, 1), b = p.work(c, s, 1), a2 = p.work(c, s, 1, {a}),
              a3 = p.work(c, s, 1, {a2});
    const RunRecord r = p.run();
    EXPECT_EQ(start_of(r, a), 0);
    EXPECT_EQ(start_of(r, a2), 1);
    EXPECT_EQ(start_of(r, a3), 2);
    EXPECT_EQ(start_of(r, b), 3);
}

TEST(Machine, PriorityGoesBeforeTheChain) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(), t = p.stream(0.1);
    const int a = p.work(c, s, 4), a2 = p.work(c, s, 1, {a});
    const int x = p.host(c, t, 2), urgent = p.work(c, s, 1, {x});
    p.of(urgent).priority = 1;
    const RunRecord r = p.run();
    EXPECT_EQ(start_of(r, urgent), 4);
    EXPECT_EQ(start_of(r, a2), 5);
    EXPECT_EQ(of(r, urgent).cause, a);
}

TEST(Machine, AmongEqualsTheEarliestReadyThenTheFirst) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    const int a = p.work(c, s, 10);
    const int late = p.host(c, t, 5), early = p.host(c, t, 1);  // 0..5, 5..6
    const int b = p.work(c, s, 1, {early}), d = p.work(c, s, 1, {late}), e = p.work(c, s, 1);
    const RunRecord r = p.run();
    (void)a;
    EXPECT_EQ(start_of(r, e), 10);  // ready at 0
    EXPECT_EQ(start_of(r, d), 11);  // at 5
    EXPECT_EQ(start_of(r, b), 12);  // at 6
}

TEST(Machine, ThePathToTheEndHasNoHoles) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(0.5);
    const int c = p.rank_class(), d = p.rank_class(), s = p.stream(), t = p.stream();
    int a = p.work(c, s, 4), b = p.work(d, s, 6);
    for (int i = 0; i < 5; ++i) {
        const int x = p.enter(p.transfer(1, {2.0 + i, 5.0 - i}));
        const int xa = p.part(x, c, t, {a}), xb = p.part(x, d, t, {b});
        a = p.work(c, s, 3 + i, {xa}, {.memory = 0.7});
        b = p.work(d, s, 6 - i, {xb}, {.memory = 0.7});
    }
    const RunRecord r = p.run();
    Picoseconds sum = 0;
    for (const int id : r.critical_path) sum += of(r, id).end - of(r, id).start;
    EXPECT_EQ(sum, r.end);
    EXPECT_EQ(of(r, r.critical_path.front()).start, 0);
    EXPECT_EQ(of(r, r.critical_path.back()).end, r.end);
}

// Graham's anomaly (SIAM J. Appl. Math. 17, 1969): greedy scheduling may end later although a task
// got shorter. Of two chains on one stream the machine takes the one that is ready first; when the
// host work in front of the second shrinks, it overtakes, and the transfer behind the first starts
// later. Time is therefore monotone for chains, not for every program.
TEST(Machine, AShorterTaskMayMakeAProgramLonger) {
    const auto ends = [](double lead) {
        SmallProgram p;
        const int c = p.rank_class(), s = p.stream(), h = p.stream(), g = p.stream(),
                  t = p.stream();
        const int first = p.host(c, h, 2), second = p.host(c, g, lead);
        const int a = p.work(c, s, 3, {first});
        p.part(p.enter(p.transfer(0, {10})), c, t, {a});
        p.work(c, s, 8, {second});
        return in_microseconds(p.run().end);
    };
    EXPECT_EQ(ends(3), 15);  // host 2, kernel 3, transfer 10
    EXPECT_EQ(ends(1), 22);  // host 1, the long kernel 8, kernel 3, transfer 10
}

TEST(Machine, RefusesAProgramThatIsNone) {
    SmallProgram empty;
    empty.rank_class(), empty.stream();
    EXPECT_THROW(empty.run(), std::invalid_argument);

    // Transfers that wait for each other in a circle could never run.
    SmallProgram p;
    const int c = p.rank_class(), d = p.rank_class(), s = p.stream();
    const int transfer = p.transfer(1, {1, 1});
    const int x = p.enter(transfer), y = p.enter(transfer);
    const int xa = p.part(x, c, s);
    p.part(y, c, s, {xa});
    const int yb = p.part(y, d, s);
    p.part(x, d, s, {yb});
    EXPECT_THROW(p.run(), std::invalid_argument);
}

// Two parts of one transfer on one stream would wait for each other.
TEST(Machine, ATransferTakesAStreamOnce) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream();
    const int x = p.enter(p.transfer(1, {1, 1}));
    p.part(x, c, s);
    p.part(x, c, s);
    try {
        p.run();
        FAIL() << "ran";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("transfer 0: two of its tasks sit on one stream"));
    }
}

TEST(Machine, TasksWithoutTimeEndWhenTheyStart) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(), t = p.stream();
    const int a = p.work(c, s, 0), x = p.part(p.enter(p.transfer(0, {0})), c, t, {a});
    const int b = p.work(c, s, 1, {x}), h = p.host(c, t, 0, {b});
    const RunRecord r = p.run();
    EXPECT_EQ(end_of(r, x), 0);
    EXPECT_EQ(start_of(r, b), 0);
    EXPECT_EQ(end_of(r, h), 1);
    EXPECT_EQ(in_microseconds(r.end), 1);
}

TEST(Machine, SystemCAndThePlainLoopRecordTheSame) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(0.3);
    const int c = p.rank_class(), d = p.rank_class(), s = p.stream(), t = p.stream();
    const int a = p.work(c, s, 4.7, {}, {.memory = 0.9}), b = p.work(d, s, 6.1);
    const int x = p.enter(p.transfer(1, {2.2, 5.9}));
    p.part(x, c, t, {a}), p.part(x, d, t, {b});
    p.work(c, s, 3.3, {a}, {.memory = 0.8});
    const RunRecord plain = p.run(Driver::plain), systemc = p.run(Driver::systemc);
    EXPECT_EQ(plain.end, systemc.end);
    EXPECT_EQ(plain.events, systemc.events);
    EXPECT_EQ(plain.critical_path, systemc.critical_path);
    for (std::size_t i = 0; i < plain.tasks.size(); ++i) {
        EXPECT_EQ(plain.tasks[i].start, systemc.tasks[i].start);
        EXPECT_EQ(plain.tasks[i].end, systemc.tasks[i].end);
    }
}

}  // namespace
}  // namespace podsim
