// The knobs of the packet level as they stand for one alternative.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/diagnostic.hpp"
#include "interconnect/packet_run.hpp"
#include "interconnect/packet_topology.hpp"
#include "sim/experiment_spec.hpp"
#include "sim/packets_form.hpp"

namespace podsim {

struct PacketKnobs {
    PacketSettings settings;
    PacketFabricSpec fabric;
    SendOrder order = SendOrder::rotated;
    int walks = 1;
    Seconds entry_spread{0.0};
    PacketLoads loads = PacketLoads::expected;
    std::uint64_t placement = 1;
};
PacketKnobs packet_knobs(const std::optional<PacketsForm>& workload,
                         const std::optional<PacketsForm>& pool);

// Adds what is wrong with them together: buffers below a packet, draws of what has no tokens.
void check_packets(const WorkloadSpec& workload, const PoolSpec& pool,
                   std::vector<Diagnostic>& problems);

}  // namespace podsim
