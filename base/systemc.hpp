// The one door to SystemC and TLM: rooms that build modules include this and nothing else of it.
// (The library is built for C++17; the target PkgConfig::SYSTEMC carries the define that lets a
// C++20 program link to it.)
#pragma once

#include <tlm_utils/peq_with_cb_and_phase.h>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>
#include <systemc>
#include <tlm>

#include "base/calendar.hpp"

namespace podsim {

inline sc_core::sc_time to_sc_time(Picoseconds time) {
    return sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(time));
}

inline Picoseconds to_picoseconds(const sc_core::sc_time& time) {
    return static_cast<Picoseconds>(time.value());
}

// SystemC's one context, taken for a run and left as new: modules are made after it and gone
// before it. Time steps are a picosecond; what SystemC reports (infos apart) is thrown as
// std::runtime_error and nothing of it goes to stdout. Throws std::logic_error when a simulation
// is already running in this process.
class SystemcSession {
  public:
    SystemcSession();
    SystemcSession(const SystemcSession&) = delete;
    SystemcSession& operator=(const SystemcSession&) = delete;
    ~SystemcSession();

  private:
    sc_core::sc_report_handler_proc handler_;
};

}  // namespace podsim
