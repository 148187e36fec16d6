#include "base/calendar.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "base/systemc_driver.hpp"

namespace podsim {
namespace {

TEST(Picoseconds, RoundToTheNearest) {
    EXPECT_EQ(to_picoseconds(Seconds(929e-9)), 929000);
    EXPECT_EQ(to_picoseconds(Seconds(0.0)), 0);
    EXPECT_EQ(to_picoseconds(Seconds(-0.0)), 0);
    EXPECT_EQ(to_picoseconds(Seconds(1.4e-12)), 1);
    EXPECT_EQ(to_picoseconds(Seconds(1.6e-12)), 2);
    EXPECT_EQ(to_seconds(929000), Seconds(929e-9));
    // one byte at 900 GB/s takes 1.11 ps, so rounding each byte would be 10 % off
    EXPECT_EQ(to_picoseconds(Bytes(9e6) / BytesPerSecond(900e9)), 10000000);
}

TEST(Picoseconds, TimesThatCannotBe) {
    const double bad[] = {-1e-12, std::nan(""), INFINITY, -INFINITY, 9223372.1, 1e300};
    for (const double time : bad) {
        EXPECT_THROW(to_picoseconds(Seconds(time)), std::range_error) << time;
    }
    // 2^63 ps are 9,223,372.04 s, 106 days
    EXPECT_EQ(to_picoseconds(Seconds(9223372.0)), 9223372000000000000);
}

using Run = void (*)(Calendar&);

class Drivers : public ::testing::TestWithParam<std::pair<const char*, Run>> {
  protected:
    void run(Calendar& calendar) const { GetParam().second(calendar); }
};
INSTANTIATE_TEST_SUITE_P(Calendar, Drivers,
                         ::testing::Values(std::pair{"plain", &run_plain},
                                           std::pair{"systemc", &run_systemc}),
                         [](const auto& param) { return std::string(param.param.first); });

TEST_P(Drivers, OrderIsTimeThenClassThenSequence) {
    Calendar calendar;
    std::string order;
    const auto add = [&](Picoseconds time, EventClass event_class, char name) {
        calendar.at(time, event_class, [&order, name] { order += name; });
    };
    add(20, EventClass::completion, 'f');
    add(10, EventClass::observe, 'e');
    add(10, EventClass::start, 'c');
    add(10, EventClass::start, 'd');
    add(10, EventClass::completion, 'b');
    add(0, EventClass::observe, 'a');
    add(20, EventClass::arrival, 'g');
    EXPECT_EQ(calendar.next_time(), 0);
    run(calendar);
    EXPECT_EQ(order, "abcdefg");
    EXPECT_EQ(calendar.now(), 20);
    EXPECT_EQ(calendar.events_run(), 7u);
    EXPECT_TRUE(calendar.empty());
}

TEST_P(Drivers, ActionsScheduleMoreForTheSameTimeAndLater) {
    Calendar calendar;
    std::vector<std::pair<Picoseconds, int>> seen;
    calendar.at(5, EventClass::start, [&] {
        seen.emplace_back(calendar.now(), 1);
        calendar.at(5, EventClass::completion, [&] { seen.emplace_back(calendar.now(), 2); });
        calendar.at(7, EventClass::start, [&] { seen.emplace_back(calendar.now(), 4); });
        EXPECT_THROW(calendar.at(4, EventClass::start, [] {}), std::logic_error);
    });
    calendar.at(5, EventClass::observe, [&] { seen.emplace_back(calendar.now(), 3); });
    run(calendar);
    const std::vector<std::pair<Picoseconds, int>> expected{{5, 1}, {5, 2}, {5, 3}, {7, 4}};
    EXPECT_EQ(seen, expected);
}

TEST_P(Drivers, EverythingAtTimeZeroRuns) {
    Calendar calendar;
    int count = 0;
    calendar.at(0, EventClass::start, [&] { ++count; });
    run(calendar);
    EXPECT_EQ(count, 1);
    run(calendar);  // an empty one is no error
    EXPECT_EQ(count, 1);
}

TEST_P(Drivers, ACalendarRunsAgainWhereItStopped) {
    Calendar calendar;
    std::string order;
    calendar.at(10, EventClass::start, [&] { order += 'a'; });
    run(calendar);
    calendar.at(10, EventClass::start, [&] { order += 'b'; });
    calendar.at(12, EventClass::start, [&] { order += 'c'; });
    run(calendar);
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(calendar.now(), 12);
}

struct Odd {
    int number;
};

TEST_P(Drivers, ExceptionsComeOutAsTheyAre) {
    Calendar calendar;
    int later = 0;
    calendar.at(1, EventClass::start, [] { throw Odd{7}; });
    calendar.at(2, EventClass::start, [&] { ++later; });
    try {
        run(calendar);
        FAIL();
    } catch (const Odd& odd) {
        EXPECT_EQ(odd.number, 7);
    }
    EXPECT_EQ(later, 0);
    EXPECT_EQ(calendar.now(), 1);
    run(calendar);  // what is left can still be run
    EXPECT_EQ(later, 1);
}

TEST_P(Drivers, FarTimes) {
    Calendar calendar;
    const Picoseconds far = to_picoseconds(Seconds(9223372.0));
    calendar.at(1, EventClass::start, [&] { calendar.at(far, EventClass::start, [] {}); });
    run(calendar);
    EXPECT_EQ(calendar.now(), far);
}

TEST(Calendar, RefusesToSkipOrReturn) {
    Calendar calendar;
    EXPECT_THROW(calendar.next_time(), std::logic_error);
    EXPECT_THROW(calendar.at(-1, EventClass::start, [] {}), std::logic_error);
    calendar.at(5, EventClass::start, [] {});
    EXPECT_THROW(calendar.run_at(6), std::logic_error);
    calendar.run_at(4);  // nothing is due, the present moves on
    EXPECT_EQ(calendar.now(), 4);
    EXPECT_THROW(calendar.run_at(3), std::logic_error);
    calendar.run_at(5);
    EXPECT_EQ(calendar.events_run(), 1u);
}

TEST(SystemC, AThousandRunsInAProcess) {
    ::testing::internal::CaptureStdout();
    for (int i = 0; i < 1000; ++i) {
        Calendar calendar;
        int count = 0;
        calendar.at(i, EventClass::start, [&] {
            ++count;
            calendar.at(2 * i + 1, EventClass::completion, [&] { ++count; });
            if (i % 10 == 3) throw std::runtime_error("on purpose");
        });
        if (i % 10 == 3) {
            EXPECT_THROW(run_systemc(calendar), std::runtime_error);
        } else {
            run_systemc(calendar);
            EXPECT_EQ(count, 2);
            EXPECT_EQ(calendar.now(), 2 * i + 1);
        }
    }
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST(SystemC, OneSimulationAtATime) {
    Calendar outer;
    outer.at(1, EventClass::start, [] {
        Calendar inner;
        inner.at(1, EventClass::start, [] {});
        run_systemc(inner);
    });
    EXPECT_THROW(run_systemc(outer), std::logic_error);
}

}  // namespace
}  // namespace podsim
