// The sequencer's part of one engine: instructions in program order, each held back until its
// counters are there.
#pragma once

#include <utility>

#include "chips/npu/instruction.hpp"

namespace podsim::npu {

class InstructionQueue {
  public:
    // `wake` is notified when the head may be able to start.
    InstructionQueue(Counters& counters, sc_core::sc_event& wake)
        : counters_(counters), wake_(wake) {}

    void load(InstructionSource source) {
        source_ = std::move(source);
        has_head_ = false;
        wake_.notify(sc_core::SC_ZERO_TIME);
    }

    // The head, when it may start now. Otherwise null, and whoever asked is woken when it may.
    const Instruction* ready() {
        if (!has_head_) {
            if (!source_) return nullptr;
            head_ = Instruction{};
            if (!source_(head_)) {
                source_ = nullptr;
                return nullptr;
            }
            has_head_ = true;
            asked_ = to_picoseconds(sc_core::sc_time_stamp());
        }
        Picoseconds start = 0;
        for (const Wait& wait : head_.waits) {
            if (wait.counter < 0) continue;
            if (counters_.value(wait.counter) < wait.value) {
                counters_.wake(wait.counter, wake_);
                return nullptr;
            }
            start = std::max(start, counters_.reached(wait.counter, wait.value) + wait.delay);
        }
        const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
        if (start > now) {
            wake_.notify(to_sc_time(start - now));
            return nullptr;
        }
        return &head_;
    }
    void pop() {
        waited_ += to_picoseconds(sc_core::sc_time_stamp()) - asked_;
        has_head_ = false;
    }
    bool empty() const { return !has_head_ && !source_; }
    Picoseconds waited() const { return waited_; }  // of heads, for counters and for room

  private:
    Counters& counters_;
    sc_core::sc_event& wake_;
    InstructionSource source_;
    Instruction head_;
    bool has_head_ = false;
    Picoseconds asked_ = 0, waited_ = 0;
};

}  // namespace podsim::npu
