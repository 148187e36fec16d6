#include "base/calendar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace podsim {

Picoseconds to_picoseconds(Seconds time) {
    // The largest double below 2^63: anything beyond wraps, in llround as in SystemC.
    constexpr double latest = 9223372036854774784.0;
    const double picoseconds = time.value() * 1e12;
    if (!(time.value() >= 0.0) || !(picoseconds <= latest)) {
        throw std::range_error(
            fmt::format("{} s is no time of a simulation (0 s to 106 days)", time.value()));
    }
    return std::llround(picoseconds);
}

Seconds to_seconds(Picoseconds time) {
    return Seconds(static_cast<double>(time) / 1e12);
}

// For a heap, whose top is the greatest: the event that comes first.
bool Calendar::later(const Event& a, const Event& b) {
    return std::tie(a.time, a.event_class, a.sequence) >
           std::tie(b.time, b.event_class, b.sequence);
}

void Calendar::at(Picoseconds time, EventClass event_class, Action action) {
    if (time < now_) {
        throw std::logic_error(
            fmt::format("an event at {} ps, before the present {} ps", time, now_));
    }
    heap_.push_back({time, static_cast<int>(event_class), sequence_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
}

Picoseconds Calendar::next_time() const {
    if (heap_.empty()) throw std::logic_error("no event is left in the calendar");
    return heap_.front().time;
}

void Calendar::run_at(Picoseconds time) {
    if (!empty() && next_time() < time) {
        throw std::logic_error(
            fmt::format("running {} ps would skip the event at {} ps", time, next_time()));
    }
    if (time < now_) {
        throw std::logic_error(fmt::format("running {} ps, before the present {} ps", time, now_));
    }
    now_ = time;
    while (!heap_.empty() && heap_.front().time == time) {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const Action action = std::move(heap_.back().action);
        heap_.pop_back();
        ++events_run_;
        action();
    }
}

void run_plain(Calendar& calendar) {
    while (!calendar.empty()) calendar.run_at(calendar.next_time());
}

}  // namespace podsim
