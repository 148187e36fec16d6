// Coflows on shared links, by hand: when each is done, and who is worked out anew.
#include "interconnect/shared_coflows.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace podsim {
namespace {

// Links of 1 GB/s: a byte a nanosecond.
const std::vector<BytesPerSecond> kLinks(4, BytesPerSecond(1e9));

SharedCoflow coflow(std::vector<LinkDemand> demands, double entry = 0, double weight = 1) {
    SharedCoflow it;
    it.weight = weight;
    it.classes.push_back({Seconds(entry * 1e-9), std::move(demands)});
    return it;
}
double nanoseconds_of(Seconds t) {
    return t.value() * 1e9;
}
std::vector<double> ends(const std::vector<SharedCoflow>& coflows) {
    std::vector<double> result;
    for (const auto& its : run_coflows(kLinks, coflows)) result.push_back(nanoseconds_of(its.end));
    return result;
}

// latest entry + latency + fullest link: 30 + 5 + 2000; the class of 500 bytes ends with its own.
TEST(SharedCoflows, OneAlone) {
    SharedCoflow it;
    it.latency = Seconds(5e-9);
    it.classes.push_back({Seconds(0.0), {{0, Bytes(2000)}, {1, Bytes(100)}}});
    it.classes.push_back({Seconds(30e-9), {{2, Bytes(500)}}});
    const auto times = run_coflows(kLinks, {it}).front();
    EXPECT_NEAR(nanoseconds_of(times.classes[0]), 2035, 1e-3);
    EXPECT_NEAR(nanoseconds_of(times.classes[1]), 535, 1e-3);
    EXPECT_EQ(times.end, times.classes[0]);
}

// Halves of a link until the small one is done at 2 x 1000, then all of it: 1000 more of 3000.
TEST(SharedCoflows, TwoOnALink) {
    const auto times = ends({coflow({{0, Bytes(1000)}}), coflow({{0, Bytes(3000)}})});
    EXPECT_NEAR(times[0], 2000, 1e-3);
    EXPECT_NEAR(times[1], 4000, 1e-3);
}

// Three quarters for weight 3: 1500 take 2000; the other has 500 of its 1000 by then.
TEST(SharedCoflows, Weights) {
    const auto times = ends({coflow({{0, Bytes(1500)}}, 0, 3), coflow({{0, Bytes(1000)}})});
    EXPECT_NEAR(times[0], 2000, 1e-3);
    EXPECT_NEAR(times[1], 2500, 1e-3);
}

// The second comes when the first has 600 to go: both have half until its 400 are there at 1200.
TEST(SharedCoflows, LateComer) {
    const auto times = ends({coflow({{0, Bytes(1000)}}), coflow({{0, Bytes(400)}}, 400)});
    EXPECT_NEAR(times[1], 1200, 1e-3);
    EXPECT_NEAR(times[0], 1400, 1e-3);
}

// A is held back by link 0 and leaves three quarters of link 1 to C. A: 1000 on link 0 against
// B's 1000: half, so 500 on link 1 in 2000. C has 1 - 0.25 of link 1: 1500 take 2000.
TEST(SharedCoflows, ProportionalOverLinks) {
    const auto times = ends({coflow({{0, Bytes(1000)}, {1, Bytes(500)}}),
                             coflow({{0, Bytes(1000)}}), coflow({{1, Bytes(1500)}})});
    EXPECT_NEAR(times[0], 2000, 1e-3);
    EXPECT_NEAR(times[1], 2000, 1e-3);
    EXPECT_NEAR(times[2], 2000, 1e-3);
}

// One flow beside three on a link. As coflows, halves: 2000 and 4000. As flows, quarters: all end
// at 4000. With the weights of their numbers coflows do the same.
TEST(SharedCoflows, ByWeightNotByNumber) {
    const SharedCoflow one = coflow({{0, Bytes(1000)}});
    SharedCoflow three = coflow({{0, Bytes(3000)}});
    EXPECT_NEAR(ends({one, three})[0], 2000, 1e-3);
    EXPECT_NEAR(ends({one, three})[1], 4000, 1e-3);
    EXPECT_NEAR(ends({one, one, one, one})[0], 4000, 1e-3);
    three.weight = 3;
    EXPECT_NEAR(ends({one, three})[0], 4000, 1e-3);
    EXPECT_NEAR(ends({one, three})[1], 4000, 1e-3);
}

// Flows alone against their coflow, ways of two links. Ports 0, 1 send, 2, 3 receive: 0 -> 2, 0 ->
// 3, 1 -> 3 of 1000, 1000, 2000. Coflow: port 3 has 3000. Flows: port 3 halves, 0 -> 2 takes the
// other half of port 0; all full until both of port 0 end at 2000; 1 -> 3 has 1000 left: 3000.
TEST(SharedCoflows, FlowsOfOneCoflow) {
    const auto flow = [](int from, int to, double bytes) {
        return coflow({{from, Bytes(bytes)}, {to, Bytes(bytes)}});
    };
    const auto flows = ends({flow(0, 2, 1000), flow(0, 3, 1000), flow(1, 3, 2000)});
    EXPECT_NEAR(flows[0], 2000, 1e-3);
    EXPECT_NEAR(flows[1], 2000, 1e-3);
    EXPECT_NEAR(flows[2], 3000, 1e-3);
    EXPECT_NEAR(
        ends({coflow({{0, Bytes(2000)}, {1, Bytes(2000)}, {2, Bytes(1000)}, {3, Bytes(3000)}})})[0],
        3000, 1e-3);
}

// Two pairs that share nothing, and one that comes later and goes earlier on the second's link:
// the first pair is worked out when it comes and when one of it ends, and not for the others.
TEST(SharedCoflows, OnlyWhatIsTouched) {
    Calendar calendar;
    CoflowEngine engine(kLinks, calendar);
    int done = 0;
    const auto count = [&done](std::size_t) { ++done; };
    engine.start(coflow({{0, Bytes(1000)}}), count);
    engine.start(coflow({{0, Bytes(1000)}}), count);
    engine.start(coflow({{1, Bytes(5000)}}), count);
    calendar.run_at(0);
    EXPECT_EQ(engine.solved_classes(), 1 + 2 + 1);
    SharedCoflow later = coflow({{1, Bytes(100)}});
    later.latency = Seconds(100e-9);
    engine.start(later, count);
    run_plain(calendar);
    // The late one comes: two; it ends: one. The first two end together: nobody is left.
    EXPECT_EQ(engine.solved_classes(), 1 + 2 + 1 + 2 + 1);
    EXPECT_EQ(done, 4);
    EXPECT_EQ(calendar.now(), to_picoseconds(Seconds(5100e-9)));
}

// What ends may have held two together that share nothing: each goes on by itself.
TEST(SharedCoflows, FallsIntoPieces) {
    Calendar calendar;
    CoflowEngine engine(kLinks, calendar);
    engine.start(coflow({{0, Bytes(100)}, {1, Bytes(100)}}), {});
    engine.start(coflow({{0, Bytes(1000)}}), {});
    engine.start(coflow({{1, Bytes(3000)}}), {});
    run_plain(calendar);
    // 1, 2, 3 as they come, then one each; the last end leaves nobody.
    EXPECT_EQ(engine.solved_classes(), 1 + 2 + 3 + 1 + 1);
    EXPECT_EQ(calendar.now(), to_picoseconds(Seconds(3100e-9)));
}

// One starts from the other's end, as a job's next collective does.
TEST(SharedCoflows, Chained) {
    Calendar calendar;
    CoflowEngine engine(kLinks, calendar);
    engine.start(coflow({{0, Bytes(1000)}}), [&](std::size_t) {
        engine.start(coflow({{0, Bytes(500)}}), {});
    });
    run_plain(calendar);
    EXPECT_EQ(calendar.now(), to_picoseconds(Seconds(1500e-9)));
}

TEST(SharedCoflows, NothingToMove) {
    SharedCoflow it = coflow({{0, Bytes(0)}});
    it.latency = Seconds(7e-9);
    EXPECT_NEAR(nanoseconds_of(run_coflows(kLinks, {it}).front().end), 7, 1e-9);
}

TEST(SharedCoflows, Refused) {
    Calendar calendar;
    CoflowEngine engine({BytesPerSecond(1e9), BytesPerSecond(0.0)}, calendar);
    EXPECT_THROW(engine.start(coflow({{2, Bytes(1)}}), {}), std::invalid_argument);
    EXPECT_THROW(engine.start(coflow({{1, Bytes(1)}}), {}), std::invalid_argument);
    EXPECT_NO_THROW(engine.start(coflow({{1, Bytes(0)}}), {}));
    EXPECT_THROW(CoflowEngine({BytesPerSecond(-1)}, calendar), std::invalid_argument);
}

// Two all-to-alls over a tree at 2:1: each alone takes twice what its ports would, together twice
// that; one within a leaf shares ports alone.
TEST(SharedCoflows, OnAFabric) {
    TopologySpec spec;
    spec.level.family = "fat-tree";
    spec.level.node_chips = 4;
    spec.level.second_tier = 2;
    spec.level.oversubscription = 2;
    const TopologyStack stack = build_topology(spec, 8, BytesPerSecond(1e9), 1, "test");
    const auto exchange = [&](ChipGroup group) {
        const auto terms = collective_terms(stack, Collective::all_to_all, group, false);
        for (const auto& it : terms)
            if (it.algorithm == Algorithm::direct) return coflow_on_links(it, Bytes(8000));
        throw std::logic_error("no direct exchange");
    };
    const auto links = links_of(stack);
    const SharedCoflow all = exchange({8, 1, 0}), leaf = exchange({4, 1, 0});
    // 8 x 8000 / 8 x 4 of 8 cross: 4 x 4 x 1000 over 2 GB/s. Within a leaf 3/4 of 8000 a port.
    EXPECT_NEAR(nanoseconds_of(run_coflows(links, {all}).front().end), 8000, 1);
    EXPECT_NEAR(nanoseconds_of(run_coflows(links, {leaf}).front().end), 6000, 1);
    const auto both = run_coflows(links, {all, all});
    EXPECT_NEAR(nanoseconds_of(both[0].end), 16000, 1);
    // A port has 7/8 of 8000 of the one over 8000, and 6000 of the other over 6000. Both in full
    // would be 1.875: speeds of 1 / 1.875 until the leaf's is done at 11250, when the other has
    // 2000 to go.
    const auto mixed = run_coflows(links, {all, leaf});
    EXPECT_NEAR(nanoseconds_of(mixed[1].end), 11250, 1);
    EXPECT_NEAR(nanoseconds_of(mixed[0].end), 13250, 1);
}

}  // namespace
}  // namespace podsim
