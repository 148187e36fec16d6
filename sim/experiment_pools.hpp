// Which pools an experiment's alternatives need: one, or parts of the work that make the whole.
#pragma once

#include <vector>

#include "sim/experiment_spec.hpp"

namespace podsim {

// One pool, but for serving, and for a decode step of an attention and a feed-forward pool; and of
// serving every part of the work.
void require_pools(const ExperimentSpec& experiment, std::vector<Diagnostic>& problems);

}  // namespace podsim
