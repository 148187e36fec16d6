#include "sim/packet_answer.hpp"

#include <fmt/format.h>

#include "base/diagnostic.hpp"
#include "interconnect/packet_run.hpp"
#include "sim/packet_knobs.hpp"

namespace podsim {

std::vector<PacketCollectiveRun> packets_of(const std::vector<PacketJob>& jobs,
                                            const ResolvedExperiment& experiment,
                                            const ResolvedAlternative& alternative,
                                            const RankFabric& fabric, std::uint64_t seed) {
    const WorkloadSpec& workload = experiment.spec.workload;
    const PoolSpec& pool = alternative.pool;
    try {
        return run_packet_collectives(jobs, fabric, alternative.collectives,
                                      packet_knobs(workload.packets, pool.packets), pool.experts,
                                      seed);
    } catch (const PacketStandstill& error) {
        // Packets that wait for each other are the doing of whoever gave them buffers.
        const char* hint = "a larger packets.input_buffer, or none";
        throw InputError({pool.packets ? at_key(pool, "packets", error.what(), hint)
                                       : at_key(workload, "packets", error.what(), hint)});
    }
}

void add_packets_met(const PacketCollectiveRun& packets, const AddMetric& add) {
    add("packet_latency_median", packets.latency.median.value() * 1e6, "us");
    add("packet_latency_p99", packets.latency.percentile_99.value() * 1e6, "us");
    add("packet_fullest_link", packets.fullest_link, "share");
    add("packet_deepest_queue", packets.deepest_queue.value() / 1e3, "kB");
    add("packet_retries", packets.retries, "packets");
    add("packet_marked_share", packets.marked, "share");
    add("packet_hops", packets.packet_hops, "packet-hops");
}

std::string packets_warning(const std::vector<PacketCollectiveRun>& packets,
                            const ResolvedExperiment& experiment,
                            const ResolvedAlternative& alternative) {
    if (!packets.empty() && !packets.front().stays.empty())
        return fmt::format("the transfer takes what it takes at tile, no packets are run: {}",
                           packets.front().stays);
    if (packets.empty() && (experiment.spec.workload.packets || alternative.pool.packets))
        return "packets: has no effect here: --fidelity cycle runs packets";
    return "";
}

}  // namespace podsim
