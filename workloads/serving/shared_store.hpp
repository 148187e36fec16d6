// Memory that replicas share: blocks that one of them has written are a hit for all (Mooncake
// Store, EMS of CloudMatrix). A block is there once it has arrived; what is read and written passes
// the memory and the ports of the group that asks, each in the order in which it is asked for:
//
//   there = max(max(now, tier free) + bytes / bandwidth,
//               max(now, port free) + tokens x a token's time over the port) + latency
//
// Writes go on behind the engine's back, reads delay the step that needs them. What gives way in
// one tier moves down to the next, which costs nothing.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <unordered_set>
#include <vector>

#include "workloads/kv_cache.hpp"
#include "workloads/serving.hpp"
#include "workloads/serving/records.hpp"

namespace podsim {

class SharedStore {
  public:
    // `token_bytes`: of one token's cache, as it is kept.
    SharedStore(const std::vector<CacheTierSpec>& tiers, long block_tokens, Bytes token_bytes);

    // Leading blocks of `names` that have arrived.
    long found(std::span<const std::uint64_t> names, Seconds now);
    // Brings up blocks that are found. When they are there; `port` is when the reader's is free,
    // before and after.
    Seconds read(std::span<const std::uint64_t> names, const SharedPath& path, double& port,
                 Seconds now);
    // Whole blocks of a prefix from its first on: those that are neither here nor on their way are
    // written, those that are here are used last.
    void write(std::span<const std::uint64_t> names, const SharedPath& path, double& port,
               Seconds now);

    std::vector<SharedTierOutcome> outcome(double span, std::size_t windows) const;

  private:
    struct Arrival {
        std::vector<std::uint64_t> names;  // of the prefix
        std::size_t written = 0;           // from this one on
    };
    struct Tier {
        double free = 0;  // seconds
        SharedTierOutcome sums;
        Windows busy;
    };
    void arrive(Seconds now);
    void note_held();
    double pass(std::size_t tier, double bytes, double now);

    long block_tokens_;
    double token_bytes_;
    BlockCache cache_;
    std::vector<Tier> tiers_;
    std::multimap<double, Arrival> coming_;  // by when they are there
    std::unordered_set<std::uint64_t> on_their_way_;
};

// A replica's way to it, for each of its data-parallel groups.
class SharedPort {
  public:
    SharedPort(SharedStore& store, const SharedPath& path, long groups);
    long found(std::span<const std::uint64_t> names, Seconds now);
    Seconds read(std::span<const std::uint64_t> names, std::size_t group, Seconds now);
    void write(std::span<const std::uint64_t> names, std::size_t group, Seconds now);

  private:
    SharedStore* store_;
    SharedPath path_;
    std::vector<double> in_, out_;  // when each group's ports are free, seconds
};

}  // namespace podsim
