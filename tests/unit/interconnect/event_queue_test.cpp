// The order of events whatever their times are: that of (time, sequence).
#include "interconnect/packet/event_queue.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "base/random.hpp"

namespace podsim {
namespace {

struct Nobody final : EventTarget {
    void on_event(std::uint64_t) override {}
};

// Taken out as a map by (time, sequence) would give them, while others come in after the last.
void expect_order(const std::function<Picoseconds(std::uint64_t draw)>& ahead) {
    EventQueue queue;
    Nobody nobody;
    std::map<std::pair<Picoseconds, std::uint64_t>, std::uint64_t> expected;
    Picoseconds now = 0;
    std::uint64_t pushed = 0;
    const auto push = [&] {
        const Picoseconds time = now + ahead(random_bits(1, pushed));
        queue.push(time, nobody, pushed, nullptr);
        expected.emplace(std::make_pair(time, pushed), pushed);
        ++pushed;
    };
    for (int i = 0; i < 500; ++i) push();
    while (!queue.empty()) {
        const EventQueue::Event event = queue.pop();
        ASSERT_EQ(event.time, expected.begin()->first.first);
        ASSERT_EQ(event.what, expected.begin()->second);
        now = event.time;
        expected.erase(expected.begin());
        const int more =
            pushed > 20000 ? 0 : static_cast<int>(random_bits(2, expected.size(), now) % 3);
        for (int i = 0; i < more; ++i) push();
    }
    EXPECT_TRUE(expected.empty());
    EXPECT_GT(pushed, 500U);
}

TEST(EventQueue, ByTimeThenByArrival) {
    expect_order([](std::uint64_t draw) { return static_cast<Picoseconds>(draw % 1'000'000); });
    expect_order([](std::uint64_t draw) { return static_cast<Picoseconds>(draw % 3 * 400'000); });
    expect_order([](std::uint64_t) { return Picoseconds{0}; });
    // Now and then something very far away.
    expect_order([](std::uint64_t draw) {
        return static_cast<Picoseconds>(draw % 50 == 0 ? 1'000'000'000'000 + draw % 7 : draw % 900);
    });
}

TEST(EventQueue, LooksAheadWithinADay) {
    EventQueue queue;
    Nobody nobody;
    for (const Picoseconds time : {30, 10, 20}) queue.push(time, nobody, 0, nullptr);
    EXPECT_EQ(queue.next().time, 10);
    EXPECT_EQ(queue.later(3), nullptr);
    EXPECT_EQ(queue.pop().time, 10);
    queue.push(15, nobody, 0, nullptr);
    EXPECT_EQ(queue.next().time, 15);
    EXPECT_EQ(queue.pushed(), 4U);
}

}  // namespace
}  // namespace podsim
