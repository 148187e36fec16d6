// From a record to the parts of a Result, on programs small enough to add up by hand.
#include "sim/assemble.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "tests/unit/sim/small_programs.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;

std::map<std::string, double> microseconds_by_part(const AssemblyInput& input) {
    std::map<std::string, double> parts;
    for (const BreakdownPart& part : breakdown_of(input)) parts[part.part] = part.seconds * 1e6;
    return parts;
}

// Kernel 1 + 2 + 10 us, transfer 3 + 1.3 (a tenth of the compute) + 5 us, host 4 us: 26.3 us.
struct Chain {
    Chain() {
        p.program.kernel_gap = microseconds(1);
        p.program.rank_skew = 0.1;
        const int c = p.rank_class(4), s = p.stream(), t = p.stream(), h = p.stream();
        const int a = p.work(c, s, 10, {}, {.memory = 0.5, .launch = 2});
        p.costs.operators[0][0].basis = Confidence::measured;
        p.costs.operators[0][0].held_out_error = 0.2;
        const int x = p.part(p.enter(p.transfer(3, {5})), c, t, {a});
        p.host(c, h, 4, {x});
        record = p.run();
    }
    AssemblyInput input() const {
        AssemblyInput result = p.input(record);
        result.evidence = {Confidence::vendor, Confidence::estimate, Confidence::derived};
        return result;
    }
    SmallProgram p;
    RunRecord record;
};

TEST(Breakdown, PartsOfTheCriticalPathSumToTheWhole) {
    const Chain chain;
    auto parts = microseconds_by_part(chain.input());
    EXPECT_NEAR(parts["kernel gaps"], 1, 1e-9);
    EXPECT_NEAR(parts["kernel launches"], 2, 1e-9);
    EXPECT_NEAR(parts["vector operators"], 10, 1e-9);
    EXPECT_NEAR(parts["transfer latency"], 3, 1e-9);
    EXPECT_NEAR(parts["wait for the slowest rank"], 1.3, 1e-9);
    EXPECT_NEAR(parts["transfer 0 on the wire"], 5, 1e-9);
    EXPECT_NEAR(parts["host"], 4, 1e-9);
    EXPECT_EQ(parts.size(), 7u);
    double sum = 0, shares = 0;
    for (const BreakdownPart& part : breakdown_of(chain.input())) {
        sum += part.seconds;
        shares += part.share;
    }
    EXPECT_NEAR(sum, 26.3e-6, 1e-15);
    EXPECT_NEAR(shares, 1, 1e-12);
    EXPECT_EQ(breakdown_of(chain.input()).front().part, "vector operators");
}

// Two streaming kernels side by side: of 20 us each, 10 are its own and 10 wait for memory.
TEST(Breakdown, WaitingForASharedResourceIsContention) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    p.work(c, s, 10, {}, {.memory = 1});
    p.work(c, t, 10, {}, {.memory = 1});
    const RunRecord r = p.run();
    auto parts = microseconds_by_part(p.input(r));
    EXPECT_NEAR(parts["vector operators"], 10, 1e-9);
    EXPECT_NEAR(parts["contention"], 10, 1e-9);
}

TEST(Breakdown, NamesWhatPartOfTheModelAKernelIs) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream();
    for (const char* name : {"expert_gate_up", "shared_expert_down", "query_up", "x"})
        p.program
            .operators[static_cast<std::size_t>(
                p.of(p.work(c, s, 1, {}, {.matrix = 0.5, .product = true})).body)]
            .name = name;
    p.program.operators[3].body = Attention{AttentionForm::gqa, Phase::decode, 1, 1, 8, 1, 1, 8, 8};
    const RunRecord r = p.run();
    auto parts = microseconds_by_part(p.input(r));
    EXPECT_NEAR(parts["expert products"], 2, 1e-9);
    EXPECT_NEAR(parts["projections and other products"], 1, 1e-9);
    EXPECT_NEAR(parts["attention"], 1, 1e-9);
}

// Measured: launch and kernel 12, transfer 3 + 5; specified: gap 1; derived: skew 1.3; estimated:
// host 4. The measured part's error: (12 x 0.2 + 8 x 0.1) / 20.
TEST(ProvenanceOf, SharesOfTheTimeByWhatTheyRestOn) {
    const Chain chain;
    const Provenance provenance = provenance_of(chain.input());
    EXPECT_NEAR(provenance.shares.at("measured"), 20 / 26.3, 1e-9);
    EXPECT_NEAR(provenance.shares.at("specified"), 1 / 26.3, 1e-9);
    EXPECT_NEAR(provenance.shares.at("derived"), 1.3 / 26.3, 1e-9);
    EXPECT_NEAR(provenance.shares.at("estimated"), 4 / 26.3, 1e-9);
    EXPECT_NEAR(provenance.measured_error, 0.16, 1e-9);
}

TEST(OperatorRows, CountExecutionsAndTheirTime) {
    SmallProgram p;
    const int c = p.rank_class(4), s = p.stream(), t = p.stream(0.5);
    const int op = p.operation(10, {.memory = 0.5, .launch = 2, .matrix = 6, .product = true});
    const int a = p.task(c, s, op), b = p.task(c, s, op, {a});
    p.host(c, t, 1);
    const int transfer = p.transfer(1, {4});
    // To a neighbour in another domain: 4,000 B through its one port of 1 GB/s.
    p.program.transfers.front().group_ranks = 2;
    p.program.transfers.front().size = Bytes(4000);
    p.costs.coflows.front().placement = {2, 2, 1, 1};
    p.part(p.enter(transfer), c, t, {b});
    const RunRecord r = p.run();
    const auto rows = operator_rows(p.input(r));
    ASSERT_EQ(rows.size(), 3u);
    const OperatorRow& kernel = rows[0];
    EXPECT_EQ(kernel.name, "op 0");
    EXPECT_EQ(kernel.kind, "gemm");
    EXPECT_EQ(kernel.rank_class, "class 0");
    EXPECT_EQ(kernel.stream, "stream 0");
    EXPECT_EQ(kernel.count, 2);
    EXPECT_NEAR(kernel.seconds_each, 12e-6, 1e-15);
    EXPECT_NEAR(kernel.seconds_total, 24e-6, 1e-15);
    EXPECT_NEAR(kernel.seconds_critical, 24e-6, 1e-15);
    EXPECT_EQ(kernel.critical.count, 2);
    EXPECT_NEAR(kernel.critical.launch, 4e-6, 1e-15);
    EXPECT_NEAR(kernel.critical.work, 20e-6, 1e-15);
    EXPECT_EQ(kernel.critical.contention, 0);
    EXPECT_DOUBLE_EQ(kernel.flops_each, 6e6);  // 3,000,000 multiply-adds
    EXPECT_DOUBLE_EQ(kernel.bytes_each, 5000);
    EXPECT_NEAR(kernel.achieved_flops, 6e6 / 12e-6, 1);
    EXPECT_NEAR(kernel.achieved_bandwidth, 5000 / 12e-6, 1);
    EXPECT_NEAR(kernel.share_of_peak, 0.5, 1e-9);  // 6 us of matrix work in 12
    EXPECT_EQ(rows[1].kind, "host");
    EXPECT_NEAR(rows[1].seconds_critical, 0, 1e-18);
    EXPECT_EQ(rows[1].critical.count, 0);
    EXPECT_NEAR(rows[2].critical.latency, 1e-6, 1e-15);
    EXPECT_NEAR(rows[2].critical.work, 4e-6, 1e-15);
    EXPECT_EQ(rows[2].kind, "send_recv");
    EXPECT_EQ(rows[2].basis, "measured");
    EXPECT_NEAR(rows[2].seconds_each, 5e-6, 1e-15);
    EXPECT_NEAR(rows[2].roofline_seconds, 4e-6, 1e-15);
    EXPECT_NEAR(rows[2].share_of_peak, 0.8, 1e-9);  // 4 us on the wire of 5
}

// Half the memory's rate for 10 us, then 10 us of the host: a quarter on the whole, and the first
// 25 of 50 windows at one half.
TEST(ResourceUseOf, MeanAndWindows) {
    SmallProgram p;
    p.fabric.scale_out = BytesPerSecond(0);
    const int c = p.rank_class(), s = p.stream(), h = p.stream();
    p.host(c, h, 10, {p.work(c, s, 10, {}, {.memory = 0.5, .matrix = 2, .product = true})});
    const RunRecord r = p.run();
    const auto uses = resource_use(p.input(r));
    ASSERT_EQ(uses.size(), 4u);  // without the ports that do not exist
    EXPECT_EQ(uses[0].resource, "matrix units");
    EXPECT_NEAR(uses[0].mean, 0.1, 1e-9);
    EXPECT_EQ(uses[1].resource, "HBM");
    EXPECT_NEAR(uses[1].amount, 5000, 1e-6);
    EXPECT_NEAR(uses[1].mean, 0.25, 1e-9);
    EXPECT_NEAR(uses[1].peak, 0.5, 1e-9);
    ASSERT_EQ(uses[1].windows.size(), 50u);
    EXPECT_NEAR(uses[1].windows[24], 0.5, 1e-9);
    EXPECT_NEAR(uses[1].windows[25], 0, 1e-9);
    const auto& windows = uses[1].windows;
    EXPECT_NEAR(std::accumulate(windows.begin(), windows.end(), 0.0) / 50, 0.25, 1e-9);
}

// Streams of 13 and 9 us, a chain of 1 + 9, all in a row 22; the memory needs 10 us.
TEST(BoundsOf, OfTwoStreams) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    const int a = p.work(c, s, 1), b = p.work(c, s, 12, {}, {.memory = 0.5});
    p.work(c, t, 9, {a}, {.memory = 4.0 / 9});
    (void)b;
    const RunRecord r = p.run();
    const Bounds bounds = bounds_of(p.input(r));
    EXPECT_NEAR(bounds.roofline, 10e-6, 1e-9);
    EXPECT_NEAR(bounds.critical_path, 12e-6, 1e-15);
    EXPECT_NEAR(bounds.perfect_overlap, 13e-6, 1e-15);
    EXPECT_NEAR(bounds.serial, 22e-6, 1e-15);
    EXPECT_EQ(in_microseconds(r.end), 13);
}

// 5000 B that cannot be avoided, although this library moves 8000; 7 us of the vector units; 6 us
// of the matrix units.
TEST(BoundsOf, TheRooflineCountsWhatNobodyCanAvoid) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream();
    p.work(c, s, 10, {}, {.memory = 0.5});
    p.costs.operators[0][0].hbm = Bytes(8000);
    RunRecord r = p.run();
    EXPECT_NEAR(bounds_of(p.input(r)).roofline, 5e-6, 1e-12);
    p.costs.operators[0][0].vector = microseconds(7);
    EXPECT_NEAR(bounds_of(p.input(r)).roofline, 7e-6, 1e-12);

    SmallProgram q;
    q.hardware.hbm_bandwidth = BytesPerSecond(1e15);
    q.work(q.rank_class(), q.stream(), 10, {}, {.matrix = 6, .product = true});
    r = q.run();
    EXPECT_NEAR(bounds_of(q.input(r)).roofline, 6e-6, 1e-12);
}

// Two classes list two transfers in opposite orders. One after the other they take 4 + 6 us, and
// the kernel behind the second 5 more.
TEST(BoundsOf, TransfersInOppositeOrders) {
    SmallProgram p;
    const int c = p.rank_class(), d = p.rank_class(), s = p.stream(), t = p.stream();
    p.hardware.hbm_bandwidth = BytesPerSecond(1e12);
    const int x = p.enter(p.transfer(0, {4, 4})), y = p.enter(p.transfer(0, {6, 6}));
    p.part(x, c, s);
    const int yc = p.part(y, c, t);
    p.part(y, d, t);
    p.part(x, d, s);
    p.work(c, s, 5, {yc});
    const RunRecord r = p.run();
    const Bounds bounds = bounds_of(p.input(r));
    EXPECT_NEAR(bounds.serial, 15e-6, 1e-15);
    EXPECT_NEAR(bounds.critical_path, 11e-6, 1e-15);
    EXPECT_EQ(in_microseconds(r.end), 15);  // both share the port for 10 us, then the kernel
}

// 4 ranks that send 2000 B each and read 5000 B, 2 us of matrix work: 2e6 FLOP a rank.
TEST(TotalsOf, CountAllRanks) {
    SmallProgram p;
    const int c = p.rank_class(4), s = p.stream();
    const int a = p.work(c, s, 10, {}, {.memory = 0.5, .matrix = 2, .product = true});
    p.part(p.enter(p.transfer(1, {2})), c, s, {a});
    const RunRecord r = p.run();
    const Totals totals = totals_of(p.input(r));
    EXPECT_DOUBLE_EQ(totals.flops, 8e6);
    EXPECT_DOUBLE_EQ(totals.matrix_flops, 8e6);
    EXPECT_NEAR(totals.hbm_bytes, 4 * 7000.0, 1e-6);
    EXPECT_NEAR(totals.sent_bytes, 4 * 2000.0, 1e-6);
    EXPECT_EQ(totals.received_bytes, 0);  // this one only sends
    EXPECT_EQ(totals.tasks, 2);
    EXPECT_EQ(totals.unfinished, 0);
}

TEST(TimelineOf, ShowsThePartsOfEachTask) {
    const Chain chain;
    std::vector<std::string> parts;
    double now = 0;
    for (const TimelineEvent& event : timeline_of(chain.input(), 0)) {
        parts.push_back(event.name + " " + event.part);
        EXPECT_NEAR(event.start, now, 1e-15);
        now = event.start + event.duration;
    }
    EXPECT_THAT(parts, ElementsAre("op 0 gap", "op 0 launch", "op 0 work", "transfer 0 latency",
                                   "transfer 0 skew", "transfer 0 work", "host work"));
    EXPECT_NEAR(now, 26.3e-6, 1e-15);
    EXPECT_TRUE(timeline_of(chain.input(), 1).empty());
}

TEST(BasisWord, IsTheReadersWord) {
    EXPECT_EQ(basis_word(Confidence::vendor), "specified");
    EXPECT_EQ(basis_word(Confidence::measured), "measured");
    EXPECT_EQ(basis_word(Confidence::derived), "derived");
    EXPECT_EQ(basis_word(Confidence::estimate), "estimated");
    EXPECT_EQ(basis_word(Confidence::rumour), "estimated");
    EXPECT_EQ(basis_word(Confidence::assumed), "assumed");
}

}  // namespace
}  // namespace podsim
