// The cost of one operator on one rank of a chip: how long it takes alone, and what it asks of
// the chip's resources while it runs.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "program/operator.hpp"

namespace podsim {

enum class Fidelity { analytic, tile };
const std::vector<std::pair<const char*, Fidelity>>& names_of(const Fidelity*);
std::string to_string(Fidelity fidelity);
Fidelity neighbour_of(Fidelity fidelity);  // the level an answer is compared with

struct OperatorCost {
    Seconds time{0.0};             // alone on the rank at full clock, launch included
    Seconds sustained{0.0};        // the same on a rank long busy with matrix work, not below time
    Seconds launch{0.0};           // the fixed part of it
    Seconds matrix{0.0};           // at full rate of the matrix units: work / peak of the format
    Seconds vector{0.0};           // at full rate of the vector units
    Bytes hbm{0.0};                // bytes that cross memory
    Seconds hbm_time{0.0};         // those bytes at the bandwidth the library attains
    bool on_vector_cores = false;  // leaves matrix cores free (chips with separate vector cores)
    std::string choice;            // tile and split chosen, for the per-operator table
    Confidence basis = Confidence::assumed;
    double held_out_error = 0;
    std::string warning;  // what the reader of a result should know: a format that was widened
};

// `core_share` of the rank's cores may be used (an engine that partitions them); memory bandwidth
// is not partitioned, but a core alone cannot draw more than its feed.
// Throws std::invalid_argument for a format that the chip cannot compute or the library was not
// measured on, an accumulator that holds no tile, a core share outside (0, 1].
OperatorCost operator_cost(const OperatorBody& body, const RankHardware& hardware,
                           const KernelLibrarySpec& library, Fidelity fidelity, double core_share);

// No implementation is faster: max(work / peak, bytes / bandwidth) from the data sheet alone.
Seconds roofline_bound(const OperatorBody& body, const RankHardware& hardware);

// In what state the rank is when an operator starts: it was idle, or has long been busy, as within
// a step that follows many others.
enum class RankState { at_rest, busy };

// Remembers costs by (operator shape, core share) for one hardware and library, the time
// being that of the rank's state. Transparent: cached or not, the same cost.
class CostCache {
  public:
    CostCache(RankHardware hardware, KernelLibrarySpec library, Fidelity fidelity, bool enabled,
              RankState state = RankState::at_rest)
        : hardware_(std::move(hardware)),
          library_(std::move(library)),
          fidelity_(fidelity),
          enabled_(enabled),
          state_(state) {}

    OperatorCost cost(const OperatorBody& body, double core_share);
    const RankHardware& hardware() const { return hardware_; }
    const KernelLibrarySpec& library() const { return library_; }
    long hits() const { return hits_; }
    long misses() const { return misses_; }

  private:
    OperatorCost fresh_cost(const OperatorBody& body, double core_share) const;

    RankHardware hardware_;
    KernelLibrarySpec library_;
    Fidelity fidelity_;
    bool enabled_;
    RankState state_;
    long hits_ = 0, misses_ = 0;
    std::map<std::string, OperatorCost> costs_;
};

}  // namespace podsim
