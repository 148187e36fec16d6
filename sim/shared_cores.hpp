// The machine where kernels of transfers run on cores of the chip, as those of NCCL and DeepEP do.
#pragma once

#include "sim/machine.hpp"

namespace podsim {

// run_program() of sim/machine.hpp, with transfers that hold the share `transfer_cores` of the
// cores while they move bytes: what computes beside them and they themselves share the cores
// fairly.
RunRecord run_on_shared_cores(const Program& program, const ProgramCosts& costs,
                              const RankHardware& hardware, Driver driver, double transfer_cores);

}  // namespace podsim
