#include "sim/packet_collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/random.hpp"
#include "interconnect/best_share.hpp"
#include "interconnect/link_ratio.hpp"
#include "interconnect/packet_bound.hpp"
#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_detours.hpp"
#include "interconnect/packet_pieces.hpp"
#include "interconnect/topology_times.hpp"
#include "sim/packet_algorithm.hpp"

namespace podsim {

namespace {

// Of the links' bandwidth, what the library attains: bytes over time of a port, at its rate.
double attained(const Coflow& coflow, Port send, BytesPerSecond rate) {
    for (const CoflowShare& share : coflow.shares) {
        for (const int port : {static_cast<int>(send), static_cast<int>(send) + 1}) {
            if (share.port_time[port] > Seconds(0.0))
                return share.bytes[port] / share.port_time[port] / rate;
        }
    }
    return 1;
}

// Bytes of each pair, padding included: by shares send_i x receive_j / all, or tokens as they fall.
ByteMatrix matrix_of(const Transfer& t, double padding, const PacketKnobs& knobs,
                     const ExpertsSpec& experts, std::uint64_t seed) {
    const auto ranks = static_cast<std::size_t>(t.group_ranks);
    if (knobs.loads == PacketLoads::drawn) {
        TokenMatrixSpec tokens;
        tokens.ranks = t.group_ranks;
        tokens.top_k = static_cast<int>(t.copies);
        tokens.tokens =
            static_cast<int>(std::lround(t.messages_per_rank / static_cast<double>(t.copies)));
        tokens.experts = static_cast<int>(t.experts);
        tokens.zipf = experts.popularity == Popularity::zipf ? experts.zipf_exponent : 0;
        tokens.token = padding * t.size / t.messages_per_rank;
        tokens.seed = seed;
        tokens.placement = knobs.placement;
        ByteMatrix drawn = token_matrix(tokens);
        if (t.type != TransferType::combine) return drawn;
        ByteMatrix back = drawn;
        for (std::size_t i = 0; i < ranks; ++i)
            for (std::size_t j = 0; j < ranks; ++j) back[i][j] = drawn[j][i];
        return back;
    }
    std::vector<double> send, receive;
    for (const TransferShare& share : t.shares) {
        for (int i = 0; i < share.ranks; ++i) {
            send.push_back(padding * share.send.value());
            receive.push_back(padding * share.receive.value());
        }
    }
    if (send.empty()) send.assign(ranks, padding * t.size.value());
    if (receive.empty()) receive = send;
    const double all = std::accumulate(receive.begin(), receive.end(), 0.0);
    ByteMatrix matrix(ranks, std::vector<double>(ranks, 0.0));
    for (std::size_t i = 0; i < ranks && all > 0; ++i)
        for (std::size_t j = 0; j < ranks; ++j) matrix[i][j] = send[i] * receive[j] / all;
    return matrix;
}

long pieces_of(const std::shared_ptr<const TopologyTimes>& links) {
    if (!links || links->stack().spec.routing != RoutingPolicy::hashed) return 1;
    return std::max(1L, links->stack().spec.flows_per_pair);
}

// Ranks enter from `start` on, one after the other, evenly over the time, in an order drawn.
void enter(PacketTraffic& traffic, int ranks, Seconds start, Seconds spread, std::uint64_t seed) {
    if (!(start > Seconds(0.0)) && !(spread > Seconds(0.0))) return;
    std::vector<int> order(static_cast<std::size_t>(ranks));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [seed](int a, int b) { return random_bits(seed, a) < random_bits(seed, b); });
    std::vector<Seconds> entries(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        entries[static_cast<std::size_t>(order[i])] =
            start + static_cast<double>(i) / static_cast<double>(ranks - 1) * spread;
    for (PacketMessage& message : traffic)
        message.entry = entries[static_cast<std::size_t>(message.source)];
}

bool goes_over_thirds(const std::shared_ptr<const TopologyTimes>& links) {
    if (!links) return false;
    const RoutingPolicy routing = links->stack().spec.routing;
    return routing == RoutingPolicy::valiant || routing == RoutingPolicy::all_paths;
}

// Thirds are ranks, and may be any chip.
std::string without_detours(const PacketJob& job, const RankFabric& fabric) {
    const Transfer& t = job.transfer;
    const bool within = in_one_domain(t, fabric, job.first_rank);
    if (!within && goes_over_thirds(fabric.scale_out_links))
        return "packets take no detours between domains";
    if (!goes_over_thirds(fabric.scale_up_links)) return "";
    const TopologyStack& stack = fabric.scale_up_links->stack();
    if (stack.levels.size() > 1) return "packets take no detours where levels are several";
    return within && fabric.ranks_per_chip <= 1 && t.group_ranks == stack.levels.back().chips
               ? ""
               : "packets take detours where every chip is a rank of the group";
}

// The share of bytes over thirds that leaves the fullest link least full; none for a trifle.
double share_over_thirds(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                         const PacketSettings& settings, const DetourSpec& all) {
    const std::vector<Bytes> near = link_demands(network, traffic, settings);
    const std::vector<Bytes> far =
        link_demands(network, over_thirds(traffic, network.endpoints(), all), settings);
    const auto slowest = [&](double share) {
        Seconds longest(0.0);
        for (std::size_t l = 0; l < near.size(); ++l)
            longest =
                max(longest, ((1 - share) * near[l] + share * far[l]) / network.links[l].bandwidth);
        return longest;
    };
    const double share = best_share(slowest);
    return share < 1e-3 ? 0 : share;
}

std::optional<DetourSpec> detours_of(const RankFabric& fabric, const PacketNetworkSpec& network,
                                     const PacketTraffic& traffic, const PacketSettings& settings) {
    if (!goes_over_thirds(fabric.scale_up_links)) return {};
    DetourSpec detour;
    detour.seed = settings.seed;
    if (fabric.scale_up_links->stack().spec.routing == RoutingPolicy::all_paths)
        detour.share = share_over_thirds(network, traffic, settings, detour);
    return detour;
}

std::string too_many(double hops) {
    return fmt::format(
        "{:.3g} million packet-hops, and {:.0f} million are the most that a run takes (larger "
        "packets.payload, fewer bytes or ranks)",
        hops / 1e6, kMostPacketHops / 1e6);
}

// Of the busiest rank and of the others where the coflow tells them apart; `ends` of its ranks from
// its start on.
std::vector<Seconds> wires_of(std::vector<Seconds> ends, Seconds chain, const Coflow& coflow) {
    std::sort(ends.begin(), ends.end(), [](Seconds a, Seconds b) { return a > b; });
    std::vector<Seconds> wires;
    std::size_t first = 0;
    for (const CoflowShare& share : coflow.shares) {
        const Seconds last = ends[std::min(first, ends.size() - 1)];
        first += static_cast<std::size_t>(std::max(0, share.ranks));
        const Seconds habits = share.wire - share.carried;
        wires.push_back(max(Seconds(0.0), last - chain) + max(Seconds(0.0), habits));
    }
    return wires;
}

// What packets met, of all jobs.
void measure(const PacketResult& packets, const PacketNetworkSpec& network,
             PacketCollectiveRun& run) {
    run.latency = packets.latency;
    run.packet_hops = static_cast<double>(packets.packet_hops);
    run.packets = static_cast<double>(packets.packets);
    run.marked = static_cast<double>(packets.marked) / std::max(1.0, run.packets);
    for (std::size_t l = 0; l < packets.links.size(); ++l) {
        const PacketLinkUse& use = packets.links[l];
        run.retries += static_cast<double>(use.retries);
        run.deepest_queue = max(run.deepest_queue, use.deepest_queue);
        const Seconds busy = (use.wire + use.replayed) / network.links[l].bandwidth;
        run.fullest_link = std::max(run.fullest_link, busy / packets.time);
    }
}

// A job's messages among the endpoints of the network.
struct JobTraffic {
    PacketCollectiveSpec spec;
    double padding = 1;  // bytes on the links for one that is sent
    // `alone`: of one piece; those behind it in a pipeline hide their latency.
    PacketTraffic traffic, alone;
    bool pipelined = false;
};

// Ranks of the pool that are endpoints: those of one group, or all up to the last of several.
PacketMembers endpoints_of(const std::vector<PacketJob>& jobs) {
    if (jobs.size() == 1 && jobs.front().first_rank == 0)
        return {jobs.front().transfer.group_ranks, jobs.front().transfer.stride};
    PacketMembers all{2, 1};
    for (const PacketJob& job : jobs)
        all.members = std::max(
            all.members, job.first_rank + (job.transfer.group_ranks - 1) * job.transfer.stride + 1);
    return all;
}

// From ranks of its group to endpoints, as a collective of its own.
void place(PacketTraffic& traffic, const PacketJob& job, int stride, int collective) {
    const auto at = [&](int rank) {
        return (job.first_rank + rank * job.transfer.stride) / stride;
    };
    for (PacketMessage& message : traffic) {
        message.source = at(message.source);
        message.destination = at(message.destination);
        message.collective = collective;
    }
}

// Why one of them is not run, "" where all are. Fills in how each goes.
std::string choose(const std::vector<PacketJob>& jobs, const RankFabric& fabric,
                   const CollectiveLibrarySpec& library, const PacketKnobs& knobs,
                   const ExpertsSpec& experts, std::uint64_t seed,
                   std::vector<PacketCollectiveRun>& runs, std::vector<JobTraffic>& made) {
    double messages = 0;
    for (std::size_t j = 0; j < jobs.size(); ++j) {
        const auto& [transfer, coflow, first_rank, start] = jobs[j];
        const bool uneven = !transfer.shares.empty() || knobs.loads == PacketLoads::drawn;
        const PacketAlgorithm chosen =
            packet_algorithm(transfer, coflow, fabric, library, uneven, first_rank);
        PacketCollectiveSpec& spec = made[j].spec = chosen.spec;
        spec.exchange.order = knobs.order;
        spec.exchange.walks = knobs.walks;
        spec.exchange.seed = seed;
        const bool rings = spec.algorithm == Algorithm::ring;
        runs[j].algorithm = to_string(rings ? spec.layout.within : spec.algorithm);
        if (!chosen.stays.empty()) return chosen.stays;
        if (const std::string why = without_detours(jobs[j], fabric); !why.empty()) return why;
        if (spec.merged) spec.size *= coflow.padding;
        if (spec.collective == Collective::all_to_all && !spec.merged)
            spec.bytes = matrix_of(transfer, coflow.padding * chosen.part, knobs, experts, seed);
        messages += most_messages(spec);
    }
    if (messages <= kMostMessages) return "";
    return fmt::format(
        "{:.3g} million messages, and {:.0f} million are the most that a run takes (fewer ranks)",
        messages / 1e6, kMostMessages / 1e6);
}

// Messages of a job on this network. Throws std::invalid_argument where there are none.
void make_traffic(const PacketJob& job, const RankFabric& fabric, const PacketKnobs& knobs,
                  const TopologyNetwork& network, const PacketSettings& settings,
                  JobTraffic& made) {
    PacketCollectiveSpec whole = made.spec;
    whole.most_pieces = whole.most_links = 1;
    made.traffic = collective_traffic(made.spec);
    made.alone = collective_traffic(whole);
    if (made.traffic.empty()) throw std::invalid_argument("nothing leaves a rank");
    made.pipelined = made.traffic.size() > made.alone.size();
    const int ranks = job.transfer.group_ranks;
    // Along dimensions chips give to their neighbours, whatever the routing.
    if (made.spec.algorithm != Algorithm::dimension_wise) {
        if (const auto detours = detours_of(fabric, network.network, made.traffic, settings)) {
            made.traffic = over_thirds(made.traffic, ranks, *detours);
            made.alone = over_thirds(made.alone, ranks, *detours);
        }
    }
    made.traffic = in_pieces(
        made.traffic, std::max(pieces_of(fabric.scale_up_links), pieces_of(fabric.scale_out_links)),
        Bytes(1e9));
    enter(made.traffic, ranks, job.start, knobs.entry_spread, settings.seed);
    enter(made.alone, ranks, job.start, knobs.entry_spread, settings.seed);
}

// The shares of its links that each library's transfer attains: links run at the greatest.
struct Attained {
    double up = 1, out = 1;
};
Attained attained(const Coflow& coflow, const RankFabric& fabric) {
    return {attained(coflow, Port::scale_up_send, fabric.scale_up),
            attained(coflow, Port::scale_out_send, fabric.scale_out)};
}

}  // namespace

std::vector<PacketCollectiveRun> run_packet_collectives(const std::vector<PacketJob>& jobs,
                                                        const RankFabric& fabric,
                                                        const CollectiveLibrarySpec& library,
                                                        const PacketKnobs& knobs,
                                                        const ExpertsSpec& experts,
                                                        std::uint64_t seed) {
    std::vector<PacketCollectiveRun> runs(jobs.size());
    std::vector<JobTraffic> made(jobs.size());
    const auto stay = [&](const std::string& why) {
        for (PacketCollectiveRun& run : runs) run.stays = why;
        return runs;
    };
    if (const std::string why = choose(jobs, fabric, library, knobs, experts, seed, runs, made);
        !why.empty())
        return stay(why);

    PacketFabricSpec links = knobs.fabric;
    links.scale_up_share = links.scale_out_share = 0;
    for (const PacketJob& job : jobs) {
        const Attained its = attained(job.coflow, fabric);
        links.scale_up_share = std::max(links.scale_up_share, its.up);
        links.scale_out_share = std::max(links.scale_out_share, its.out);
    }
    const PacketMembers endpoints = endpoints_of(jobs);
    PacketSettings settings = knobs.settings;
    settings.seed = seed;
    TopologyNetwork network;
    PacketTraffic all;
    try {
        network = packet_network(fabric, endpoints, links);
        settings.endpoint.path_choice = links.path_choice.value_or(network.endpoint_choice);
        settings.endpoint.input_buffer = links.switches.input_buffer;
        for (std::size_t j = 0; j < jobs.size(); ++j) {
            make_traffic(jobs[j], fabric, knobs, network, settings, made[j]);
            const Attained its = attained(jobs[j].coflow, fabric);
            const bool within = in_one_domain(jobs[j].transfer, fabric, jobs[j].first_rank);
            const double more =
                within ? links.scale_up_share / its.up : links.scale_out_share / its.out;
            for (PacketTraffic* traffic : {&made[j].traffic, &made[j].alone}) {
                place(*traffic, jobs[j], endpoints.stride, static_cast<int>(j));
                if (jobs.size() > 1)
                    for (PacketMessage& message : *traffic) message.size *= more;
            }
            append(all, made[j].traffic);
        }
    } catch (const std::invalid_argument& error) {
        return stay(error.what());
    }
    const double hops = packet_hops(network.network, all, settings.packet_payload);
    if (hops > kMostPacketHops) return stay(too_many(hops));
    const PacketResult packets = run_packets(network.network, all, settings);
    std::vector<std::vector<Bytes>> demands;  // of each job on each link
    for (const JobTraffic& job : made)
        demands.push_back(link_demands(network.network, job.traffic, settings));
    // Of these jobs' bytes on the fullest of their links.
    const auto bytes_of = [&](const auto& counts) {
        Seconds longest(0.0);
        for (std::size_t l = 0; l < network.network.links.size(); ++l) {
            Bytes sum(0.0);
            for (std::size_t k = 0; k < jobs.size(); ++k)
                if (counts(k)) sum += demands[k][l];
            longest = max(longest, sum / network.network.links[l].bandwidth);
        }
        return longest;
    };
    for (std::size_t j = 0; j < jobs.size(); ++j) {
        PacketCollectiveRun& run = runs[j];
        const Seconds start = jobs[j].start, end = packets.collectives.at(j);
        Seconds chain = chain_latency(network.network, made[j].alone) - start;
        const Seconds bytes = bytes_of([&](std::size_t k) { return k == j; });
        run.coflow = made[j].pipelined ? max(chain, bytes) : chain + bytes;
        measure(packets, network.network, run);
        std::vector<Seconds> ends;
        for (const Seconds at : packets.collective_endpoints.at(j))
            ends.push_back(max(Seconds(0.0), at - start));
        run.time = end - start;
        // What bytes hide of its latency is not taken off: those behind it in a pipeline, and those
        // of jobs that were done before it.
        const Seconds with_others =
            bytes_of([&](std::size_t k) { return packets.collectives.at(k) <= end; });
        if (made[j].pipelined) chain = min(chain, max(Seconds(0.0), run.time - bytes));
        if (jobs.size() > 1) chain = min(chain, max(Seconds(0.0), end - with_others));
        run.wire = wires_of(std::move(ends), chain, jobs[j].coflow);
    }
    return runs;
}

void take_wire(const PacketCollectiveRun& run, Coflow& coflow) {
    if (!run.stays.empty()) return;
    for (std::size_t i = 0; i < coflow.shares.size(); ++i) {
        CoflowShare& share = coflow.shares[i];
        share.wire = run.wire.at(i);
        for (Seconds& port : share.port_time) port = min(port, share.wire);
        for (LinkTime& link : share.links) link.time = min(link.time, share.wire);
    }
}

}  // namespace podsim
