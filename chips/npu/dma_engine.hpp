// Moves panels: each instruction is one burst on a TLM socket, completed in program order.
//
// Ports        out_: initiator, base protocol with nb_transport (BEGIN_REQ down; END_REQ in the
//              return path or later, which holds back the next burst; BEGIN_RESP up).
// Parameters   outstanding: bytes under way at most (a single longer burst may go alone);
//              rate: bytes per second at which it asks, so that cores' requests mix.
// Statistics   bytes, bursts, stalled (head waiting for data, room or the limit), latency.
// `duration` of an instruction is the least time it takes (a drain that reads an accumulator).
#pragma once

#include <deque>

#include "chips/npu/burst.hpp"
#include "chips/npu/instruction_queue.hpp"

namespace podsim::npu {

struct DmaStatistics {
    double bytes = 0;
    std::int64_t bursts = 0;
    Picoseconds stalled = 0;
    Picoseconds under_way = 0;  // sum over bursts: mean latency when divided by them
};

class DmaEngine : public sc_core::sc_module {
  public:
    tlm_utils::simple_initiator_socket<DmaEngine> out_;

    DmaEngine(const sc_core::sc_module_name& name, Counters& counters, double outstanding,
              double rate);

    void run(InstructionSource source) { queue_.load(std::move(source)); }
    bool idle() const { return under_way_.empty() && queue_.empty(); }
    Picoseconds finished() const { return finished_; }
    DmaStatistics statistics() const;

  private:
    struct Burst {
        Instruction instruction;
        tlm::tlm_generic_payload* payload;
        Picoseconds begun, earliest;
        bool answered;
    };

    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                       sc_core::sc_time& delay);
    void step();
    void retire();

    Counters& counters_;
    double outstanding_limit_, picoseconds_per_byte_;
    Picoseconds next_issue_ = 0;
    sc_core::sc_event wake_;
    InstructionQueue queue_;
    BurstPool pool_;
    std::deque<Burst> under_way_;
    double outstanding_ = 0;
    bool request_open_ = false;  // END_REQ has not come yet
    Picoseconds finished_ = 0;
    DmaStatistics statistics_;
};

}  // namespace podsim::npu
