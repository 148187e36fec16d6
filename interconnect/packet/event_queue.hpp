// What happens next in a network of modules: events ordered by (time, sequence).
//
// base/calendar answers the same with any callable. Here an event is three pointers' worth of plain
// data: packets make ten million of them, and a callable would cost as much as all the rest of a
// packet's way.
//
// A calendar of days (Brown, CACM 31(10), 1988): an event goes unsorted into the day of its time,
// and a day is sorted when it comes. The next ones then lie in a row, so that whoever runs them can
// ask for their targets' memory ahead, which in a network larger than the cache costs more than the
// order does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/calendar.hpp"

namespace podsim {

class EventTarget {
  public:
    virtual void on_event(std::uint64_t what) = 0;

  protected:
    ~EventTarget() = default;
};

class EventQueue {
  public:
    struct Event {
        Picoseconds time;
        std::uint64_t sequence;
        EventTarget* target;
        std::uint64_t what;
        const void* touches;  // memory that the target will want beside its own, or null
    };

    bool empty() const { return size_ == 0; }
    std::uint64_t pushed() const { return sequence_; }

    // Wants an event.
    const Event& next() {
        if (place_ == today_.size()) open_day();
        return today_[place_];
    }
    // `ahead` places behind the next, of the same day; null where there is none.
    const Event* later(std::size_t ahead) const {
        return place_ + ahead < today_.size() ? &today_[place_ + ahead] : nullptr;
    }

    void push(Picoseconds time, EventTarget& target, std::uint64_t what, const void* touches) {
        ++size_;
        if (time < day_end_) {
            const Event event{time, sequence_++, &target, what, touches};
            today_.insert(std::upper_bound(today_.begin() + static_cast<std::ptrdiff_t>(place_),
                                           today_.end(), event, Before{}),
                          event);
        } else {
            list_of(time).push_back({time, sequence_++, &target, what, touches});
        }
    }

    Event pop() {
        const Event first = next();
        ++place_;
        --size_;
        return first;
    }

  private:
    static constexpr std::size_t kDays = 1024;

    // A type, not a function: sorting calls it in line.
    struct Before {
        bool operator()(const Event& a, const Event& b) const {
            return a.time < b.time || (a.time == b.time && a.sequence < b.sequence);
        }
    };

    // Of a time after today.
    std::vector<Event>& list_of(Picoseconds time) {
        const auto day = static_cast<std::uint64_t>(time - year_) >> length_;
        return day_ < kDays && day < kDays ? days_[day] : beyond_;
    }

    // The next day that has events becomes today.
    void open_day() {
        today_.clear();
        place_ = 0;
        while (today_.empty()) {
            if (day_ == kDays) open_year();
            today_.swap(days_[day_]);
            ++day_;
            day_end_ = year_ + (static_cast<Picoseconds>(day_) << length_);
        }
        std::sort(today_.begin(), today_.end(), Before{});
    }

    // Begins with the first event of all, which are beyond the last year, and is twice as long as
    // nine of ten of them need.
    void open_year() {
        std::vector<Event> all;
        all.swap(beyond_);
        const auto most = all.begin() + static_cast<std::ptrdiff_t>(all.size() * 9 / 10);
        std::nth_element(all.begin(), most, all.end(), Before{});
        year_ = std::min_element(all.begin(), most + 1, Before{})->time;
        day_ = 0;
        const Picoseconds wanted = 2 * (most->time - year_) / static_cast<Picoseconds>(kDays);
        length_ = 0;
        while ((Picoseconds{1} << length_) < wanted) ++length_;
        for (const Event& event : all) list_of(event.time).push_back(event);
    }

    std::vector<Event> today_;  // sorted
    std::size_t place_ = 0;     // of the next in it
    std::size_t size_ = 0;
    std::vector<std::vector<Event>> days_ = std::vector<std::vector<Event>>(kDays);
    std::size_t day_ = kDays;    // the one after today
    Picoseconds year_ = 0;       // its beginning
    int length_ = 0;             // of a day: 2 to it, in ps
    Picoseconds day_end_ = 0;    // of today
    std::vector<Event> beyond_;  // the year
    std::uint64_t sequence_ = 0;
};

}  // namespace podsim
