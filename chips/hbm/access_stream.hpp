// The requests of an access pattern, one after another.
#pragma once

#include <cstdint>

#include "chips/hbm_cycle.hpp"

namespace podsim {

struct AccessRequest {
    std::uint64_t address = 0;
    bool write = false;
};

class AccessStream {
  public:
    // Throws std::invalid_argument for a pattern that makes no sense.
    explicit AccessStream(const AccessPattern& pattern);

    AccessRequest next();

    // Before the next request, when they come `mean` apart.
    double gap(double mean);

  private:
    AccessPattern pattern_;
    std::uint64_t count_ = 0, chunk_ = 0, gaps_ = 0, per_chunk_ = 1;
};

}  // namespace podsim
