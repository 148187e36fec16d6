// What engines of a core are told: instructions, and the counters by which they wait for each
// other. Program order within an engine, counters between engines, as set_flag / wait_flag of an
// NPU or the barriers of a GPU's asynchronous copies.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/systemc.hpp"

namespace podsim::npu {

// Wait until `counter` has reached `value`, and `delay` longer: the way of the flag.
struct Wait {
    int counter = -1;
    std::int64_t value = 0;
    Picoseconds delay = 0;
};

struct Transfer {
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;  // 0: the instruction moves nothing
    bool write = false;
    bool stays = false;   // written data stays in L2 and does not go to memory
    bool shared = false;  // one read serves all cores of a multicast group
};

struct Instruction {
    std::array<Wait, 3> waits;
    std::array<int, 2> signals{-1, -1};  // counters that go up by one when it is done
    Picoseconds duration = 0;            // of the unit; of a transfer at least
    Picoseconds start_up = 0;            // more, where the unit stood idle before it
    Transfer transfer;
    double work = 0;  // for statistics: multiply-accumulates or operations
};

// Gives the next instruction of an engine; false when there is none.
using InstructionSource = std::function<bool(Instruction&)>;

// Counters of one core. Whoever waits is woken in the next delta cycle.
class Counters {
  public:
    explicit Counters(int count) : state_(static_cast<std::size_t>(count)) {}

    void signal(int counter) {
        State& state = state_[static_cast<std::size_t>(counter)];
        state.times[static_cast<std::size_t>(state.value) % state.times.size()] =
            to_picoseconds(sc_core::sc_time_stamp());
        ++state.value;
        for (sc_core::sc_event* waiter : state.waiters) waiter->notify(sc_core::SC_ZERO_TIME);
        state.waiters.clear();
    }
    std::int64_t value(int counter) const {
        return state_[static_cast<std::size_t>(counter)].value;
    }

    // When `counter` reached `value`: exact for the last 16, else long ago.
    Picoseconds reached(int counter, std::int64_t value) const {
        const State& state = state_[static_cast<std::size_t>(counter)];
        if (value <= 0 || state.value - value >= static_cast<std::int64_t>(state.times.size()))
            return 0;
        return state.times[static_cast<std::size_t>(value - 1) % state.times.size()];
    }
    void wake(int counter, sc_core::sc_event& event) {
        state_[static_cast<std::size_t>(counter)].waiters.push_back(&event);
    }
    void reset() {
        for (State& state : state_) state.value = 0;
    }

  private:
    struct State {
        std::int64_t value = 0;
        std::array<Picoseconds, 16> times{};
        std::vector<sc_core::sc_event*> waiters;
    };
    std::vector<State> state_;
};

}  // namespace podsim::npu
