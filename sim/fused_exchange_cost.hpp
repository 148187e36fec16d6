// What a fused exchange costs: its kernel on each class of ranks joined with what it moves.
//
// With n chunks, d and c the time of dispatch and combine on the links alone, and for each port
// the sum p of what both need of it:
//
//   body  = |cores, memory, vector units, (1 - 1/n) max p|_q
//   t     = launch + latencies + d/n + body + c/n + closing
//
// The first chunk has to be there before anything is worked on, and the last one's results leave
// when all work is done; what the ports still carry in between is not counted twice. q is the
// library's smooth maximum, so that t is never below the busiest resource; at `analytic` the plain
// maximum, and nothing for the two ends. Everyone waits for the last: all parts take as long as the
// longest.
#pragma once

#include "chips/cost_cache.hpp"
#include "sim/machine.hpp"

namespace podsim {

// `coflows` are those of the program's transfers. Throws std::invalid_argument as
// fused_kernel_cost.
FusedCost fused_exchange_cost(const Program& program, const FusedExchange& fused,
                              const std::vector<Coflow>& coflows, const CostCache& cache,
                              double core_share);

}  // namespace podsim
