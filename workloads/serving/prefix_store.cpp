#include "workloads/serving/prefix_store.hpp"

#include <algorithm>
#include <span>

namespace podsim {

namespace {

std::span<const std::uint64_t> leading(const std::vector<std::uint64_t>& names, long count) {
    return std::span(names).first(static_cast<std::size_t>(count));
}

}  // namespace

PrefixStore::PrefixStore(long block_tokens, long page_tokens, long pages,
                         std::vector<CacheTierSpec> tiers, Bytes block_bytes, SharedPort* shared)
    : block_tokens_(block_tokens),
      page_tokens_(page_tokens),
      pages_each_(block_tokens > 0 ? (block_tokens + page_tokens - 1) / page_tokens : 1),
      pages_(pages),
      shared_(shared) {
    const long blocks = pages / pages_each_;
    if (block_tokens == 0 || blocks == 0) return;
    BlockCacheSpec spec;
    spec.block_bytes = block_bytes;
    CacheTierSpec first;
    first.blocks = blocks;
    spec.tiers.push_back(std::move(first));
    for (CacheTierSpec& tier : tiers) spec.tiers.push_back(std::move(tier));
    cache_.emplace(std::move(spec));
}

long PrefixStore::pages_for(long used) const {
    if (!works()) return pages_ - used;
    return (pages_ / pages_each_ - cache_->pinned()) * pages_each_ - used;
}

long PrefixStore::pages_of(const Request& request, long tokens) const {
    const auto pages = [this](long own) { return (own + page_tokens_ - 1) / page_tokens_; };
    const long named = whole_blocks(request);
    return std::max(pages(tokens), named * pages_each_ + pages(tokens - named * block_tokens_));
}

void PrefixStore::expect(const std::vector<std::uint64_t>& names, Seconds there) {
    if (names.empty()) return;
    for (const std::uint64_t name : names) coming_[name] = there.value();
    arrivals_.emplace(there.value(), names);
}

// One that has given way meanwhile may come up anew, later.
void PrefixStore::forget_arrived(Seconds now) {
    while (!arrivals_.empty() && arrivals_.begin()->first <= now.value()) {
        for (const std::uint64_t name : arrivals_.begin()->second) {
            const auto found = coming_.find(name);
            if (found != coming_.end() && found->second <= now.value()) coming_.erase(found);
        }
        arrivals_.erase(arrivals_.begin());
    }
}

long PrefixStore::whole_blocks(const Request& request) const {
    if (!works()) return 0;
    return std::min(static_cast<long>(request.prefix_blocks.size()),
                    request.input_tokens / block_tokens_);
}

long PrefixStore::found_here(const Request& request, Seconds now) {
    if (!works()) return 0;
    return cache_->match(leading(request.prefix_blocks, whole_blocks(request)), now).blocks;
}

// A prefix is used whenever what follows it is: what lacks a block here has none behind it.
long PrefixStore::found(const Request& request, Seconds now) {
    const long here = found_here(request, now), whole = whole_blocks(request);
    if (shared_ == nullptr || here == whole) return here;
    const auto rest = leading(request.prefix_blocks, whole).subspan(static_cast<std::size_t>(here));
    return here + shared_->found(rest, now);
}

std::optional<PrefixPin> PrefixStore::pin(const Request& request, long count, std::size_t group,
                                          Seconds now) {
    if (count == 0) return PrefixPin{};
    const auto names = leading(request.prefix_blocks, count);
    forget_arrived(now);
    PrefixPin pin;
    const PrefixHit before = cache_->match(names, now);
    if (before.blocks > before.by_tier[0]) {
        for (long i = 0; i < before.blocks; ++i) {
            const auto one = names.subspan(static_cast<std::size_t>(i), 1);
            if (cache_->match(one, now).by_tier[0] == 0) pin.from_below.push_back(one.front());
        }
    }
    const auto hit = cache_->acquire(names, count, now);
    if (!hit) return {};
    pin.load = cache_->load_time(*hit);
    pin.shared_there = pin.on_its_way = now;
    pin.from_tiers = hit->blocks - hit->by_tier[0];
    pin.from_shared = count - hit->blocks;
    if (!coming_.empty()) {
        for (const std::uint64_t name : names) {
            const auto found = coming_.find(name);
            if (found != coming_.end())
                pin.on_its_way = std::max(pin.on_its_way, Seconds(found->second));
        }
    }
    if (pin.from_shared > 0) {
        const auto rest = names.subspan(static_cast<std::size_t>(hit->blocks));
        pin.shared_there = shared_->read(rest, group, now);
        cache_->name(rest, now);
        pin.from_below.insert(pin.from_below.end(), rest.begin(), rest.end());
    }
    return pin;
}

long PrefixStore::under_way(const Request& request, long count, Seconds then) const {
    constexpr double kRounding = 1e-9;  // seconds, of a clock in picoseconds
    const double by = then.value() + kRounding;
    if (count == 0 || arrivals_.empty() || arrivals_.rbegin()->first <= by) return 0;
    long late = 0;
    for (const std::uint64_t name : leading(request.prefix_blocks, count)) {
        const auto found = coming_.find(name);
        if (found != coming_.end() && found->second > by) ++late;
    }
    return late;
}

void PrefixStore::unpin(const Request& request, long count, Seconds now) {
    if (count > 0) cache_->release(leading(request.prefix_blocks, count), 0, now);
}

void PrefixStore::make_room(long used, Seconds now) {
    if (!works()) return;
    const long blocks = (used + pages_each_ - 1) / pages_each_, more = blocks - cache_->fresh();
    if (more > 0) {
        (void)cache_->grow(more, now);
    } else if (more < 0) {
        cache_->release({}, -more, now);
    }
}

// One after the other, as far as there is room: what is full keeps the beginning.
long PrefixStore::name_all(const std::vector<std::uint64_t>& names, std::size_t from, Seconds now) {
    long named = 0;
    for (std::size_t i = from; i < names.size(); ++i, ++named) {
        if (!cache_->grow(1, now)) break;
        cache_->name(std::span(names).subspan(i, 1), now);
        coming_.erase(names[i]);  // it was computed here
    }
    return named;
}

long PrefixStore::name(const Request& request, long from, long used, std::size_t group,
                       Seconds now) {
    make_room(used, now);
    std::vector<std::uint64_t> names = request.prefix_blocks;
    names.resize(static_cast<std::size_t>(whole_blocks(request)));
    if (shared_ != nullptr) shared_->write(names, group, now);
    return name_all(names, static_cast<std::size_t>(from), now);
}

void PrefixStore::keep(const Request& request, long used, std::size_t group, Seconds now) {
    if (!works() || request.prefix_blocks.empty()) return;
    make_room(used, now);
    std::vector<std::uint64_t> names = request.prefix_blocks;
    names.resize(static_cast<std::size_t>(whole_blocks(request)));
    names.insert(names.end(), request.reply_blocks.begin(), request.reply_blocks.end());
    if (shared_ != nullptr) shared_->write(names, group, now);
    long held = cache_->match(names, now).blocks;
    if (!cache_->acquire(leading(names, held), held, now)) return;
    held += name_all(names, static_cast<std::size_t>(held), now);
    cache_->release(leading(names, held), 0, now);
}

}  // namespace podsim
