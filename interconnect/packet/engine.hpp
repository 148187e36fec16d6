// The clock of a network's modules: one method process and one SystemC event for all of them.
//
// Parameter: `quantum`. Events up to so much after the kernel's time run in one activation
// (temporal decoupling, IEEE 1666 TLM-2.0), which saves a kernel event each; now() is exact
// nonetheless. Modules that talk to processes of others want a quantum of 0.
// Statistics: events().
#pragma once

#include <cstdint>
#include <exception>

#include "base/systemc.hpp"
#include "interconnect/packet/event_queue.hpp"

namespace podsim {

class PacketEngine : public sc_core::sc_module {
  public:
    SC_HAS_PROCESS(PacketEngine);
    PacketEngine(const sc_core::sc_module_name& name, Picoseconds quantum);

    Picoseconds now() const { return now_; }

    // Calls target.on_event(what) at `time`, after all that were asked for the same time before;
    // `touches` is memory that it will want, fetched ahead. Throws std::logic_error for a time that
    // has passed.
    void at(Picoseconds time, EventTarget& target, std::uint64_t what = 0,
            const void* touches = nullptr);

    std::uint64_t events() const { return queue_.pushed(); }

    // What an event threw; kept from SystemC, which would make a report of it. Whoever called
    // sc_start() asks.
    std::exception_ptr error() const { return error_; }

  private:
    void run();
    void arm();

    EventQueue queue_;
    sc_core::sc_event due_;
    const Picoseconds quantum_;
    Picoseconds now_ = 0;
    bool running_ = false;
    std::exception_ptr error_;
};

}  // namespace podsim
