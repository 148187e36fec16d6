// What is due when, on one event: a module's own completions in order of (time, sequence).
#pragma once

#include <queue>
#include <vector>

#include "base/systemc.hpp"

namespace podsim::npu {

template <class Item>
class DueList {
  public:
    explicit DueList(sc_core::sc_event& event) : event_(event) {}

    void add(Picoseconds time, Item item) {
        heap_.push({time, sequence_++, item});
        if (heap_.top().sequence == sequence_ - 1) arm();
    }
    // Takes the next item that is due; false when none is, and the event is armed for the rest.
    bool take(Item& item) {
        if (heap_.empty()) return false;
        if (heap_.top().time > to_picoseconds(sc_core::sc_time_stamp())) {
            arm();
            return false;
        }
        item = heap_.top().item;
        heap_.pop();
        return true;
    }
    bool empty() const { return heap_.empty(); }

  private:
    struct Due {
        Picoseconds time;
        std::uint64_t sequence;
        Item item;
        bool operator<(const Due& other) const {
            return time != other.time ? time > other.time : sequence > other.sequence;
        }
    };
    void arm() {
        const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
        event_.notify(to_sc_time(std::max<Picoseconds>(0, heap_.top().time - now)));
    }

    sc_core::sc_event& event_;
    std::priority_queue<Due> heap_;
    std::uint64_t sequence_ = 0;
};

}  // namespace podsim::npu
