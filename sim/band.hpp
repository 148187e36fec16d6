// Between which values an answer lies, when each operator may take longer or shorter than worked
// out by a share that is known: the program runs again with all of them so much slower and faster.
#pragma once

#include <optional>
#include <string>

#include "chips/kernel_library.hpp"
#include "sim/alternative_result.hpp"
#include "sim/machine.hpp"

namespace podsim {

struct ErrorBand {
    double share = 0;    // of an operator's time, either way
    std::string source;  // "the chip's record" or "the largest held-out error of nominal"
};

// Of a chip that states one, and of every chip of which only a data sheet is known; nothing else.
std::optional<ErrorBand> error_band(const ChipSpec& chip, const KernelLibrarySpec& kernels);

// What the reader of such an answer is told.
std::string band_warning(const ChipSpec& chip, const ErrorBand& band);

// Every operator and pipeline takes `factor` times as long, but never less than its work and its
// bytes take at the data sheet's rates: that is no machine of this band either. Transfers stay.
ProgramCosts scaled(ProgramCosts costs, double factor, const RankHardware& hardware);

// Low and high of each metric that is not the same in all three.
void add_bands(AlternativeResult& result, const AlternativeResult& fast,
               const AlternativeResult& slow);

}  // namespace podsim
