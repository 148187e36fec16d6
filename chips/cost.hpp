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

enum class Fidelity { analytic, tile, cycle };
const std::vector<std::pair<const char*, Fidelity>>& names_of(const Fidelity*);
std::string to_string(Fidelity fidelity);
Fidelity neighbour_of(Fidelity fidelity);  // the level an answer is compared with

// The finest level that what is known of a chip carries: tile asks for its cores.
Fidelity finest_fidelity(const ChipSpec& chip);

struct OperatorCost {
    Seconds time{0.0};             // alone on the rank at full clock, launch included
    Seconds sustained{0.0};        // the same on a rank long busy with matrix work, not below time
    Seconds launch{0.0};           // the fixed part of it
    Seconds matrix{0.0};           // at full rate of the matrix units: work / peak of the format
    Seconds vector{0.0};           // at full rate of the vector units
    Bytes hbm{0.0};                // bytes that cross memory
    Seconds hbm_time{0.0};         // those bytes at the bandwidth the library attains
    bool on_vector_cores = false;  // leaves matrix cores free (chips with separate vector cores)
    bool off_cores = false;        // leaves all cores free: something else moves the bytes
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

}  // namespace podsim
