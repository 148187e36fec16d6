#include "sim/cache_tiers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/names.hpp"
#include "sim/expert_host.hpp"
#include "sim/host_charge.hpp"
#include "sim/pool_links.hpp"

namespace podsim {

namespace {

constexpr const char* kTiers = "scheduler.cache_tiers";
constexpr const char* kCacheTiers = "cache tiers";  // of an account of memory

std::vector<CacheTierSetting> tiers_of(const ResolvedExperiment& experiment,
                                       const ResolvedAlternative& pool, bool shared) {
    std::vector<CacheTierSetting> tiers =
        knobs_of(experiment.spec.workload.serving->scheduler, pool.pool.scheduler).cache_tiers;
    std::erase_if(tiers, [&](const CacheTierSetting& tier) { return tier.shared != shared; });
    return tiers;
}

bool takes_requests(const ResolvedAlternative& pool) {
    return pool.pool.role != "ffn";
}

double packages_of(const ResolvedAlternative& pool) {
    return static_cast<double>(pool.packages) * pool.pool.replicas;
}

// Pools that share memory stand in one scale-up domain of one system.
bool one_domain(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    double packages = 0, domain = 0;
    std::string system;
    for (const ResolvedAlternative& pool : alternative.pools) {
        if (!takes_requests(pool) || tiers_of(experiment, pool, true).empty()) continue;
        if (!system.empty() && system != pool.system.name) return false;
        system = pool.system.name;
        domain = static_cast<double>(pool.system.scale_up.domain.value);
        packages += packages_of(pool);
    }
    return packages <= domain;
}

double tier_bytes(const std::vector<CacheTierSetting>& tiers) {
    double bytes = 0;
    for (const CacheTierSetting& tier : tiers) bytes += tier.capacity.value();
    return bytes;
}

std::vector<CacheTierSetting> own_tiers_at(const ResolvedExperiment& experiment,
                                           const ResolvedAlternative& replica, TierPlace place) {
    std::vector<CacheTierSetting> tiers = tiers_of(experiment, replica, false);
    std::erase_if(tiers, [&](const auto& tier) { return tier_place(tier) != place; });
    return tiers;
}

// Packages at work on the fullest host of a pool.
double at_work(const ResolvedAlternative& replica, const HostSpec& host) {
    return std::min(packages_of(replica), static_cast<double>(host.chips.value));
}

const char* host_place(TierPlace place) {
    return place == TierPlace::host ? kHostMemory : kHostDrives;
}

// Of one host; nothing where no record says.
std::optional<double> host_capacity(const ResolvedAlternative& replica, TierPlace place) {
    const auto& host = replica.system.host;
    if (!host) return {};
    if (place == TierPlace::host) return host->memory.value.value();
    if (host->storage) return host->storage->value.value();
    return {};
}

// What is asked of a place: the rate of one replica's way to it.
struct Place {
    const char* name;  // "host memory"
    std::optional<double> bandwidth;
};

class OwnTiers {
  public:
    OwnTiers(const ResolvedExperiment& experiment, const ResolvedAlternative& replica,
             Problems& problems, std::vector<std::string>& notes)
        : experiment_(experiment), replica_(replica), problems_(problems), notes_(notes) {}

    void check(const std::optional<MemoryUse>& experts) {
        bool on_hosts = false;
        for (const TierPlace place : {TierPlace::host, TierPlace::drives, TierPlace::pool}) {
            const auto here = own_tiers_at(experiment_, replica_, place);
            if (here.empty()) continue;
            check_rates(here, place_of(place));
            if (place == TierPlace::pool) continue;
            on_hosts = true;
            if (!host_capacity(replica_, place))
                note(here.front(), host_place(place),
                     fmt::format("the record of system {} does not say how much it has",
                                 replica_.system.name));
        }
        for (const MemoryUse& use : host_uses(experiment_, replica_, experts)) check_room(use);
        const auto unpaid = unpaid_hosts(replica_);
        if (on_hosts && unpaid) notes_.push_back(*unpaid);
    }

  private:
    // Of one replica: its packages' links, and its part of what its hosts have.
    Place place_of(TierPlace place) const {
        if (place == TierPlace::pool) return {"pooled memory", pool_link(replica_).value()};
        Place found{host_place(place), {}};
        const auto& host = replica_.system.host;
        const auto& link = replica_.chip.host_link;
        const double packages = replica_.packages;
        if (link) found.bandwidth = packages * link->bandwidth.value.value();
        if (!host) return found;
        const auto share = [&](BytesPerSecond all) {
            const double own = packages / at_work(replica_, *host) * all.value();
            found.bandwidth = std::min(found.bandwidth.value_or(own), own);
        };
        if (place == TierPlace::host)
            share(host->bandwidth.value);
        else if (host->storage_bandwidth)
            share(host->storage_bandwidth->value);
        return found;
    }

    void check_rates(const std::vector<CacheTierSetting>& tiers, const Place& place) {
        for (const CacheTierSetting& tier : tiers) {
            if (place.bandwidth && tier.bandwidth.value() > *place.bandwidth * (1 + 1e-9))
                refuse(fmt::format("{}: bandwidth {}, a replica of {} chips of {} has {} to its {}",
                                   tier.name, to_string(tier.bandwidth), replica_.packages,
                                   replica_.system.name,
                                   to_string(BytesPerSecond(*place.bandwidth)), place.name),
                       fmt::format("bandwidth: {}", to_string(BytesPerSecond(*place.bandwidth))));
            if (!place.bandwidth)
                note(tier, place.name, fmt::format("chip {} has no host_link", replica_.chip.name));
        }
    }

    // All replicas on one host, and what else lies there.
    void check_room(const MemoryUse& use) {
        if (use.total <= use.capacity) return;
        const TierPlace place = use.rank_class == kHostMemory ? TierPlace::host : TierPlace::drives;
        const auto tiers = own_tiers_at(experiment_, replica_, place);
        if (tiers.empty()) return;  // experts alone: require_host_memory()
        std::vector<std::string> names, holders;
        for (const CacheTierSetting& tier : tiers) names.push_back(tier.name);
        double beside = 0;
        for (const MemoryPart& part : use.parts) {
            holders.push_back(fmt::format("{} of {}", to_string(Bytes(part.bytes)), part.part));
            if (part.part != kCacheTiers) beside += part.bytes;
        }
        const double on_it = at_work(replica_, *replica_.system.host) / replica_.packages,
                     left = (use.capacity - beside) / on_it;
        std::string hint = place == TierPlace::host && beside > 0 ? "offload: {to: ssd}, or " : "";
        if (left > 0)
            hint += fmt::format("{} a replica at most, or place: pool", to_string(Bytes(left)));
        else
            hint += "place: pool";
        refuse(
            fmt::format("{}: {} for each of {} replicas, {:.4g} of them on a host of {}: {}, "
                        "and its {} is {}",
                        fmt::join(names, ", "), to_string(Bytes(tier_bytes(tiers))),
                        replica_.pool.replicas, on_it, replica_.system.name,
                        fmt::join(holders, ", "), use.rank_class, to_string(Bytes(use.capacity))),
            std::move(hint));
    }

    void refuse(std::string what, std::string hint) {
        problems_.push_back(at_tiers(experiment_, replica_, std::move(what), std::move(hint)));
    }
    void note(const CacheTierSetting& tier, const char* place, const std::string& why) {
        notes_.push_back(
            fmt::format("cache tier {} is taken on trust: {}, its {}", tier.name, why, place));
    }

    const ResolvedExperiment& experiment_;
    const ResolvedAlternative& replica_;
    Problems& problems_;
    std::vector<std::string>& notes_;
};

}  // namespace

Diagnostic at_tiers(const ResolvedExperiment& experiment, const ResolvedAlternative& pool,
                    std::string what, std::string hint) {
    if (pool.pool.scheduler.cache_tiers)
        return at_key(pool.pool, kTiers, std::move(what), std::move(hint));
    return at_key(experiment.spec.workload, kTiers, std::move(what), std::move(hint));
}

std::vector<CacheTierSetting> shared_tiers(const ResolvedExperiment& experiment,
                                           const ResolvedAlternative& alternative,
                                           Problems& problems) {
    std::vector<CacheTierSetting> shared;
    std::string first;
    for (const ResolvedAlternative& pool : alternative.pools) {
        if (!takes_requests(pool)) continue;
        const std::vector<CacheTierSetting> own = tiers_of(experiment, pool, true);
        if (own.empty()) continue;
        if (shared.empty()) {
            shared = own;
            first = pool.pool.name;
        } else if (own != shared) {
            problems.push_back(
                at_tiers(experiment, pool,
                         fmt::format("{} shares other tiers than {}", pool.pool.name, first),
                         "the same ones, best in the workload's scheduler"));
        }
        for (std::size_t i = 0; i < own.size(); ++i) {
            const auto same = [&](const auto& other) { return other.name == own[i].name; };
            if (std::any_of(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(i), same))
                problems.push_back(at_tiers(
                    experiment, pool, fmt::format("two shared tiers are called {}", own[i].name),
                    "a name for each: results go by them"));
        }
        for (const CacheTierSetting& tier : own) {
            if (tier.over == shared.front().over) continue;
            problems.push_back(at_tiers(experiment, pool,
                                        fmt::format("{} is reached over other links than {}",
                                                    tier.name, shared.front().name),
                                        "the same `over` for all tiers that are shared"));
        }
    }
    if (!shared.empty() && shared.front().over == PoolLink::scale_up &&
        !one_domain(experiment, alternative)) {
        const ResolvedAlternative& pool = alternative.pools.front();
        problems.push_back(
            at_tiers(experiment, pool,
                     fmt::format("{}: over scale_up, but the pools of {} do not stand in one "
                                 "scale-up domain ({} has {} chips)",
                                 shared.front().name, alternative.name, pool.system.name,
                                 pool.system.scale_up.domain.value),
                     "over: scale_out"));
    }
    return shared;
}

PoolLink shared_over(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    for (const ResolvedAlternative& pool : alternative.pools) {
        for (const CacheTierSetting& tier : tiers_of(experiment, pool, true))
            if (tier.over) return *tier.over;
    }
    return one_domain(experiment, alternative) ? PoolLink::scale_up : PoolLink::scale_out;
}

std::optional<SharedPath> shared_path(const ResolvedExperiment& experiment,
                                      const ResolvedAlternative& alternative, std::size_t pool,
                                      Bytes held, Bytes kept) {
    const ResolvedAlternative& replica = alternative.pools[pool];
    if (tiers_of(experiment, replica, true).empty()) return {};
    const RankFabric fabric = rank_fabric(replica.system, replica.chip.ranks);
    const bool up = shared_over(experiment, alternative) == PoolLink::scale_up ||
                    !(fabric.scale_out > BytesPerSecond(0.0));
    BytesPerSecond rate = up ? fabric.scale_up : fabric.scale_out;
    if (replica.engine && replica.engine->prefix_fetch)
        rate = min(rate, replica.engine->prefix_fetch->value);
    const double group = static_cast<double>(replica.ranks) /
                         static_cast<double>(replica.pool.mapping.data_parallel);
    SharedPath path;
    path.read_each = held / rate;
    path.write_each = kept / (rate * group);
    path.read_bytes = max(kept, held * group);
    return path;
}

double shared_usd_per_hour(const ResolvedExperiment& experiment,
                           const ResolvedAlternative& alternative) {
    Problems problems;
    double usd = 0;
    for (const CacheTierSetting& tier : shared_tiers(experiment, alternative, problems))
        if (!tier.medium.empty())
            usd += medium_cost(experiment.prices, tier.medium, tier.capacity).usd_per_hour;
    return usd;
}

std::vector<MemoryUse> host_uses(const ResolvedExperiment& experiment,
                                 const ResolvedAlternative& replica,
                                 const std::optional<MemoryUse>& experts) {
    std::vector<MemoryUse> uses;
    for (const TierPlace place : {TierPlace::host, TierPlace::drives}) {
        const std::optional<double> capacity = host_capacity(replica, place);
        if (!capacity) continue;
        MemoryUse use;
        use.rank_class = host_place(place);
        if (experts && experts->rank_class == use.rank_class) use = *experts;
        const HostSpec& host = *replica.system.host;
        const double tiers = tier_bytes(own_tiers_at(experiment, replica, place));
        if (tiers > 0) {
            const double here = tiers * at_work(replica, host) / replica.packages;
            use.parts.push_back({kCacheTiers, here});
            use.total += here;
            use.capacity = *capacity;
            use.ranks = static_cast<int>(
                std::ceil(packages_of(replica) / static_cast<double>(host.chips.value)));
        }
        if (!use.parts.empty()) uses.push_back(std::move(use));
    }
    return uses;
}

void check_own_tiers(const ResolvedExperiment& experiment, const ResolvedAlternative& replica,
                     const std::optional<MemoryUse>& experts, Problems& problems,
                     std::vector<std::string>& notes) {
    OwnTiers(experiment, replica, problems, notes).check(experts);
}

}  // namespace podsim
