#include "sim/host_charge.hpp"

#include <fmt/format.h>

#include <cmath>

namespace podsim {

namespace {

double chips_of(const ResolvedAlternative& pool, int replicas) {
    return static_cast<double>(pool.packages + pool.standing_by) * replicas;
}
double chips_of(const ResolvedAlternative& pool) {
    return chips_of(pool, pool.pool.replicas);
}

double chips_of_hosts(const ResolvedAlternative& pool, int replicas) {
    const auto each = static_cast<double>(pool.system.host->chips.value);
    return std::ceil(chips_of(pool, replicas) / each) * each;
}

}  // namespace

double idle_chips(const ResolvedAlternative& pool) {
    return idle_chips(pool, pool.pool.replicas);
}

double idle_chips(const ResolvedAlternative& pool, int replicas) {
    if (pool.pool.charge != HostCharge::whole_hosts || !pool.system.host) return 0;
    return chips_of_hosts(pool, replicas) - chips_of(pool, replicas);
}

std::optional<std::string> unpaid_hosts(const ResolvedAlternative& pool) {
    if (!pool.system.host || pool.pool.charge == HostCharge::whole_hosts) return {};
    const double all = chips_of_hosts(pool, pool.pool.replicas), used = chips_of(pool);
    if (used >= all) return {};
    return fmt::format(
        "{:.0f} chips have the memory and the processors of {:.0f} hosts of {} to themselves, and "
        "costs count the chips alone: all chips of a host would share it (charge: whole_hosts "
        "counts the {:.0f} others too)",
        used, all / static_cast<double>(pool.system.host->chips.value),
        pool.system.host->chips.value, all - used);
}

std::vector<CostBasis> charged(std::vector<CostBasis> bases, const ResolvedAlternative& pool) {
    const double idle = idle_chips(pool) / chips_of(pool);
    if (!(idle > 0)) return bases;
    for (CostBasis& basis : bases) {
        if (basis.parts.empty()) basis.parts = {{"chip", basis.usd_per_hour_per_chip}};
        basis.parts.emplace_back(kIdleChips, idle * basis.usd_per_hour_per_chip);
        basis.usd_per_hour_per_chip *= 1 + idle;
        if (basis.low) *basis.low *= 1 + idle;
        if (basis.high) *basis.high *= 1 + idle;
    }
    return bases;
}

double idle_usd(const CostBasis& basis) {
    for (const auto& [part, usd] : basis.parts)
        if (part == kIdleChips) return usd;
    return 0;
}

void check_charge(const ResolvedAlternative& pool, Problems& problems) {
    if (pool.pool.charge != HostCharge::whole_hosts || pool.system.host) return;
    problems.push_back(
        at_key(pool.pool, "charge",
               fmt::format("whole_hosts: the record of system {} says nothing of its host",
                           pool.system.name),
               "charge: chips, or host: {chips: ..., memory: ..., bandwidth: ...} in the record"));
}

}  // namespace podsim
