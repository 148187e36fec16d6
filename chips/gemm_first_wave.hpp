// The first tile of every core of a product, whose slots are still empty.
#pragma once

#include <vector>

#include "chips/core_spec.hpp"
#include "chips/gemm_tile_cost.hpp"

namespace podsim {

// L2 fetches whole blocks: of a panel that it lacks, no less than one for the first step.
constexpr double kL2Block = 4096;

// Followed burst by burst for the core that is served last: A and B of step j are asked for at the
// port's pace when slot j - S is free; memory fetches whole blocks of the panels of all cores, A's
// then B's; L2 hands them out, and the last block passes the port when it has come.
struct FirstWave {
    explicit FirstWave(const CoreStructure& core) : core_(core) {}

    double memory_latency = 0, l2_latency = 0;
    double a_fetched = 0, b_fetched = 0;  // of all cores, in all steps
    double l2_seconds = 0;                // of L2 for the wave

    // Seconds of a tile with so many slots, a share of whose panels is its own to fetch.
    double tile(const TileCost& cost, double slots, double missed);

  private:
    struct Known {
        const TileCost* cost;
        double missed, seconds;
    };

    double walk(const TileCost& cost, double slots, double missed) const;

    const CoreStructure& core_;
    std::vector<Known> known_;
};

}  // namespace podsim
