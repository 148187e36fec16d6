// What the banks of a chip's memory sustain under its cores, measured where the chip asks for it
// (`core.memory.fabric`): once while the program runs, and kept on disk between runs.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "chips/chip.hpp"
#include "chips/cost.hpp"
#include "chips/memory_device.hpp"

namespace podsim {

struct ResolvedExperiment;

class MemoryShares {
  public:
    // `folder` "": nothing is kept on disk.
    explicit MemoryShares(std::string folder) : folder_(std::move(folder)) {}

    // chip.sustained_shares; a chip that states the share of the whole path stays as it is. Runs
    // SystemC.
    void fill_in(ChipSpec& chip, const std::optional<MemoryDevice>& device);

  private:
    SustainedShares measured(const MemoryDevice& device, BytesPerSecond pin_rate, long cores);

    std::string folder_;
    std::map<std::string, SustainedShares> known_;
};

// Of all chips of an experiment whose structure answers at this fidelity (none: each chip's own),
// before anything of it runs.
void measure_memories(ResolvedExperiment& experiment, const std::string& folder,
                      std::optional<Fidelity> fidelity);

}  // namespace podsim
