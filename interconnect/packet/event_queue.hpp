// What happens next in a network of modules: events ordered by (time, sequence).
//
// base/calendar answers the same with any callable. Here an event is a pointer and a number, 32
// bytes in a heap of four children: packets make ten million of them, and a callable would cost as
// much as all the rest of a packet's way.
#pragma once

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
    };

    bool empty() const { return heap_.empty(); }
    const Event& next() const { return heap_.front(); }
    std::uint64_t pushed() const { return sequence_; }

    void push(Picoseconds time, EventTarget& target, std::uint64_t what) {
        const Event event{time, sequence_++, &target, what};
        heap_.push_back(event);
        std::size_t at = heap_.size() - 1;
        while (at > 0) {
            const std::size_t parent = (at - 1) / 4;
            if (!before(event, heap_[parent])) break;
            heap_[at] = heap_[parent];
            at = parent;
        }
        heap_[at] = event;
    }

    Event pop() {
        const Event first = heap_.front();
        const Event last = heap_.back();
        heap_.pop_back();
        const std::size_t size = heap_.size();
        if (size == 0) return first;
        std::size_t at = 0;
        for (;;) {
            const std::size_t child = 4 * at + 1;
            if (child >= size) break;
            const std::size_t end = child + 4 < size ? child + 4 : size;
            std::size_t least = child;
            for (std::size_t c = child + 1; c < end; ++c)
                if (before(heap_[c], heap_[least])) least = c;
            if (!before(heap_[least], last)) break;
            heap_[at] = heap_[least];
            at = least;
        }
        heap_[at] = last;
        return first;
    }

  private:
    static bool before(const Event& a, const Event& b) {
        return a.time < b.time || (a.time == b.time && a.sequence < b.sequence);
    }
    std::vector<Event> heap_;
    std::uint64_t sequence_ = 0;
};

}  // namespace podsim
