#include "workloads/execution_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

namespace podsim {

const std::vector<std::pair<const char*, TraceFormat>>& names_of(const TraceFormat*) {
    static const std::vector<std::pair<const char*, TraceFormat>> names = {
        {"Chakra", TraceFormat::chakra},
        {"Chakra JSON", TraceFormat::chakra_json},
        {"PyTorch execution trace", TraceFormat::pytorch},
        {"Kineto", TraceFormat::kineto},
        {"SimAI", TraceFormat::simai},
        {"AICB", TraceFormat::aicb}};
    return names;
}

const std::vector<std::pair<const char*, TraceKind>>& names_of(const TraceKind*) {
    static const std::vector<std::pair<const char*, TraceKind>> names = {
        {"metadata", TraceKind::metadata},
        {"compute", TraceKind::compute},
        {"memory load", TraceKind::memory_load},
        {"memory store", TraceKind::memory_store},
        {"send", TraceKind::send},
        {"receive", TraceKind::receive},
        {"collective", TraceKind::collective}};
    return names;
}

const std::vector<std::pair<const char*, TraceCollective>>& names_of(const TraceCollective*) {
    static const std::vector<std::pair<const char*, TraceCollective>> names = {
        {"all_reduce", TraceCollective::all_reduce},
        {"reduce", TraceCollective::reduce},
        {"all_gather", TraceCollective::all_gather},
        {"gather", TraceCollective::gather},
        {"scatter", TraceCollective::scatter},
        {"broadcast", TraceCollective::broadcast},
        {"all_to_all", TraceCollective::all_to_all},
        {"reduce_scatter", TraceCollective::reduce_scatter},
        {"reduce_scatter_block", TraceCollective::reduce_scatter_block},
        {"barrier", TraceCollective::barrier}};
    return names;
}

std::vector<int> TraceGroup::members_with(int rank) const {
    if (!members.empty()) return members;
    std::vector<int> result;
    const long block = rank / (ranks * stride) * (ranks * stride);
    for (long i = 0; i < ranks; ++i)
        result.push_back(static_cast<int>(block + rank % stride + i * stride));
    return result;
}

Transfer transfer_like(Transfer transfer, TraceCollective collective) {
    const double n = transfer.group_ranks;
    switch (collective) {
        case TraceCollective::all_reduce:
            transfer.type = TransferType::all_reduce;
            break;
        case TraceCollective::barrier:
            transfer.type = TransferType::all_reduce;
            transfer.size = Bytes(8);
            break;
        case TraceCollective::all_to_all:
            transfer.type = TransferType::all_to_all;
            break;
        case TraceCollective::all_gather:
        case TraceCollective::gather:
            transfer.type = TransferType::all_gather;
            break;
        case TraceCollective::broadcast:
            transfer.type = TransferType::broadcast;
            break;
        case TraceCollective::reduce:
            transfer.type = TransferType::reduce_scatter;
            if (n > 1) transfer.size *= n / (n - 1);
            break;
        case TraceCollective::scatter:
        case TraceCollective::reduce_scatter:
        case TraceCollective::reduce_scatter_block:
            transfer.type = TransferType::reduce_scatter;
            break;
    }
    return transfer;
}

int ExecutionTrace::rank_count() const {
    int count = 0;
    for (const RankTrace& rank : ranks) count += rank.count;
    return count;
}

std::uint32_t RankBuilder::name(std::string_view text) {
    const auto found = names_.find(text);
    if (found != names_.end()) return found->second;
    const auto index = static_cast<std::uint32_t>(rank_.names.size());
    rank_.names.emplace_back(text);
    names_.emplace(text, index);
    return index;
}

std::int32_t RankBuilder::group(std::string_view name) {
    const auto found = groups_.find(name);
    if (found != groups_.end()) return found->second;
    const auto index = static_cast<std::int32_t>(rank_.group_names.size());
    rank_.group_names.emplace_back(name);
    groups_.emplace(name, index);
    return index;
}

void RankBuilder::add(const TraceNode& node, std::span<const std::uint64_t> data,
                      std::span<const std::uint64_t> control, std::uint64_t place) {
    rank_.nodes.push_back(node);
    places_.push_back(place);
    data_.insert(data_.end(), data.begin(), data.end());
    control_.insert(control_.end(), control.begin(), control.end());
    ends_.emplace_back(data_.size(), control_.size());
}

std::string RankBuilder::where(std::size_t node, const char* unit) const {
    return fmt::format("{} {}, node {}", unit, places_[node], rank_.nodes[node].id);
}

namespace {

// From an id to the index of its node. Ids are not dense, but nearly so in most files.
class IdIndex {
  public:
    explicit IdIndex(const std::vector<TraceNode>& nodes) {
        if (nodes.empty()) return;
        std::uint64_t last = 0;
        least_ = nodes.front().id;
        for (const TraceNode& node : nodes) {
            least_ = std::min(least_, node.id);
            last = std::max(last, node.id);
        }
        if ((last - least_) / 8 <= nodes.size()) {
            table_.assign(last - least_ + 1, kNoNode);
        } else {
            sorted_.reserve(nodes.size());
        }
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            const auto index = static_cast<std::uint32_t>(i);
            if (table_.empty()) {
                sorted_.emplace_back(nodes[i].id, index);
            } else if (auto& place = table_[nodes[i].id - least_]; place == kNoNode) {
                place = index;
            } else {
                twice_.emplace_back(place, index);
            }
        }
        std::sort(sorted_.begin(), sorted_.end());
        for (std::size_t i = 1; i < sorted_.size(); ++i) {
            if (sorted_[i].first == sorted_[i - 1].first)
                twice_.emplace_back(sorted_[i - 1].second, sorted_[i].second);
        }
    }

    std::uint32_t find(std::uint64_t id) const {
        if (!table_.empty()) {
            return id < least_ || id - least_ >= table_.size() ? kNoNode : table_[id - least_];
        }
        const auto found =
            std::lower_bound(sorted_.begin(), sorted_.end(), std::pair(id, std::uint32_t{0}));
        return found != sorted_.end() && found->first == id ? found->second : kNoNode;
    }
    const std::vector<std::pair<std::uint32_t, std::uint32_t>>& twice() const { return twice_; }

  private:
    std::uint64_t least_ = 0;
    std::vector<std::uint32_t> table_;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> sorted_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> twice_;
};

// How many of many problems are told.
constexpr std::size_t kMostProblems = 10;

struct Followers {
    std::vector<std::uint32_t> begin, list;  // compressed rows

    explicit Followers(const RankTrace& rank) : begin(rank.nodes.size() + 1, 0) {
        for (const std::uint32_t before : rank.dependencies) ++begin[before + 1];
        for (std::size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
        list.resize(rank.dependencies.size());
        std::vector<std::uint32_t> fill(begin.begin(), begin.end() - 1);
        for (std::size_t i = 0; i < rank.nodes.size(); ++i) {
            for (const std::uint32_t before : rank.dependencies_of(rank.nodes[i]))
                list[fill[before]++] = static_cast<std::uint32_t>(i);
        }
    }
};

}  // namespace

void RankBuilder::finish(bool nested, const char* unit) {
    std::vector<Diagnostic> problems;
    const auto problem = [&](std::size_t node, std::string what, std::string hint) {
        if (problems.size() < kMostProblems)
            problems.push_back(
                {{rank_.file, 0, 0}, where(node, unit), std::move(what), std::move(hint)});
    };
    if (data_.size() + control_.size() >= kNoNode || rank_.nodes.size() >= kNoNode) {
        throw InputError(
            {rank_.file, 0, 0}, "",
            fmt::format("{} nodes with {} dependencies, four thousand million are read",
                        rank_.nodes.size(), data_.size() + control_.size()));
    }
    const IdIndex index(rank_.nodes);
    for (const auto& [first, second] : index.twice()) {
        problem(second, fmt::format("has the id of the node at {} {}", unit, places_[first]),
                "every node of a rank has an id of its own");
    }
    rank_.dependencies.reserve(data_.size() + (nested ? 0 : control_.size()));
    std::size_t d = 0, c = 0;
    for (std::size_t i = 0; i < rank_.nodes.size(); ++i) {
        TraceNode& node = rank_.nodes[i];
        node.first = static_cast<std::uint32_t>(rank_.dependencies.size());
        for (; d < ends_[i].first; ++d) {
            const std::uint32_t before = index.find(data_[d]);
            if (before == kNoNode) {
                problem(i,
                        fmt::format("depends on the data of node {}, which is not there", data_[d]),
                        "the trace was cut, or is of another rank");
            } else {
                rank_.dependencies.push_back(before);
            }
        }
        for (; c < ends_[i].second; ++c) {
            const std::uint32_t before = index.find(control_[c]);
            if (before == kNoNode) {
                ++rank_.dangling_control_edges;
            } else if (!nested) {
                rank_.dependencies.push_back(before);
                ++rank_.control_edges;
            }
        }
        node.last = static_cast<std::uint32_t>(rank_.dependencies.size());
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    require_no_circle(unit);
    data_ = {};
    control_ = {};
}

void RankBuilder::require_no_circle(const char* unit) const {
    if (topological_order(rank_).size() == rank_.nodes.size()) return;
    // What Kahn's order leaves over holds a circle: walk back from any of it until a node repeats.
    std::vector<char> done(rank_.nodes.size(), 0);
    for (const std::uint32_t node : topological_order(rank_)) done[node] = 1;
    std::vector<std::uint32_t> path;
    std::vector<char> seen(rank_.nodes.size(), 0);
    std::uint32_t now = 0;
    while (done[now] != 0) ++now;
    while (seen[now] == 0) {
        seen[now] = 1;
        path.push_back(now);
        for (const std::uint32_t before : rank_.dependencies_of(rank_.nodes[now])) {
            if (done[before] != 0) continue;
            now = before;
            break;
        }
    }
    const auto start = std::find(path.begin(), path.end(), now);
    std::vector<std::string> ids;
    for (auto it = start; it != path.end() && ids.size() < kMostProblems; ++it)
        ids.push_back(std::to_string(rank_.nodes[*it].id));
    const auto length = path.end() - start;
    throw InputError({rank_.file, 0, 0}, where(now, unit),
                     fmt::format("waits for itself, in a circle of {} node{}: {}{}", length,
                                 length == 1 ? "" : "s", fmt::join(ids, " <- "),
                                 static_cast<std::size_t>(length) > ids.size() ? " <- ..." : ""),
                     "no order can run it; remove one of these dependencies");
}

std::vector<std::uint32_t> topological_order(const RankTrace& rank) {
    const Followers followers(rank);
    std::vector<std::uint32_t> missing(rank.nodes.size());
    // The earliest in the file first, so that the order of the writer is kept where it is one.
    std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
    for (std::size_t i = 0; i < missing.size(); ++i) {
        missing[i] = rank.nodes[i].last - rank.nodes[i].first;
        if (missing[i] == 0) ready.push(static_cast<std::uint32_t>(i));
    }
    std::vector<std::uint32_t> order;
    order.reserve(missing.size());
    while (!ready.empty()) {
        const std::uint32_t node = ready.top();
        ready.pop();
        order.push_back(node);
        for (std::uint32_t i = followers.begin[node]; i < followers.begin[node + 1]; ++i) {
            if (--missing[followers.list[i]] == 0) ready.push(followers.list[i]);
        }
    }
    return order;
}

}  // namespace podsim
