// What a program did, or is to do, as others wrote it down: one graph of nodes for each rank, in
// one form for all formats (Chakra, PyTorch, Kineto, SimAI).
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.hpp"
#include "program/program.hpp"
#include "program/transfer.hpp"

namespace podsim {

enum class TraceFormat { chakra, chakra_json, pytorch, kineto, simai, aicb };
const std::vector<std::pair<const char*, TraceFormat>>& names_of(const TraceFormat*);

enum class TraceKind : std::uint8_t {
    metadata,  // says something, takes no time
    compute,
    memory_load,
    memory_store,
    send,
    receive,
    collective
};
const std::vector<std::pair<const char*, TraceKind>>& names_of(const TraceKind*);

// Chakra's numbers, so that they can be read by value.
enum class TraceCollective : std::uint8_t {
    all_reduce = 0,
    reduce = 1,
    all_gather = 2,
    gather = 3,
    scatter = 4,
    broadcast = 5,
    all_to_all = 6,
    reduce_scatter = 7,
    reduce_scatter_block = 8,
    barrier = 9
};
const std::vector<std::pair<const char*, TraceCollective>>& names_of(const TraceCollective*);

inline constexpr std::uint32_t kNoNode = std::numeric_limits<std::uint32_t>::max();

// Times in seconds. Sizes in bytes; `payload` of a collective as nccl-tests count its buffer (the
// result of an all-gather, the input of a reduce-scatter).
struct TraceNode {
    std::uint64_t id = 0;
    std::uint32_t name = 0;   // index into RankTrace::names
    std::int32_t group = -1;  // index into RankTrace::group_names; -1: all ranks
    std::int32_t peer = -1;   // of a send or receive
    std::int32_t tag = 0;
    std::int32_t stream = -1;  // thread of a host operation, stream of a device's; -1: not said
    std::int32_t priority = 0;
    std::int32_t transfer = -1;  // index into ExecutionTrace::transfers, where podsim wrote it
    std::int32_t instance = -1;  // which execution of it: the tasks that are one
    std::int32_t micro_batch = 0;
    double start = -1;                  // recorded; below zero: not
    double duration = -1;               // recorded; below zero: not
    double flops = 0, bytes = 0;        // of compute and memory nodes
    double payload = 0;                 // of send, receive and collective
    std::uint32_t first = 0, last = 0;  // its dependencies: RankTrace::dependencies[first .. last)
    TraceKind kind = TraceKind::metadata;
    TraceCollective collective = TraceCollective::all_reduce;
    bool on_host = false;
    bool continues = false;  // a later part of what runs already: pays no fixed delay again

    bool communicates() const { return kind >= TraceKind::send; }
};

// Of one rank, or of several that do the same.
struct RankTrace {
    int rank = 0;       // the first of them
    int count = 1;      // ranks from there on
    std::string label;  // of the class, where the trace has one
    std::string file;   // for messages
    std::vector<TraceNode> nodes;
    std::vector<std::uint32_t> dependencies;  // indices of nodes
    std::vector<std::string> names, group_names;
    std::map<std::string, std::string> metadata;
    long control_edges = 0;           // of the dependencies, those that only give an order
    long dangling_control_edges = 0;  // named nodes that are not there: left out

    std::span<const std::uint32_t> dependencies_of(const TraceNode& node) const {
        return std::span(dependencies).subspan(node.first, node.last - node.first);
    }
    const std::string& name_of_node(const TraceNode& node) const { return names[node.name]; }
    std::string group_name(const TraceNode& node) const {
        return node.group < 0 ? "" : group_names[static_cast<std::size_t>(node.group)];
    }
};

// A process group: its members, or how all ranks fall into groups of one shape.
struct TraceGroup {
    std::vector<int> members;
    long ranks = 0, stride = 1;  // without members: of each group

    long size() const { return members.empty() ? ranks : static_cast<long>(members.size()); }
    // Those that `rank` is with.
    std::vector<int> members_with(int rank) const;
};

struct ExecutionTrace {
    TraceFormat format = TraceFormat::chakra;
    std::vector<RankTrace> ranks;              // by first rank
    std::map<std::string, TraceGroup> groups;  // as far as they are known
    std::vector<Transfer> transfers;           // of nodes that podsim wrote
    std::vector<std::string> warnings;
    std::vector<Stream> streams;  // that nodes number, where podsim wrote it
    double rank_skew = 0;         // of the program (program/program.hpp), where podsim wrote it

    int rank_count() const;
};

// `transfer`, whose size is what the collective names, as one of the kinds that fabrics carry, with
// the bytes that must cross a rank's port kept: a reduction of S bytes passes S through every rank
// of a ring, as a reduce-scatter of S n/(n-1) does; a gather or
// scatter is as long as its root, which takes in or gives out what an all-gather does; a barrier is
// an all-reduce of 8 bytes.
Transfer transfer_like(Transfer transfer, TraceCollective collective);

// Puts one rank's nodes together as a reader finds them, with the ids they have there.
class RankBuilder {
  public:
    explicit RankBuilder(RankTrace& rank) : rank_(rank) {}

    std::uint32_t name(std::string_view text);
    std::int32_t group(std::string_view name);
    // `place` (a byte, a line) is for messages.
    void add(const TraceNode& node, std::span<const std::uint64_t> data,
             std::span<const std::uint64_t> control, std::uint64_t place);

    // Turns ids into indices. Control dependencies on nodes that are not there are left out and
    // counted; with `nested` (PyTorch's parents, which contain their children) all of them are.
    // Throws InputError: an id twice, a data dependency on a node that is not there, a circle.
    // `unit` is what places count ("byte", "line").
    void finish(bool nested, const char* unit);

  private:
    std::string where(std::size_t node, const char* unit) const;
    void require_no_circle(const char* unit) const;

    RankTrace& rank_;
    std::map<std::string, std::uint32_t, std::less<>> names_;
    std::map<std::string, std::int32_t, std::less<>> groups_;
    std::vector<std::uint64_t> places_, data_, control_;
    std::vector<std::pair<std::size_t, std::size_t>> ends_;  // by node, in data_ and control_
};

// Nodes so that each comes after its dependencies, else by their place in the trace.
std::vector<std::uint32_t> topological_order(const RankTrace& rank);

}  // namespace podsim
