#include "workloads/trace_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/names.hpp"

namespace podsim {

long members_of(const ExecutionTrace& trace, const RankTrace& rank, const TraceNode& node) {
    if (node.kind == TraceKind::send || node.kind == TraceKind::receive) return 2;
    if (node.transfer >= 0)
        return trace.transfers[static_cast<std::size_t>(node.transfer)].group_ranks;
    if (node.group >= 0) {
        const auto found = trace.groups.find(rank.group_name(node));
        if (found != trace.groups.end() && found->second.size() > 0) return found->second.size();
    }
    return trace.rank_count();
}

namespace {

// Of each node the longest way to its end, by `length`; then the way back from the longest.
template <class Length>
std::vector<std::uint32_t> longest_path(const RankTrace& rank, const Length& length,
                                        double& total) {
    std::vector<double> end(rank.nodes.size(), 0);
    std::vector<std::uint32_t> from(rank.nodes.size(), kNoNode);
    std::uint32_t last = kNoNode;
    for (const std::uint32_t i : topological_order(rank)) {
        const TraceNode& node = rank.nodes[i];
        for (const std::uint32_t before : rank.dependencies_of(node)) {
            if (from[i] != kNoNode && end[before] <= end[from[i]]) continue;
            from[i] = before;
        }
        end[i] = length(node) + (from[i] != kNoNode ? end[from[i]] : 0);
        if (last == kNoNode || end[i] > end[last]) last = i;
    }
    std::vector<std::uint32_t> path;
    total = last != kNoNode ? end[last] : 0;
    for (; last != kNoNode; last = from[last]) path.push_back(last);
    std::reverse(path.begin(), path.end());
    return path;
}

double recorded(const TraceNode& node) {
    return std::max(0.0, node.duration);
}

TracePath describe(const RankTrace& rank, std::vector<std::uint32_t> path, double seconds) {
    constexpr std::size_t shown = 5;
    TracePath result;
    result.rank = rank.rank;
    result.nodes = static_cast<long>(path.size());
    result.seconds = seconds;
    std::stable_sort(path.begin(), path.end(), [&](std::uint32_t a, std::uint32_t b) {
        return recorded(rank.nodes[a]) > recorded(rank.nodes[b]);
    });
    for (std::size_t i = 0; i < std::min(shown, path.size()); ++i) {
        const TraceNode& node = rank.nodes[path[i]];
        if (recorded(node) > 0) result.names.push_back(rank.name_of_node(node));
    }
    return result;
}

std::string kind_word(const TraceNode& node) {
    if (node.kind == TraceKind::compute) return node.on_host ? "compute, host" : "compute, device";
    return name_of(node.kind);
}

class Summary {
  public:
    explicit Summary(const ExecutionTrace& trace) : trace_(trace) {}

    TraceSummary make() {
        result_.format = trace_.format;
        result_.files = static_cast<long>(trace_.ranks.size());
        result_.ranks = trace_.rank_count();
        result_.warnings = trace_.warnings;
        for (const RankTrace& rank : trace_.ranks) add(rank);
        for (const auto& [key, sum] : kinds_) result_.kinds.push_back(sum);
        std::stable_sort(result_.kinds.begin(), result_.kinds.end(),
                         [](const auto& a, const auto& b) { return a.nodes > b.nodes; });
        for (auto& [key, one] : transfers_) {
            // Of a trace that has not all members, as often as one of them says.
            one.second.times /= static_cast<double>(std::min(one.second.ranks, result_.ranks));
            one.second.seconds = one.first > 0 ? one.second.seconds / one.first : -1;
            result_.transfers.push_back(one.second);
        }
        std::stable_sort(
            result_.transfers.begin(), result_.transfers.end(),
            [](const auto& a, const auto& b) { return a.payload * a.times > b.payload * b.times; });
        say_what_is_missing();
        return std::move(result_);
    }

  private:
    void add(const RankTrace& rank) {
        result_.file_nodes += static_cast<long>(rank.nodes.size());
        result_.nodes += static_cast<long>(rank.nodes.size()) * rank.count;
        result_.edges += static_cast<long>(rank.dependencies.size());
        result_.control_edges += rank.control_edges;
        result_.dangling += rank.dangling_control_edges;
        double begin = -1, end = 0;
        for (const TraceNode& node : rank.nodes) {
            count(rank, node);
            if (node.start < 0) continue;
            begin = begin < 0 ? node.start : std::min(begin, node.start);
            end = std::max(end, node.start + recorded(node));
        }
        if (begin >= 0) result_.first_to_last = std::max(result_.first_to_last, end - begin);
        double nodes = 0, seconds = 0;
        const auto chain = longest_path(
            rank, [](const TraceNode&) { return 1.0; }, nodes);
        if (static_cast<long>(chain.size()) > result_.longest_chain.nodes)
            result_.longest_chain = describe(rank, chain, 0);
        const auto path = longest_path(rank, recorded, seconds);
        if (seconds > result_.critical_path.seconds)
            result_.critical_path = describe(rank, path, seconds);
    }

    void count(const RankTrace& rank, const TraceNode& node) {
        TraceKindSum& sum = kinds_[kind_word(node)];
        sum.kind = kind_word(node);
        const double ranks = rank.count;
        sum.nodes += rank.count;
        sum.timed += node.duration >= 0 ? rank.count : 0;
        sum.seconds += ranks * recorded(node);
        sum.flops += ranks * node.flops;
        sum.bytes += ranks * (node.communicates() ? node.payload : node.bytes);
        const bool work = node.duration >= 0 || node.flops > 0 || node.bytes > 0;
        if (node.kind == TraceKind::compute && !work) idle_ += rank.count;
        if (!node.communicates()) return;
        std::string type =
            node.kind == TraceKind::collective ? name_of(node.collective) : name_of(node.kind);
        if (node.transfer >= 0) {
            const auto& transfer = trace_.transfers[static_cast<std::size_t>(node.transfer)];
            type = to_string(transfer.type);
        }
        const long members = members_of(trace_, rank, node);
        auto& [timed, one] = transfers_[{type, node.payload, members}];
        one.type = type;
        one.ranks = members;
        one.payload = node.payload;
        one.times += ranks;
        one.seconds += ranks * recorded(node);
        if (node.duration >= 0) timed += ranks;
    }

    void say_what_is_missing() {
        const auto& kinds = result_.kinds;
        const auto any = [&](const auto& test) {
            return std::any_of(kinds.begin(), kinds.end(), test);
        };
        const auto computes = [](const TraceKindSum& sum) {
            return sum.kind.rfind("compute", 0) == 0 || sum.kind.rfind("memory", 0) == 0;
        };
        if (any(computes) && !any([&](const auto& sum) { return computes(sum) && sum.timed > 0; }))
            result_.missing.emplace_back(
                "recorded durations of compute: replay it with compute: chip");
        if (any(computes) && !any([&](const auto& sum) {
                return computes(sum) && (sum.flops > 0 || sum.bytes > 0);
            }))
            result_.missing.emplace_back(
                "FLOP and bytes of compute: replay it with compute: recorded");
        if (idle_ > 0)
            result_.missing.push_back(fmt::format(
                "a duration, FLOP or bytes of {} compute nodes: they take no time", idle_));
        if (result_.ranks == 1 && !transfers_.empty())
            result_.missing.emplace_back(
                "the other ranks: replay it with ranks: N, all doing as this one");
    }

    const ExecutionTrace& trace_;
    TraceSummary result_;
    std::map<std::string, TraceKindSum> kinds_;
    std::map<std::tuple<std::string, double, long>, std::pair<double, TraceTransferSum>> transfers_;
    long idle_ = 0;
};

}  // namespace

TraceSummary summarise(const ExecutionTrace& trace) {
    return Summary(trace).make();
}

}  // namespace podsim
