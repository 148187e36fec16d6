// What an experiment asks of packets, and what a result says of those that were run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sim/packet_collective.hpp"
#include "sim/resolve.hpp"

namespace podsim {

// With the alternative's knobs. Throws InputError where its buffers let packets wait for each other
// in a circle.
std::vector<PacketCollectiveRun> packets_of(const std::vector<PacketJob>& jobs,
                                            const ResolvedExperiment& experiment,
                                            const ResolvedAlternative& alternative,
                                            const RankFabric& fabric, std::uint64_t seed);

// Metrics of what packets met, of all collectives that shared the links.
using AddMetric = std::function<void(const char* name, double value, const char* unit)>;
void add_packets_met(const PacketCollectiveRun& packets, const AddMetric& add);

// Warnings: no packets were run though cycle was asked for, or knobs of packets without them; ""
// where there is nothing to say.
std::string packets_warning(const std::vector<PacketCollectiveRun>& packets,
                            const ResolvedExperiment& experiment,
                            const ResolvedAlternative& alternative);

}  // namespace podsim
