// Several collectives that are under way at the same time.
#pragma once

#include <string>

#include "base/units.hpp"
#include "program/transfer.hpp"

namespace podsim {

// Rank i of its group is rank first_rank + i x stride of the pool; nobody else moves for it.
struct CollectiveJobSpec {
    std::string name;
    Transfer transfer;  // group_ranks and sizes filled in
    int first_rank = 0;
    Seconds start{0.0};  // when all its ranks enter
    int last_rank() const { return first_rank + (transfer.group_ranks - 1) * transfer.stride; }
};

}  // namespace podsim
