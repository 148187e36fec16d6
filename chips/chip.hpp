// What computes: one chip as its vendor sells it, and the part of it that runs one program.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/core_spec.hpp"
#include "program/dtype.hpp"

namespace podsim {

struct HbmSpec {
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
    int ranks = 1;  // programs a package runs: dies that share nothing
    HbmSpec hbm;
    CoresSpec cores;
    std::map<DType, Sourced<FlopsPerSecond>> peak_matrix;     // matrix units of the package
    std::map<DType, Sourced<FlopsPerSecond>> peak_published;  // data sheet
    Sourced<FlopsPerSecond> peak_vector;                      // FP32, of the package
    Sourced<Watts> power;                                     // thermal design power of the package
    std::optional<SustainedSpec> sustained;
    std::optional<HostLinkSpec> host_link;
    std::optional<CoreStructureSpec> core;  // what `cycle` is built of
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
    std::optional<CoreStructure> core;  // where the chip's record has one
};

// Reads and checks a chip: cores x MACs x 2 x clock against peak_matrix (2 %), ranks that divide
// the cores of both kinds. Throws InputError.
ChipSpec read_chip(const Node& document, const std::string& name);

RankHardware rank_hardware(const ChipSpec& chip);

// The format in which products of `dtype` really run: `dtype` where the matrix units have a rate
// for it, else the narrowest wider one they have (FP8 on a chip with BF16 only is widened first).
// Throws std::invalid_argument when there is none.
DType executed_format(const RankHardware& hardware, DType dtype);

// Matrix peak of one rank for a format, that of the format it is executed in.
FlopsPerSecond peak_for(const RankHardware& hardware, DType dtype);

// The data-sheet peak behind "per peak FLOP" figures, of the package, for the format `dtype` is
// executed in; that of the matrix units where the data sheet has none.
FlopsPerSecond published_peak_for(const ChipSpec& chip, DType dtype);

nlohmann::ordered_json chip_schema();

}  // namespace podsim
