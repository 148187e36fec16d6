#include "interconnect/packet_network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>
#include <utility>

namespace podsim {

int PacketNetworkSpec::add_endpoint(std::string name) {
    nodes.push_back({std::move(name), false, {}});
    return static_cast<int>(nodes.size()) - 1;
}

int PacketNetworkSpec::add_switch(std::string name, const PacketSwitchSpec& spec) {
    nodes.push_back({std::move(name), true, spec});
    return static_cast<int>(nodes.size()) - 1;
}

int PacketNetworkSpec::add_link(int from, int to, BytesPerSecond bandwidth, Seconds latency) {
    PacketLink link;
    link.from = from;
    link.to = to;
    link.bandwidth = bandwidth;
    link.latency = latency;
    links.push_back(link);
    return static_cast<int>(links.size()) - 1;
}

std::vector<int> PacketNetworkSpec::endpoint_nodes() const {
    std::vector<int> found;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if (!nodes[i].is_switch) found.push_back(static_cast<int>(i));
    return found;
}

int PacketNetworkSpec::endpoints() const {
    int count = 0;
    for (const PacketNode& node : nodes) count += node.is_switch ? 0 : 1;
    return count;
}

void PacketNetworkSpec::set_next_links(int node, int endpoint, const std::vector<int>& next,
                                       const std::vector<double>& its_shares) {
    if (next_links.size() != nodes.size())
        next_links.assign(nodes.size(),
                          std::vector<int>(static_cast<std::size_t>(endpoints()), -1));
    int& entry =
        next_links.at(static_cast<std::size_t>(node)).at(static_cast<std::size_t>(endpoint));
    if (next.empty()) {
        entry = -1;
        return;
    }
    const auto [known, is_new] =
        known_choices_.try_emplace({next, its_shares}, static_cast<int>(choices.size()));
    if (is_new) {
        choices.push_back(next);
        shares.push_back(its_shares);
    }
    entry = known->second;
}

void route_shortest(PacketNetworkSpec& network) {
    const std::size_t nodes = network.nodes.size();
    std::vector<std::vector<int>> into(nodes), out(nodes);
    for (std::size_t l = 0; l < network.links.size(); ++l) {
        const PacketLink& link = network.links[l];
        if (link.dead) continue;
        into.at(static_cast<std::size_t>(link.to)).push_back(static_cast<int>(l));
        out.at(static_cast<std::size_t>(link.from)).push_back(static_cast<int>(l));
    }
    const std::vector<int> ends = network.endpoint_nodes();
    network.next_links.clear();
    for (std::size_t e = 0; e < ends.size(); ++e) {
        std::vector<int> distance(nodes, -1);
        std::vector<int> row{ends[e]};
        distance[static_cast<std::size_t>(ends[e])] = 0;
        for (std::size_t head = 0; head < row.size(); ++head) {
            const auto at = static_cast<std::size_t>(row[head]);
            // Endpoints end a path and do not pass packets on.
            if (!network.nodes[at].is_switch && row[head] != ends[e]) continue;
            for (const int l : into[at]) {
                const int from = network.links[static_cast<std::size_t>(l)].from;
                int& there = distance[static_cast<std::size_t>(from)];
                if (there >= 0) continue;
                there = distance[at] + 1;
                row.push_back(from);
            }
        }
        for (std::size_t n = 0; n < nodes; ++n) {
            std::vector<int> next;
            for (const int l : out[n]) {
                const auto to =
                    static_cast<std::size_t>(network.links[static_cast<std::size_t>(l)].to);
                const bool passes = network.nodes[to].is_switch || static_cast<int>(to) == ends[e];
                if (passes && distance[to] >= 0 && distance[n] == distance[to] + 1)
                    next.push_back(l);
            }
            network.set_next_links(static_cast<int>(n), static_cast<int>(e), next);
        }
    }
}

void require_valid(const PacketNetworkSpec& network) {
    std::set<std::string> names;
    for (const PacketNode& node : network.nodes) {
        if (node.name.empty()) throw std::invalid_argument("a node without a name");
        if (!names.insert(node.name).second)
            throw std::invalid_argument(fmt::format("two nodes are called {}", node.name));
    }
    const auto nodes = static_cast<int>(network.nodes.size());
    for (std::size_t l = 0; l < network.links.size(); ++l) {
        const PacketLink& link = network.links[l];
        if (link.from < 0 || link.from >= nodes || link.to < 0 || link.to >= nodes ||
            link.from == link.to) {
            throw std::invalid_argument(fmt::format("link {} goes from node {} to node {} of {}", l,
                                                    link.from, link.to, nodes));
        }
        const std::string where = fmt::format(
            "link {} from {} to {}", l, network.nodes[static_cast<std::size_t>(link.from)].name,
            network.nodes[static_cast<std::size_t>(link.to)].name);
        if (!(link.bandwidth > BytesPerSecond(0.0)) || !std::isfinite(link.bandwidth.value()))
            throw std::invalid_argument(where + " has no bandwidth (a dead one says dead)");
        if (!(link.latency >= Seconds(0.0)) || !std::isfinite(link.latency.value()))
            throw std::invalid_argument(where + " has a latency below zero");
        if (!(link.bit_error_rate >= 0 && link.bit_error_rate < 1))
            throw std::invalid_argument(where + " has a bit error rate outside 0 to 1");
        if (link.ring < 0 || link.ring > 255)
            throw std::invalid_argument(where + " is of a ring outside 0 to 255");
    }
    for (const auto& row : network.next_links)
        for (const int choice : row)
            if (choice >= static_cast<int>(network.choices.size()))
                throw std::invalid_argument("a route names a choice of links that is not there");
    for (std::size_t c = 0; c < network.shares.size(); ++c) {
        const std::vector<double>& shares = network.shares[c];
        if (shares.empty()) continue;
        const bool fit = c < network.choices.size() && shares.size() == network.choices[c].size() &&
                         std::all_of(shares.begin(), shares.end(), [](double s) { return s > 0; });
        if (!fit || std::abs(std::accumulate(shares.begin(), shares.end(), -1.0)) > 1e-6)
            throw std::invalid_argument("shares of a choice of links do not add up to all of it");
    }
    for (std::size_t n = 0; n < network.next_links.size(); ++n) {
        for (const int choice : network.next_links[n]) {
            if (choice < 0) continue;
            for (const int l : network.choices[static_cast<std::size_t>(choice)]) {
                if (l < 0 || l >= static_cast<int>(network.links.size()) ||
                    network.links[static_cast<std::size_t>(l)].from != static_cast<int>(n)) {
                    throw std::invalid_argument(fmt::format(
                        "{} sends over link {}, which is not its own", network.nodes[n].name, l));
                }
            }
        }
    }
}

}  // namespace podsim
