// What one core is made of and how operands reach it: the section `core:` of a chip, from which the
// pipeline of `cycle` is built and its closed form is worked out.
//
// One core for all kinds of chips. A DaVinci core has level-0 buffers before its matrix unit and
// vector cores apart; a GPU's multiprocessor has none and keeps sums in registers; a systolic core
// is weight-stationary and has a large level 1 (VMEM); a chip without DRAM keeps everything in its
// SRAM (`memory.resident`). Rates inside a core are bytes per cycle, as their data sheets write
// them, so that a faster clock makes all of them faster.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/sustained_shares.hpp"
#include "program/dtype.hpp"

namespace podsim {

// output_stationary: sums stay while both operands stream through, as in a cube or a tensor core.
// weight_stationary: a systolic array holds rows x columns weights, and rows stream through it.
enum class Dataflow { output_stationary, weight_stationary };
const std::vector<std::pair<const char*, Dataflow>>& names_of(const Dataflow*);

struct MatrixUnitSpec {
    Sourced<long> rows, columns, depth;  // a cycle's multiply-accumulates, in `format`
    Sourced<long> arrays{1, {}, {}, "", Confidence::vendor, ""};  // such units in a core
    DType format = DType::bf16;
    Dataflow dataflow = Dataflow::output_stationary;
    bool double_buffered_weights = true;  // weight_stationary: the next weights come meanwhile
    // weight_stationary: rows of weights that an array takes a cycle.
    Sourced<long> weight_rows_per_cycle{1, {}, {}, "", Confidence::vendor, ""};
    Sourced<long> issue_cycles;  // of each instruction, not overlapped
};

struct AccumulatorSpec {
    Sourced<Bytes> size;                    // all of it: two tiles share it where two are in work
    Sourced<double> drain_bytes_per_cycle;  // out of it (FIXPIPE, epilogue)
};

struct Level1Spec {
    Sourced<Bytes> size;    // L1, shared memory, VMEM
    Sourced<long> buffers;  // slots of a ring of operand panels, at most
};

struct Level0Spec {
    Sourced<Bytes> a, b;  // operands of one instruction, twice
    Sourced<double> a_bytes_per_cycle, b_bytes_per_cycle;
};

struct VectorUnitSpec {
    Sourced<double> operations_per_cycle;    // FP32, of one vector core
    Sourced<double> exponentials_per_cycle;  // of one vector core
    Sourced<Bytes> buffer;                   // UB, or the share of shared memory it works on
    Sourced<double> bytes_per_cycle;         // into and out of that buffer
    Sourced<long> handoff_cycles;            // from the matrix unit to it and back: flags, way
    bool sums_in_accumulator = false;        // attention's output is rescaled where it is added up
};

struct DmaSpec {
    Sourced<Bytes> outstanding;  // of one core's loads under way, at most
};

struct L2PathSpec {
    Sourced<double> read_bytes_per_cycle;    // from L2 into one core
    Sourced<double> write_bytes_per_cycle;   // from one core
    Sourced<double> memory_bytes_per_cycle;  // into one core of what L2 had to fetch
    Sourced<BytesPerSecond> bandwidth;       // of L2, of the package, all cores together
    Sourced<Seconds> latency;
    Sourced<long> multicast{1, {}, {}, "", Confidence::vendor, ""};  // cores served by one read
};

// Of the two shares exactly one: that of the whole path, as measured or published; or that of the
// path without the banks, beside what the chip's `memory:` sustains in the bank model.
struct CoreMemorySpec {
    std::optional<Sourced<double>> efficiency, fabric;  // of hbm.bandwidth
    Sourced<Seconds> latency;                           // behind L2, of one read of an idle memory
    bool resident = false;  // no DRAM: operands lie in SRAM beside the cores
};

// Dies of one rank that share a program: what lies on another die crosses the link.
struct DieLinkSpec {
    Sourced<long> dies;
    Sourced<BytesPerSecond> bandwidth;  // into one die, from all others
    Sourced<Seconds> latency;
};

struct CoreStructureSpec {
    MatrixUnitSpec matrix_unit;
    AccumulatorSpec accumulator;
    Level1Spec level1;
    std::optional<Level0Spec> level0;
    VectorUnitSpec vector;
    DmaSpec dma;
    L2PathSpec l2;
    CoreMemorySpec memory;
    std::optional<DieLinkSpec> die_link;
};

// The same for one rank, in plain numbers: bytes, seconds, bytes per cycle; 0 where there is none.
struct MatrixUnit {
    long rows = 16, columns = 16, depth = 16, arrays = 1, issue_cycles = 0, minimum_rows = 1;
    Dataflow dataflow = Dataflow::output_stationary;
    bool double_buffered_weights = true;
    long weight_rows = 1;                    // that an array takes a cycle
    std::map<DType, double> macs_per_cycle;  // of the whole unit
};

struct VectorUnit {
    double cores = 1;  // beside one matrix core
    double operations = 64, exponentials = 16, buffer = 0, rate = 64, handoff_cycles = 0;
    bool sums_in_accumulator = false;
};

struct OnChipBuffers {
    double accumulator = 0, drain = 0;
    double level1 = 0;
    long level1_buffers = 2;
    double level0_a = 0, level0_b = 0, level0_a_rate = 0, level0_b_rate = 0;  // 0: no level 0
};

struct MemoryPath {
    double outstanding = 0;
    double read = 0, write = 0, memory_read = 0;  // bytes per cycle and core
    double l2_bytes = 0, l2_rate = 0, l2_latency = 0;
    long multicast = 1;
    double memory_rate = 0, memory_latency = 0;
    // Of memory_rate, which leaves the banks out where there are any here: with_memory_share()
    // brings them in for one operator.
    SustainedShares sustained;
    bool resident = false;
    long dies = 1;
    double link_rate = 0, link_latency = 0;
};

struct CoreStructure {
    long cores = 1;
    double clock = 1e9;
    MatrixUnit matrix;
    VectorUnit vector;
    OnChipBuffers buffers;
    MemoryPath path;
};

// memory_rate as an operator finds it whose bytes are writes in this share. Throws
// std::invalid_argument where the banks were to be measured and were not.
CoreStructure with_memory_share(CoreStructure core, double write_share);

struct CoreProblem {
    std::string key, what, hint;
};

// What contradicts itself or the chip around it: a shape that is not the rate of its format, a
// format that has no rate, buffers too small for one tile.
std::vector<CoreProblem> core_problems(const CoreStructureSpec& core,
                                       const std::map<DType, Sourced<long>>& macs_per_cycle,
                                       long minimum_rows);

// Implemented for the reader and the schema writer.
template <class Form>
void describe(Form& form, CoreStructureSpec& core);

}  // namespace podsim
