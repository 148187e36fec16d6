// What of a forced tiling a core structure cannot do, whatever runs on it: more cores than the rank
// has, more panels than level 1 keeps. What depends on the product (a tile that does not fit,
// slices that K does not make) the search says.
#pragma once

#include <string>
#include <vector>

#include "chips/core_spec.hpp"
#include "chips/tiling_rules.hpp"

namespace podsim {

// `key` of the rules that asks for it.
struct TilingProblem {
    std::string key, what, hint;
};

std::vector<TilingProblem> tiling_problems(const TilingRules& rules, const CoreStructure& core);

// Slices that K falls into when each has as many whole elements as `split` of them need: `split`,
// or fewer where that does not work out.
long slices_of(long k, long split);

// Throws std::invalid_argument when K does not make so many, naming the nearest number that it
// does.
void require_slices(long k, long split);

}  // namespace podsim
