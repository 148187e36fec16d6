// What a result costs: dollars an hour, a token, a FLOP.
#pragma once

#include "sim/alternative_result.hpp"
#include "sim/price.hpp"
#include "sim/resolve.hpp"

namespace podsim {

// Adds CostBasis rows and, for each basis, usd_per_hour_per_chip, usd_per_million_output_tokens
// (where tokens come out), usd_per_eflop_hour_peak and _achieved. The first basis has the plain
// names, others end in _BASIS. Peak is the highest published one of the formats in use.
// Without a price a warning says so and no metric is added.
void add_cost_metrics(AlternativeResult& result, const PriceSpec& prices,
                      const ResolvedAlternative& alternative, const std::vector<DType>& formats);

}  // namespace podsim
