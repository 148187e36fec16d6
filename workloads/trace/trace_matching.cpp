#include "workloads/trace/trace_matching.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/names.hpp"

namespace podsim {

namespace {

std::vector<int> members_of_group(const ExecutionTrace& trace, const RankTrace& rank,
                                  const TraceNode& node) {
    if (node.group >= 0) {
        const auto found = trace.groups.find(rank.group_name(node));
        if (found != trace.groups.end() && found->second.size() > 0) {
            std::vector<int> members = found->second.members_with(rank.rank);
            std::sort(members.begin(), members.end());
            return members;
        }
    }
    std::vector<int> all(trace.ranks.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    return all;
}

class Matcher {
  public:
    explicit Matcher(const ExecutionTrace& trace) : trace_(trace) {}

    TraceMatching match() {
        for (std::size_t r = 0; r < trace_.ranks.size(); ++r) {
            const RankTrace& rank = trace_.ranks[r];
            result_.event_of.emplace_back(rank.nodes.size(), -1);
            for (const std::uint32_t node : topological_order(rank))
                if (rank.nodes[node].communicates()) enter({static_cast<int>(r), node});
        }
        for (const auto& [key, queue] : groups_) check_group(key.first, queue);
        for (const auto& [key, pair] : messages_) join_messages(key, pair.first, pair.second);
        if (!problems_.empty()) throw InputError(std::move(problems_));
        return std::move(result_);
    }

  private:
    using MessageKey = std::tuple<int, int, int>;  // from, to, tag

    const TraceNode& node_of(const NodeOfRank& which) const {
        return trace_.ranks[static_cast<std::size_t>(which.rank)].nodes[which.node];
    }
    const RankTrace& rank_of(const NodeOfRank& which) const {
        return trace_.ranks[static_cast<std::size_t>(which.rank)];
    }
    void problem(const NodeOfRank& which, const std::string& what, const std::string& hint) {
        if (problems_.size() >= 10) return;
        problems_.push_back({{rank_of(which).file, 0, 0},
                             fmt::format("rank {}, node {}", which.rank, node_of(which).id),
                             what,
                             hint});
    }

    void enter(const NodeOfRank& which) {
        const TraceNode& node = node_of(which);
        if (node.kind != TraceKind::collective) {
            const int ranks = static_cast<int>(trace_.ranks.size());
            const bool sends = node.kind == TraceKind::send;
            if (node.peer >= ranks || node.peer == which.rank)
                return problem(
                    which,
                    fmt::format("{} rank {}, the trace has ranks 0 to {}",
                                sends ? "sends to" : "receives of", node.peer, ranks - 1),
                    node.peer == which.rank ? "that is itself" : "give the files of all ranks");
            const MessageKey key = sends ? MessageKey{which.rank, node.peer, node.tag}
                                         : MessageKey{node.peer, which.rank, node.tag};
            auto& pair = messages_[key];
            (sends ? pair.first : pair.second).push_back(which);
            return;
        }
        const RankTrace& rank = rank_of(which);
        std::vector<int> members = members_of_group(trace_, rank, node);
        if (!std::binary_search(members.begin(), members.end(), which.rank))
            return problem(which,
                           fmt::format("is a collective of group {}, of which rank {} is no "
                                       "member",
                                       rank.group_name(node), which.rank),
                           "");
        // Groups of the same members with different names are different communicators.
        auto& queues = groups_[{std::move(members), rank.group_name(node)}];
        queues[which.rank].push_back(which);
    }

    void check_group(const std::vector<int>& members,
                     const std::map<int, std::vector<NodeOfRank>>& queues) {
        const auto& [first_rank, first] = *queues.begin();
        std::size_t most = 0;
        for (const auto& [rank, queue] : queues) most = std::max(most, queue.size());
        for (const int member : members) {
            const auto found = queues.find(member);
            const std::size_t count = found == queues.end() ? 0 : found->second.size();
            if (count == most) continue;
            const auto longest = std::find_if(queues.begin(), queues.end(), [&](const auto& one) {
                return one.second.size() == most;
            });
            return problem(
                longest->second[count],
                fmt::format("waits for rank {}, which enters {} of the {} collectives of "
                            "this group",
                            member, count, most),
                "the ranks' traces are not of one run");
        }
        for (std::size_t k = 0; k < most; ++k) {
            std::vector<NodeOfRank> event;
            for (const auto& [rank, queue] : queues) {
                if (node_of(queue[k]).collective != node_of(first[k]).collective)
                    return problem(
                        queue[k],
                        fmt::format("is {}, the same collective of rank {} is {} (node "
                                    "{})",
                                    name_of(node_of(queue[k]).collective), first_rank,
                                    name_of(node_of(first[k]).collective), node_of(first[k]).id),
                        "the ranks enter their collectives in different orders");
                event.push_back(queue[k]);
            }
            add(std::move(event), members);
        }
    }

    void join_messages(const MessageKey& key, const std::vector<NodeOfRank>& sends,
                       const std::vector<NodeOfRank>& receives) {
        const auto [from, to, tag] = key;
        const std::size_t both = std::min(sends.size(), receives.size());
        if (sends.size() > both) {
            problem(sends[both],
                    fmt::format("sends to rank {} with tag {} and waits: rank {} receives {} of {} "
                                "such messages",
                                to, tag, to, receives.size(), sends.size()),
                    "every send needs a receive with the same peer and tag");
        } else if (receives.size() > both) {
            problem(receives[both],
                    fmt::format("waits for rank {}, which sends it {} messages with tag {}, and {} "
                                "are received",
                                from, sends.size(), tag, receives.size()),
                    "every receive needs a send with the same peer and tag");
        }
        for (std::size_t k = 0; k < both; ++k) {
            require_one_size(sends[k], receives[k]);
            add({sends[k], receives[k]}, {from, to});
        }
    }

    // A side that says no size takes the other's.
    void require_one_size(const NodeOfRank& send, const NodeOfRank& receive) {
        const double sent = node_of(send).payload, taken = node_of(receive).payload;
        if (sent == taken || sent == 0 || taken == 0) return;
        problem(receive,
                fmt::format("receives {:.0f} bytes of rank {}, which sends {:.0f} (node {})", taken,
                            send.rank, sent, node_of(send).id),
                "comm_size of a send and of its receive are the same; a message more or less on "
                "one side shifts all that follow");
    }

    void add(std::vector<NodeOfRank> event, std::vector<int> members) {
        const auto index = static_cast<std::int32_t>(result_.events.size());
        for (const NodeOfRank& one : event)
            result_.event_of[static_cast<std::size_t>(one.rank)][one.node] = index;
        result_.events.push_back(std::move(event));
        result_.members.push_back(std::move(members));
    }

    const ExecutionTrace& trace_;
    TraceMatching result_;
    std::map<std::pair<std::vector<int>, std::string>, std::map<int, std::vector<NodeOfRank>>>
        groups_;
    std::map<MessageKey, std::pair<std::vector<NodeOfRank>, std::vector<NodeOfRank>>> messages_;
    std::vector<Diagnostic> problems_;
};

// splitmix64's finaliser: two graphs of one hash in 2^64 are not met.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    std::uint64_t x = a * 0x9e3779b97f4a7c15ULL + b + 0x7f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

std::uint64_t of(double value) {
    return std::bit_cast<std::uint64_t>(value);
}

std::uint64_t own_signature(const RankTrace& rank, const TraceMatching& matching, std::size_t r) {
    std::vector<std::uint64_t> names;
    names.reserve(rank.names.size());
    for (const std::string& name : rank.names) names.push_back(std::hash<std::string>{}(name));
    std::uint64_t hash = rank.nodes.size();
    for (std::size_t i = 0; i < rank.nodes.size(); ++i) {
        const TraceNode& node = rank.nodes[i];
        for (const std::uint64_t part :
             {names[node.name], static_cast<std::uint64_t>(node.kind),
              static_cast<std::uint64_t>(node.collective), static_cast<std::uint64_t>(node.on_host),
              static_cast<std::uint64_t>(node.stream), static_cast<std::uint64_t>(node.priority),
              of(node.duration), of(node.flops), of(node.bytes), of(node.payload)})
            hash = mix(hash, part);
        for (const std::uint32_t before : rank.dependencies_of(node)) hash = mix(hash, before);
        const std::int32_t event = matching.event_of[r][i];
        if (event < 0) continue;
        const auto& members = matching.members[static_cast<std::size_t>(event)];
        hash = mix(hash, members.size());
        for (std::size_t m = 1; m < members.size(); ++m)
            hash = mix(hash, static_cast<std::uint64_t>(members[m] - members[m - 1]));
    }
    return hash;
}

}  // namespace

TraceMatching match_ranks(const ExecutionTrace& trace) {
    return Matcher(trace).match();
}

std::vector<int> fold_ranks(const ExecutionTrace& trace, const TraceMatching& matching) {
    const std::size_t ranks = trace.ranks.size();
    std::vector<std::uint64_t> colour(ranks);
    for (std::size_t r = 0; r < ranks; ++r) colour[r] = own_signature(trace.ranks[r], matching, r);
    const auto count = [&] { return std::set(colour.begin(), colour.end()).size(); };
    std::size_t classes = count();
    while (true) {
        std::vector<std::uint64_t> with(matching.events.size(), 0);
        for (std::size_t e = 0; e < with.size(); ++e) {
            std::vector<std::uint64_t> parts;
            for (const NodeOfRank& one : matching.events[e])
                parts.push_back(mix(colour[static_cast<std::size_t>(one.rank)], one.node));
            std::sort(parts.begin(), parts.end());
            for (const std::uint64_t part : parts) with[e] = mix(with[e], part);
        }
        std::vector<std::uint64_t> next = colour;
        for (std::size_t r = 0; r < ranks; ++r) {
            for (const std::int32_t event : matching.event_of[r])
                if (event >= 0) next[r] = mix(next[r], with[static_cast<std::size_t>(event)]);
        }
        colour = std::move(next);
        const std::size_t now = count();
        if (now == classes) break;
        classes = now;
    }
    std::map<std::uint64_t, int> number;
    std::vector<int> result;
    for (const std::uint64_t one : colour)
        result.push_back(number.emplace(one, static_cast<int>(number.size())).first->second);
    return result;
}

}  // namespace podsim
