#include "sim/disaggregated_run.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "chips/energy.hpp"
#include "sim/cost_metrics.hpp"
#include "sim/energy_use.hpp"
#include "sim/host_charge.hpp"
#include "sim/metrics.hpp"
#include "sim/step_case.hpp"

namespace podsim {

namespace {

constexpr long kMostSequences = 1L << 20;  // of a group: more than any rank has memory for

// The two pools, with their step at any batch of a data-parallel group of the attention pool.
class PoolPair {
  public:
    PoolPair(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
             Fidelity fidelity, const std::string& cache_folder)
        : experiment_(experiment),
          attention_(alternative.pools.front()),
          feed_forward_(alternative.pools.back()),
          case_(experiment, attention_),
          steps_(attention_, feed_forward_, fidelity, cache_folder) {}

    const ResolvedAlternative& attention() const { return attention_; }
    const ResolvedAlternative& feed_forward() const { return feed_forward_; }
    DisaggregatedSteps& steps() { return steps_; }
    StepSpec spec(long batch) const { return case_.spec(batch); }
    DisaggregatedCost cost(long batch) { return steps_.cost(spec(batch)); }
    double packages() const { return attention_.packages + feed_forward_.packages; }
    double sequences(long batch) const {
        return static_cast<double>(batch) * attention_.pool.mapping.data_parallel;
    }

    std::vector<MemoryUse> memory(long batch) const {
        const StepSpec step = spec(batch);
        const auto use = [](const ResolvedAlternative& pool, const MemoryNeed& need) {
            MemoryUse row;
            row.rank_class = pool.pool.name;
            row.ranks = pool.ranks;
            for (const auto& [part, size] : need.parts)
                if (size > Bytes(0.0)) row.parts.push_back({part, size.value()});
            row.total = need.total().value();
            row.capacity = hardware_of(pool).hbm_capacity.value();
            return row;
        };
        return {use(attention_, steps_.memory_of_attention(step)),
                use(feed_forward_, steps_.memory_of_feed_forward(step))};
    }
    bool fits(long batch) const {
        const auto uses = memory(batch);
        return std::all_of(uses.begin(), uses.end(),
                           [](const MemoryUse& use) { return use.total <= use.capacity; });
    }

    // Throws InputError at the pool that has too little.
    void require_memory(long batch) const {
        const auto uses = memory(batch);
        std::vector<Diagnostic> problems;
        for (std::size_t i = 0; i < uses.size(); ++i) {
            if (uses[i].total <= uses[i].capacity) continue;
            const ResolvedAlternative& pool = i == 0 ? attention_ : feed_forward_;
            problems.push_back(at_key(
                pool.pool, "chips",
                fmt::format("memory does not fit: a rank of {} needs {} of {}", uses[i].rank_class,
                            to_string(Bytes(uses[i].total)), to_string(Bytes(uses[i].capacity))),
                "more chips, fewer sequences, or smaller formats"));
        }
        if (!problems.empty()) throw InputError(std::move(problems));
    }

    // The batch that is given, or the largest that keeps the latency target and fits.
    long find_batch(std::vector<std::string>& warnings) {
        const WorkloadSpec& workload = experiment_.spec.workload;
        if (!attention_.batch.latency_target)
            return static_cast<long>(sequences_per_group(attention_, workload));
        const Seconds target = *attention_.batch.latency_target;
        const long least = attention_.pool.mapping.micro_batches;
        require_memory(least);
        const Seconds floor(cost(least).seconds);
        if (floor > target)
            throw InputError({at_batch(
                attention_, workload,
                fmt::format("latency_target {}: {} needs {} for a token with only {} sequence{} a "
                            "group",
                            to_string(target), attention_.name, to_string(floor), least,
                            least == 1 ? "" : "s"),
                "raise the target, or more chips a layer")});
        long low = least, high = 2 * least;
        bool by_memory = false;
        const auto keeps = [&](long batch) {
            by_memory = !fits(batch);
            return !by_memory && Seconds(cost(batch).seconds) <= target;
        };
        while (high < kMostSequences && keeps(high)) {
            low = high;
            high *= 2;
        }
        while (high - low > 1) {
            const long middle = low + (high - low) / 2;
            (keeps(middle) ? low : high) = middle;
        }
        if (!fits(low + 1))
            warnings.push_back(
                fmt::format("memory, not the latency target, limits the batch to {} a group", low));
        return low;
    }

  private:
    const ResolvedExperiment& experiment_;
    const ResolvedAlternative &attention_, &feed_forward_;
    StepCase case_;
    DisaggregatedSteps steps_;
};

void add_costs(AlternativeResult& result, const Provenance& provenance, const PoolPair& pools,
               const PriceSpec& prices) {
    std::vector<std::pair<std::string, std::vector<CostBasis>>> bases;
    for (const ResolvedAlternative* pool : {&pools.attention(), &pools.feed_forward()})
        bases.emplace_back(
            pool->pool.name,
            charged(cost_bases(prices, pool->chip, pool->system, result.warnings), *pool));
    for (const std::string& name : common_bases(bases, result.warnings)) {
        CostBasis mean;
        double hourly = 0, idle = 0;
        std::optional<double> low = 0.0, high = 0.0;
        for (std::size_t i = 0; i < bases.size(); ++i) {
            const auto same = basis_named(bases[i].second, name);
            if (i == 0) mean = *same;
            const double share =
                (i == 0 ? pools.attention() : pools.feed_forward()).packages / pools.packages();
            hourly += share * same->usd_per_hour_per_chip;
            idle += share * idle_usd(*same);
            if (low) low = same->low ? std::optional(*low + share * *same->low) : std::nullopt;
            if (high) high = same->high ? std::optional(*high + share * *same->high) : std::nullopt;
        }
        mean.name = name;
        mean.parts = {{"chips of both pools", hourly - idle}};
        if (idle > 0) mean.parts.emplace_back(kIdleChips, idle);
        mean.usd_per_hour_per_chip = hourly;
        mean.low = low;
        mean.high = high;
        const std::string suffix = result.cost.empty() ? "" : "_" + name;
        const auto add = [&](const char* metric, double value, const char* unit) {
            Metric one{metric + suffix, value, unit, {}, {}, provenance};
            if (low) one.low = value * *low / hourly;
            if (high) one.high = value * *high / hourly;
            result.metrics.push_back(std::move(one));
        };
        result.cost.push_back(mean);
        const double bill = hourly / 3600 * pools.packages() * result.iteration_seconds;
        add("usd_per_hour_per_chip", hourly, "USD/h");
        add("usd_per_million_output_tokens", bill / result.totals.tokens_out * 1e6, "USD/Mtok");
    }
}

void add_energy(AlternativeResult& result, const Provenance& provenance, const PoolPair& pools,
                const DisaggregatedCost& cost) {
    const double work = cost.attention.joules + cost.feed_forward.joules;
    double package = 0, beside = 0;
    for (const ResolvedAlternative* pool : {&pools.attention(), &pools.feed_forward()}) {
        const RestPower rest = rest_power(*pool);
        package += rest.package * cost.seconds;
        beside += rest.beside * cost.seconds;
    }
    const double whole = work + package + beside;
    result.energy = {{"work of the chips", work, work / whole, true},
                     {kStaticEnergy, package, package / whole, true},
                     {kHostEnergy, beside, beside / whole, false}};
    result.metrics.push_back(
        {"power_per_chip", whole / cost.seconds / pools.packages(), "W", {}, {}, provenance});
    result.metrics.push_back(
        {"energy_per_token", whole / result.totals.tokens_out, "J/tok", {}, {}, provenance});
}

}  // namespace

bool is_disaggregated_step(const WorkloadSpec& workload, const ResolvedAlternative& alternative) {
    return workload.kind == WorkloadKind::decode && alternative.pools.size() == 2;
}

void add_pool_shares(AlternativeResult& result, const Provenance& provenance,
                     const DisaggregatedCost& cost) {
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const double each = cost.layers * cost.batches;
    add("attention_busy", cost.times.attention.value() / cost.seconds, "share");
    add("feed_forward_busy", cost.times.feed_forward.value() / cost.seconds, "share");
    add("exchange_busy", max(cost.times.wire_there, cost.times.wire_back).value() / cost.seconds,
        "share");
    add("attention_time_per_layer", cost.times.attention.value() / each * 1e6, "us");
    add("feed_forward_time_per_layer", cost.times.feed_forward.value() * cost.stages / each * 1e6,
        "us");
    add("exchange_time_per_layer",
        (cost.times.wire_there + cost.times.wire_back + 2.0 * each * cost.latency).value() / each *
            1e6,
        "us");
    add("exchanged_bytes_per_token_and_layer", cost.moved_bytes / cost.layers / cost.tokens / 1e3,
        "kB");
}

void check_disaggregated_step(const ResolvedExperiment& experiment,
                              const ResolvedAlternative& alternative) {
    PoolPair pools(experiment, alternative, finest_fidelity(alternative.chip), "");
    const BatchSpec& given = pools.attention().batch;
    const long batch =
        given.latency_target
            ? pools.attention().pool.mapping.micro_batches
            : static_cast<long>(sequences_per_group(pools.attention(), experiment.spec.workload));
    // Memory of both pools is looked at together.
    const long least = std::min<long>(batch, pools.attention().pool.mapping.micro_batches);
    pools.steps().check(pools.spec(batch), pools.spec(least));
    pools.require_memory(batch);
}

AlternativeResult run_disaggregated_step(const ResolvedExperiment& experiment,
                                         const ResolvedAlternative& alternative,
                                         const RunOptions& options, RunCounts& counts) {
    PoolPair pools(experiment, alternative, fidelity_of(options, alternative.chip),
                   options.cache_folder);
    AlternativeResult result;
    for (const ResolvedAlternative& pool : alternative.pools)
        for (const std::string& warning : pool.warnings)
            if (std::find(result.warnings.begin(), result.warnings.end(), warning) ==
                result.warnings.end())
                result.warnings.push_back(warning);
    const long batch = pools.find_batch(result.warnings);
    const DisaggregatedCost cost = pools.cost(batch);
    const Provenance provenance = pools.steps().provenance(pools.spec(batch), result.warnings);
    result.packages = static_cast<int>(pools.packages());
    result.ranks = pools.attention().ranks + pools.feed_forward().ranks;
    result.iteration_seconds = cost.seconds;
    result.memory = pools.memory(batch);
    Totals& totals = result.totals;
    totals.sequences = totals.tokens_in = totals.tokens_out = pools.sequences(batch);
    totals.flops = cost.attention.flops + cost.feed_forward.flops;
    totals.matrix_flops = cost.attention.matrix_flops + cost.feed_forward.matrix_flops;
    totals.hbm_bytes = cost.attention.memory_bytes + cost.feed_forward.memory_bytes;
    totals.sent_bytes = totals.received_bytes = cost.moved_bytes;
    totals.tasks = static_cast<long>(cost.layers * cost.batches);
    // As the attention pool sees it: what it does not work it waits.
    const double attention = cost.times.attention.value(),
                 waiting = cost.times.end.value() - attention;
    const auto part = [&](const char* name, double seconds) {
        result.breakdown.push_back({name, seconds, seconds / cost.seconds});
    };
    part("attention pool at work", attention);
    part("wait for feed-forward pool and links", waiting);
    part("host", cost.host);
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    add("iteration_time", cost.seconds * 1e3, "ms");
    add("batch_per_chip", totals.sequences / pools.attention().packages, "sequences");
    if (cost.imbalance > 1) add("expert_imbalance", cost.imbalance, "ratio");
    add("decode_tokens_per_second_per_chip", totals.tokens_out / cost.seconds / pools.packages(),
        "tok/s");
    add("tokens_per_second_per_user", 1 / cost.seconds, "tok/s");
    add("time_per_output_token", cost.seconds * 1e3, "ms");
    add_pool_shares(result, provenance, cost);
    add("achieved_flops", totals.flops / cost.seconds / pools.packages() / 1e12, "TFLOPS");
    add("achieved_bandwidth", totals.hbm_bytes / cost.seconds / pools.packages() / 1e9, "GB/s");
    double peak = 0;
    for (const MemoryUse& use : result.memory) peak = std::max(peak, use.total);
    add("memory_peak", peak / 1e9, "GB");
    add_energy(result, provenance, pools, cost);
    add_costs(result, provenance, pools, experiment.prices);
    for (const CostCache* cache :
         {&pools.steps().cache_of_attention(), &pools.steps().cache_of_feed_forward()}) {
        counts.cache_hits += cache->hits();
        counts.cache_misses += cache->misses();
        counts.stored_hits += cache->stored_hits();
    }
    return result;
}

}  // namespace podsim
