// Blocks of prompts that a replica keeps for whoever asks for the same prefix, within the memory
// that running sequences leave, and in tiers below it. The store counts in blocks of the traffic's
// names, the engine in blocks of its own (pages), of which each of those is so many.
#pragma once

#include <optional>
#include <vector>

#include "workloads/kv_cache.hpp"
#include "workloads/request.hpp"

namespace podsim {

// Blocks that a prompt holds on to: the time until what lay below is up, and how many that were.
struct PrefixPin {
    Seconds load{0.0};
    long from_tiers = 0;
};

class PrefixStore {
  public:
    // `pages` of `page_tokens` tokens in the chips' memory, `tiers` below. block_tokens 0: prompts
    // have no names, nothing is kept.
    PrefixStore(long block_tokens, long page_tokens, long pages, std::vector<CacheTierSpec> tiers,
                Bytes block_bytes);

    bool works() const { return cache_.has_value(); }
    long block_tokens() const { return block_tokens_; }
    // Neither held here nor used by running sequences.
    long pages_for(long used) const;
    long pinned_pages() const { return works() ? cache_->pinned() * pages_each_ : 0; }

    // Leading whole blocks of the prompt that are here.
    long found(const Request& request, Seconds now);
    // Holds on to the leading `count` blocks, which are here; what is below comes up. The time that
    // takes; nothing and no change where there is no room to come up to.
    std::optional<PrefixPin> pin(const Request& request, long count, Seconds now);
    void unpin(const Request& request, long count, Seconds now);
    // Running sequences use so many pages: what nobody holds gives way to them.
    void make_room(long used, Seconds now);
    // Whole blocks of the prompt from `from` on that were written and are held from now on: so
    // many.
    long name(const Request& request, long from, long used, Seconds now);
    // Whole blocks of the prompt and of the reply that were written, held by nobody.
    void keep(const Request& request, long used, Seconds now);
    // Whole blocks of the prompt alone.
    long whole_blocks(const Request& request) const;

  private:
    long name_all(const std::vector<std::uint64_t>& names, std::size_t from, Seconds now);
    long block_tokens_, pages_each_, pages_;
    std::optional<BlockCache> cache_;
};

}  // namespace podsim
