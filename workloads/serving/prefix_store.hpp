// Blocks of prompts that a replica keeps for whoever asks for the same prefix, within the memory
// that running sequences leave, in tiers below it, and in what replicas share. The store counts in
// blocks of the traffic's names, the engine in blocks of its own (pages), of which each of those is
// so many.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "workloads/kv_cache.hpp"
#include "workloads/request.hpp"
#include "workloads/serving/shared_store.hpp"

namespace podsim {

// Blocks that a prompt holds on to: the time until what lay below is up, when what others share is
// there, and how many they were.
struct PrefixPin {
    Seconds load{0.0};
    Seconds shared_there{0.0};  // a time of the clock
    Seconds on_its_way{0.0};    // so is this: when the last that comes up already is there
    long from_tiers = 0, from_shared = 0;
    std::vector<std::uint64_t> from_below;  // names of these
};

class PrefixStore {
  public:
    // `pages` of `page_tokens` tokens in the chips' memory, `tiers` below. block_tokens 0: prompts
    // have no names, nothing is kept. `shared`, which outlives it, may be null.
    PrefixStore(long block_tokens, long page_tokens, long pages, std::vector<CacheTierSpec> tiers,
                Bytes block_bytes, SharedPort* shared);

    bool works() const { return cache_.has_value(); }
    long block_tokens() const { return block_tokens_; }
    // Tiers of its own, or shared ones.
    bool has_below() const {
        return works() && (shared_ != nullptr || cache_->spec().tiers.size() > 1);
    }
    // Neither held here nor used by running sequences.
    long pages_for(long used) const;
    // What requests can use: whole blocks of names.
    long usable_pages() const { return works() ? pages_ / pages_each_ * pages_each_ : pages_; }
    // Most that a request takes while it has so many tokens: before its whole blocks have names, or
    // after.
    long pages_of(const Request& request, long tokens) const;
    long pinned_pages() const { return works() ? cache_->pinned() * pages_each_ : 0; }

    // Leading whole blocks of the prompt that are here, and with those that replicas share.
    long found_here(const Request& request, Seconds now);
    long found(const Request& request, Seconds now);
    // Holds on to the leading `count` blocks, which are found; what is below, or shared, comes up,
    // for a data-parallel group. Nothing and no change where there is no room to come up to.
    std::optional<PrefixPin> pin(const Request& request, long count, std::size_t group,
                                 Seconds now);
    // These come up and are there then; whoever asks for them before waits for it.
    void expect(const std::vector<std::uint64_t>& names, Seconds there);
    // Of the leading `count` blocks those that come up only after `then`, by what was expected.
    long under_way(const Request& request, long count, Seconds then) const;
    void unpin(const Request& request, long count, Seconds now);
    // Running sequences use so many pages: what nobody holds gives way to them.
    void make_room(long used, Seconds now);
    // Whole blocks of the prompt from `from` on that were written and are held from now on: so
    // many. All of the prompt's go to what replicas share, from that group.
    long name(const Request& request, long from, long used, std::size_t group, Seconds now);
    // Whole blocks of the prompt and of the reply that were written, held by nobody.
    void keep(const Request& request, long used, std::size_t group, Seconds now);
    // Whole blocks of the prompt alone.
    long whole_blocks(const Request& request) const;

  private:
    long name_all(const std::vector<std::uint64_t>& names, std::size_t from, Seconds now);
    void forget_arrived(Seconds now);
    long block_tokens_, page_tokens_, pages_each_, pages_;
    SharedPort* shared_;
    std::optional<BlockCache> cache_;
    std::unordered_map<std::uint64_t, double> coming_;  // up: when each is there, seconds
    std::multimap<double, std::vector<std::uint64_t>> arrivals_;
};

}  // namespace podsim
