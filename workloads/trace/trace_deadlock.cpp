#include "workloads/trace/trace_deadlock.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/names.hpp"

namespace podsim {

namespace {

// Steps of a circle that are told.
constexpr std::size_t kMostSteps = 8;

// What cannot run before all of it can: a node by itself, or all nodes of one transfer.
class Waits {
  public:
    Waits(const ExecutionTrace& trace, const TraceMatching& matching)
        : trace_(trace), matching_(matching), done_(trace.ranks.size()) {
        for (std::size_t r = 0; r < done_.size(); ++r)
            done_[r].assign(trace.ranks[r].nodes.size(), 0);
        run();
    }

    std::optional<NodeOfRank> first_stuck() const {
        for (std::size_t r = 0; r < done_.size(); ++r) {
            const auto stuck = std::find(done_[r].begin(), done_[r].end(), 0);
            if (stuck != done_[r].end())
                return NodeOfRank{static_cast<int>(r),
                                  static_cast<std::uint32_t>(stuck - done_[r].begin())};
        }
        return std::nullopt;
    }
    bool stuck(const NodeOfRank& one) const { return done_[index(one.rank)][one.node] == 0; }

    // Of the same rank, not done either.
    std::optional<NodeOfRank> before(const NodeOfRank& one) const {
        const RankTrace& rank = trace_.ranks[index(one.rank)];
        for (const std::uint32_t node : rank.dependencies_of(rank.nodes[one.node]))
            if (done_[index(one.rank)][node] == 0) return NodeOfRank{one.rank, node};
        return std::nullopt;
    }
    std::vector<NodeOfRank> partners(const NodeOfRank& one) const {
        const std::int32_t event = matching_.event_of[index(one.rank)][one.node];
        if (event < 0) return {one};
        return matching_.events[static_cast<std::size_t>(event)];
    }

  private:
    static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

    // Kahn's order over all ranks.
    void run() {
        std::vector<std::vector<std::uint32_t>> missing(done_.size());
        std::vector<std::vector<std::vector<std::uint32_t>>> followers(done_.size());
        std::vector<NodeOfRank> ready;
        std::vector<std::size_t> entered(matching_.events.size(), 0);
        const auto arrive = [&](const NodeOfRank& one) {
            const std::int32_t event = matching_.event_of[index(one.rank)][one.node];
            if (event < 0) return ready.push_back(one);
            const auto e = static_cast<std::size_t>(event);
            const auto& all = matching_.events[e];
            if (++entered[e] == all.size()) ready.insert(ready.end(), all.begin(), all.end());
        };
        for (std::size_t r = 0; r < done_.size(); ++r) {
            const RankTrace& rank = trace_.ranks[r];
            missing[r].resize(rank.nodes.size());
            followers[r].resize(rank.nodes.size());
            for (std::size_t i = 0; i < rank.nodes.size(); ++i) {
                const auto node = static_cast<std::uint32_t>(i);
                for (const std::uint32_t earlier : rank.dependencies_of(rank.nodes[i]))
                    followers[r][earlier].push_back(node);
                missing[r][i] = rank.nodes[i].last - rank.nodes[i].first;
            }
        }
        for (std::size_t r = 0; r < done_.size(); ++r)
            for (std::size_t i = 0; i < missing[r].size(); ++i)
                if (missing[r][i] == 0)
                    arrive({static_cast<int>(r), static_cast<std::uint32_t>(i)});
        while (!ready.empty()) {
            const NodeOfRank one = ready.back();
            ready.pop_back();
            done_[index(one.rank)][one.node] = 1;
            for (const std::uint32_t next : followers[index(one.rank)][one.node])
                if (--missing[index(one.rank)][next] == 0) arrive({one.rank, next});
        }
    }

    const ExecutionTrace& trace_;
    const TraceMatching& matching_;
    std::vector<std::vector<char>> done_;  // by rank, by node
};

std::string told(const ExecutionTrace& trace, const NodeOfRank& one) {
    const TraceNode& node = trace.ranks[static_cast<std::size_t>(one.rank)].nodes[one.node];
    std::string what = "node";
    if (node.kind == TraceKind::send) what = fmt::format("send to rank {}", node.peer);
    if (node.kind == TraceKind::receive) what = fmt::format("receive of rank {}", node.peer);
    if (node.kind == TraceKind::collective) what = name_of(node.collective);
    return fmt::format("rank {}'s {} (node {})", one.rank, what, node.id);
}

}  // namespace

std::optional<Diagnostic> find_deadlock(const ExecutionTrace& trace,
                                        const TraceMatching& matching) {
    const Waits waits(trace, matching);
    const auto start = waits.first_stuck();
    if (!start) return std::nullopt;
    // Back from what is stuck to what it waits for, until a node comes again: in the same rank
    // first, else over the member of its transfer that waits for something in its own rank.
    struct Step {
        NodeOfRank node;
        bool over;  // reached as a member of the same transfer, not as what comes before
    };
    std::vector<Step> path;
    std::map<NodeOfRank, std::size_t> seen;
    NodeOfRank now = *start;
    bool over = false;
    while (seen.emplace(now, path.size()).second) {
        path.push_back({now, over});
        if (const auto before = waits.before(now)) {
            now = *before;
            over = false;
            continue;
        }
        for (const NodeOfRank& partner : waits.partners(now)) {
            if (partner == now || !waits.before(partner)) continue;
            now = partner;
            over = true;
            break;
        }
    }
    path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(seen.at(now)));
    path.front().over = over;
    // From a transfer that is entered from within its rank, so that the tale begins with it.
    const auto communicates = [&](const NodeOfRank& one) {
        return trace.ranks[static_cast<std::size_t>(one.rank)].nodes[one.node].communicates();
    };
    const auto first = std::find_if(path.begin(), path.end(), [&](const Step& step) {
        return !step.over && communicates(step.node);
    });
    if (first != path.end()) std::rotate(path.begin(), first, path.end());
    std::string tale;
    std::size_t steps = 0;
    for (std::size_t i = 1; i <= path.size(); ++i) {
        const Step& step = path[i % path.size()];
        if (!communicates(step.node)) continue;  // what lies between two transfers of a rank
        if (++steps > kMostSteps) {
            tale += ", and so on";
            break;
        }
        tale += fmt::format("{}{} {}", steps == 1 ? "" : ", which ",
                            step.over ? "runs with" : "comes after", told(trace, step.node));
    }
    const NodeOfRank& head = path.front().node;
    const RankTrace& rank = trace.ranks[static_cast<std::size_t>(head.rank)];
    return Diagnostic{
        {rank.file, 0, 0},
        fmt::format("rank {}, node {}", head.rank, rank.nodes[head.node].id),
        fmt::format("transfers wait for each other in a circle: {} {}", told(trace, head), tale),
        "a send runs with its receive: let both sides begin them in orders that fit"};
}

}  // namespace podsim
