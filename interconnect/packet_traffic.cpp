#include "interconnect/packet_traffic.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "base/random.hpp"

namespace podsim {

namespace {

ByteMatrix zeros(int ranks) {
    if (ranks < 2) throw std::invalid_argument("an exchange wants two ranks at least");
    return {static_cast<std::size_t>(ranks), std::vector<double>(static_cast<std::size_t>(ranks))};
}

std::size_t experts_of(const TokenMatrixSpec& spec) {
    const int experts = spec.experts > 0 ? spec.experts : spec.ranks;
    if (spec.top_k < 1 || spec.top_k > experts)
        throw std::invalid_argument("a token goes to 1 to all experts");
    return static_cast<std::size_t>(experts);
}

std::vector<double> popularity(const TokenMatrixSpec& spec) {
    std::vector<double> weights(experts_of(spec));
    for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = std::pow(static_cast<double>(i + 1), -spec.zipf);
    return weights;
}

void shuffle(std::vector<std::size_t>& order, std::uint64_t seed, std::uint64_t what) {
    for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[random_bits(seed, what, i) % i]);
}

// The rank of each expert.
std::vector<std::size_t> places(const TokenMatrixSpec& spec) {
    std::vector<std::size_t> order(experts_of(spec));
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (spec.placement != 0) shuffle(order, spec.placement, 0);
    for (std::size_t& place : order)
        place = place * static_cast<std::size_t>(spec.ranks) / order.size();
    return order;
}

}  // namespace

ByteMatrix uniform_matrix(int ranks, Bytes per_pair) {
    ByteMatrix matrix = zeros(ranks);
    for (auto& row : matrix) std::fill(row.begin(), row.end(), per_pair.value());
    return matrix;
}

ByteMatrix token_matrix(const TokenMatrixSpec& spec) {
    ByteMatrix matrix = zeros(spec.ranks);
    const std::vector<double> weights = popularity(spec);
    const std::vector<std::size_t> rank_of = places(spec);
    std::vector<double> below(weights.size());
    std::partial_sum(weights.begin(), weights.end(), below.begin());
    std::vector<std::size_t> taken;
    for (int rank = 0; rank < spec.ranks; ++rank) {
        for (int token = 0; token < spec.tokens; ++token) {
            // Without putting back: an expert that is drawn again is drawn anew.
            taken.clear();
            for (int draw = 0; static_cast<int>(taken.size()) < spec.top_k; ++draw) {
                const double at = below.back() * uniform(spec.seed, rank, token, draw);
                const auto found = static_cast<std::size_t>(
                    std::upper_bound(below.begin(), below.end(), at) - below.begin());
                const std::size_t expert = std::min(found, below.size() - 1);
                if (std::find(taken.begin(), taken.end(), expert) == taken.end())
                    taken.push_back(expert);
            }
            for (const std::size_t expert : taken)
                matrix[static_cast<std::size_t>(rank)][rank_of[expert]] += spec.token.value();
        }
    }
    return matrix;
}

ByteMatrix expected_matrix(const TokenMatrixSpec& spec) {
    ByteMatrix matrix = zeros(spec.ranks);
    const std::vector<double> weights = popularity(spec);
    const std::vector<std::size_t> rank_of = places(spec);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const double sent = static_cast<double>(spec.tokens) * spec.top_k * spec.token.value();
    for (auto& row : matrix) {
        for (std::size_t e = 0; e < weights.size(); ++e) row[rank_of[e]] += sent * weights[e] / sum;
        for (double& bytes : row) bytes = std::round(bytes);
    }
    return matrix;
}

PacketTraffic all_to_all(const ByteMatrix& bytes, const AllToAllSpec& spec) {
    const std::size_t ranks = bytes.size();
    if (spec.walks < 1) throw std::invalid_argument("an all-to-all wants one walk at least");
    if (!spec.entries.empty() && spec.entries.size() != ranks)
        throw std::invalid_argument("an all-to-all wants an entry time for each rank, or none");
    if (!spec.members.empty() && spec.members.size() != ranks)
        throw std::invalid_argument("an all-to-all wants a member for each rank, or none");
    const auto endpoint = [&](std::size_t rank) {
        return spec.members.empty() ? static_cast<int>(rank) : spec.members[rank];
    };
    PacketTraffic traffic;
    std::vector<std::size_t> walk(ranks);
    for (std::size_t from = 0; from < ranks; ++from) {
        const std::size_t first = spec.order == SendOrder::rotated ? from + 1 : 0;
        for (std::size_t i = 0; i < ranks; ++i) walk[i] = (first + i) % ranks;
        if (spec.order == SendOrder::random) shuffle(walk, spec.seed, from);
        for (int part = 0; part < spec.walks; ++part) {
            for (const std::size_t to : walk) {
                if (to == from || !(bytes[from][to] > 0)) continue;
                PacketMessage message;
                message.source = endpoint(from);
                message.destination = endpoint(to);
                message.size = Bytes(bytes[from][to] / spec.walks);
                message.collective = spec.collective;
                if (!spec.entries.empty()) message.entry = spec.entries[from];
                traffic.push_back(std::move(message));
            }
        }
    }
    return traffic;
}

PacketTraffic ring_all_reduce(int ranks, Bytes size, int collective) {
    if (ranks < 2) throw std::invalid_argument("a ring wants two ranks at least");
    PacketTraffic traffic;
    for (int step = 0; step < 2 * (ranks - 1); ++step) {
        for (int rank = 0; rank < ranks; ++rank) {
            PacketMessage message;
            message.source = rank;
            message.destination = (rank + 1) % ranks;
            message.size = size / ranks;
            message.collective = collective;
            if (step > 0) message.after = {(step - 1) * ranks + (rank + ranks - 1) % ranks};
            traffic.push_back(std::move(message));
        }
    }
    return traffic;
}

PacketTraffic halving_doubling_all_reduce(int ranks, Bytes size, int collective) {
    if (ranks < 2 || (ranks & (ranks - 1)) != 0)
        throw std::invalid_argument("halving and doubling wants a power of two of ranks");
    std::vector<int> distances;
    for (int d = ranks / 2; d >= 1; d /= 2) distances.push_back(d);
    const std::size_t half = distances.size();
    for (std::size_t i = 0; i < half; ++i) distances.push_back(distances[half - 1 - i]);
    PacketTraffic traffic;
    for (std::size_t step = 0; step < distances.size(); ++step) {
        // Halves, quarters... on the way down, the same on the way up.
        const std::size_t level = step < half ? step + 1 : distances.size() - step;
        for (int rank = 0; rank < ranks; ++rank) {
            PacketMessage message;
            message.source = rank;
            message.destination = rank ^ distances[step];
            message.size = size / std::exp2(static_cast<double>(level));
            message.collective = collective;
            if (step > 0) {
                const int before = rank ^ distances[step - 1];  // whose message came last
                message.after = {static_cast<int>(step - 1) * ranks + before};
            }
            traffic.push_back(std::move(message));
        }
    }
    return traffic;
}

void append(PacketTraffic& all, PacketTraffic more) {
    const auto shift = static_cast<int>(all.size());
    for (PacketMessage& message : more) {
        for (int& before : message.after) before += shift;
        all.push_back(std::move(message));
    }
}

}  // namespace podsim
