#include "workloads/kv_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/random.hpp"

namespace podsim {

namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// Names to numbers of entries: open addressing with linear probing at most half full, deletion by
// moving what follows back (Knuth, volume 3, 6.4, algorithm R).
class NameIndex {
  public:
    NameIndex() : slots_(1024) {}

    std::uint32_t find(std::uint64_t name) const {
        for (std::size_t i = home(name);; i = after(i)) {
            if (slots_[i].entry == kNone) return kNone;
            if (slots_[i].name == name) return slots_[i].entry;
        }
    }
    void insert(std::uint64_t name, std::uint32_t entry) {
        if (2 * ++size_ > slots_.size()) grow();
        place(name, entry);
    }
    void erase(std::uint64_t name) {
        std::size_t hole = home(name);
        while (slots_[hole].name != name || slots_[hole].entry == kNone) hole = after(hole);
        for (std::size_t i = after(hole); slots_[i].entry != kNone; i = after(i)) {
            // One may not move before the place it would be looked for from.
            const std::size_t from = home(slots_[i].name);
            const std::size_t to_hole = (i - hole) & (slots_.size() - 1);
            const std::size_t to_home = (i - from) & (slots_.size() - 1);
            if (to_home < to_hole) continue;
            slots_[hole] = slots_[i];
            hole = i;
        }
        slots_[hole].entry = kNone;
        --size_;
    }

  private:
    struct Slot {
        std::uint64_t name = 0;
        std::uint32_t entry = kNone;
    };
    std::size_t home(std::uint64_t name) const { return mix_bits(name) & (slots_.size() - 1); }
    std::size_t after(std::size_t slot) const { return (slot + 1) & (slots_.size() - 1); }
    void place(std::uint64_t name, std::uint32_t entry) {
        std::size_t i = home(name);
        while (slots_[i].entry != kNone) i = after(i);
        slots_[i] = {name, entry};
    }
    void grow() {
        std::vector<Slot> old(2 * slots_.size());
        old.swap(slots_);
        for (const Slot& slot : old)
            if (slot.entry != kNone) place(slot.name, slot.entry);
    }

    std::vector<Slot> slots_;  // a power of two of them
    std::size_t size_ = 0;
};

struct Entry {
    std::uint64_t name = 0;
    double last_use = 0;
    std::uint32_t before = kNone, next = kNone;  // in its tier's list, the last used first
    std::int32_t pins = 0;                       // those that are pinned stand in no list
    std::uint8_t tier = 0;
};

}  // namespace

struct BlockCache::State {
    struct Tier {
        long capacity = 0, held = 0;
        double time_to_live = std::numeric_limits<double>::infinity();
        std::uint32_t first = kNone, last = kNone;
    };

    std::vector<Tier> tiers;
    std::vector<Entry> entries;
    std::vector<std::uint32_t> unused;
    NameIndex index;
    long pinned = 0, fresh = 0;

    void unlink(std::uint32_t number) {
        Entry& entry = entries[number];
        Tier& tier = tiers[entry.tier];
        (entry.before == kNone ? tier.first : entries[entry.before].next) = entry.next;
        (entry.next == kNone ? tier.last : entries[entry.next].before) = entry.before;
    }
    void put_first(std::uint32_t number) {
        Entry& entry = entries[number];
        Tier& tier = tiers[entry.tier];
        entry.before = kNone;
        entry.next = tier.first;
        (tier.first == kNone ? tier.last : entries[tier.first].before) = number;
        tier.first = number;
    }
    // Pins a block wherever it stands: it is then of the first tier, which may be overfull until
    // make_room().
    void pin(std::uint32_t number) {
        Entry& entry = entries[number];
        if (entry.pins++ > 0) return;
        unlink(number);
        --tiers[entry.tier].held;
        entry.tier = 0;
        ++tiers[0].held;
        ++pinned;
    }
    void add_pinned(std::uint64_t name, double now) {
        std::uint32_t number = 0;
        if (unused.empty()) {
            number = static_cast<std::uint32_t>(entries.size());
            entries.emplace_back();
        } else {
            number = unused.back();
            unused.pop_back();
        }
        Entry& entry = entries[number];
        entry = {};
        entry.name = name;
        entry.last_use = now;
        entry.pins = 1;
        index.insert(name, number);
        ++tiers[0].held;
        ++pinned;
    }
    // The least recently used of a tier to the next, where the last may have to give way too.
    void move_down(std::size_t from, std::array<long, kMostCacheTiers>& reason,
                   CacheCounts& counts) {
        const std::uint32_t number = tiers[from].last;
        unlink(number);
        --tiers[from].held;
        ++reason[from];
        const std::size_t to = from + 1;
        if (to == tiers.size()) {
            index.erase(entries[number].name);
            unused.push_back(number);
            return;
        }
        if (tiers[to].held >= tiers[to].capacity) move_down(to, counts.moved_out, counts);
        entries[number].tier = static_cast<std::uint8_t>(to);
        ++tiers[to].held;
        put_first(number);
    }
    void make_room(CacheCounts& counts) {
        // Held and fresh apart: the capacity may be as large as a long.
        while (tiers[0].held > tiers[0].capacity - fresh) move_down(0, counts.moved_out, counts);
    }
    void expire(double now, CacheCounts& counts) {
        for (std::size_t t = 0; t < tiers.size(); ++t) {
            while (tiers[t].last != kNone &&
                   now - entries[tiers[t].last].last_use > tiers[t].time_to_live)
                move_down(t, counts.expired, counts);
        }
    }
};

BlockCache::BlockCache(BlockCacheSpec spec)
    : spec_(std::move(spec)), state_(std::make_unique<State>()) {
    if (spec_.tiers.empty() || spec_.tiers.size() > kMostCacheTiers) {
        throw std::invalid_argument(
            fmt::format("a cache has 1 to {} tiers, not {}", kMostCacheTiers, spec_.tiers.size()));
    }
    for (const CacheTierSpec& tier : spec_.tiers) {
        if (tier.blocks < 1)
            throw std::invalid_argument(fmt::format("tier {} has no blocks", tier.name));
        State::Tier made;
        made.capacity = tier.blocks;
        if (tier.time_to_live) made.time_to_live = tier.time_to_live->value();
        state_->tiers.push_back(made);
    }
}

BlockCache::~BlockCache() = default;
BlockCache::BlockCache(BlockCache&&) noexcept = default;
BlockCache& BlockCache::operator=(BlockCache&&) noexcept = default;

PrefixHit BlockCache::found(std::span<const std::uint64_t> names) const {
    PrefixHit hit;
    for (const std::uint64_t name : names) {
        const std::uint32_t number = state_->index.find(name);
        if (number == kNone) break;
        ++hit.blocks;
        ++hit.by_tier[state_->entries[number].tier];
    }
    return hit;
}

PrefixHit BlockCache::match(std::span<const std::uint64_t> names, Seconds now) {
    state_->expire(now.value(), counts_);
    return found(names);
}

Seconds BlockCache::load_time(const PrefixHit& hit) const {
    Seconds time(0.0);
    for (std::size_t t = 1; t < spec_.tiers.size(); ++t) {
        if (hit.by_tier[t] == 0) continue;
        const CacheTierSpec& tier = spec_.tiers[t];
        time += tier.latency;
        if (tier.bandwidth > BytesPerSecond(0.0))
            time += static_cast<double>(hit.by_tier[t]) * spec_.block_bytes / tier.bandwidth;
    }
    return time;
}

void BlockCache::count(std::size_t looked_up, const PrefixHit& hit) {
    ++counts_.prompts;
    counts_.looked_up += static_cast<long>(looked_up);
    counts_.hits += hit.blocks;
    for (std::size_t t = 0; t < kMostCacheTiers; ++t) counts_.hits_by_tier[t] += hit.by_tier[t];
}

std::optional<PrefixHit> BlockCache::acquire(std::span<const std::uint64_t> names, long blocks,
                                             Seconds now) {
    State& state = *state_;
    state.expire(now.value(), counts_);
    const PrefixHit hit = found(names);
    const auto held = names.first(static_cast<std::size_t>(hit.blocks));
    // What becomes pinned or fresh must find room beside what is so already. A name twice in one
    // prompt counts twice here, which is on the safe side.
    long needed = std::max(0L, blocks - hit.blocks);
    for (const std::uint64_t name : held)
        if (state.entries[state.index.find(name)].pins == 0) ++needed;
    if (needed > available()) return std::nullopt;
    count(names.size(), hit);
    for (const std::uint64_t name : held) state.pin(state.index.find(name));
    state.fresh += std::max(0L, blocks - hit.blocks);
    state.make_room(counts_);
    return hit;
}

bool BlockCache::grow(long blocks, Seconds now) {
    if (blocks > available()) return false;
    state_->expire(now.value(), counts_);
    state_->fresh += blocks;
    state_->make_room(counts_);
    return true;
}

void BlockCache::name(std::span<const std::uint64_t> names, Seconds now) {
    State& state = *state_;
    if (static_cast<long>(names.size()) > state.fresh)
        throw std::invalid_argument(
            fmt::format("{} blocks are named, {} are fresh", names.size(), state.fresh));
    for (const std::uint64_t name : names) {
        const std::uint32_t number = state.index.find(name);
        // The fresh block becomes the one of that name, or is free where there is one.
        --state.fresh;
        ++counts_.named;
        if (number == kNone) {
            state.add_pinned(name, now.value());
        } else {
            state.pin(number);
        }
    }
}

void BlockCache::release(std::span<const std::uint64_t> names, long fresh, Seconds now) {
    State& state = *state_;
    if (fresh < 0 || fresh > state.fresh)
        throw std::invalid_argument(
            fmt::format("{} fresh blocks are freed of {}", fresh, state.fresh));
    state.fresh -= fresh;
    for (std::size_t i = names.size(); i > 0; --i) {
        const std::uint32_t number = state.index.find(names[i - 1]);
        if (number == kNone || state.entries[number].pins == 0)
            throw std::invalid_argument("a block is released that nobody has pinned");
        Entry& entry = state.entries[number];
        entry.last_use = now.value();
        if (--entry.pins > 0) continue;
        --state.pinned;
        state.put_first(number);
    }
}

PrefixHit BlockCache::refer(std::span<const std::uint64_t> names, Seconds now) {
    state_->expire(now.value(), counts_);
    const PrefixHit all = found(names);
    const long kept = std::min(static_cast<long>(names.size()), spec_.tiers[0].blocks);
    const auto beginning = names.first(static_cast<std::size_t>(kept));
    const CacheCounts before = counts_;
    const auto hit = acquire(beginning, kept, now);
    counts_.prompts = before.prompts;
    counts_.looked_up = before.looked_up;
    counts_.hits = before.hits;
    counts_.hits_by_tier = before.hits_by_tier;
    count(names.size(), all);
    if (!hit) return all;
    name(beginning.subspan(static_cast<std::size_t>(hit->blocks)), now);
    release(beginning, 0, now);
    return all;
}

long BlockCache::available() const {
    return state_->tiers[0].capacity - state_->pinned - state_->fresh;
}

long BlockCache::held(std::size_t tier) const {
    return state_->tiers.at(tier).held;
}

long BlockCache::pinned() const {
    return state_->pinned;
}

long BlockCache::fresh() const {
    return state_->fresh;
}

}  // namespace podsim
