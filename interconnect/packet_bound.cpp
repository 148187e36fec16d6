#include "interconnect/packet_bound.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

namespace podsim {

namespace {

using Use = std::function<void(int link, double bytes)>;

// The ways to one destination after the other. Nodes are visited once each, those before others
// first, so that fabrics with very many equal paths cost no more than their links.
class Ways {
  public:
    Ways(const PacketNetworkSpec& network, PathChoice at_endpoints)
        : network_(network),
          at_endpoints_(at_endpoints),
          nodes_(network.endpoint_nodes()),
          states_(network.nodes.size()) {}

    // What the sources' bytes put on each link; and the longest latency of each of these pairs.
    std::vector<Seconds> spread(int destination, const std::vector<std::pair<int, double>>& bytes,
                                const Use& use) {
        ++stamp_;
        order_.clear();
        std::vector<Seconds> longest;
        for (const auto& [source, size] : bytes) {
            const auto given = network_.paths.find({source, destination});
            if (given != network_.paths.end()) {
                longest.push_back(along(given->second, size, use));
                continue;
            }
            const int from = nodes_.at(static_cast<std::size_t>(source));
            longest.push_back(visit(from, destination));
            state_of(from).bytes += size;
        }
        for (auto node = order_.rbegin(); node != order_.rend(); ++node) pass_on(*node, use);
        return longest;
    }

  private:
    struct State {
        std::uint64_t stamp = 0;
        bool done = false;
        double bytes = 0;
        Seconds latency{0.0};  // from here to the destination
        std::vector<int> next;
        std::vector<double> shares;  // of next; none: by the node's choice
    };
    State& state_of(int node) { return states_[static_cast<std::size_t>(node)]; }
    const PacketLink& link_at(int link) const {
        return network_.links.at(static_cast<std::size_t>(link));
    }

    Seconds latency_over(int link) const {
        const PacketNode& to = network_.nodes[static_cast<std::size_t>(link_at(link).to)];
        return link_at(link).latency + (to.is_switch ? to.switch_spec.latency : Seconds(0.0));
    }

    Seconds along(const std::vector<std::vector<int>>& paths, double bytes, const Use& use) const {
        Seconds longest(0.0);
        for (const std::vector<int>& path : paths) {
            Seconds latency(0.0);
            for (const int link : path) {
                use(link, bytes / static_cast<double>(paths.size()));
                latency += latency_over(link);
            }
            longest = max(longest, latency);
        }
        return longest;
    }

    // Depth first; a node stands in order_ behind all that it leads to.
    Seconds visit(int node, int destination) {
        State& state = state_of(node);
        if (state.stamp == stamp_ && state.done) return state.latency;
        const int end = nodes_.at(static_cast<std::size_t>(destination));
        const bool circle = state.stamp == stamp_;
        state.stamp = stamp_;
        state.done = false;
        state.bytes = 0;
        state.latency = Seconds(0.0);
        state.next.clear();
        state.shares.clear();
        if (node != end) {
            const int choice = network_.next_links.at(
                static_cast<std::size_t>(node))[static_cast<std::size_t>(destination)];
            if (choice >= 0) {
                const auto c = static_cast<std::size_t>(choice);
                for (std::size_t i = 0; i < network_.choices[c].size(); ++i) {
                    const int l = network_.choices[c][i];
                    if (link_at(l).dead) continue;
                    state.next.push_back(l);
                    if (!network_.shares[c].empty()) state.shares.push_back(network_.shares[c][i]);
                }
            }
            if (state.next.empty() || circle) {
                throw std::invalid_argument(fmt::format(
                    "no route to {} at {}", network_.nodes[static_cast<std::size_t>(end)].name,
                    network_.nodes[static_cast<std::size_t>(node)].name));
            }
        }
        Seconds longest(0.0);
        for (const int l : state.next)
            longest = max(longest, latency_over(l) + visit(link_at(l).to, destination));
        state.latency = longest;
        state.done = true;
        order_.push_back(node);
        return longest;
    }

    void pass_on(int node, const Use& use) {
        State& state = state_of(node);
        if (!(state.bytes > 0)) return;
        const PacketNode& its = network_.nodes[static_cast<std::size_t>(node)];
        const PathChoice choice = its.is_switch ? its.switch_spec.path_choice : at_endpoints_;
        const auto weight = [&](std::size_t i) {
            if (!state.shares.empty()) return state.shares[i];
            const bool by_speed = choice == PathChoice::least_queued;
            return by_speed ? link_at(state.next[i]).bandwidth.value() : 1.0;
        };
        double sum = 0;
        for (std::size_t i = 0; i < state.next.size(); ++i) sum += weight(i);
        for (std::size_t i = 0; i < state.next.size(); ++i) {
            const double part = state.bytes * weight(i) / sum;
            use(state.next[i], part);
            state_of(link_at(state.next[i]).to).bytes += part;
        }
    }

    const PacketNetworkSpec& network_;
    const PathChoice at_endpoints_;
    const std::vector<int> nodes_;
    std::uint64_t stamp_ = 0;
    std::vector<State> states_;
    std::vector<int> order_;
};

double wire_of(const PacketMessage& message, const PacketSettings& settings) {
    const double size = std::ceil(message.size.value());
    const double packets = std::ceil(size / settings.packet_payload.value());
    return size + packets * settings.packet_header.value();
}

// What goes to each destination, by source.
std::map<int, std::map<int, double>> by_destination(const PacketTraffic& traffic,
                                                    const PacketSettings& settings,
                                                    int collective) {
    std::map<int, std::map<int, double>> wire;
    for (const PacketMessage& message : traffic) {
        if (collective >= 0 && message.collective != collective) continue;
        wire[message.destination][message.source] += wire_of(message, settings);
    }
    return wire;
}

// Latency of each pair that sends.
std::map<std::pair<int, int>, Seconds> pair_latencies(const PacketNetworkSpec& network,
                                                      const PacketTraffic& traffic) {
    Ways ways(network, PathChoice::round_robin);
    std::map<std::pair<int, int>, Seconds> known;
    for (const auto& [destination, sources] : by_destination(traffic, {}, -1)) {
        const std::vector<std::pair<int, double>> from(sources.begin(), sources.end());
        const std::vector<Seconds> latencies = ways.spread(destination, from, [](int, double) {});
        for (std::size_t i = 0; i < from.size(); ++i)
            known.insert({{from[i].first, destination}, latencies[i]});
    }
    return known;
}

}  // namespace

std::vector<Bytes> link_demands(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                                const PacketSettings& settings, int collective) {
    Ways ways(network, settings.endpoint.path_choice);
    std::vector<Bytes> demands(network.links.size());
    for (const auto& [destination, sources] : by_destination(traffic, settings, collective)) {
        (void)ways.spread(destination, {sources.begin(), sources.end()},
                          [&demands](int link, double bytes) {
                              demands[static_cast<std::size_t>(link)] += Bytes(bytes);
                          });
    }
    return demands;
}

Seconds path_latency(const PacketNetworkSpec& network, const PacketTraffic& traffic) {
    Seconds longest(0.0);
    for (const auto& [pair, latency] : pair_latencies(network, traffic))
        longest = max(longest, latency);
    return longest;
}

Seconds chain_latency(const PacketNetworkSpec& network, const PacketTraffic& traffic) {
    const auto latencies = pair_latencies(network, traffic);
    std::vector<Seconds> end(traffic.size());
    Seconds longest(0.0);
    for (std::size_t m = 0; m < traffic.size(); ++m) {
        const PacketMessage& message = traffic[m];
        Seconds begin = message.entry;
        for (const int before : message.after) {
            if (before >= static_cast<int>(m))
                throw std::invalid_argument("a message waits for one that stands behind it");
            begin = max(begin, end[static_cast<std::size_t>(before)]);
        }
        end[m] = begin + latencies.at({message.source, message.destination});
        longest = max(longest, end[m]);
    }
    return longest;
}

SharedCoflow coflow_of(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                       const PacketSettings& settings, int collective) {
    SharedCoflow coflow;
    coflow.latency = path_latency(network, traffic);
    const std::vector<Bytes> demands = link_demands(network, traffic, settings, collective);
    coflow.classes.emplace_back();
    for (std::size_t l = 0; l < demands.size(); ++l) {
        if (demands[l] > Bytes(0.0))
            coflow.classes.front().demands.push_back({static_cast<int>(l), demands[l]});
    }
    return coflow;
}

std::vector<BytesPerSecond> links_of(const PacketNetworkSpec& network) {
    std::vector<BytesPerSecond> links;
    for (const PacketLink& link : network.links)
        links.push_back(link.dead ? BytesPerSecond(0.0) : link.bandwidth);
    return links;
}

Seconds coflow_time(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                    const PacketSettings& settings) {
    const std::vector<Bytes> demands = link_demands(network, traffic, settings);
    Seconds longest(0.0);
    for (std::size_t l = 0; l < demands.size(); ++l)
        longest = max(longest, demands[l] / network.links[l].bandwidth);
    return path_latency(network, traffic) + longest;
}

Seconds walk_time(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                  const PacketSettings& settings) {
    Ways ways(network, settings.endpoint.path_choice);
    const std::vector<int> nodes = network.endpoint_nodes();
    std::vector<double> rate(nodes.size(), 0.0), sent(nodes.size(), 0.0);
    for (std::size_t e = 0; e < nodes.size(); ++e) {
        for (const PacketLink& link : network.links)
            if (link.from == nodes[e] && !link.dead) rate[e] += link.bandwidth.value();
    }
    std::vector<SharedCoflow> coflows;
    for (const PacketMessage& message : traffic) {
        const auto sender = static_cast<std::size_t>(message.source);
        const double bytes = wire_of(message, settings);
        std::map<int, double> demands;
        (void)ways.spread(message.destination, {{message.source, bytes}},
                          [&demands](int link, double part) { demands[link] += part; });
        SharedCoflow coflow;
        SharedCoflow::Class one;
        one.entry = max(message.entry, Seconds(sent[sender]));
        sent[sender] = one.entry.value() + bytes / rate[sender];
        for (const auto& [link, part] : demands) one.demands.push_back({link, Bytes(part)});
        coflow.classes.push_back(std::move(one));
        coflows.push_back(std::move(coflow));
    }
    Seconds end(0.0);
    for (const SharedCoflowTimes& times : run_coflows(links_of(network), coflows))
        end = max(end, times.end);
    return path_latency(network, traffic) + end;
}

}  // namespace podsim
