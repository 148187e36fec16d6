#include "interconnect/packet_topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "interconnect/packet_ways.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

// One level of scale-up or scale-out, the same in each of its groups.
struct Tier {
    const Topology* topology = nullptr;
    std::string name;  // "up0"
    long chips = 0;    // of a group
    long all = 0;      // of the stack: after so many chips it begins anew
    double share = 1;  // of the links' bandwidth
    double switch_latency = 0;
    RoutingPolicy routing = RoutingPolicy::adaptive;

    std::pair<long, long> group_of(long chip) const { return {chip / all, chip % all / chips}; }
    int place_of(long chip) const { return static_cast<int>(chip % all % chips); }
};

// A switch of each plane for ports of which no more is said: their latency is over two links.
Topology ideal_planes(long chips, double bandwidth, long planes, Seconds latency) {
    TopologyLevelSpec level;
    level.family = "switched-planes";
    level.first_medium = Medium::copper;
    level.electrical_latency = latency / 2.0;
    for (const TopologyFamily& family : topology_families()) {
        if (family.name == level.family)
            return family.build(level, chips, BytesPerSecond(bandwidth), planes);
    }
    throw std::logic_error("no family of switched planes");
}

PathChoice choice_of(RoutingPolicy routing) {
    return routing == RoutingPolicy::hashed || routing == RoutingPolicy::minimal
               ? PathChoice::hash_message
               : PathChoice::least_queued;
}

// Makes the network of all levels, one group of a level after the other.
class NetworkMaker {
  public:
    NetworkMaker(const RankFabric& fabric, const PacketMembers& group, const PacketFabricSpec& spec)
        : fabric_(fabric), spec_(spec), ranks_per_chip_(std::max(1, fabric.ranks_per_chip)) {
        if (group.members < 2 || group.stride < 1)
            throw std::invalid_argument("a network of packets wants two ranks at least");
        for (int i = 0; i < group.members; ++i) {
            const long rank = static_cast<long>(i) * group.stride;
            chips_.push_back(rank / ranks_per_chip_);
            made_.network.add_endpoint(fmt::format("rank{}", rank));
        }
        add_tiers();
    }

    TopologyNetwork make() {
        for (std::size_t t = 0; t < tiers_.size(); ++t) {
            std::map<std::pair<long, long>, std::vector<int>> groups;
            for (int m = 0; m < static_cast<int>(chips_.size()); ++m)
                groups[tiers_[t].group_of(chip_of(m))].push_back(m);
            for (const auto& [which, members] : groups)
                add_group(t, fmt::format("{}.group{}", tiers_[t].name, group_count_++), members);
        }
        require_routes();
        for (const Row& row : rows_) {
            const Choice& choice = choices_[static_cast<std::size_t>(row.choice)];
            made_.network.set_next_links(row.node, row.to, choice.first, choice.second);
        }
        return std::move(made_);
    }

  private:
    // The links by which a packet for endpoint `to` leaves `node`.
    struct Row {
        int node, to, choice;
    };
    using Choice = std::pair<std::vector<int>, std::vector<double>>;  // links, and their shares
    void lead(int node, int to, const std::vector<int>& links,
              const std::vector<double>& shares = {}) {
        const auto [known, is_new] =
            known_choices_.try_emplace(Choice{links, shares}, static_cast<int>(choices_.size()));
        if (is_new) choices_.push_back({links, shares});
        rows_.push_back({node, to, known->second});
    }

    // What the free port or the shortest queue gives links of unequal speed anyway needs no shares,
    // and whoever asks for the shortest queue gets it. Around broken parts of switched fabrics all
    // go by shares: the free port of some is the first one that is open to a destination, of all
    // senders the same.
    std::vector<double> shares_of(const Tier& tier, const NextLinks& next, bool in_turn) const {
        if (next.links.size() < 2 || spec_.path_choice == PathChoice::least_queued) return {};
        const bool broken = !tier.topology->symmetric && !tier.topology->chips_forward;
        if (broken && next.shares.empty())
            return std::vector<double>(next.links.size(),
                                       1 / static_cast<double>(next.links.size()));
        if (broken || next.shares.empty()) return next.shares;
        if (in_turn || choice_of(tier.routing) != PathChoice::least_queued || spec_.path_choice)
            return next.shares;
        double sum = 0;
        for (const int l : next.links)
            sum += tier.topology->links[static_cast<std::size_t>(l)].bandwidth;
        for (std::size_t i = 0; i < next.links.size(); ++i) {
            const auto l = static_cast<std::size_t>(next.links[i]);
            const double by_speed = tier.topology->links[l].bandwidth / sum;
            if (std::abs(by_speed - next.shares[i]) > 1e-9) return next.shares;
        }
        return {};
    }

    long chip_of(int member) const { return chips_[static_cast<std::size_t>(member)]; }

    // Adaptive routers take any dimension next. With buffers of an end that would want channels to
    // escape to (Duato, IEEE Trans. Parallel and Distributed Systems 4(12), 1993), which packets do
    // not have: they go dimension after dimension then.
    bool free_turns(const Tier& tier) const {
        return tier.routing == RoutingPolicy::adaptive && spec_.switches.input_buffer <= Bytes(0.0);
    }

    void add_tiers() {
        const long domain = std::max(1L, fabric_.domain_ranks / ranks_per_chip_);
        const bool one_domain = chips_.back() / domain == 0;
        if (fabric_.scale_up_links) {
            add_stack(fabric_.scale_up_links->stack(), "up", domain, spec_.scale_up_share);
        } else if (fabric_.scale_up > BytesPerSecond(0.0)) {
            add_ports("up", std::min(domain, chips_.back() + 1), domain, fabric_.scale_up,
                      fabric_.scale_up_planes, fabric_.scale_up_latency, spec_.scale_up_share);
        }
        if (one_domain) return;
        const long all = chips_.back() + 1;
        if (fabric_.scale_out_links) {
            add_stack(fabric_.scale_out_links->stack(), "out",
                      fabric_.scale_out_links->stack().levels.back().chips, spec_.scale_out_share);
        } else if (fabric_.scale_out > BytesPerSecond(0.0)) {
            add_ports("out", all, all, fabric_.scale_out, fabric_.scale_out_planes,
                      fabric_.scale_out_latency, spec_.scale_out_share);
        }
    }

    void add_stack(const TopologyStack& stack, const std::string& name, long all, double share) {
        for (std::size_t l = 0; l < stack.levels.size(); ++l) {
            Tier tier;
            tier.topology = &stack.levels[l].topology;
            tier.name = fmt::format("{}{}", name, l);
            tier.chips = l + 1 == stack.levels.size() ? all : stack.levels[l].chips;
            tier.all = all;
            tier.share = share;
            const TopologyLevelSpec& level =
                stack.spec.levels.empty() ? stack.spec.level : stack.spec.levels[l];
            // A chip's router is in its links: the first of a path goes through none.
            if (!tier.topology->chips_forward) tier.switch_latency = level.switch_latency.value();
            tier.routing = stack.spec.routing;
            tiers_.push_back(tier);
        }
    }

    void add_ports(const char* name, long chips, long all, BytesPerSecond rank_rate, long planes,
                   Seconds latency, double share) {
        ideal_.push_back(std::make_unique<Topology>(
            ideal_planes(chips, rank_rate.value() * static_cast<double>(ranks_per_chip_),
                         std::max(1L, planes), latency)));
        Tier tier;
        tier.topology = ideal_.back().get();
        tier.name = fmt::format("{}0", name);
        tier.chips = tier.all = all;
        tier.share = share;
        tiers_.push_back(tier);
    }

    // The innermost level on which both are in one group.
    bool meet_on(std::size_t tier, int a, int b) const {
        for (std::size_t t = 0; t <= tier; ++t) {
            if (tiers_[t].group_of(chip_of(a)) == tiers_[t].group_of(chip_of(b))) return t == tier;
        }
        return false;
    }

    void add_group(std::size_t t, const std::string& name, const std::vector<int>& members) {
        const Tier& tier = tiers_[t];
        const Topology& topology = *tier.topology;
        group_ = {};
        group_.name = name;
        PacketWays ways(topology);
        std::map<int, std::vector<int>> ranks;  // of the group, on each chip
        for (const int m : members) {
            const int place = tier.place_of(chip_of(m));
            if (place >= topology.chips)
                throw std::invalid_argument(
                    fmt::format("{}: its topology has {} chips, and {} sits "
                                "on the {}th",
                                name, topology.chips, node_name(m), place));
            ranks[place].push_back(m);
        }
        std::vector<int> stamp(topology.nodes.size(), -1);
        for (const auto& [place, here] : ranks) {
            std::vector<int> row;  // nodes on the ways here
            bool searched = false;
            for (const int to : here) {
                for (const int from : members) {
                    if (from == to || !meet_on(t, from, to)) continue;
                    if (!std::exchange(searched, true)) ways.search(place);
                    first_steps(tier, ways, from, to, row, stamp);
                }
            }
            // Each node that is reached leads on to the others.
            for (std::size_t head = 0; head < row.size(); ++head)
                steps(tier, ways, row[head], place, here, row, stamp);
            for (const int node : row) stamp[static_cast<std::size_t>(node)] = -1;
        }
    }

    // From a rank to the first switches, or into its chip's router.
    void first_steps(const Tier& tier, const PacketWays& ways, int from, int to,
                     std::vector<int>& row, std::vector<int>& stamp) {
        const Topology& topology = *tier.topology;
        const int place = tier.place_of(chip_of(from));
        std::vector<int> next;
        if (topology.chips_forward) {
            std::vector<int> onward = ways.next(place, tier.routing, free_turns(tier)).links;
            if (ways.to() == place) onward = {topology.first_link[static_cast<std::size_t>(place)]};
            for (const int l : onward) next.push_back(entry_link(tier, place, l, from));
            enter(place, row, stamp);
            lead(from, to, next);
            return;
        }
        const NextLinks first = ways.next(place, tier.routing, free_turns(tier));
        for (const int l : first.links) {
            next.push_back(rank_link(tier, l, from));
            enter(topology.links[static_cast<std::size_t>(l)].to, row, stamp);
        }
        const bool choose = next.size() > 1 && !chosen_;
        if (choose) {
            chosen_ = true;
            made_.endpoint_choice = spec_.path_choice.value_or(choice_of(tier.routing));
        }
        lead(from, to, next, shares_of(tier, first, false));
    }

    static void enter(int node, std::vector<int>& row, std::vector<int>& stamp) {
        if (std::exchange(stamp[static_cast<std::size_t>(node)], 1) != 1) row.push_back(node);
    }

    // From a switch or a router on, to each of the ranks on the chip at `place`.
    void steps(const Tier& tier, const PacketWays& ways, int node, int place,
               const std::vector<int>& ranks, std::vector<int>& row, std::vector<int>& stamp) {
        const Topology& topology = *tier.topology;
        const int at = switch_at(tier, node);
        if (node == place) {  // its router
            for (const int to : ranks) lead(at, to, {exit_link(tier, place, to)});
            return;
        }
        std::vector<int> onward;
        bool arrives = false;
        const NextLinks next = ways.next(node, tier.routing, free_turns(tier));
        for (const int l : next.links) {
            const int end = topology.links[static_cast<std::size_t>(l)].to;
            if (end == place && !topology.chips_forward) {
                arrives = true;
                for (const int to : ranks) lead(at, to, {rank_link(tier, l, to)});
                continue;
            }
            onward.push_back(inner_link(tier, l));
            enter(end, row, stamp);
        }
        if (arrives) return;
        const bool in_turn = topology.chips_forward && free_turns(tier);
        const std::vector<double> shares = shares_of(tier, next, in_turn);
        for (const int to : ranks) lead(at, to, onward, shares);
    }

    // The network's node of a switch or router of the group at hand.
    int switch_at(const Tier& tier, int node) {
        const auto [known, is_new] = group_.switches.try_emplace(node, -1);
        if (!is_new) return known->second;
        const TopologyNode& its = tier.topology->nodes[static_cast<std::size_t>(node)];
        const bool router = its.kind == NodeKind::chip;
        PacketSwitchSpec spec = spec_.switches;
        spec.latency = Seconds(tier.switch_latency);
        // Where all dimensions are open packets take them in turn: a queue at hand says nothing of
        // those behind it, and the shortest one leaves links of a mesh unequally full.
        const bool in_turn = router && free_turns(tier);
        spec.path_choice =
            spec_.path_choice.value_or(in_turn ? PathChoice::round_robin : choice_of(tier.routing));
        // A router gives its rank what comes over several links at a time. What has waited longest
        // goes first, since what it holds up on its first ways is still to go its last: taken in
        // turn of inputs, links of a mesh idle in the end.
        if (router) {
            spec.queues = SwitchQueues::shared_memory;
            if (spec.arbitration == SwitchArbitration::round_robin)
                spec.arbitration = SwitchArbitration::oldest_first;
        }
        const std::string name =
            router ? fmt::format("{}.router{}", group_.name, its.index)
                   : fmt::format("{}.plane{}.tier{}_switch{}", group_.name, its.plane,
                                 its.kind == NodeKind::tier1 ? 1 : 2, its.index);
        return known->second = made_.network.add_switch(name, spec);
    }

    // A topology's latency holds half of each switch at its ends.
    int add_link(const Tier& tier, int from, int to, const TopologyLink& link, double parts) {
        double latency = link.latency;
        for (const int end : {link.from, link.to}) {
            const NodeKind kind = tier.topology->nodes[static_cast<std::size_t>(end)].kind;
            if (kind != NodeKind::chip) latency -= tier.switch_latency / 2;
        }
        const int made =
            made_.network.add_link(from, to, BytesPerSecond(link.bandwidth * tier.share / parts),
                                   Seconds(std::max(0.0, latency)));
        PacketLink& its = made_.network.links[static_cast<std::size_t>(made)];
        its.bit_error_rate = spec_.bit_error_rate;
        return made;
    }

    // A rank's part of its chip's link to or from a switch.
    int rank_link(const Tier& tier, int l, int rank) {
        const auto [known, is_new] = group_.of_rank.try_emplace({l, rank}, -1);
        if (!is_new) return known->second;
        const TopologyLink& link = tier.topology->links[static_cast<std::size_t>(l)];
        const bool leaves =
            tier.topology->nodes[static_cast<std::size_t>(link.from)].kind == NodeKind::chip;
        const int other = switch_at(tier, leaves ? link.to : link.from);
        return known->second = add_link(tier, leaves ? rank : other, leaves ? other : rank, link,
                                        static_cast<double>(ranks_per_chip_));
    }

    // Between switches, or routers.
    int inner_link(const Tier& tier, int l) {
        const auto [known, is_new] = group_.inner.try_emplace(l, -1);
        if (!is_new) return known->second;
        const Topology& topology = *tier.topology;
        const TopologyLink& link = topology.links[static_cast<std::size_t>(l)];
        const int from = switch_at(tier, link.from), to = switch_at(tier, link.to);
        const int made = known->second = add_link(tier, from, to, link, 1);
        PacketLink& its = made_.network.links[static_cast<std::size_t>(made)];
        if (topology.chips_forward) {
            long stride = 1;
            int dimension = 0;
            const auto sizes = static_cast<int>(topology.dimensions.size());
            for (; dimension < link.link_class % std::max(1, sizes); ++dimension)
                stride *= topology.dimensions[static_cast<std::size_t>(dimension)];
            its.ring = 1 + dimension;
            its.dateline = topology.family == "torus" && std::abs(link.to - link.from) != stride;
        }
        // Behind the global hop of a dragonfly the second lane.
        if (topology.family == "dragonfly") its.dateline = link.cost > 1;
        return made;
    }

    // Into its chip's router a rank has a queue for each link that leaves it, as fast as its part
    // of that link.
    int entry_link(const Tier& tier, int place, int l, int rank) {
        const auto [known, is_new] = group_.entries.try_emplace({l, rank}, -1);
        if (!is_new) return known->second;
        const TopologyLink& link = tier.topology->links[static_cast<std::size_t>(l)];
        const int router = switch_at(tier, place);
        return known->second =
                   made_.network.add_link(rank, router,
                                          BytesPerSecond(link.bandwidth * tier.share /
                                                         static_cast<double>(ranks_per_chip_)),
                                          Seconds(0.0));
    }

    // From the router to a rank: its part of all that may come.
    int exit_link(const Tier& tier, int place, int rank) {
        const auto [known, is_new] = group_.exits.try_emplace(rank, -1);
        if (!is_new) return known->second;
        const Topology& topology = *tier.topology;
        double rate = 0;
        const auto n = static_cast<std::size_t>(place);
        for (int l = topology.first_link[n]; l < topology.first_link[n + 1]; ++l)
            rate += topology.links[static_cast<std::size_t>(l)].bandwidth;
        const int router = switch_at(tier, place);
        return known->second = made_.network.add_link(
                   router, rank,
                   BytesPerSecond(rate * tier.share / static_cast<double>(ranks_per_chip_)),
                   Seconds(0.0));
    }

    std::string node_name(int member) const {
        return made_.network.nodes[static_cast<std::size_t>(member)].name;
    }

    // Every pair has a first link.
    void require_routes() const {
        const std::size_t members = chips_.size();
        std::vector<char> known(members * members, 0);
        for (const Row& row : rows_) {
            if (row.node >= static_cast<int>(members)) continue;
            if (choices_[static_cast<std::size_t>(row.choice)].first.empty()) continue;
            known[static_cast<std::size_t>(row.node) * members + static_cast<std::size_t>(row.to)] =
                1;
        }
        for (std::size_t a = 0; a < members; ++a) {
            for (std::size_t b = 0; b < members; ++b) {
                if (a == b || known[a * members + b] != 0) continue;
                throw std::invalid_argument(fmt::format("no route from {} to {}",
                                                        node_name(static_cast<int>(a)),
                                                        node_name(static_cast<int>(b))));
            }
        }
    }

    const RankFabric& fabric_;
    const PacketFabricSpec& spec_;
    const int ranks_per_chip_;
    std::vector<long> chips_;  // of each member
    std::vector<Tier> tiers_;
    std::vector<std::unique_ptr<Topology>> ideal_;
    TopologyNetwork made_;
    std::vector<Row> rows_;
    std::vector<Choice> choices_;
    std::map<Choice, int> known_choices_;
    bool chosen_ = false;  // the endpoints' choice
    int group_count_ = 0;
    struct Group {
        std::string name;
        std::map<int, int> switches, inner;                   // by node, by link of the topology
        std::map<std::pair<int, int>, int> of_rank, entries;  // by (link, rank)
        std::map<int, int> exits;                             // by rank
    } group_;
};

}  // namespace

TopologyNetwork packet_network(const RankFabric& fabric, const PacketMembers& group,
                               const PacketFabricSpec& spec) {
    return NetworkMaker(fabric, group, spec).make();
}

double packet_hops(const PacketNetworkSpec& network, const PacketTraffic& traffic, Bytes payload) {
    const std::vector<int> ends = network.endpoint_nodes();
    const auto hops_of = [&](int source, int destination) {
        const int end = ends.at(static_cast<std::size_t>(destination));
        int node = ends.at(static_cast<std::size_t>(source)), hops = 0;
        for (; node != end; ++hops) {
            const int choice = network.next_links.at(
                static_cast<std::size_t>(node))[static_cast<std::size_t>(destination)];
            if (choice < 0 || hops > static_cast<int>(network.nodes.size()))
                throw std::invalid_argument("a message without a route");
            const int link = network.choices[static_cast<std::size_t>(choice)].front();
            node = network.links[static_cast<std::size_t>(link)].to;
        }
        return hops;
    };
    std::map<std::pair<int, int>, int> known;
    double sum = 0;
    for (const PacketMessage& message : traffic) {
        const auto [at, is_new] = known.try_emplace({message.source, message.destination}, 0);
        if (is_new) at->second = hops_of(message.source, message.destination);
        sum += std::ceil(message.size / payload) * at->second;
    }
    return sum;
}

}  // namespace podsim
