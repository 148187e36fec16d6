// Memory as a bandwidth and a latency: one burst after another, each answered a latency after its
// last byte; where reads and writes wait, they take turns. Stands where a model of banks
// (chips/hbm) may stand instead: same socket, same protocol.
//
// Ports        in_: target, base protocol with nb_transport; any length; END_REQ at once,
//              BEGIN_RESP when the data is there.
// Parameters   bytes per second, latency.
// Statistics   bytes read and written, busy.
#pragma once

#include <deque>

#include "chips/npu/due_list.hpp"

namespace podsim::npu {

struct MemoryStatistics {
    double read = 0, written = 0;  // bytes
    Picoseconds busy = 0;
};

class SimpleMemory : public sc_core::sc_module {
  public:
    tlm_utils::simple_target_socket<SimpleMemory> in_;

    SimpleMemory(const sc_core::sc_module_name& name, double bytes_per_second, double latency);

    const MemoryStatistics& statistics() const { return statistics_; }
    Picoseconds finished() const { return free_at_; }

  private:
    tlm::tlm_sync_enum nb_transport_fw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                       sc_core::sc_time& delay);
    void serve();
    void answer();

    double picoseconds_per_byte_;
    Picoseconds latency_, free_at_ = 0;
    std::deque<tlm::tlm_generic_payload*> reads_, writes_;
    bool writes_next_ = false;
    sc_core::sc_event serve_event_;
    sc_core::sc_event due_event_;
    DueList<tlm::tlm_generic_payload*> due_;
    MemoryStatistics statistics_;
};

}  // namespace podsim::npu
