// The store of a served model's keys and values, in blocks of so many tokens: which of a prompt's
// leading blocks are there already, who holds them, and which give way.
//
// A block has a name that stands for all tokens up to its end, so that equal leading names are an
// equal prefix, and only an unbroken run of them from the first on is of use. Requests that run pin
// what they use; what nobody pins stays until its room is needed, the least recently used going
// first, and of blocks last used together the one furthest from the prompt's beginning (as vLLM
// frees them: a prefix without its beginning is of no use). Tiers are levels of one store: what
// gives way in one moves down to the next, what is used again comes up to the first, and no block
// stands in two.
//
// Every operation takes a time of order one for each block it names and each tier it moves through.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/units.hpp"

namespace podsim {

inline constexpr std::size_t kMostCacheTiers = 6;
inline constexpr long kUnlimitedBlocks = std::numeric_limits<long>::max();

struct CacheTierSpec {
    std::string name = "hbm";
    long blocks = 0;
    // What a block pays to come up to the first tier, which is free of it.
    BytesPerSecond bandwidth{0.0};
    Seconds latency{0.0};  // once for all blocks of one prompt
    std::optional<Seconds>
        time_to_live;  // since the last use: then it moves down, the last: is gone
};

struct BlockCacheSpec {
    std::vector<CacheTierSpec> tiers;  // the first is where requests run
    Bytes block_bytes{0.0};
};

// Of one prompt: leading blocks that are held, in all and by where they were found.
struct PrefixHit {
    long blocks = 0;
    std::array<long, kMostCacheTiers> by_tier{};
};

struct CacheCounts {
    long prompts = 0;
    long looked_up = 0, hits = 0;  // blocks of prompts
    std::array<long, kMostCacheTiers> hits_by_tier{};
    std::array<long, kMostCacheTiers> moved_out{};  // by lack of room, down or for good
    std::array<long, kMostCacheTiers> expired{};    // by their time to live
    long named = 0;                                 // blocks whose content became known
    double hit_rate() const {
        return looked_up > 0 ? static_cast<double>(hits) / static_cast<double>(looked_up) : 0.0;
    }
};

class BlockCache {
  public:
    // Throws std::invalid_argument: no tier or too many of them, a tier without blocks.
    explicit BlockCache(BlockCacheSpec spec);
    ~BlockCache();
    BlockCache(BlockCache&&) noexcept;
    BlockCache& operator=(BlockCache&&) noexcept;

    const BlockCacheSpec& spec() const { return spec_; }

    // The longest prefix of `names` that is held then. Time alone changes what is held: `now` does
    // not run backwards from call to call.
    PrefixHit match(std::span<const std::uint64_t> names, Seconds now);
    // What a hit costs before its blocks can be used: over the tiers but the first,
    //   latency + blocks x block_bytes / bandwidth.
    Seconds load_time(const PrefixHit& hit) const;

    // For a request that is let in: pins the longest prefix of `names` that is held, brings it up
    // to the first tier, and takes fresh blocks besides, so that it has `blocks` in all. Nothing
    // and no change where there is no room. A request that may not use its last block from the
    // store (engines compute at least one token) leaves that out of `names`.
    std::optional<PrefixHit> acquire(std::span<const std::uint64_t> names, long blocks,
                                     Seconds now);
    // So many fresh blocks more, for tokens that are written. False and no change: no room.
    bool grow(long blocks, Seconds now);
    // Fresh blocks of the caller that are now written and known by these names, pinned by the
    // caller. Where one of that name is held already, the caller pins that and its own is free.
    void name(std::span<const std::uint64_t> names, Seconds now);
    // The end of a request: unpins the blocks of these names (its prefix from the first on) and
    // frees its fresh ones.
    void release(std::span<const std::uint64_t> names, long fresh, Seconds now);

    // Without requests that run: looks a prompt up, then keeps all of it as last used. A prompt
    // longer than the store leaves its beginning there.
    PrefixHit refer(std::span<const std::uint64_t> names, Seconds now);

    // Blocks of the first tier that acquire() and grow() could still take.
    long available() const;
    long held(std::size_t tier) const;  // blocks with names there
    long pinned() const;                // of the first tier
    long fresh() const;                 // of the first tier, without names
    const CacheCounts& counts() const { return counts_; }

  private:
    struct State;
    PrefixHit found(std::span<const std::uint64_t> names) const;
    void count(std::size_t looked_up, const PrefixHit& hit);

    BlockCacheSpec spec_;
    CacheCounts counts_;
    std::unique_ptr<State> state_;
};

}  // namespace podsim
