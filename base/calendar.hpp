// What happens next: events ordered by (time, class, sequence), time in whole picoseconds.
//
// A plain object without SystemC. Somebody drives it: the SystemC driver (systemc_driver.hpp)
// or run_plain(); both call the same run_at(), so both give the same bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/units.hpp"

namespace podsim {

using Picoseconds = std::int64_t;

// Rounds to the nearest picosecond. Throws std::range_error for a negative, NaN or infinite
// time, and for one beyond 106 days (2^63 ps), which SystemC would wrap silently.
Picoseconds to_picoseconds(Seconds time);
Seconds to_seconds(Picoseconds time);

// Events of a lower class at the same time run first.
enum class EventClass : int { completion = 0, arrival = 1, start = 2, observe = 3 };

class Calendar {
  public:
    using Action = std::function<void()>;

    // Schedules `action` at `time`, which may not lie before now(). Throws std::logic_error.
    void at(Picoseconds time, EventClass event_class, Action action);

    Picoseconds now() const { return now_; }
    bool empty() const { return heap_.empty(); }
    Picoseconds next_time() const;  // of the earliest event; std::logic_error when empty

    // Runs every event due at `time` (new ones for the same time included) with now() == time.
    void run_at(Picoseconds time);

    std::uint64_t events_run() const { return events_run_; }

  private:
    struct Event {
        Picoseconds time;
        int event_class;
        std::uint64_t sequence;
        Action action;
    };
    static bool later(const Event& a, const Event& b);
    std::vector<Event> heap_;
    Picoseconds now_ = 0;
    std::uint64_t sequence_ = 0, events_run_ = 0;
};

// Drives the calendar to its end without SystemC.
void run_plain(Calendar& calendar);

}  // namespace podsim
