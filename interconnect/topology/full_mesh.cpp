// All pairs of chips that differ in one coordinate (UB-Mesh; in one dimension the direct mesh of
// MI300X and of eight Ascend). A chip's bandwidth is shared evenly by its links where they are not
// given.
#include <fmt/format.h>

#include "interconnect/topology/builder.hpp"

namespace podsim {

Topology build_full_mesh(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                         long /*planes*/) {
    require_product(level, chips);
    TopologyBuilder builder("full-mesh", chips);
    Topology& topology = builder.topology();
    topology.dimensions = level.dimensions;
    topology.chips_forward = true;
    long links_of_chip = 0;
    for (const long n : level.dimensions) links_of_chip += n - 1;
    const double latency = latency_of(level, level.first_medium) + level.switch_latency.value();
    long stride = 1;
    for (std::size_t d = 0; d < level.dimensions.size(); ++d) {
        const long n = level.dimensions[d];
        const LinkKind kind{link_bandwidth(level, d, links_of_chip, bandwidth), latency, 0,
                            level.first_medium};
        const std::string name = fmt::format("dimension {}", d);
        for (long chip = 0; chip < chips; ++chip) {
            const long at = chip / stride % n;
            for (long other = 0; other < n; ++other) {
                if (other == at) continue;
                builder.link(static_cast<int>(chip), static_cast<int>(chip + (other - at) * stride),
                             kind, name);
            }
        }
        stride *= n;
    }
    return builder.finish();
}

}  // namespace podsim
