#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <vector>

#include "base/calendar.hpp"
#include "base/random.hpp"
#include "base/systemc_driver.hpp"

namespace podsim {
namespace {

struct Seen {
    Picoseconds time;
    int name;
    bool operator==(const Seen& other) const { return time == other.time && name == other.name; }
};

// Every event of a random program may schedule two more; what happens next depends on the seed
// and the event alone.
std::vector<Seen> run_program(std::uint64_t seed, int events, void (*run)(Calendar&)) {
    Calendar calendar;
    std::vector<Seen> seen;
    int made = 0;
    std::function<void(Picoseconds)> schedule = [&](Picoseconds from) {
        if (made == events) return;
        const int name = made++;
        const auto wait = static_cast<Picoseconds>(uniform(seed, name, 0) * 4);
        const auto event_class =
            static_cast<EventClass>(static_cast<int>(uniform(seed, name, 1) * 4));
        calendar.at(from + wait, event_class, [&, name] {
            seen.push_back({calendar.now(), name});
            for (int i = 0; i < 2; ++i) {
                if (uniform(seed, name, 2, i) < 0.7) schedule(calendar.now());
            }
        });
    };
    for (int i = 0; i < 5; ++i) schedule(0);
    run(calendar);
    return seen;
}

TEST(CalendarProperty, SystemCAndThePlainLoopGiveTheSame) {
    EXPECT_TRUE(rc::check([] {
        const auto seed = *rc::gen::arbitrary<std::uint64_t>();
        const int events = *rc::gen::inRange(5, 300);
        const std::vector<Seen> plain = run_program(seed, events, run_plain);
        RC_ASSERT(plain.size() >= 5u);
        RC_ASSERT(plain == run_program(seed, events, run_systemc));
    }));
}

TEST(CalendarProperty, EventsComeInOrder) {
    EXPECT_TRUE(rc::check([] {
        const int count = *rc::gen::inRange(1, 200);
        struct Event {
            Picoseconds time;
            int event_class, sequence;
        };
        std::vector<Event> events, seen;
        Calendar calendar;
        for (int i = 0; i < count; ++i) {
            const Event event{*rc::gen::inRange(0, 5), *rc::gen::inRange(0, 4), i};
            events.push_back(event);
            calendar.at(event.time, static_cast<EventClass>(event.event_class),
                        [&seen, event] { seen.push_back(event); });
        }
        std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
            return a.time != b.time ? a.time < b.time : a.event_class < b.event_class;
        });
        run_plain(calendar);
        RC_ASSERT(seen.size() == events.size());
        for (std::size_t i = 0; i < seen.size(); ++i) {
            RC_ASSERT(seen[i].sequence == events[i].sequence);
        }
    }));
}

}  // namespace
}  // namespace podsim
