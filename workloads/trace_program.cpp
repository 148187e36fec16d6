#include "workloads/trace_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <tuple>

#include "base/names.hpp"
#include "workloads/trace/trace_deadlock.hpp"
#include "workloads/trace/trace_matching.hpp"
#include "workloads/trace_summary.hpp"

namespace podsim {

namespace {

using Groups = std::vector<std::vector<int>>;

// One node of a class, and those of other classes that take part in the same transfer.
struct ClassEvent {
    Transfer transfer;
    std::vector<std::pair<int, std::uint32_t>> parts;  // class, node
    Groups groups;                                     // of ranks, where they are known
};

// A trace as classes: whose graph stands for each, and their transfers.
struct Folded {
    std::vector<const RankTrace*> graphs;
    std::vector<RankClass> classes;
    std::vector<ClassEvent> events;
};

int stride_of(const std::vector<int>& members, bool& regular) {
    if (members.size() < 2) return 1;
    const int stride = members[1] - members[0];
    for (std::size_t i = 1; i < members.size(); ++i)
        regular = regular && members[i] - members[i - 1] == stride;
    const auto last = static_cast<int>(members.size()) - 1;
    return std::max(1, (members.back() - members.front()) / last);
}

class Builder {
  public:
    Builder(const ExecutionTrace& trace, double host_scale, bool tiled)
        : trace_(trace), host_scale_(host_scale), tiled_(tiled) {}

    TraceProgram build(int ranks) {
        const bool explicit_events =
            !trace_.streams.empty() ||
            std::any_of(trace_.ranks.begin(), trace_.ranks.end(), [](const RankTrace& rank) {
                return std::any_of(rank.nodes.begin(), rank.nodes.end(),
                                   [](const TraceNode& node) { return node.instance >= 0; });
            });
        if (ranks > 0 && (trace_.ranks.size() > 1 || explicit_events) &&
            ranks != trace_.rank_count()) {
            throw InputError(
                {trace_.ranks.front().file, 0, 0}, "ranks",
                fmt::format("{} are asked for, the trace is of {}", ranks, trace_.rank_count()),
                "leave ranks out: it is for a trace of one rank that all do alike");
        }
        if (explicit_events) {
            take_events();
        } else if (trace_.ranks.size() == 1) {
            take_alike(ranks > 0 ? ranks : trace_.ranks.front().count);
        } else {
            fold();
        }
        return make();
    }

  private:
    // Transfers as podsim or the reader wrote them: nodes of one instance are one.
    void take_events() {
        std::map<std::int32_t, std::size_t> index;
        for (std::size_t c = 0; c < trace_.ranks.size(); ++c) {
            const RankTrace& rank = trace_.ranks[c];
            add_class(rank, rank.count);
            for (std::size_t i = 0; i < rank.nodes.size(); ++i) {
                const TraceNode& node = rank.nodes[i];
                if (!node.communicates()) continue;
                const auto [found, fresh] = index.try_emplace(node.instance, folded_.events.size());
                if (fresh)
                    folded_.events.push_back(
                        {trace_.transfers[static_cast<std::size_t>(node.transfer)], {}, {}});
                folded_.events[found->second].parts.emplace_back(static_cast<int>(c),
                                                                 static_cast<std::uint32_t>(i));
            }
        }
    }

    // One rank's graph for all of them.
    void take_alike(int ranks) {
        const RankTrace& rank = trace_.ranks.front();
        add_class(rank, ranks);
        for (std::size_t i = 0; i < rank.nodes.size(); ++i) {
            const TraceNode& node = rank.nodes[i];
            if (!node.communicates()) continue;
            const bool message = node.kind != TraceKind::collective;
            Transfer transfer;
            transfer.name = message ? "message" : name_of(node.collective);
            transfer.size = Bytes(node.payload);
            transfer.group_ranks = message ? 2 : ranks;
            if (message) {
                transfer.type = TransferType::send_recv;
                transfer.stride = std::max(1, std::abs(node.peer - rank.rank));
            }
            if (node.group >= 0 && !message) {
                const auto found = trace_.groups.find(rank.group_name(node));
                if (found != trace_.groups.end() && found->second.size() > 0) {
                    transfer.group_ranks = static_cast<int>(found->second.size());
                    transfer.stride = found->second.members.empty()
                                          ? static_cast<int>(found->second.stride)
                                          : stride_of(found->second.members, regular_);
                }
            }
            if (ranks < 2) {
                throw InputError(
                    {rank.file, 0, 0}, fmt::format("node {}", node.id),
                    "communicates, and the trace is of one rank",
                    "workload.ranks says how many ranks do the same, or give the files of all");
            }
            if (transfer.group_ranks > ranks)
                throw InputError(
                    {rank.file, 0, 0}, fmt::format("node {}", node.id),
                    fmt::format("is among {} ranks, {} run", transfer.group_ranks, ranks),
                    "workload.ranks says how many ranks do the same");
            if (!message) transfer = transfer_like(transfer, node.collective);
            if (message) ++lone_messages_;
            folded_.events.push_back({transfer, {{0, static_cast<std::uint32_t>(i)}}, {}});
        }
    }

    void fold() {
        folded_ranks_ = true;
        const TraceMatching matching = match_ranks(trace_);
        std::vector<int> class_of = fold_ranks(trace_, matching);
        if (!add_folded(matching, class_of)) {
            // Members of one class that take part by different nodes: each rank for itself.
            folded_ = {};
            std::iota(class_of.begin(), class_of.end(), 0);
            (void)add_folded(matching, class_of);
        }
        gather_groups(matching, class_of);
    }

    // Every event that a class event stands for has members of its own.
    void gather_groups(const TraceMatching& matching, const std::vector<int>& class_of) {
        std::map<std::vector<std::pair<int, std::uint32_t>>, std::size_t> index;
        for (std::size_t e = 0; e < folded_.events.size(); ++e)
            index.emplace(folded_.events[e].parts, e);
        for (std::size_t e = 0; e < matching.events.size(); ++e) {
            std::set<std::pair<int, std::uint32_t>> parts;
            for (const NodeOfRank& one : matching.events[e])
                parts.insert({class_of[static_cast<std::size_t>(one.rank)], one.node});
            const auto found = index.find({parts.begin(), parts.end()});
            if (found != index.end())
                folded_.events[found->second].groups.push_back(matching.members[e]);
        }
    }

    // Where no one says who meets whom: the ranks of the classes that take part, cut into groups of
    // the transfer's size and stride, what is left over one after the other.
    void tile_groups() {
        std::vector<int> first;
        int ranks = 0;
        for (const RankClass& one : folded_.classes) {
            first.push_back(ranks);
            ranks += one.count;
        }
        for (ClassEvent& event : folded_.events) {
            std::set<int> left;
            for (const auto& [c, node] : event.parts) {
                const int count = folded_.classes[static_cast<std::size_t>(c)].count;
                for (int i = 0; i < count; ++i) left.insert(first[static_cast<std::size_t>(c)] + i);
            }
            const auto size = static_cast<std::size_t>(event.transfer.group_ranks);
            while (left.size() >= size && size > 0) {
                std::vector<int> group;
                for (std::size_t i = 0; i < size; ++i) {
                    const int next = *left.begin() + static_cast<int>(i) * event.transfer.stride;
                    if (left.count(next) != 0) group.push_back(next);
                }
                if (group.size() < size) {
                    group.assign(left.begin(), left.end());
                    group.resize(size);
                }
                for (const int rank : group) left.erase(rank);
                event.groups.push_back(std::move(group));
            }
        }
    }

    bool add_folded(const TraceMatching& matching, const std::vector<int>& class_of) {
        std::vector<int> count, first;
        for (std::size_t r = 0; r < class_of.size(); ++r) {
            const auto c = static_cast<std::size_t>(class_of[r]);
            if (c == count.size()) {
                count.push_back(0);
                first.push_back(static_cast<int>(r));
            }
            ++count[c];
        }
        for (std::size_t c = 0; c < count.size(); ++c)
            add_class(trace_.ranks[static_cast<std::size_t>(first[c])], count[c]);
        std::set<std::vector<std::pair<int, std::uint32_t>>> seen;
        for (std::size_t c = 0; c < count.size(); ++c) {
            for (const std::int32_t event : matching.event_of[static_cast<std::size_t>(first[c])]) {
                if (event < 0) continue;
                if (!add_event(matching, static_cast<std::size_t>(event), class_of, seen))
                    return false;
            }
        }
        return true;
    }

    bool add_event(const TraceMatching& matching, std::size_t event,
                   const std::vector<int>& class_of,
                   std::set<std::vector<std::pair<int, std::uint32_t>>>& seen) {
        std::map<std::pair<int, std::uint32_t>, int> parts;
        for (const NodeOfRank& one : matching.events[event])
            ++parts[{class_of[static_cast<std::size_t>(one.rank)], one.node}];
        std::vector<std::pair<int, std::uint32_t>> keys;
        for (const auto& [key, ranks] : parts) keys.push_back(key);
        if (!seen.insert(keys).second) return true;
        const TraceNode& node = node_of(keys.front());
        const bool message = node.kind != TraceKind::collective;
        for (std::size_t i = 1; i < keys.size(); ++i)
            if (!message && keys[i].first == keys[i - 1].first) return false;
        Transfer transfer;
        transfer.name = message ? "message" : name_of(node.collective);
        transfer.group_ranks = static_cast<int>(matching.members[event].size());
        double most = 0, sum = 0;
        bool equal = true;
        for (const auto& [key, ranks] : parts) {
            most = std::max(most, node_of(key).payload);
            sum += ranks * node_of(key).payload;
            equal = equal && node_of(key).payload == node.payload;
        }
        transfer.size = Bytes(most);
        if (message) {
            const auto& members = matching.members[event];
            transfer.type = TransferType::send_recv;
            transfer.stride = std::abs(members[1] - members[0]);
            for (const auto& key : keys) {
                const bool sends = node_of(key).kind == TraceKind::send;
                transfer.shares.push_back({1, Bytes(sends ? most : 0), Bytes(sends ? 0 : most)});
            }
        } else {
            transfer.stride = stride_of(matching.members[event], regular_);
            transfer = transfer_like(transfer, node.collective);
            // Uneven all-to-alls: each sends its own and receives the mean of all.
            if (!equal && most > 0 && node.collective == TraceCollective::all_to_all) {
                for (const auto& [key, ranks] : parts)
                    transfer.shares.push_back(
                        {ranks, Bytes(node_of(key).payload), Bytes(sum / transfer.group_ranks)});
            } else if (!equal) {
                note_uneven(matching, event);
            }
        }
        folded_.events.push_back({transfer, keys, {}});
        return true;
    }

    void note_uneven(const TraceMatching& matching, std::size_t event) {
        if (uneven_++ > 0) return;
        // The first by which members differ.
        const auto& members = matching.events[event];
        const auto rank_of = [&](const NodeOfRank& one) -> const RankTrace& {
            return trace_.ranks[static_cast<std::size_t>(one.rank)];
        };
        const NodeOfRank& first = members.front();
        const TraceNode& node = rank_of(first).nodes[first.node];
        const auto other = std::find_if(members.begin(), members.end(), [&](const auto& one) {
            return rank_of(one).nodes[one.node].payload != node.payload;
        });
        if (other == members.end()) return;
        const TraceNode& differs = rank_of(*other).nodes[other->node];
        first_uneven_ = fmt::format(
            "{}, node {}: {} of {:.0f} bytes on rank {}, of {:.0f} on rank {} (node {})",
            rank_of(first).file, node.id, name_of(node.collective), node.payload, first.rank,
            differs.payload, other->rank, differs.id);
    }

    const RankTrace& graph_of(const std::pair<int, std::uint32_t>& part) const {
        return *folded_.graphs[static_cast<std::size_t>(part.first)];
    }
    const TraceNode& node_of(const std::pair<int, std::uint32_t>& part) const {
        return graph_of(part).nodes[part.second];
    }

    void add_class(const RankTrace& rank, int count) {
        std::string name = rank.label;
        if (name.empty())
            name = count > 1 ? fmt::format("rank {} and {} alike", rank.rank, count - 1)
                             : fmt::format("rank {}", rank.rank);
        folded_.graphs.push_back(&rank);
        folded_.classes.push_back({name, count});
    }

    TraceProgram make() {
        Program& program = result_.program;
        program.classes = folded_.classes;
        program.streams = trace_.streams;
        program.rank_skew = trace_.rank_skew;
        for (const RankClass& one : folded_.classes) result_.ranks += one.count;
        std::map<std::pair<int, std::uint32_t>, int> event_of;
        for (std::size_t e = 0; e < folded_.events.size(); ++e)
            for (const auto& part : folded_.events[e].parts) event_of[part] = static_cast<int>(e);
        if (tiled_ && !folded_ranks_) tile_groups();
        intern_transfers();
        for (std::size_t c = 0; c < folded_.graphs.size(); ++c)
            add_tasks(static_cast<int>(c), event_of);
        add_warnings();
        try {
            require_valid(program);
        } catch (const std::invalid_argument& error) {
            require_no_deadlock();
            throw InputError({trace_.ranks.front().file, 0, 0}, "", error.what(),
                             "a send runs with its receive: let both sides begin them in orders "
                             "that fit");
        }
        return std::move(result_);
    }

    // Says which ranks it is that wait for each other, where the trace has one graph for each.
    void require_no_deadlock() const {
        if (!folded_ranks_) return;
        if (const auto deadlock = find_deadlock(trace_, match_ranks(trace_)))
            throw InputError({*deadlock});
    }

    // A transfer for each set of groups: what links carry depends on where they sit.
    void intern_transfers() {
        Program& program = result_.program;
        std::map<Groups, int> sets;
        std::vector<int> set_of;  // by transfer
        std::map<std::tuple<std::string, int, int, int, double, int>, std::vector<int>> known;
        for (ClassEvent& event : folded_.events) {
            const Transfer& one = event.transfer;
            const int set = sets.try_emplace(std::move(event.groups), static_cast<int>(sets.size()))
                                .first->second;
            auto& alike = known[{one.name, static_cast<int>(one.type), one.group_ranks, one.stride,
                                 one.size.value(), set}];
            const auto same = std::find_if(alike.begin(), alike.end(), [&](int i) {
                return program.transfers[static_cast<std::size_t>(i)] == one;
            });
            int index = same != alike.end() ? *same : -1;
            if (index < 0) {
                index = static_cast<int>(program.transfers.size());
                program.transfers.push_back(one);
                set_of.push_back(set);
                alike.push_back(index);
            }
            program.instances.push_back({index, std::vector<int>(event.parts.size(), -1)});
        }
        if (!folded_ranks_ && !tiled_) return;
        std::vector<const Groups*> by_number(sets.size(), nullptr);
        for (const auto& [groups, number] : sets)
            by_number[static_cast<std::size_t>(number)] = &groups;
        for (const int set : set_of)
            result_.groups.push_back(*by_number[static_cast<std::size_t>(set)]);
    }

    void add_tasks(int rank_class, const std::map<std::pair<int, std::uint32_t>, int>& event_of) {
        Program& program = result_.program;
        const RankTrace& graph = *folded_.graphs[static_cast<std::size_t>(rank_class)];
        std::vector<int> task_of(graph.nodes.size(), -1);
        for (const std::uint32_t i : topological_order(graph)) {
            const TraceNode& node = graph.nodes[i];
            const int id = static_cast<int>(program.tasks.size());
            Task task;
            task.rank_class = rank_class;
            task.stream = stream_of(node);
            task.priority = node.priority;
            task.continues = node.continues;
            task.micro_batch = node.micro_batch;
            for (const std::uint32_t before : graph.dependencies_of(node))
                task.after.push_back(task_of[before]);
            if (node.communicates()) {
                const int event = event_of.at({rank_class, i});
                task.kind = TaskKind::transfer;
                task.body = event;
                const auto& parts = folded_.events[static_cast<std::size_t>(event)].parts;
                const auto part = std::find(parts.begin(), parts.end(), std::pair(rank_class, i));
                program.instances[static_cast<std::size_t>(event)]
                    .tasks[static_cast<std::size_t>(part - parts.begin())] = id;
            } else if (node.on_host || node.kind == TraceKind::metadata) {
                task.kind = TaskKind::host;
                task.name = graph.name_of_node(node);
                task.host_time = Seconds(std::max(0.0, node.duration) * host_scale_);
            } else {
                task.kind = TaskKind::compute;
                task.body = operator_of(graph, node);
            }
            task_of[i] = id;
            program.tasks.push_back(std::move(task));
        }
    }

    // An operator for each name and amount; how long it takes is found in `work`.
    int operator_of(const RankTrace& graph, const TraceNode& node) {
        const std::string& name = graph.name_of_node(node);
        const auto [found, fresh] =
            operators_.try_emplace(std::tuple(name, node.duration, node.flops, node.bytes),
                                   static_cast<int>(result_.program.operators.size()));
        if (fresh) {
            VectorWork body;
            body.op = "traced";
            body.elements = 1;
            body.flops_per_element = 0;
            result_.program.operators.push_back({name.empty() ? "compute" : name, body});
            result_.work.push_back({node.duration, node.flops, node.bytes});
        }
        return found->second;
    }

    static std::string stream_name(const TraceNode& node) {
        if (node.kind == TraceKind::metadata) return "metadata";
        if (node.stream >= 0)
            return fmt::format("{} {}", node.on_host ? "thread" : "stream", node.stream);
        switch (node.kind) {
            case TraceKind::memory_load:
            case TraceKind::memory_store:
                return "memory";
            case TraceKind::send:
                return "send";
            case TraceKind::receive:
                return "receive";
            case TraceKind::collective:
                return "communication";
            default:
                return node.on_host ? "host" : "compute";
        }
    }

    int stream_of(const TraceNode& node) {
        if (!trace_.streams.empty()) return node.stream;
        const std::string name = stream_name(node);
        const auto [found, fresh] =
            streams_.try_emplace(name, static_cast<int>(result_.program.streams.size()));
        if (fresh) result_.program.streams.push_back({name, 1.0});
        return found->second;
    }

    void add_warnings() {
        if (!regular_)
            result_.warnings.emplace_back(
                "process groups whose ranks are not evenly apart are taken as if they were");
        if (uneven_ > 0)
            result_.warnings.push_back(fmt::format(
                "{} collective{} whose ranks name different sizes, the largest is taken; {}{}",
                uneven_, uneven_ == 1 ? "" : "s", uneven_ == 1 ? "" : "the first is ",
                first_uneven_));
        if (lone_messages_ > 0)
            result_.warnings.push_back(
                fmt::format("{} sends and receives of a trace of one rank: each is taken with a "
                            "partner that is "
                            "ready",
                            lone_messages_));
    }

    const ExecutionTrace& trace_;
    double host_scale_;
    bool tiled_;
    Folded folded_;
    TraceProgram result_;
    std::map<std::tuple<std::string, double, double, double>, int> operators_;
    std::map<std::string, int> streams_;
    bool regular_ = true, folded_ranks_ = false;
    long uneven_ = 0, lone_messages_ = 0;
    std::string first_uneven_;
};

}  // namespace

TraceProgram program_of_trace(const ExecutionTrace& trace, int ranks, double host_scale,
                              bool tiled) {
    return Builder(trace, host_scale, tiled).build(ranks);
}

}  // namespace podsim
