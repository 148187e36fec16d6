// One chip's own figures: roofline, what its memory sustains, how near products come to the peak at
// each level of the model, and how far the levels lie apart.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "chips/memory_surface.hpp"
#include "program/operator.hpp"

namespace podsim {

// A way to time a product on one rank. Throws std::invalid_argument for what it cannot do.
struct ModelLevel {
    std::string name;  // "tile"
    std::function<Seconds(const Gemm&)> time;
};

// Every level that a chip with this library can be asked at, cheapest first. A further one is a
// further entry.
// With the structure of a core: what its closed form says beside the library's launch, and its
// pipeline in SystemC.
std::vector<ModelLevel> model_levels(const RankHardware& hardware,
                                     const KernelLibrarySpec& library);

struct RooflineRow {
    DType format{};
    FlopsPerSecond peak{0.0};  // of one rank
    double ridge = 0;          // FLOP a byte from which the matrix units bind
};

struct MemoryRow {
    std::string use;  // "random chunks of 256 B"
    double chunk = 0, streams = 0;
    std::vector<double> shares;  // by characterized_writes
};

struct LatencyRow {
    double load = 0;
    Seconds mean{0.0}, p99{0.0};
};

struct GemmRow {
    Gemm gemm;
    double bound = 0;                // share of the peak that the roofline allows
    std::vector<double> efficiency;  // by level: achieved share of the peak, launch included
};

struct LevelGap {
    std::string lower, upper;
    double mean = 0, worst = 0;  // of (upper - lower) / lower, in time
    std::string worst_shape;
};

struct ChipCharacter {
    std::string chip, library, memory;  // memory: the device, "" where none is known
    int ranks = 1;
    BytesPerSecond bandwidth{0.0};  // of one rank
    bool sram_only = false;         // and it is that of the SRAM
    std::vector<RooflineRow> roofline;
    std::vector<MemoryRow> memory_rows;
    std::vector<LatencyRow> latency;
    std::vector<std::string> levels;
    std::vector<GemmRow> gemms;
    std::vector<LevelGap> gaps;
    bool surface_from_disk = false;
};

const std::vector<double>& characterized_writes();

// `device` where the chip says which memory it carries; `cache_folder` "" keeps nothing.
ChipCharacter characterize(ChipSpec chip, const KernelLibrarySpec& library,
                           const std::optional<MemoryDevice>& device,
                           const std::string& cache_folder);

std::string shape_text(const Gemm& gemm);

}  // namespace podsim
