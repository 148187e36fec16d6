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

// Calls `use(link, share)` for every link on the ways from source to destination, `share` of the
// packets on it, and gives the longest latency of them.
class Ways {
  public:
    Ways(const PacketNetworkSpec& network, PathChoice at_endpoints)
        : network_(network), at_endpoints_(at_endpoints), nodes_(network.endpoint_nodes()) {}

    Seconds walk(int source, int destination,
                 const std::function<void(int link, double share)>& use) const {
        const auto given = network_.paths.find({source, destination});
        if (given == network_.paths.end())
            return from(nodes_.at(static_cast<std::size_t>(source)), destination, 1.0, 0, use);
        Seconds longest(0.0);
        for (const std::vector<int>& path : given->second) {
            Seconds latency(0.0);
            for (const int link : path) {
                use(link, 1.0 / static_cast<double>(given->second.size()));
                latency += latency_over(link);
            }
            longest = max(longest, latency);
        }
        return longest;
    }

  private:
    Seconds latency_over(int link) const {
        const PacketLink& it = network_.links.at(static_cast<std::size_t>(link));
        const PacketNode& to = network_.nodes[static_cast<std::size_t>(it.to)];
        return it.latency + (to.is_switch ? to.switch_spec.latency : Seconds(0.0));
    }

    Seconds from(int node, int destination, double share, std::size_t depth,
                 const std::function<void(int, double)>& use) const {
        if (node == nodes_.at(static_cast<std::size_t>(destination))) return Seconds(0.0);
        const int choice = network_.next_links.at(
            static_cast<std::size_t>(node))[static_cast<std::size_t>(destination)];
        std::vector<int> links;
        if (choice >= 0) links = network_.choices[static_cast<std::size_t>(choice)];
        std::erase_if(links,
                      [&](int l) { return network_.links[static_cast<std::size_t>(l)].dead; });
        if (links.empty() || depth > network_.nodes.size()) {
            throw std::invalid_argument(fmt::format(
                "no route to {} at {}",
                network_
                    .nodes[static_cast<std::size_t>(nodes_[static_cast<std::size_t>(destination)])]
                    .name,
                network_.nodes[static_cast<std::size_t>(node)].name));
        }
        const bool by_bandwidth = !network_.nodes[static_cast<std::size_t>(node)].is_switch &&
                                  at_endpoints_ == PathChoice::least_queued;
        const auto weight = [&](int l) {
            return by_bandwidth ? network_.links[static_cast<std::size_t>(l)].bandwidth.value()
                                : 1.0;
        };
        double sum = 0;
        for (const int l : links) sum += weight(l);
        Seconds longest(0.0);
        for (const int l : links) {
            const double part = share * weight(l) / sum;
            use(l, part);
            longest =
                max(longest, latency_over(l) + from(network_.links[static_cast<std::size_t>(l)].to,
                                                    destination, part, depth + 1, use));
        }
        return longest;
    }

    const PacketNetworkSpec& network_;
    const PathChoice at_endpoints_;
    const std::vector<int> nodes_;
};

double wire_of(const PacketMessage& message, const PacketSettings& settings) {
    const double size = std::ceil(message.size.value());
    const double packets = std::ceil(size / settings.packet_payload.value());
    return size + packets * settings.packet_header.value();
}

}  // namespace

std::vector<Bytes> link_demands(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                                const PacketSettings& settings, int collective) {
    std::map<std::pair<int, int>, double> wire;
    for (const PacketMessage& message : traffic) {
        if (collective >= 0 && message.collective != collective) continue;
        wire[{message.source, message.destination}] += wire_of(message, settings);
    }
    const Ways ways(network, settings.endpoint.path_choice);
    std::vector<Bytes> demands(network.links.size());
    for (const auto& [pair, bytes] : wire) {
        ways.walk(pair.first, pair.second, [&demands, size = bytes](int link, double share) {
            demands[static_cast<std::size_t>(link)] += Bytes(size * share);
        });
    }
    return demands;
}

Seconds path_latency(const PacketNetworkSpec& network, const PacketTraffic& traffic) {
    std::map<std::pair<int, int>, bool> seen;
    const Ways ways(network, PathChoice::round_robin);
    Seconds longest(0.0);
    for (const PacketMessage& message : traffic) {
        if (std::exchange(seen[{message.source, message.destination}], true)) continue;
        longest = max(longest, ways.walk(message.source, message.destination, [](int, double) {}));
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
    const Ways ways(network, settings.endpoint.path_choice);
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
        ways.walk(message.source, message.destination,
                  [&](int link, double share) { demands[link] += bytes * share; });
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
