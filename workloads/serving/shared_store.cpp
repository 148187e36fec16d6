#include "workloads/serving/shared_store.hpp"

#include <algorithm>
#include <utility>

namespace podsim {

SharedStore::SharedStore(const std::vector<CacheTierSpec>& tiers, long block_tokens,
                         Bytes token_bytes)
    : block_tokens_(block_tokens),
      token_bytes_(token_bytes.value()),
      cache_(BlockCacheSpec{tiers, static_cast<double>(block_tokens) * token_bytes}),
      tiers_(tiers.size()) {}

// Bytes that pass a tier; when the last of them has.
double SharedStore::pass(std::size_t tier, double bytes, double now) {
    Tier& one = tiers_[tier];
    const double begin = std::max(now, one.free);
    one.free = begin + bytes / cache_.spec().tiers[tier].bandwidth.value();
    one.sums.busy += one.free - begin;
    one.sums.busy_until = one.free;
    one.busy.add(begin, one.free, 1);
    return one.free;
}

// What has arrived by now. Where a block before it has given way meanwhile it is of no use.
void SharedStore::arrive(Seconds now) {
    while (!coming_.empty() && coming_.begin()->first <= now.value()) {
        const Seconds then(coming_.begin()->first);
        const Arrival arrival = std::move(coming_.begin()->second);
        coming_.erase(coming_.begin());
        for (std::size_t i = arrival.written; i < arrival.names.size(); ++i)
            on_their_way_.erase(arrival.names[i]);
        if (cache_.match(arrival.names, then).blocks < static_cast<long>(arrival.written)) continue;
        (void)cache_.refer(arrival.names, then);
        note_held();
    }
}

void SharedStore::note_held() {
    for (std::size_t t = 0; t < tiers_.size(); ++t)
        tiers_[t].sums.peak_blocks = std::max(tiers_[t].sums.peak_blocks, cache_.held(t));
}

long SharedStore::found(std::span<const std::uint64_t> names, Seconds now) {
    arrive(now);
    return cache_.match(names, now).blocks;
}

Seconds SharedStore::read(std::span<const std::uint64_t> names, const SharedPath& path,
                          double& port, Seconds now) {
    arrive(now);
    const PrefixHit hit = cache_.refer(names, now);
    note_held();
    double there = now.value(), latency = 0, tokens = 0;
    for (std::size_t t = 0; t < tiers_.size(); ++t) {
        if (hit.by_tier[t] == 0) continue;
        const double own = static_cast<double>(hit.by_tier[t] * block_tokens_),
                     bytes = own * path.read_bytes.value();
        there = std::max(there, pass(t, bytes, now.value()));
        latency += cache_.spec().tiers[t].latency.value();
        tokens += own;
        tiers_[t].sums.read_tokens += own;
        tiers_[t].sums.read_bytes += bytes;
    }
    port = std::max(port, now.value()) + tokens * path.read_each.value();
    return Seconds(std::max(there, port) + latency);
}

void SharedStore::write(std::span<const std::uint64_t> names, const SharedPath& path, double& port,
                        Seconds now) {
    arrive(now);
    auto first = static_cast<std::size_t>(cache_.match(names, now).blocks);
    if (first == names.size()) {
        if (!names.empty()) (void)cache_.refer(names, now);
        return;
    }
    while (first < names.size() && on_their_way_.count(names[first]) > 0) ++first;
    if (first == names.size()) return;
    const double tokens =
                     static_cast<double>(names.size() - first) * static_cast<double>(block_tokens_),
                 bytes = tokens * token_bytes_;
    const double passed = pass(0, bytes, now.value());
    port = std::max(port, now.value()) + tokens * path.write_each.value();
    tiers_[0].sums.written_tokens += tokens;
    tiers_[0].sums.written_bytes += bytes;
    Arrival arrival{{names.begin(), names.end()}, first};
    on_their_way_.insert(names.begin() + static_cast<std::ptrdiff_t>(first), names.end());
    coming_.emplace(std::max(passed, port) + cache_.spec().tiers[0].latency.value(),
                    std::move(arrival));
}

std::vector<SharedTierOutcome> SharedStore::outcome(double span, std::size_t windows) const {
    std::vector<SharedTierOutcome> outcomes;
    for (const Tier& tier : tiers_) {
        SharedTierOutcome one = tier.sums;
        Windows busy = tier.busy;
        busy.reach(span);
        one.busy_windows = busy.means(span, windows, 1);
        outcomes.push_back(std::move(one));
    }
    return outcomes;
}

SharedPort::SharedPort(SharedStore& store, const SharedPath& path, long groups)
    : store_(&store),
      path_(path),
      in_(static_cast<std::size_t>(groups), 0.0),
      out_(static_cast<std::size_t>(groups), 0.0) {}

long SharedPort::found(std::span<const std::uint64_t> names, Seconds now) {
    return store_->found(names, now);
}

Seconds SharedPort::read(std::span<const std::uint64_t> names, std::size_t group, Seconds now) {
    return store_->read(names, path_, in_[group], now);
}

void SharedPort::write(std::span<const std::uint64_t> names, std::size_t group, Seconds now) {
    store_->write(names, path_, out_[group], now);
}

}  // namespace podsim
