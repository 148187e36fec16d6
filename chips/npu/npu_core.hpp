// One core: two DMA engines, a matrix and a vector unit, and the counters between them.
//
//   load ──▶ level 1 ──▶ matrix ──▶ accumulator ──▶ drain ──▶ L2
//                          │  ▲
//                          ▼  │ (scores, probabilities)
//                         vector
//
// Ports        load_.out_, drain_.out_: TLM initiators, to a cache or straight to a memory.
// Parameters   outstanding: bytes of loads under way; rates of its ports, bytes per second.
// Statistics   those of its engines.
// Level 1 and the accumulator are slots that counters guard: a load waits until the panel that had
// its slot was used (`freed`), a product until its panels are there (`filled`).
#pragma once

#include "chips/npu/compute_unit.hpp"
#include "chips/npu/dma_engine.hpp"

namespace podsim::npu {

// What the four engines of a core are to do.
struct CoreProgram {
    InstructionSource load, matrix, vector, drain;
};

// The counters that programs use.
enum Counter : int {
    kFilled,     // loads done
    kFreed,      // steps whose panels are used up
    kSumsReady,  // tiles of sums
    kSumsFreed,  // of them, drained
    kScores,     // attention: blocks of scores
    kWeights,    // attention: blocks of probabilities
    kOutputs,    // attention: blocks of partial outputs
    kRescaled,   // attention: of them, added up
    kResults,    // results that wait to be stored
    kStored,     // of them, stored
    kQueries,    // attention: pieces whose queries are used up
    kCounters
};

class NpuCore : public sc_core::sc_module {
  public:
    Counters counters_{kCounters};
    DmaEngine load_, drain_;
    ComputeUnit matrix_, vector_;

    NpuCore(const sc_core::sc_module_name& name, double outstanding, double read_rate,
            double write_rate)
        : sc_module(name),
          load_("load", counters_, outstanding, read_rate),
          drain_("drain", counters_, outstanding, write_rate),
          matrix_("matrix", counters_),
          vector_("vector", counters_) {}

    void run(CoreProgram program) {
        counters_.reset();
        if (program.load) load_.run(std::move(program.load));
        if (program.matrix) matrix_.run(std::move(program.matrix));
        if (program.vector) vector_.run(std::move(program.vector));
        if (program.drain) drain_.run(std::move(program.drain));
    }
    bool idle() const { return load_.idle() && drain_.idle() && matrix_.idle() && vector_.idle(); }
};

}  // namespace podsim::npu
