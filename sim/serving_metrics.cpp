#include "sim/serving_metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "sim/disaggregated_run.hpp"
#include "sim/energy_use.hpp"
#include "sim/host_charge.hpp"

namespace podsim {

namespace {

// How uneven experts are just placed and just before they are placed anew (or at the end of the
// run), in the mean decode step; what placing them costs.
void add_expert_balance(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet) {
    double fresh = 1, stale = 1, period = 0, rebalances = 0, waited = 0, busy = 0, bytes = 0,
           moved = 0;
    bool drifts = false;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        AgedSteps* aged = fleet.aged(i);
        if (aged == nullptr) continue;
        drifts = true;
        const PoolOutcome& pool = out.pools[i];
        const ExpertBalancing& experts = *fleet.engine(i).experts;
        const bool placed = experts.rebalance_every > Seconds(0.0);
        if (placed) period = std::max(period, experts.rebalance_every.value());
        const Seconds age = placed ? experts.rebalance_every : Seconds(out.span);
        const double groups = fleet.replica(i).pool.mapping.data_parallel;
        const double batch =
            std::max(1.0, ratio(pool.decode_sequences, pool.decode_steps) / groups);
        const double context = std::max(64.0, ratio(pool.decode_contexts, pool.decode_sequences));
        fresh = std::max(fresh, aged->imbalance(batch, context, 0));
        stale = std::max(stale, aged->imbalance(batch, context, experts.moved(age)));
        rebalances += static_cast<double>(pool.rebalances);
        bytes += static_cast<double>(pool.rebalances) * fleet.migration(i).bytes;
        waited += pool.rebalancing;
        busy += pool.busy;
        moved += pool.moved_seconds;
    }
    if (!drifts) return;
    add("expert_imbalance_placed", fresh, "ratio");
    add("expert_imbalance_drifted", stale, "ratio");
    add("popularity_moved", ratio(moved, busy), "share");
    add("rebalances", rebalances, "rebalances");
    if (period > 0) add("rebalance_period", period, "s");
    add("rebalance_bytes", bytes / 1e9, "GB");
    add("rebalance_stall", ratio(waited, busy), "share");
}

// Experts that lie outside the chips' memory, in the mean decode step of the pool that finds the
// fewest of them.
void add_offloaded(const ServingMetrics& add, ServingFleet& fleet) {
    std::optional<ServingStep::Offloaded> worst;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolWork& work = fleet.work(i);
        if (fleet.is_beside(i) || !(work.decode_steps > 0)) continue;
        const double groups = fleet.replica(i).pool.mapping.data_parallel;
        const auto one =
            fleet.table(i).offloaded(work.decode_sequences / work.decode_steps / groups,
                                     work.decode_contexts / work.decode_sequences);
        if (one && (!worst || one->found < worst->found)) worst = one;
    }
    if (!worst) return;
    add("experts_resident", worst->resident, "share");
    add("experts_found", worst->found, "share");
    add("expert_bytes_fetched_per_rank", worst->fetched.value() / 1e9, "GB");
}

// How attention and feed-forward pools share the mean decode step.
void add_disaggregated(const ServingMetrics& add, ServingFleet& fleet) {
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        if (fleet.is_beside(i) || fleet.table(i).beside() == nullptr) continue;
        const PoolWork& work = fleet.work(i);
        if (!(work.decode_steps > 0)) continue;
        const StepLoad load{work.decode_sequences / work.decode_steps,
                            work.decode_contexts / work.decode_sequences, 0, 0};
        const DisaggregatedCost cost = fleet.table(i).disaggregated(load);
        add_pool_shares(add.result, add.provenance, cost);
    }
}

// Tiers below the chips' memory: what they cost in the span, what they spare.
struct TierCost {
    double usd = 0, low = 0, high = 0;
    double read_tokens = 0, spared_tokens = 0;  // of prompts: computed, come up from tiers
};

// For as long as their replicas are paid for; what all share for the whole span, once. A tier
// without a medium is named, and not counted.
TierCost tier_cost(const ServingMetrics& add, const ServingOutcome& out, const ServingFleet& fleet,
                   const PriceSpec& prices) {
    TierCost sum;
    const auto pay = [&](const CacheTierSetting& tier, const std::string& whose, double hours) {
        if (tier.medium.empty()) {
            add.result.warnings.push_back(
                fmt::format("cache tier {} of {} names no medium: what it costs is not counted",
                            tier.name, whose));
            return;
        }
        const MediumCost cost = medium_cost(prices, tier.medium, tier.capacity);
        sum.usd += cost.usd_per_hour * hours;
        sum.low += cost.low * hours;
        sum.high += cost.high * hours;
    };
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        sum.read_tokens += out.pools[i].prefill_tokens;
        sum.spared_tokens += out.pools[i].tier_tokens;
        for (const CacheTierSetting& tier : fleet.tiers(i))
            pay(tier, fleet.engine(i).name, out.pools[i].paid / 3600);
    }
    for (const CacheTierSetting& tier : fleet.shared_tiers())
        pay(tier, "all replicas", out.span / 3600);
    return sum;
}

}  // namespace

void add_rates(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet) {
    const double span = out.span, chip_seconds = fleet.chip_seconds(out);
    add("requests_finished", static_cast<double>(out.finished), "requests");
    if (out.rejected > 0) add("requests_rejected", static_cast<double>(out.rejected), "requests");
    if (out.timed_out > 0)
        add("requests_timed_out", static_cast<double>(out.timed_out), "requests");
    double failures = 0, down = 0, paid = 0, starts = 0, waited = 0;
    double degraded = 0, worked = 0;
    bool is_scaled = false, is_degraded = false;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        failures += static_cast<double>(out.pools[i].failures);
        down += out.pools[i].down;
        paid += out.pools[i].paid;
        worked += out.pools[i].busy;
        for (std::size_t c = 1; c < out.pools[i].condition_seconds.size(); ++c) {
            is_degraded = true;
            degraded += out.pools[i].condition_seconds[c];
        }
        starts += static_cast<double>(out.pools[i].starts);
        waited += static_cast<double>(out.pools[i].waited_for_start);
        is_scaled = is_scaled || fleet.engine(i).autoscaling.has_value();
    }
    if (failures > 0) {
        add("replica_failures", failures, "failures");
        add("requests_retried", static_cast<double>(out.retried), "requests");
        add("replicas_down", ratio(down, paid), "share");
    }
    if (is_degraded) add("engine_time_degraded", ratio(degraded, worked), "share");
    if (is_scaled) {
        add("replica_hours", paid / 3600, "h");
        add("replicas_mean", ratio(paid, span), "replicas");
        add("replica_starts", starts, "starts");
        add("requests_waited_for_start", waited, "requests");
    }
    add("requests_per_second", ratio(static_cast<double>(out.finished), span), "req/s");
    if (promises(fleet.experiment())) {
        add("goodput_requests_per_second", ratio(out.good, span), "req/s");
        add("goodput_share", ratio(out.good, static_cast<double>(out.arrived)), "share");
    }
    add("output_tokens_per_second_per_chip", ratio(out.output_tokens, chip_seconds), "tok/s");
    add("input_tokens_per_second_per_chip", ratio(out.input_tokens, chip_seconds), "tok/s");
    add("total_tokens_per_second_per_chip",
        ratio(out.input_tokens + out.output_tokens, chip_seconds), "tok/s");
    if (out.time_per_output_token.mean > 0)
        add("tokens_per_second_per_user", 1 / out.time_per_output_token.mean, "tok/s");
    add.distribution("time_to_first_token", out.time_to_first_token);
    add.distribution("time_per_output_token", out.time_per_output_token);
    add.distribution("inter_token_latency", out.inter_token_latency);
    add.distribution("end_to_end_latency", out.end_to_end);
    double busy = 0, blocks = 0, block_capacity = 0, block_seconds = 0, flops = 0, bytes = 0,
           hits = 0, looked = 0, from_tiers = 0, shared = 0, preempted = 0;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolOutcome& pool = out.pools[i];
        busy += pool.busy / fleet.replicas(i) * fleet.chips(i);
        blocks += pool.block_seconds;
        const auto kv_blocks = static_cast<double>(fleet.engine(i).kv_blocks);
        block_capacity += kv_blocks * fleet.replicas(i);
        block_seconds += kv_blocks * pool.paid;
        flops += fleet.work(i).cost.flops;
        bytes += fleet.work(i).cost.memory_bytes;
        hits += pool.hit_tokens;
        from_tiers += pool.tier_tokens;
        shared += pool.shared_tokens;
        looked += pool.looked_up_tokens;
        preempted += static_cast<double>(pool.preemptions);
    }
    add("utilization_engine", ratio(busy, chip_seconds), "share");
    add("kv_cache_occupancy", ratio(blocks, block_seconds), "share");
    add("kv_cache_blocks", block_capacity, "blocks");
    if (hits > 0) add("prefix_hit_rate", ratio(hits, looked), "share");
    if (from_tiers > 0) add("prefix_hit_rate_of_tiers", ratio(from_tiers, looked), "share");
    if (shared > 0) add("prefix_hit_rate_of_shared_tiers", ratio(shared, looked), "share");
    add("preemptions", preempted, "sequences");
    add_expert_balance(add, out, fleet);
    add_disaggregated(add, fleet);
    add_offloaded(add, fleet);
    add("achieved_flops", ratio(flops, chip_seconds) / 1e12, "TFLOPS");
    add("achieved_bandwidth", ratio(bytes, chip_seconds) / 1e9, "GB/s");
}

void add_breakdown(AlternativeResult& result, const ServingOutcome& out) {
    const double total = out.waits.total(), requests = static_cast<double>(out.finished);
    if (!(total > 0)) return;
    const auto add = [&](const char* part, double seconds) {
        result.breakdown.push_back({part, seconds / requests, seconds / total});
    };
    add("queue", out.waits.queue);
    add("prefill", out.waits.prefill);
    add("cache transfer", out.waits.transfer);
    add("decode", out.waits.decode);
    add("preempted", out.waits.preempted);
}

void add_resources(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet) {
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolOutcome& pool = out.pools[i];
        const auto replicas = static_cast<double>(fleet.replicas(i));
        const std::string& name = fleet.engine(i).name;
        const auto peak = [](const std::vector<double>& windows) {
            return windows.empty() ? 0.0 : *std::max_element(windows.begin(), windows.end());
        };
        ResourceUse busy{"engine",
                         name,
                         ratio(pool.busy, pool.paid),
                         peak(pool.busy_windows),
                         pool.busy / replicas,
                         "s",
                         1.0,
                         pool.busy_windows};
        const auto blocks = static_cast<double>(fleet.engine(i).kv_blocks);
        ResourceUse cache{"KV cache",
                          name,
                          ratio(pool.block_seconds, pool.paid * blocks),
                          peak(pool.block_windows),
                          pool.block_seconds / replicas,
                          "block-seconds",
                          blocks,
                          pool.block_windows};
        result.resources.push_back(std::move(busy));
        if (!fleet.is_beside(i)) result.resources.push_back(std::move(cache));
        if (fleet.engine(i).autoscaling) {
            std::vector<double> shares = pool.paid_windows;
            for (double& share : shares) share /= replicas;
            result.resources.push_back({"replicas paid for", name,
                                        ratio(pool.paid, out.span * replicas), peak(shares),
                                        pool.paid, "replica-seconds", replicas, shares});
        }
        MemoryUse memory;
        memory.rank_class = name;
        memory.ranks = fleet.replica(i).ranks * fleet.replicas(i);
        memory.parts = fleet.capacity(i).parts;
        memory.total = fleet.capacity(i).total();
        memory.capacity = fleet.capacity(i).capacity;
        result.memory.push_back(std::move(memory));
        if (fleet.is_beside(i)) continue;
        for (MemoryUse& host : fleet.on_hosts(i)) {
            host.rank_class = fmt::format("{}, {}", name, host.rank_class);
            result.host_memory.push_back(std::move(host));
        }
    }
}

void add_shared_tiers(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet) {
    for (std::size_t t = 0; t < out.shared.size(); ++t) {
        const CacheTierSetting& setting = fleet.shared_tiers()[t];
        const SharedTierOutcome& tier = out.shared[t];
        ServedTier served;
        served.name = setting.name;
        served.capacity = setting.capacity.value();
        served.bandwidth = setting.bandwidth.value();
        served.blocks = fleet.shared_blocks()[t].blocks;
        served.peak_blocks = tier.peak_blocks;
        served.read_tokens = tier.read_tokens;
        served.written_tokens = tier.written_tokens;
        served.read_bytes = tier.read_bytes;
        served.written_bytes = tier.written_bytes;
        served.busy_seconds = tier.busy;
        served.busy_until_seconds = tier.busy_until;
        result.served->shared_tiers.push_back(std::move(served));
        if (!(out.span > 0)) continue;
        const double peak = tier.busy_windows.empty() ? 0.0
                                                      : *std::max_element(tier.busy_windows.begin(),
                                                                          tier.busy_windows.end());
        result.resources.push_back({"shared tier", setting.name,
                                    std::min(1.0, tier.busy / std::max(out.span, tier.busy_until)),
                                    peak, tier.busy, "s", 1.0, tier.busy_windows});
    }
}

double add_energy(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet) {
    double work = 0, package = 0, beside = 0;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        work += fleet.work(i).cost.joules;
        const RestPower rest = fleet.at_rest(i);
        package += rest.package * out.pools[i].paid;
        beside += rest.beside * out.pools[i].paid;
    }
    const double whole = work + package + beside;
    result.energy = {{"work of the chips", work, ratio(work, whole), true},
                     {kStaticEnergy, package, ratio(package, whole), true},
                     {kHostEnergy, beside, ratio(beside, whole), false}};
    return whole;
}

void add_costs(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet,
               const ResolvedExperiment& experiment) {
    AlternativeResult& result = add.result;
    std::vector<std::pair<std::string, std::vector<CostBasis>>> pools;
    for (std::size_t i = 0; i < fleet.size(); ++i)
        pools.emplace_back(fleet.engine(i).name,
                           charged(cost_bases(experiment.prices, fleet.replica(i).chip,
                                              fleet.replica(i).system, result.warnings),
                                   fleet.replica(i)));
    const double chip_seconds = fleet.chip_seconds(out);
    const TierCost tiers = tier_cost(add, out, fleet, experiment.prices);
    for (const std::string& basis : common_bases(pools, result.warnings)) {
        CostBasis mean = *basis_named(pools.front().second, basis);
        mean.name = basis;
        // USD/h; USD of the span
        double hourly = 0, idle_hourly = 0, reading = 0, writing = 0, bringing = 0;
        std::optional<double> low = 0.0, high = 0.0;
        for (std::size_t i = 0; i < pools.size(); ++i) {
            const auto same = basis_named(pools[i].second, basis);
            const double share = ratio(fleet.chip_seconds(i, out), chip_seconds),
                         usd = same->usd_per_hour_per_chip;
            hourly += share * usd;
            idle_hourly += share * idle_usd(*same);
            if (low) low = same->low ? std::optional(*low + share * *same->low) : std::nullopt;
            if (high) high = same->high ? std::optional(*high + share * *same->high) : std::nullopt;
            // USD/s of a replica
            const double each = (usd - idle_usd(*same)) / 3600 * fleet.replica(i).packages;
            const double prompts = std::min(fleet.work(i).prefill_seconds, out.pools[i].busy);
            const double fetching = std::min(out.pools[i].fetching, out.pools[i].busy - prompts);
            reading += each * prompts;
            bringing += each * fetching;
            writing += each * (out.pools[i].busy - prompts - fetching);
        }
        if (pools.size() > 1) {
            mean.parts = {{"chips of all pools", hourly - idle_hourly}};
            if (idle_hourly > 0) mean.parts.emplace_back(kIdleChips, idle_hourly);
        }
        const double of_tiers = ratio(tiers.usd, chip_seconds / 3600);  // of a chip-hour
        if (of_tiers > 0) {
            mean.parts.emplace_back("cache tiers", of_tiers);
            hourly += of_tiers;
            if (low) low = *low + of_tiers * tiers.low / tiers.usd;
            if (high) high = *high + of_tiers * tiers.high / tiers.usd;
        }
        mean.usd_per_hour_per_chip = hourly;
        mean.low = low;
        mean.high = high;
        const std::string suffix = result.cost.empty() ? "" : "_" + mean.name;
        result.cost.push_back(mean);
        const double bill = hourly * chip_seconds / 3600;
        const auto price = [&](const char* name, double usd, double tokens) {
            if (!(tokens > 0)) return;
            Metric metric{name + suffix, usd / tokens * 1e6, "USD/Mtok", {}, {}, add.provenance};
            if (mean.low) metric.low = metric.value * *mean.low / hourly;
            if (mean.high) metric.high = metric.value * *mean.high / hourly;
            result.metrics.push_back(std::move(metric));
        };
        add("usd_per_hour_per_chip" + suffix, hourly, "USD/h");
        const double tokens = out.input_tokens + out.output_tokens;
        // Prompt tokens that were found bear what was paid to find them; where none was, those
        // that were computed bear the waiting, and tiers stand by themselves.
        const double cached = out.cached_tokens, computed = out.input_tokens - cached;
        price("usd_per_million_input_tokens", reading + (cached > 0 ? 0 : bringing), computed);
        price("usd_per_million_cached_input_tokens", bringing + tiers.usd, cached);
        price("usd_per_million_output_tokens", writing, out.output_tokens);
        // Engines that are always busy leave what rounding does.
        const double idle_chips = idle_hourly * chip_seconds / 3600,
                     idle = bill - reading - bringing - writing - tiers.usd - idle_chips;
        price("usd_per_million_tokens_of_idle_time", idle > 1e-9 * bill ? idle : 0, tokens);
        price("usd_per_million_tokens_of_idle_chips", idle_chips, idle_chips > 0 ? tokens : 0);
        price("usd_per_million_tokens_of_cache_tiers", tiers.usd, tiers.usd > 0 ? tokens : 0);
        // What reading cost an engine, of the prompts that tiers spared it.
        price("usd_per_million_tokens_spared_by_cache_tiers",
              ratio(reading, tiers.read_tokens) * tiers.spared_tokens,
              tiers.spared_tokens > 0 ? tokens : 0);
        price("usd_per_million_total_tokens", bill, tokens);
        price("usd_per_million_output_tokens_whole_bill", bill, out.output_tokens);
        if (cached > 0 && !(bringing + tiers.usd > 0) && suffix.empty())
            result.warnings.push_back(
                "cached input tokens are found in the chips' own memory: no engine time and no "
                "tier is theirs alone, so that their price is 0 and the memory's is in the others");
        if (mean.confidence == "rumour")
            result.warnings.push_back(fmt::format("the {} price of {} is a rumour ({})", mean.name,
                                                  fleet.replica(0).chip.name, mean.source));
    }
}

void add_lifecycle(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet,
                   const ResolvedExperiment& experiment) {
    const auto& spec = experiment.spec.workload.serving->lifecycle;
    AlternativeResult& result = add.result;
    if (!spec || result.cost.empty() || !(out.span > 0)) return;
    constexpr double day = 86400;
    const Usd daily(result.cost.front().usd_per_hour_per_chip * fleet.chip_seconds(out) / out.span *
                    24);
    result.served->lifecycle =
        lifecycle(*spec, daily, (out.input_tokens + out.output_tokens) / out.span * day);
    add("usd_per_day", daily.value() / 1e3, "kUSD");
    add("days_until_training_share", days_until_share(spec->training, daily, spec->share), "day");
}

}  // namespace podsim
