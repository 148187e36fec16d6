// What is said of an alternative beside its answer: what of its records was carried over from other
// machines, what a changed chip took over from the one it was, where two answers do not compare.
#pragma once

#include <vector>

#include "sim/resolve.hpp"

namespace podsim {

// A library measured on another machine, or on this one before it was changed, is evidence carried
// over, not measured here.
void mark_carried_over(ResolvedAlternative& alternative);

// An engine of the other phase: what it does is known, how long it takes here is not.
void mark_other_phase(ResolvedAlternative& alternative, WorkloadKind kind);

// What a changed chip took over, and what of it no answer shows.
void note_variant(ResolvedAlternative& result, const Node& document, const Node& memory);

// A chip's structure and its measured kernels do not say the same of it: between the two a change
// of the chip cannot be told from the change of library.
void note_libraries(std::vector<ResolvedAlternative>& alternatives);

}  // namespace podsim
