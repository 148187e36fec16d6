// Rings in every dimension; a chip's bandwidth is shared evenly by its links where they are not
// given. One dimension is a ring. Dimensions of two have one link each way between the two.
#include <fmt/format.h>

#include "interconnect/topology/builder.hpp"

namespace podsim {

Topology build_torus(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                     long /*planes*/) {
    require_product(level, chips);
    TopologyBuilder builder("torus", chips);
    Topology& topology = builder.topology();
    topology.dimensions = level.dimensions;
    topology.chips_forward = true;
    long links_of_chip = 0;
    for (const long n : level.dimensions) {
        if (n > 2) topology.routing_channels = 2;  // a dateline in each ring
        links_of_chip += n > 2 ? 2 : n - 1;
    }
    const double latency = latency_of(level, level.first_medium) + level.switch_latency.value();
    long stride = 1;
    for (std::size_t d = 0; d < level.dimensions.size(); ++d) {
        const long n = level.dimensions[d];
        const LinkKind kind{link_bandwidth(level, d, links_of_chip, bandwidth), latency, 0,
                            level.first_medium};
        const std::string name = fmt::format("dimension {}", d);
        for (long chip = 0; chip < chips && n > 1; ++chip) {
            const long at = chip / stride % n;
            const long next = chip + ((at + 1) % n - at) * stride;
            const long before = chip + ((at + n - 1) % n - at) * stride;
            builder.link(static_cast<int>(chip), static_cast<int>(next), kind, name);
            if (n > 2) builder.link(static_cast<int>(chip), static_cast<int>(before), kind, name);
        }
        stride *= n;
    }
    // To and fro, so that each is beside the next.
    for (long i = 0; i < chips; ++i) {
        long rest = i, chip = 0, width = 1;
        for (std::size_t d = 0; d < level.dimensions.size(); ++d) {
            const long n = level.dimensions[d];
            const long turns = rest / n;
            const long at = turns % 2 == 0 ? rest % n : n - 1 - rest % n;
            chip += at * width;
            width *= n;
            rest = turns;
        }
        topology.ring_order[static_cast<std::size_t>(i)] = static_cast<int>(chip);
    }
    return builder.finish();
}

}  // namespace podsim
