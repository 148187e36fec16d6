// What computes: one chip as its vendor sells it, and the part of it that runs one program.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/core_spec.hpp"
#include "chips/energy.hpp"
#include "chips/memory_spec.hpp"
#include "chips/process.hpp"
#include "chips/silicon.hpp"
#include "chips/sustained_shares.hpp"
#include "program/dtype.hpp"

namespace podsim {

struct HbmSpec {
    Sourced<Bytes> capacity;            // of the package
    Sourced<BytesPerSecond> bandwidth;  // of the package, data sheet
};

// On-chip memory that software fills: where weights stand on a chip without HBM.
struct SramSpec {
    Sourced<Bytes> capacity;            // of the package
    Sourced<BytesPerSecond> bandwidth;  // of the package, data sheet
};

// Cores of the package. A GPU's streaming multiprocessor has matrix and vector units in one
// core; a DaVinci die has cube cores and vector cores apart (`vector`), which run side by side.
struct CoresSpec {
    Sourced<long> matrix;          // cores with a matrix unit
    Sourced<long> vector;          // vector cores
    bool separate_vector = false;  // vector work leaves the matrix cores free
    Sourced<Hertz> clock;
    std::map<DType, Sourced<long>>
        macs_per_cycle;            // multiply-accumulates of one core's matrix unit
    Sourced<long> minimum_rows;    // rows a matrix instruction pads to
    Sourced<Bytes> accumulator;    // on-chip space for a tile's sums, per core, usable at once
    Sourced<Bytes> l2;             // last-level cache or buffer of the package
    Sourced<BytesPerSecond> feed;  // from that cache into one core
};

// What the power cap leaves under long matrix work; a chip without it keeps its clock.
struct SustainedSpec {
    Sourced<double> matrix;     // share of peak_matrix
    Sourced<Seconds> response;  // of the power controller
};

// To the host's memory, of the package, per direction.
struct HostLinkSpec {
    std::string technology;
    Sourced<BytesPerSecond> bandwidth;
    Sourced<Seconds> latency;  // of one small read
};

struct ChipSpec {
    std::string name, title, vendor;
    std::string variant_of;  // the chip it started from by base: or --set, "" for itself
    int year = 0;
    int ranks = 1;                   // programs a package runs: dies that share nothing
    std::optional<HbmSpec> hbm;      // one of the two at least
    std::optional<SramSpec> sram;    // holds weights where there is no HBM
    std::optional<CoresSpec> cores;  // absent: only a data sheet is known
    std::map<DType, Sourced<FlopsPerSecond>> peak_matrix;     // matrix units of the package
    std::map<DType, Sourced<FlopsPerSecond>> peak_published;  // data sheet
    // For the eye: with structured sparsity; what advertisements call the rate. No answer uses
    // them.
    std::map<DType, Sourced<FlopsPerSecond>> peak_sparse, peak_headline;
    Sourced<FlopsPerSecond> peak_vector;           // FP32, of the package
    Sourced<Watts> power;                          // thermal design power of the package
    std::optional<Sourced<Watts>> power_as_built;  // before --set: what its systems are built for
    std::optional<Sourced<double>> band;  // by which operators' times may be off either way
    std::optional<SustainedSpec> sustained;
    std::optional<EnergySpec> energy;
    std::optional<SiliconSpec> silicon;
    std::optional<ProcessSpec> process;  // of silicon.process; filled in by who has the catalog
    std::optional<HostLinkSpec> host_link;
    std::optional<MemorySpec> memory;       // the devices behind hbm, where they are known
    std::optional<CoreStructureSpec> core;  // what `cycle` is built of
    SustainedShares sustained_shares;       // of core.memory.fabric; filled in by who measured them
    std::string kernels;                    // default kernel library
};

// The share of a chip that one program has: everything divided by the package's ranks.
struct RankHardware {
    long matrix_cores = 1;
    bool separate_vector = false;
    Hertz clock{0.0};
    FlopsPerSecond peak_vector{0.0};
    BytesPerSecond hbm_bandwidth{0.0};
    Bytes hbm_capacity{0.0}, l2{0.0}, accumulator{0.0};
    BytesPerSecond feed_per_core{0.0};
    long minimum_rows = 1;
    double sustained_matrix = 1;  // share of peak_matrix left under long matrix work
    Seconds power_response{0.0};
    std::map<DType, FlopsPerSecond> peak_matrix;
    // To tables in the host's memory, and in what a scale-up domain pools (whoever knows the fabric
    // fills that in). 0: no way there.
    BytesPerSecond host_bandwidth{0.0}, pool_bandwidth{0.0};
    Seconds host_latency{0.0}, pool_latency{0.0};
    bool sram_only = false;             // hbm_bandwidth and hbm_capacity are those of its SRAM
    std::optional<CoreStructure> core;  // where the chip's record has one
};

// What holds weights and caches: the HBM, of a chip without it the SRAM.
struct MainMemory {
    const char* name;  // "HBM" or "SRAM"
    Sourced<Bytes> capacity;
    Sourced<BytesPerSecond> bandwidth;
};
MainMemory main_memory(const ChipSpec& chip);
// The share of the matrix peak that the power cap leaves: as measured on this very chip, else by
// its energies (chips/power.hpp) where it has any or its process is known, else all of it.
double sustained_matrix_share(const ChipSpec& chip);

// Reads and checks a chip: cores x MACs x 2 x clock against peak_matrix (2 %), ranks that divide
// the cores of both kinds, a memory, no sparse or headline peak below the dense one. Throws
// InputError.
ChipSpec read_chip(const Node& document, const std::string& name);

// Of a chip of which only a data sheet is known a rank has one core that is all of it, and neither
// caches nor feeds: enough for the analytic level, which asks for no more.
RankHardware rank_hardware(const ChipSpec& chip);

// The format in which products of `dtype` really run: `dtype` where the matrix units have a rate
// for it; FP16 for BF16 on chips older than BF16 (models are converted); else the narrowest wider
// one they have (FP8 on a chip with BF16 only is widened first). Throws std::invalid_argument when
// there is none.
DType executed_format(const RankHardware& hardware, DType dtype);

DType executed_format(const ChipSpec& chip, DType dtype);

// Matrix peak of one rank for a format, that of the format it is executed in.
FlopsPerSecond peak_for(const RankHardware& hardware, DType dtype);

// The data-sheet peak behind "per peak FLOP" figures, of the package, for the format `dtype` is
// executed in; that of the matrix units where the data sheet has none.
FlopsPerSecond published_peak_for(const ChipSpec& chip, DType dtype);

nlohmann::ordered_json chip_schema();

}  // namespace podsim
