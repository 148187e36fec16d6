// A matrix or a vector unit: does its instructions one after another, each for the time it is told.
//
// Ports        none; instructions come from a queue, results are signalled on counters.
// Parameters   none of its own: how long an instruction takes is the program's arithmetic
//              (chips/tile_plan.hpp for matrix units).
// Statistics   busy, stalled (head waiting for operands or room), instructions, work.
// An instruction that follows another without a gap finds its operands there; one that finds the
// unit idle takes `start_up` longer (level 0 fills, a systolic array loads its first weights).
#pragma once

#include "chips/npu/instruction_queue.hpp"

namespace podsim::npu {

struct ComputeStatistics {
    Picoseconds busy = 0, stalled = 0;
    std::int64_t instructions = 0;
    double work = 0;
};

class ComputeUnit : public sc_core::sc_module {
  public:
    ComputeUnit(const sc_core::sc_module_name& name, Counters& counters);

    void run(InstructionSource source) { queue_.load(std::move(source)); }
    bool idle() const { return !busy_ && queue_.empty(); }
    Picoseconds finished() const { return done_; }  // the last instruction
    ComputeStatistics statistics() const;

  private:
    void step();

    Counters& counters_;
    sc_core::sc_event wake_;
    InstructionQueue queue_;
    Instruction current_;
    bool busy_ = false;
    Picoseconds done_ = -1;
    ComputeStatistics statistics_;
};

}  // namespace podsim::npu
