#include "sim/slice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>

namespace podsim {

namespace {

long product_of(const std::vector<long>& shape) {
    long product = 1;
    for (const long n : shape) product *= n;
    return product;
}

// A chip's bandwidth in one dimension is what its links there have of the whole.
std::vector<BytesPerSecond> links_of(const TopologyLevelSpec& level, BytesPerSecond bandwidth) {
    if (!level.link_bandwidth.empty()) return level.link_bandwidth;
    const bool torus = level.family == "torus";
    long links = 0;
    for (const long n : level.dimensions) links += torus && n > 2 ? 2 : n - 1;
    return std::vector<BytesPerSecond>(level.dimensions.size(),
                                       bandwidth / static_cast<double>(links));
}

}  // namespace

void cut_slice(SystemSpec& system, const PoolSpec& pool, Problems& problems) {
    LinkLevelSpec& level = system.scale_up;
    if (!level.topology || level.topology->level.dimensions.empty()) {
        problems.push_back(
            at_key(pool, "slice",
                   fmt::format("the scale-up links of {} are no torus or mesh", system.name),
                   "leave it out: chips of switches are alike"));
        return;
    }
    TopologyLevelSpec& whole = level.topology->level;
    bool fits = pool.slice.size() == whole.dimensions.size();
    for (std::size_t d = 0; fits && d < pool.slice.size(); ++d)
        fits = pool.slice[d] <= whole.dimensions[d];
    if (!fits) {
        problems.push_back(
            at_key(pool, "slice",
                   fmt::format("[{}] is not in {}, which is [{}]", fmt::join(pool.slice, ", "),
                               system.name, fmt::join(whole.dimensions, ", "))));
        return;
    }
    if (product_of(pool.slice) != pool.chips) {
        problems.push_back(
            at_key(pool, "slice",
                   fmt::format("[{}] are {} chips, the alternative has {}",
                               fmt::join(pool.slice, ", "), product_of(pool.slice), pool.chips),
                   fmt::format("chips: {}", product_of(pool.slice))));
        return;
    }
    whole.link_bandwidth = links_of(whole, level.bandwidth.value);
    whole.dimensions = pool.slice;
    system.chips = pool.chips;
    level.domain.value = pool.chips;
}

}  // namespace podsim
