#include "sim/packet_collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/names.hpp"
#include "base/random.hpp"
#include "interconnect/best_share.hpp"
#include "interconnect/link_ratio.hpp"
#include "interconnect/packet_bound.hpp"
#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_detours.hpp"
#include "interconnect/packet_pieces.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

// What a library does with the bytes that packets know nothing of.
std::string not_as_packets(const Coflow& coflow, const CollectiveLibrarySpec& library,
                           TransferType type) {
    const TransferHabits& habits = transfer_habits(library, type);
    if (habits.merges_copies)
        return fmt::format("{} sends the copies of a token as one on part of their way",
                           library.name);
    if (habits.local_over_scale_out)
        return fmt::format("{} reaches neighbours over the scale-out links", library.name);
    if (coflow.in_switch)
        return fmt::format("{} lets the switches add up, and packets' switches do not",
                           library.name);
    return "";
}

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

// Ranks of each domain, where all have as many; 0 where they have not.
int domain_members(const Transfer& t, const RankFabric& fabric) {
    const long width = std::max<long>(1, fabric.domain_ranks);
    std::vector<int> counts;
    for (long i = 0; i < t.group_ranks; ++i) {
        const auto domain = static_cast<std::size_t>(i * t.stride / width);
        if (counts.size() <= domain) counts.resize(domain + 1, 0);
        ++counts[domain];
    }
    std::erase(counts, 0);
    const bool even = std::all_of(counts.begin(), counts.end(),
                                  [&](int count) { return count == counts.front(); });
    return even ? counts.front() : 0;
}

bool one_domain(const Transfer& t, const RankFabric& fabric) {
    return static_cast<long>(t.group_ranks - 1) * t.stride < std::max<long>(1, fabric.domain_ranks);
}

// Of the first `ranks` of a group, which share a domain.
RankLayout layout_within(const Transfer& t, int ranks, const RankFabric& fabric) {
    RankLayout layout;
    if (!fabric.scale_up_links) return layout;
    const int per_chip = std::max(1, fabric.ranks_per_chip);
    const TopologyStack& stack = fabric.scale_up_links->stack();
    const Topology& topology = stack.levels.front().topology;
    if (stack.levels.size() > 1) return layout;
    std::vector<int> place(topology.nodes.size(), 0);
    for (std::size_t i = 0; i < topology.ring_order.size(); ++i)
        place[static_cast<std::size_t>(topology.ring_order[i])] = static_cast<int>(i);
    layout.near_order.resize(static_cast<std::size_t>(ranks));
    std::iota(layout.near_order.begin(), layout.near_order.end(), 0);
    std::stable_sort(layout.near_order.begin(), layout.near_order.end(), [&](int a, int b) {
        return place[static_cast<std::size_t>(a * t.stride / per_chip)] <
               place[static_cast<std::size_t>(b * t.stride / per_chip)];
    });
    layout.is_torus = topology.family == "torus";
    if (per_chip == 1 && t.stride == 1 && ranks == topology.chips)
        layout.dimensions = topology.dimensions;
    return layout;
}

RankLayout layout_of(const Transfer& t, const RankFabric& fabric) {
    if (one_domain(t, fabric)) return layout_within(t, t.group_ranks, fabric);
    RankLayout layout;
    layout.inner = std::max(1, domain_members(t, fabric));
    if (layout.inner == t.group_ranks) layout.inner = 1;
    if (layout.inner > 1) layout.group = {layout_within(t, layout.inner, fabric)};
    return layout;
}

// Ranks of one node, or of one inner level.
int node_ranks(const Transfer& t, const RankFabric& fabric) {
    if (!fabric.scale_up_links || t.stride != 1) return 1;
    const TopologyStack& stack = fabric.scale_up_links->stack();
    long chips = stack.levels.front().chips;
    if (stack.levels.size() == 1) {
        const TopologyLevelSpec& level =
            stack.spec.levels.empty() ? stack.spec.level : stack.spec.levels.front();
        chips = std::max({1L, level.node_chips, level.rails});
    }
    const long ranks = chips * std::max(1, fabric.ranks_per_chip);
    return ranks < t.group_ranks && t.group_ranks % ranks == 0 ? static_cast<int>(ranks) : 1;
}

// Of those that messages are made of, the one whose links take the shortest within scale-up; rings
// where ports decide.
std::optional<CollectiveTerms> best_on_links(const Transfer& t, const RankFabric& fabric,
                                             PacketCollectiveSpec spec) {
    const int per_chip = std::max(1, fabric.ranks_per_chip);
    if (!fabric.scale_up_links || fabric.scale_up_links->ports_decide() ||
        (t.stride > 1 && t.stride % per_chip != 0))
        return {};
    ChipGroup group;
    group.stride = std::max(1, t.stride / per_chip);
    group.members = t.stride > 1 ? spec.ranks : (spec.ranks + per_chip - 1) / per_chip;
    if (group.members < 2) return {};
    std::optional<CollectiveTerms> best;
    for (const CollectiveTerms& terms : fabric.scale_up_links->terms(spec.collective, group)) {
        spec.algorithm = terms.algorithm;
        if (!without_messages(spec).empty()) continue;
        if (!best || terms.seconds_per_byte < best->seconds_per_byte * (1 - 1e-9)) best = terms;
    }
    return best;
}

Algorithm algorithm_within(const Transfer& t, const RankFabric& fabric,
                           const PacketCollectiveSpec& spec) {
    const auto best = best_on_links(t, fabric, spec);
    return best ? best->algorithm : Algorithm::ring;
}

// The all-gather of a broadcast, where a scatter and that take the links shorter than all else.
std::optional<Algorithm> scattered_by(const Transfer& t, const RankFabric& fabric,
                                      const PacketCollectiveSpec& spec) {
    if (spec.collective != Collective::broadcast) return {};
    PacketCollectiveSpec gather = spec;
    gather.collective = Collective::all_gather;
    const auto pass = best_on_links(t, fabric, gather), whole = best_on_links(t, fabric, spec);
    if (!pass || (whole && whole->seconds_per_byte <= 2 * pass->seconds_per_byte)) return {};
    return pass->algorithm;
}

// What is asked for; else, of gathers, what libraries do where ports decide (rings), and what takes
// the links the shortest for long transfers where links do: a broadcast may be a scatter and an
// all-gather. Over several domains an algorithm is that within each, with rings between them.
void choose_algorithm(const Transfer& t, const RankFabric& fabric, PacketCollectiveSpec& spec) {
    const auto asked = value_named<Algorithm>(t.algorithm);
    const bool gather =
        spec.collective != Collective::all_to_all && spec.collective != Collective::send_recv;
    if (!gather || asked == Algorithm::direct || asked == Algorithm::in_switch) {
        spec.algorithm = asked.value_or(Algorithm::direct);
        return;
    }
    if (one_domain(t, fabric)) {
        spec.algorithm = asked ? *asked : algorithm_within(t, fabric, spec);
        if (asked) return;
        if (const auto gather_by = scattered_by(t, fabric, spec)) {
            spec.algorithm = *gather_by;
            spec.scatters_first = true;
        }
        return;
    }
    spec.algorithm = Algorithm::ring;
    if (spec.layout.inner < 2) return;
    if (asked && *asked != Algorithm::hierarchical) {
        spec.layout.within = *asked;
        return;
    }
    PacketCollectiveSpec part = spec;
    part.ranks = spec.layout.inner;
    part.layout = spec.layout.group.front();
    if (spec.collective != Collective::broadcast) {
        spec.layout.within = algorithm_within(t, fabric, part);
    } else if (const auto gather_by = scattered_by(t, fabric, part)) {
        spec.layout.within = *gather_by;
        spec.scatters_first = true;
    }
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
    const bool within = one_domain(t, fabric);
    if (!within && goes_over_thirds(fabric.scale_out_links))
        return "packets take no detours between domains";
    if (!goes_over_thirds(fabric.scale_up_links)) return "";
    const TopologyStack& stack = fabric.scale_up_links->stack();
    if (stack.levels.size() > 1) return "packets take no detours where levels are several";
    return within && fabric.ranks_per_chip <= 1 && t.group_ranks == stack.levels.back().chips
               ? ""
               : "packets take detours where every chip is a rank of the group";
}

// What `tile` and packets are known to see differently: senders that have several planes above a
// mesh take one of them, ways around a part that is broken are not told from others that are as
// short, and rings in two levels want as many ranks in each domain.
std::string without_ways(const Transfer& t, const RankFabric& fabric, bool exchange) {
    const bool within = one_domain(t, fabric);
    if (!within && !exchange && t.type != TransferType::send_recv && domain_members(t, fabric) == 0)
        return "packets go in rings over domains that have as many ranks each";
    for (const auto& links : {fabric.scale_up_links, fabric.scale_out_links}) {
        if (!links || (links == fabric.scale_out_links && within)) continue;
        const auto& levels = links->stack().levels;
        if (levels.size() > 1 && levels.front().topology.chips_forward)
            return "packets do not yet share the planes above a mesh as `tile` does";
        for (const TopologyStack::Level& level : levels)
            if (!level.topology.symmetric)
                return "packets do not yet shun parts that are broken as `tile` does (whole planes "
                       "they do)";
    }
    return "";
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
    run.stays = not_as_packets(coflow, library, transfer.type);
    if (!run.stays.empty()) return run;
    PacketCollectiveSpec spec;
    spec.collective = collective_of(transfer.type);
    spec.ranks = transfer.group_ranks;
    spec.size = transfer.size;
    spec.layout = layout_of(transfer, fabric);
    spec.exchange.order = knobs.order;
    spec.exchange.walks = knobs.walks;
    spec.exchange.seed = seed;
    choose_algorithm(transfer, fabric, spec);
    if (spec.algorithm == Algorithm::hierarchical && spec.layout.inner == 1)
        spec.layout.inner = node_ranks(transfer, fabric);
    const bool rings = spec.algorithm == Algorithm::ring;
    run.algorithm = to_string(rings ? spec.layout.within : spec.algorithm);
    run.stays = without_messages(spec);
    if (run.stays.empty()) run.stays = without_detours(transfer, fabric);
    if (spec.collective == Collective::broadcast && rings && !spec.scatters_first &&
        spec.layout.within != Algorithm::ring) {
        run.stays = fmt::format(
            "over several domains a broadcast goes in rows, and {} is asked for", run.algorithm);
    }
    const bool exchange = spec.collective == Collective::all_to_all;
    if (run.stays.empty()) run.stays = without_ways(transfer, fabric, exchange);
    const bool uneven = !transfer.shares.empty() || knobs.loads == PacketLoads::drawn;
    if (exchange && uneven && spec.algorithm != Algorithm::direct)
        run.stays = fmt::format("algorithm {} is of equal loads", run.algorithm);
    if (const double messages = most_messages(spec); messages > kMostMessages) {
        run.stays = fmt::format(
            "{:.3g} million messages, and {:.0f} million are the most that a run "
            "takes (fewer ranks)",
            messages / 1e6, kMostMessages / 1e6);
    }
    if (!run.stays.empty()) return run;
    if (exchange && spec.algorithm == Algorithm::direct)
        spec.bytes = matrix_of(transfer, coflow.padding, knobs, experts, seed);

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
    run.coflow = pipelined ? max(chain, bytes + path_latency(made.network, alone)) : chain + bytes;
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
