// Keys of an experiment that say nothing to its kind of workload: whoever wrote them expects an
// effect.
#pragma once

#include <vector>

#include "sim/experiment_spec.hpp"

namespace podsim {

void require_used(const ExperimentSpec& experiment, std::vector<Diagnostic>& problems);

}  // namespace podsim
