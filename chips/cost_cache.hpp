// Each cost is worked out once: remembered while the program runs, and between runs as bytes that
// somebody keeps in a file.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "chips/cost.hpp"
#include "chips/stored_costs.hpp"

namespace podsim {

// In what state the rank is when an operator starts: it was idle, or has long been busy, as within
// a step that follows many others.
enum class RankState { at_rest, busy };

// Remembers costs by (operator, core share) for one hardware and library, the time being that of
// the rank's state. Transparent: cached or not, the same cost.
class CostCache {
  public:
    CostCache(RankHardware hardware, KernelLibrarySpec library, Fidelity fidelity, bool enabled,
              RankState state = RankState::at_rest)
        : hardware_(std::move(hardware)),
          library_(std::move(library)),
          fidelity_(fidelity),
          enabled_(enabled),
          state_(state) {}

    OperatorCost cost(const OperatorBody& body, double core_share);
    const RankHardware& hardware() const { return hardware_; }
    const KernelLibrarySpec& library() const { return library_; }
    Fidelity fidelity() const { return fidelity_; }
    long hits() const { return hits_; }
    long misses() const { return misses_; }
    long stored_hits() const { return stored_hits_; }  // of the misses, those found in a file

    // Whether there are costs worth a file: switched on, and slower to work out than to read.
    bool keeps() const { return enabled_ && fidelity_ != Fidelity::analytic; }

    // The bytes of everything that a cost depends on beside operator and core share, the code that
    // works it out included.
    std::string setting() const;

    // From now on costs of products are looked for here before they are worked out. Throws
    // std::invalid_argument for those of another setting.
    void recall(StoredCosts stored);

    // What was recalled with what was worked out since, as a file of at most `limit` bytes; "" when
    // nothing was, or recall() was never called.
    std::string file(std::size_t limit) const;

  private:
    OperatorCost fresh_cost(const OperatorBody& body, double core_share) const;

    RankHardware hardware_;
    KernelLibrarySpec library_;
    Fidelity fidelity_;
    bool enabled_;
    RankState state_;
    long hits_ = 0, misses_ = 0, stored_hits_ = 0;
    std::map<std::string, OperatorCost> known_, fresh_;  // fresh: worth a file, and in none yet
    std::optional<StoredCosts> stored_;
};

}  // namespace podsim
