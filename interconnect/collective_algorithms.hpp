// Collectives on a topology: for each algorithm steps, latency and bytes on every link, without
// software. All are linear in the size, so one walk over the routes of one byte a chip serves every
// size; topology_times.hpp remembers them.
//
//   T = latency + S x seconds_per_byte      S as nccl-tests count it (program/transfer.hpp)
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "interconnect/routing.hpp"
#include "interconnect/topology.hpp"

namespace podsim {

enum class Collective { all_reduce, all_gather, reduce_scatter, broadcast, all_to_all, send_recv };
enum class Algorithm {
    ring,              // P - 1 steps to the neighbour; both ways round where chips are rings
    tree,              // two binary trees, half the bytes each, in a pipeline
    halving_doubling,  // log2 P exchanges with a partner; P a power of two
    direct,            // every pair at once
    dimension_wise,    // along each dimension, shares of the bytes in turned orders
    hierarchical,      // within groups, then between equal places of groups
    in_switch          // switches of one tier add up and copy
};
const std::vector<std::pair<const char*, Collective>>& names_of(const Collective*);
const std::vector<std::pair<const char*, Algorithm>>& names_of(const Algorithm*);
std::string to_string(Algorithm algorithm);

// One way to do a collective.
struct CollectiveTerms {
    Algorithm algorithm = Algorithm::ring;
    int steps = 0;
    double latency = 0;                 // s
    double seconds_per_byte = 0;        // of the size
    std::vector<LinkBytes> link_bytes;  // of a size of 1 byte, for each level of the stack
    double time(double bytes) const { return latency + bytes * seconds_per_byte; }
};

// Members are every stride-th chip from `first`; `siblings` groups that begin at the chips from
// `first` on do the same at the same time, and links carry the bytes of all of them. Trees have
// their roots at so many members, a part of the bytes at each. Throws std::invalid_argument:
// members beyond the chips, no route.
struct ChipGroup {
    int members = 1, stride = 1, first = 0, siblings = 1, roots = 1;
    bool operator<(const ChipGroup& o) const {
        return std::tie(members, stride, first, siblings, roots) <
               std::tie(o.members, o.stride, o.first, o.siblings, o.roots);
    }
};

// All that apply, or of these the one that is asked for; empty for one member.
std::vector<CollectiveTerms> collective_terms(const TopologyStack& stack, Collective collective,
                                              const ChipGroup& group, bool reduces_in_switch,
                                              std::optional<Algorithm> only = {});

// The least seconds a byte of all algorithms without switches that add up, for long transfers;
// bytes alone, no latency. Those beside the direct one are looked at only where that takes more
// than `enough`.
CollectiveTerms least_bytes(const TopologyStack& stack, Collective collective,
                            const ChipGroup& group, double enough);

// Hardware latency between the two members that are farthest apart.
double farthest_members(const TopologyStack& stack, const ChipGroup& group);

// The one that is done first for a size.
const CollectiveTerms& best_of(const std::vector<CollectiveTerms>& terms, double bytes);

// Rows that a routing matrix asks for: bytes[i][j] from member i to member j.
CollectiveTerms exchange_terms(const TopologyStack& stack, const ChipGroup& group,
                               const std::vector<std::vector<double>>& bytes);

// Hardware latency between two chips of a stack, ends included.
double pair_latency(const TopologyStack& stack, int from, int to);

// Named terms of small operations between two chips.
struct PairOperations {
    double one_way = 0;             // links and switches
    double read = 0;                // there, memory, back, ends
    double synchronised_write = 0;  // sync_legs ways
    double bandwidth = 0;           // B/s that a pair reaches alone
};
PairOperations pair_operations(const TopologyStack& stack, int from, int to, double bytes);

}  // namespace podsim
