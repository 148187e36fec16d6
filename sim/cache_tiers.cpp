#include "sim/cache_tiers.hpp"

#include <fmt/format.h>

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

// Where the pool has its tiers from.
Diagnostic at_tiers(const ResolvedExperiment& experiment, const ResolvedAlternative& pool,
                    std::string what, std::string hint) {
    if (pool.pool.scheduler.cache_tiers)
        return at_key(pool.pool, kTiers, std::move(what), std::move(hint));
    return at_key(experiment.spec.workload, kTiers, std::move(what), std::move(hint));
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

// What is asked of a place, of the replicas of a pool together, against what there is.
struct Place {
    const char* name;                           // "host memory"
    std::optional<double> capacity, bandwidth;  // of all replicas; of one
    const char* remedy;
};

class OwnTiers {
  public:
    OwnTiers(const ResolvedExperiment& experiment, const ResolvedAlternative& replica,
             Problems& problems, std::vector<std::string>& notes)
        : experiment_(experiment), replica_(replica), problems_(problems), notes_(notes) {}

    void check() {
        const std::vector<CacheTierSetting> tiers = tiers_of(experiment_, replica_, false);
        bool on_hosts = false;
        for (const TierPlace place : {TierPlace::host, TierPlace::drives, TierPlace::pool}) {
            std::vector<CacheTierSetting> here;
            for (const CacheTierSetting& tier : tiers)
                if (tier_place(tier) == place) here.push_back(tier);
            if (here.empty()) continue;
            check(here, place_of(place));
            if (place != TierPlace::pool) on_hosts = true;
        }
        const auto unpaid = unpaid_hosts(replica_);
        if (on_hosts && unpaid) notes_.push_back(*unpaid);
    }

  private:
    // Of one replica: its packages' links, and its part of what its hosts have.
    Place place_of(TierPlace place) const {
        if (place == TierPlace::pool)
            return {"pooled memory", {}, pool_link(replica_).value(), "shared: true"};
        const bool host_memory = place == TierPlace::host;
        Place found{host_memory ? kHostMemory : kHostDrives, {}, {}, "place: pool"};
        const auto& host = replica_.system.host;
        const auto& link = replica_.chip.host_link;
        const double packages = replica_.packages;
        if (link) found.bandwidth = packages * link->bandwidth.value.value();
        if (!host) return found;
        const double served = static_cast<double>(host->chips.value),
                     at_work = std::min(packages_of(replica_), served),
                     hosts = std::ceil(packages_of(replica_) / served);
        const auto share = [&](BytesPerSecond all) {
            const double own = packages / at_work * all.value();
            found.bandwidth = std::min(found.bandwidth.value_or(own), own);
        };
        if (host_memory) {
            found.capacity = hosts * host->memory.value.value();
            share(host->bandwidth.value);
        } else {
            if (host->storage) found.capacity = hosts * host->storage->value.value();
            if (host->storage_bandwidth) share(host->storage_bandwidth->value);
        }
        return found;
    }

    void check(const std::vector<CacheTierSetting>& tiers, const Place& place) {
        double asked = 0;
        for (const CacheTierSetting& tier : tiers) {
            asked += tier.capacity.value();
            if (place.bandwidth && tier.bandwidth.value() > *place.bandwidth * (1 + 1e-9))
                refuse(fmt::format("{}: bandwidth {}, a replica of {} chips of {} has {} to its {}",
                                   tier.name, to_string(tier.bandwidth), replica_.packages,
                                   replica_.system.name,
                                   to_string(BytesPerSecond(*place.bandwidth)), place.name),
                       fmt::format("bandwidth: {}", to_string(BytesPerSecond(*place.bandwidth))));
            if (!place.bandwidth)
                note(tier, place, fmt::format("chip {} has no host_link", replica_.chip.name));
        }
        const double replicas = replica_.pool.replicas;
        if (place.capacity && asked * replicas > *place.capacity * (1 + 1e-9)) {
            const Bytes each(*place.capacity / replicas);
            refuse(fmt::format("{}: {} for each of {} replicas, their {} is {} in all",
                               tiers.front().name, to_string(Bytes(asked)), replicas, place.name,
                               to_string(Bytes(*place.capacity))),
                   fmt::format("{} a replica at most, or {}", to_string(each), place.remedy));
        }
        if (!place.capacity && std::string(place.name) != "pooled memory")
            note(tiers.front(), place,
                 fmt::format("the record of system {} does not say how much it has",
                             replica_.system.name));
    }

    void refuse(std::string what, std::string hint) {
        problems_.push_back(at_tiers(experiment_, replica_, std::move(what), std::move(hint)));
    }
    void note(const CacheTierSetting& tier, const Place& place, const std::string& why) {
        notes_.push_back(
            fmt::format("cache tier {} is taken on trust: {}, its {}", tier.name, why, place.name));
    }

    const ResolvedExperiment& experiment_;
    const ResolvedAlternative& replica_;
    Problems& problems_;
    std::vector<std::string>& notes_;
};

}  // namespace

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

void check_own_tiers(const ResolvedExperiment& experiment, const ResolvedAlternative& replica,
                     Problems& problems, std::vector<std::string>& notes) {
    OwnTiers(experiment, replica, problems, notes).check();
}

}  // namespace podsim
