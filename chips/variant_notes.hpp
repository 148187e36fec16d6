// What a variant of a chip (`base:`, --set) took over from the chip it started from, and its own
// changes make doubtful. Told by where a value stands: a key of another file than its neighbour was
// not written with it.
#pragma once

#include <string>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/document.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"

namespace podsim {

// A data-sheet peak of the old parts: cores, clock or matrix peak of the format were changed, and
// peak_published was not. Figures per peak FLOP rest on it.
std::vector<Diagnostic> stale_peaks(const ChipSpec& chip, const Node& document);

// A power cap of the old parts: memory was made faster and the cap was not raised, so that what the
// interfaces draw is taken from the matrix units; or the clock was raised, and a FLOP draws what it
// drew at the old voltage. Nothing for a chip that keeps its clock under its cap.
std::vector<Diagnostic> stale_power(const ChipSpec& chip, const Node& document);

// Where `cores`, which fitted libraries rest on, and `core`, which the structure is built of, say
// what cannot both be: a core's feed above its port and above its share of L2, space for sums above
// the accumulator's, or a vector peak far from what the vector units' lanes make. A resident chip's
// feed is its SRAM's.
std::vector<Diagnostic> contradicted_core(const ChipSpec& chip, const Node& document);

// All of these.
std::vector<Diagnostic> doubtful_values(const ChipSpec& chip, const Node& document);

// Changes in `core` that no answer of a fitted library can show, since its habits stand for the
// core's insides. One warning for all of them; none for a structural library.
std::vector<Diagnostic> unseen_changes(const ChipSpec& chip, const Node& document,
                                       const KernelLibrarySpec& library);

// Changes in a memory device's file that the chip's operators do not show: those of a chip with
// core.memory.fabric go by its banks where the structure answers, all others by the chip's rates.
std::vector<Diagnostic> unseen_changes(const Node& device, const ChipSpec& chip,
                                       const KernelLibrarySpec& library);

}  // namespace podsim
