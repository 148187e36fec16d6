#include "interconnect/packet/routes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace podsim {

namespace {

PacketChoice with_shares(std::vector<int> links, const std::vector<double>& shares) {
    PacketChoice choice;
    choice.links = std::move(links);
    const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
    double sum = 0;
    for (std::size_t i = 0; i + 1 < shares.size(); ++i) {
        sum += shares[i] / all;
        choice.below.push_back(static_cast<std::uint32_t>(std::min(sum * 0x1p32, 0x1p32 - 1)));
    }
    return choice;
}

}  // namespace

PacketRoutes::PacketRoutes(const PacketNetworkSpec& network)
    : network_(network), endpoint_nodes_(network.endpoint_nodes()) {
    const auto lives = [&](int link) {
        return !network.links.at(static_cast<std::size_t>(link)).dead;
    };
    for (std::size_t c = 0; c < network.choices.size(); ++c) {
        std::vector<int> links;
        std::vector<double> shares;
        for (std::size_t i = 0; i < network.choices[c].size(); ++i) {
            if (!lives(network.choices[c][i])) continue;
            links.push_back(network.choices[c][i]);
            if (!network.shares[c].empty()) shares.push_back(network.shares[c][i]);
        }
        choices_.push_back(with_shares(std::move(links), shares));
    }
    for (int l = 0; l < static_cast<int>(network.links.size()); ++l) steps_.push_back({{l}, {}});
    for (const auto& [pair, paths] : network.paths) {
        std::vector<int>& known = paths_of_[pair];
        for (const std::vector<int>& path : paths) {
            if (path.empty() || !std::all_of(path.begin(), path.end(), lives)) continue;
            int at = endpoint_nodes_.at(static_cast<std::size_t>(pair.first));
            for (const int link : path) {
                const PacketLink& step = network.links[static_cast<std::size_t>(link)];
                if (step.from != at) throw_no_way(at, pair.first, pair.second);
                at = step.to;
            }
            if (at != endpoint_nodes_.at(static_cast<std::size_t>(pair.second)))
                throw_no_way(at, pair.first, pair.second);
            known.push_back(static_cast<int>(paths_.size()));
            paths_.push_back(path);
        }
    }
}

PacketChoice PacketRoutes::first_links(int source, int destination) const {
    const auto given = paths_of_.find({source, destination});
    if (given != paths_of_.end()) {
        std::vector<int> first;
        for (const int path : given->second) {
            const int link = paths_[static_cast<std::size_t>(path)].front();
            if (std::find(first.begin(), first.end(), link) == first.end()) first.push_back(link);
        }
        return {first, {}};
    }
    const auto node =
        static_cast<std::size_t>(endpoint_nodes_.at(static_cast<std::size_t>(source)));
    if (node >= network_.next_links.size()) return {};
    const int choice = network_.next_links[node].at(static_cast<std::size_t>(destination));
    return choice < 0 ? PacketChoice{} : choices_[static_cast<std::size_t>(choice)];
}

void PacketRoutes::assign_path(Packet& packet, int link, std::uint64_t turn) const {
    if (paths_of_.empty()) return;
    const auto given =
        paths_of_.find({static_cast<int>(packet.source), static_cast<int>(packet.destination)});
    if (given == paths_of_.end()) return;
    std::vector<int> fitting;
    for (const int path : given->second)
        if (paths_[static_cast<std::size_t>(path)].front() == link) fitting.push_back(path);
    packet.path = fitting.at(turn % fitting.size());
}

const PacketChoice& PacketRoutes::next_links(int node, const Packet& packet) const {
    if (packet.path >= 0) {
        const std::vector<int>& path = paths_[static_cast<std::size_t>(packet.path)];
        return steps_[static_cast<std::size_t>(path.at(packet.hop))];
    }
    const int choice = network_.next_links[static_cast<std::size_t>(node)][packet.destination];
    if (choice < 0 || choices_[static_cast<std::size_t>(choice)].links.empty()) {
        throw_no_way(node, static_cast<int>(packet.source), static_cast<int>(packet.destination));
    }
    return choices_[static_cast<std::size_t>(choice)];
}

void PacketRoutes::throw_no_way(int node, int source, int destination) const {
    const auto name = [&](int n) { return network_.nodes[static_cast<std::size_t>(n)].name; };
    throw std::invalid_argument(
        fmt::format("no route from {} to {} at {}: give it a path, or see which links are dead",
                    name(endpoint_nodes_.at(static_cast<std::size_t>(source))),
                    name(endpoint_nodes_.at(static_cast<std::size_t>(destination))), name(node)));
}

}  // namespace podsim
