// The time of dense and grouped products: tiles over cores in waves, memory as a ramped stream,
// joined by a smooth maximum, at the best of the tilings a library would try.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

OperatorCost gemm_cost(const Gemm& gemm, const RankHardware& hardware,
                       const KernelLibrarySpec& library, Fidelity fidelity, double core_share);

// (a^p + b^p)^(1/p): the larger of two overlapping times, plus what their interleaving loses.
Seconds smooth_maximum(Seconds a, Seconds b, double p);

// Latency of a stream of `bytes`: rises to `ramp` once the stream is long against `ramp_bytes`.
Seconds stream_ramp(Bytes bytes, Seconds ramp, Bytes ramp_bytes);

// Cores a program may use out of the rank's, at least one.
long usable_cores(const RankHardware& hardware, double core_share);

}  // namespace podsim
