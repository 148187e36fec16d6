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

// Ranks enter one after the other, evenly over the time, in an order drawn.
void enter(PacketTraffic& traffic, int ranks, Seconds spread, std::uint64_t seed) {
    std::vector<int> order(static_cast<std::size_t>(ranks));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [seed](int a, int b) { return random_bits(seed, a) < random_bits(seed, b); });
    std::vector<Seconds> entries(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
        entries[static_cast<std::size_t>(order[i])] =
            static_cast<double>(i) / static_cast<double>(ranks - 1) * spread;
    for (PacketMessage& message : traffic)
        message.entry = entries[static_cast<std::size_t>(message.source)];
}

bool goes_over_thirds(const std::shared_ptr<const TopologyTimes>& links) {
    if (!links) return false;
    const RoutingPolicy routing = links->stack().spec.routing;
    return routing == RoutingPolicy::valiant || routing == RoutingPolicy::all_paths;
}

// Thirds are ranks, and may be any chip.
std::string without_detours(const Transfer& t, const RankFabric& fabric) {
    const bool within = in_one_domain(t, fabric);
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

// Of the busiest rank and of the others where the coflow tells them apart.
std::vector<Seconds> wires_of(const PacketResult& packets, Seconds chain, const Coflow& coflow) {
    std::vector<Seconds> ends = packets.endpoints;
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

void measure(const PacketResult& packets, const PacketNetworkSpec& network,
             PacketCollectiveRun& run) {
    run.time = packets.time;
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

}  // namespace

PacketCollectiveRun run_packet_collective(const Transfer& transfer, const Coflow& coflow,
                                          const RankFabric& fabric,
                                          const CollectiveLibrarySpec& library,
                                          const PacketKnobs& knobs, const ExpertsSpec& experts,
                                          std::uint64_t seed) {
    PacketCollectiveRun run;
    const bool uneven = !transfer.shares.empty() || knobs.loads == PacketLoads::drawn;
    PacketAlgorithm chosen = packet_algorithm(transfer, coflow, fabric, library, uneven);
    PacketCollectiveSpec& spec = chosen.spec;
    spec.exchange.order = knobs.order;
    spec.exchange.walks = knobs.walks;
    spec.exchange.seed = seed;
    const bool rings = spec.algorithm == Algorithm::ring;
    run.algorithm = to_string(rings ? spec.layout.within : spec.algorithm);
    run.stays = chosen.stays;
    if (run.stays.empty()) run.stays = without_detours(transfer, fabric);
    if (const double messages = most_messages(spec);
        run.stays.empty() && messages > kMostMessages) {
        run.stays = fmt::format(
            "{:.3g} million messages, and {:.0f} million are the most that a run "
            "takes (fewer ranks)",
            messages / 1e6, kMostMessages / 1e6);
    }
    if (!run.stays.empty()) return run;
    if (spec.merged) spec.size *= coflow.padding;
    if (spec.collective == Collective::all_to_all && !spec.merged)
        spec.bytes = matrix_of(transfer, coflow.padding * chosen.part, knobs, experts, seed);

    PacketFabricSpec links = knobs.fabric;
    links.scale_up_share = attained(coflow, Port::scale_up_send, fabric.scale_up);
    links.scale_out_share = attained(coflow, Port::scale_out_send, fabric.scale_out);
    // Of one piece: those behind it in a pipeline hide their latency.
    PacketCollectiveSpec whole = spec;
    whole.most_pieces = whole.most_links = 1;
    TopologyNetwork made;
    PacketTraffic traffic, alone;
    PacketSettings settings = knobs.settings;
    try {
        made = packet_network(fabric, {transfer.group_ranks, transfer.stride}, links);
        traffic = collective_traffic(spec);
        alone = collective_traffic(whole);
    } catch (const std::invalid_argument& error) {
        run.stays = error.what();
        return run;
    }
    if (traffic.empty()) {
        run.stays = "nothing leaves a rank";
        return run;
    }
    const bool pipelined = traffic.size() > alone.size();
    settings.endpoint.path_choice = links.path_choice.value_or(made.endpoint_choice);
    settings.endpoint.input_buffer = links.switches.input_buffer;
    settings.seed = seed;
    // Along dimensions chips give to their neighbours, whatever the routing.
    const bool neighbours = spec.algorithm == Algorithm::dimension_wise;
    const auto detours =
        neighbours ? std::nullopt : detours_of(fabric, made.network, traffic, settings);
    if (detours) {
        traffic = over_thirds(traffic, transfer.group_ranks, *detours);
        alone = over_thirds(alone, transfer.group_ranks, *detours);
    }
    traffic = in_pieces(
        traffic, std::max(pieces_of(fabric.scale_up_links), pieces_of(fabric.scale_out_links)),
        Bytes(1e9));
    if (knobs.entry_spread > Seconds(0.0)) {
        enter(traffic, transfer.group_ranks, knobs.entry_spread, seed);
        enter(alone, transfer.group_ranks, knobs.entry_spread, seed);
    }
    const double hops = packet_hops(made.network, traffic, settings.packet_payload);
    if (hops > kMostPacketHops) {
        run.stays = too_many(hops);
        return run;
    }
    Seconds chain = chain_latency(made.network, alone), bytes(0.0);
    const std::vector<Bytes> demands = link_demands(made.network, traffic, settings);
    for (std::size_t l = 0; l < demands.size(); ++l)
        bytes = max(bytes, demands[l] / made.network.links[l].bandwidth);
    run.coflow = pipelined ? max(chain, bytes) : chain + bytes;
    const PacketResult packets = run_packets(made.network, traffic, settings);
    measure(packets, made.network, run);
    // What bytes hide of a pipeline's latency is not taken off.
    if (pipelined) chain = min(chain, max(Seconds(0.0), packets.time - bytes));
    run.wire = wires_of(packets, chain, coflow);
    return run;
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
