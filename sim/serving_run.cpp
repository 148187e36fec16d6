#include "sim/serving_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/metrics.hpp"
#include "sim/serving_fleet.hpp"

namespace podsim {

namespace {

constexpr int kErrorSamples = 24;

double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

Provenance merged(const std::vector<std::pair<Provenance, double>>& parts) {
    Provenance all;
    double sum = 0, measured = 0;
    for (const auto& [one, weight] : parts) sum += weight;
    for (const auto& [one, weight] : parts) {
        for (const auto& [what, share] : one.shares) all.shares[what] += share * weight / sum;
        const auto found = one.shares.find("measured");
        if (found == one.shares.end()) continue;
        measured += found->second * weight;
        all.measured_error += one.measured_error * found->second * weight;
    }
    if (measured > 0) all.measured_error /= measured;
    return all;
}

// What the time rests on, asked at the mean loads of each pool.
Provenance provenance_of(ServingFleet& fleet, std::vector<std::string>& warnings) {
    std::vector<std::pair<Provenance, double>> parts;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolWork& work = fleet.work(i);
        const double reading = work.prefill_seconds,
                     writing = work.cost.seconds - work.prefill_seconds;
        if (reading > 0) {
            const StepLoad load{0, 0, work.prefill_tokens / work.prefill_steps,
                                work.prefill_contexts / work.prefill_tokens};
            parts.emplace_back(fleet.table(i).provenance(load, warnings), reading);
        }
        if (writing > 0 && work.decode_steps > 0) {
            const StepLoad load{work.decode_sequences / work.decode_steps,
                                work.decode_contexts / work.decode_sequences, 0, 0};
            parts.emplace_back(fleet.table(i).provenance(load, warnings), writing);
        }
    }
    if (parts.empty()) return {{{"assumed", 1.0}}, 0};
    return merged(parts);
}

ServedPool served_pool(ServingFleet& fleet, std::size_t i, const PoolOutcome& out,
                       std::uint64_t seed) {
    const ResolvedAlternative& replica = fleet.replica(i);
    const ServingPool& engine = fleet.engine(i);
    const PoolWork& work = fleet.work(i);
    ServedPool pool;
    pool.name = engine.name;
    pool.role = name_of(engine.role);
    pool.system = replica.system.name;
    pool.chip = replica.chip.name;
    pool.replicas = engine.replicas;
    pool.chips = static_cast<int>(fleet.chips(i));
    pool.ranks = replica.ranks * engine.replicas;
    pool.kv_blocks = engine.kv_blocks;
    pool.block_size = engine.knobs.block_size;
    pool.max_num_seqs = engine.knobs.max_num_seqs;
    pool.max_num_batched_tokens = engine.knobs.max_num_batched_tokens;
    pool.kv_bytes_per_token = fleet.capacity(i).bytes_per_token;
    pool.busy_seconds = out.busy;
    pool.steps = out.steps;
    pool.mixed_steps = out.mixed_steps;
    pool.decode_steps = out.decode_steps;
    pool.decode_step_seconds = out.decode_seconds;
    pool.mean_batch = ratio(out.decode_sequences, out.decode_steps);
    pool.mean_context = ratio(out.decode_contexts, out.decode_sequences);
    pool.prefill_tokens = out.prefill_tokens;
    pool.written_tokens = out.written_tokens;
    pool.prefill_seconds = std::min(work.prefill_seconds, out.busy);
    pool.flops = work.cost.matrix_flops;
    pool.memory_bytes = work.cost.memory_bytes;
    pool.preemptions = out.preemptions;
    pool.peak_blocks = out.peak_blocks;
    pool.peak_sequences = out.peak_sequences;
    pool.hit_tokens = out.hit_tokens;
    pool.looked_up_tokens = out.looked_up_tokens;
    pool.step_points = fleet.table(i).points();
    const InterpolationError error = fleet.table(i).error(kErrorSamples, seed);
    pool.step_error_mean = error.mean;
    pool.step_error_worst = error.worst;
    pool.step_error_samples = error.samples;
    return pool;
}

ServedTraffic served_of(ServingFleet& fleet, const ServingOutcome& out, std::uint64_t seed) {
    ServedTraffic served;
    served.partial = out.stopped;
    served.span_seconds = out.span;
    served.arrived = out.arrived;
    served.finished = out.finished;
    served.rejected = out.rejected;
    served.timed_out = out.timed_out;
    served.in_flight = out.in_flight;
    served.skipped_rows = fleet.stream().counts->skipped;
    served.input_tokens = out.input_tokens;
    served.cached_tokens = out.cached_tokens;
    served.output_tokens = out.output_tokens;
    served.recomputed_tokens = out.recomputed_tokens;
    served.number_integral = out.number_integral;
    served.sojourn_sum = out.sojourn_sum;
    served.transferred_tokens = out.transferred_tokens;
    served.transferred_bytes = (out.transferred_tokens * fleet.kv_per_token()).value();
    served.notes = fleet.stream().notes;
    for (const std::string& reason : out.reasons) served.notes.push_back("rejected: " + reason);
    for (std::size_t i = 0; i < fleet.size(); ++i)
        served.pools.push_back(served_pool(fleet, i, out.pools[i], seed));
    return served;
}

struct Metrics {
    AlternativeResult& result;
    Provenance provenance;
    void operator()(const std::string& name, double value, const char* unit) const {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    }
    void distribution(const std::string& name, const Distribution& values) const {
        if (!(values.count > 0)) return;
        (*this)(name, values.mean * 1e3, "ms");
        (*this)(name + "_p50", values.p50 * 1e3, "ms");
        (*this)(name + "_p90", values.p90 * 1e3, "ms");
        (*this)(name + "_p99", values.p99 * 1e3, "ms");
    }
};

void add_rates(const Metrics& add, const ServingOutcome& out, ServingFleet& fleet) {
    const double chips = fleet.chips(), span = out.span;
    add("requests_finished", static_cast<double>(out.finished), "requests");
    if (out.rejected > 0) add("requests_rejected", static_cast<double>(out.rejected), "requests");
    if (out.timed_out > 0)
        add("requests_timed_out", static_cast<double>(out.timed_out), "requests");
    add("requests_per_second", ratio(static_cast<double>(out.finished), span), "req/s");
    add("goodput_requests_per_second", ratio(out.good, span), "req/s");
    add("goodput_share", ratio(out.good, static_cast<double>(out.arrived)), "share");
    add("output_tokens_per_second_per_chip", ratio(out.output_tokens, span * chips), "tok/s");
    add("input_tokens_per_second_per_chip", ratio(out.input_tokens, span * chips), "tok/s");
    add("total_tokens_per_second_per_chip",
        ratio(out.input_tokens + out.output_tokens, span * chips), "tok/s");
    if (out.time_per_output_token.mean > 0)
        add("tokens_per_second_per_user", 1 / out.time_per_output_token.mean, "tok/s");
    add.distribution("time_to_first_token", out.time_to_first_token);
    add.distribution("time_per_output_token", out.time_per_output_token);
    add.distribution("inter_token_latency", out.inter_token_latency);
    add.distribution("end_to_end_latency", out.end_to_end);
    double busy = 0, blocks = 0, block_capacity = 0, flops = 0, bytes = 0, hits = 0, looked = 0,
           preempted = 0;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolOutcome& pool = out.pools[i];
        busy += pool.busy / fleet.replicas(i) * fleet.chips(i);
        blocks += pool.block_seconds;
        block_capacity += static_cast<double>(fleet.engine(i).kv_blocks) * fleet.replicas(i);
        flops += fleet.work(i).cost.flops;
        bytes += fleet.work(i).cost.memory_bytes;
        hits += pool.hit_tokens;
        looked += pool.looked_up_tokens;
        preempted += static_cast<double>(pool.preemptions);
    }
    add("utilization_engine", ratio(busy, span * chips), "share");
    add("kv_cache_occupancy", ratio(blocks, span * block_capacity), "share");
    add("kv_cache_blocks", block_capacity, "blocks");
    if (hits > 0) add("prefix_hit_rate", ratio(hits, looked), "share");
    add("preemptions", preempted, "sequences");
    add("achieved_flops", ratio(flops, span * chips) / 1e12, "TFLOPS");
    add("achieved_bandwidth", ratio(bytes, span * chips) / 1e9, "GB/s");
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
                         ratio(pool.busy, out.span * replicas),
                         peak(pool.busy_windows),
                         pool.busy / replicas,
                         "s",
                         1.0,
                         pool.busy_windows};
        const auto blocks = static_cast<double>(fleet.engine(i).kv_blocks);
        ResourceUse cache{"KV cache",
                          name,
                          ratio(pool.block_seconds, out.span * replicas * blocks),
                          peak(pool.block_windows),
                          pool.block_seconds / replicas,
                          "block-seconds",
                          blocks,
                          pool.block_windows};
        result.resources.push_back(std::move(busy));
        result.resources.push_back(std::move(cache));
        MemoryUse memory;
        memory.rank_class = name;
        memory.ranks = fleet.replica(i).ranks * fleet.replicas(i);
        memory.parts = fleet.capacity(i).parts;
        memory.total = fleet.capacity(i).total();
        memory.capacity = fleet.capacity(i).capacity;
        result.memory.push_back(std::move(memory));
    }
}

// Work by what each step draws, rest by the span.
double add_energy(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet) {
    double work = 0, package = 0, beside = 0;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        work += fleet.work(i).cost.joules;
        const RestPower rest = fleet.table(i).at_rest();
        package += rest.package * out.span * fleet.replicas(i);
        beside += rest.beside * out.span * fleet.replicas(i);
    }
    const double whole = work + package + beside;
    result.energy = {{"work of the chips", work, ratio(work, whole), true},
                     {"static", package, ratio(package, whole), true},
                     {"host, network, fans", beside, ratio(beside, whole), false}};
    return whole;
}

// The bill of the span, and what it comes to a token: time at work by what it was for, the rest by
// itself. Sums to the bill:
//   input x $/input + output x $/output + (input + output) x $ of idle time = hours x $/hour
void add_costs(const Metrics& add, const ServingOutcome& out, ServingFleet& fleet,
               const ResolvedExperiment& experiment) {
    AlternativeResult& result = add.result;
    std::vector<std::vector<CostBasis>> pools;
    for (std::size_t i = 0; i < fleet.size(); ++i)
        pools.push_back(cost_bases(experiment.prices, fleet.replica(i).chip,
                                   fleet.replica(i).system, result.warnings));
    const double chips = fleet.chips();
    for (const CostBasis& first : pools.front()) {
        CostBasis mean = first;
        double hourly = 0, reading = 0, writing = 0;  // USD an hour; USD of the span
        bool everywhere = true;
        std::optional<double> low = 0.0, high = 0.0;
        for (std::size_t i = 0; i < pools.size(); ++i) {
            const auto same = std::find_if(pools[i].begin(), pools[i].end(),
                                           [&](const auto& one) { return one.name == first.name; });
            everywhere = everywhere && same != pools[i].end();
            if (!everywhere) break;
            const double share = fleet.chips(i) / chips, usd = same->usd_per_hour_per_chip;
            hourly += share * usd;
            if (low) low = same->low ? std::optional(*low + share * *same->low) : std::nullopt;
            if (high) high = same->high ? std::optional(*high + share * *same->high) : std::nullopt;
            const double each = usd / 3600 * fleet.replica(i).packages;  // USD/s of a replica
            const double prompts = std::min(fleet.work(i).prefill_seconds, out.pools[i].busy);
            reading += each * prompts;
            writing += each * (out.pools[i].busy - prompts);
        }
        if (!everywhere) continue;
        if (pools.size() > 1) mean.parts = {{"chips of all pools", hourly}};
        mean.usd_per_hour_per_chip = hourly;
        mean.low = low;
        mean.high = high;
        const std::string suffix = result.cost.empty() ? "" : "_" + mean.name;
        result.cost.push_back(mean);
        const double bill = hourly * chips * out.span / 3600;
        const auto price = [&](const char* name, double usd, double tokens) {
            if (!(tokens > 0)) return;
            Metric metric{name + suffix, usd / tokens * 1e6, "USD/Mtok", {}, {}, add.provenance};
            if (mean.low) metric.low = metric.value * *mean.low / hourly;
            if (mean.high) metric.high = metric.value * *mean.high / hourly;
            result.metrics.push_back(std::move(metric));
        };
        add("usd_per_hour_per_chip" + suffix, hourly, "USD/h");
        const double tokens = out.input_tokens + out.output_tokens;
        price("usd_per_million_input_tokens", reading, out.input_tokens);
        price("usd_per_million_output_tokens", writing, out.output_tokens);
        price("usd_per_million_tokens_of_idle_time", bill - reading - writing, tokens);
        price("usd_per_million_total_tokens", bill, tokens);
        price("usd_per_million_output_tokens_whole_bill", bill, out.output_tokens);
        if (mean.confidence == "rumour")
            result.warnings.push_back(fmt::format("the {} price of {} is a rumour ({})", mean.name,
                                                  fleet.replica(0).chip.name, mean.source));
    }
}

LoadPoint load_point(double scale, const ServingOutcome& out, ServingFleet& fleet,
                     double usd_per_second) {
    LoadPoint point;
    point.rate_scale = scale;
    point.requests_per_second = ratio(static_cast<double>(out.finished), out.span);
    point.output_tokens_per_second_per_chip = ratio(out.output_tokens, out.span * fleet.chips());
    point.tokens_per_second_per_user = ratio(1, out.time_per_output_token.mean);
    point.goodput_requests_per_second = ratio(out.good, out.span);
    point.ttft_p50 = out.time_to_first_token.p50;
    point.ttft_p99 = out.time_to_first_token.p99;
    point.tpot_p50 = out.time_per_output_token.p50;
    point.tpot_p99 = out.time_per_output_token.p99;
    for (std::size_t i = 0; i < fleet.size(); ++i)
        point.busy += out.pools[i].busy / fleet.replicas(i) * fleet.chips(i);
    point.busy = ratio(point.busy, out.span * fleet.chips());
    point.usd_per_million_output_tokens = ratio(usd_per_second * out.span, out.output_tokens) * 1e6;
    point.finished = out.finished;
    point.rejected = out.rejected;
    point.timed_out = out.timed_out;
    return point;
}

TrafficSpec scaled(TrafficSpec traffic, double scale) {
    for (StreamSpec& stream : traffic.streams) {
        if (!stream.arrivals || stream.arrivals->law != ArrivalLaw::closed) {
            stream.rate_scale *= scale;
            continue;
        }
        long& users = stream.arrivals->concurrency;
        users = std::max(1L, std::lround(static_cast<double>(users) * scale));
    }
    return traffic;
}

void add_warnings(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet) {
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        for (const std::string& warning : fleet.replica(i).warnings) {
            if (std::find(result.warnings.begin(), result.warnings.end(), warning) ==
                result.warnings.end())
                result.warnings.push_back(warning);
        }
    }
    if (out.stopped)
        result.warnings.push_back(
            fmt::format("partial: ended by a signal after {} of simulated time, {} requests on "
                        "their way; everything is of what had ended",
                        to_string(Seconds(out.span)), out.in_flight));
    const long skipped = fleet.stream().counts->skipped;
    if (skipped > 0)
        result.warnings.push_back(
            fmt::format("{} rows of the traffic with something wrong were skipped", skipped));
    for (const std::string& reason : out.reasons)
        result.warnings.push_back("rejected requests: " + reason);
}

}  // namespace

void load_traffic(ResolvedExperiment& experiment, const Catalog& catalog) {
    experiment.traffic = experiment.spec.workload.serving->traffic;
    find_traffic_files(*experiment.traffic, {catalog.data_folder()});
}

ResolvedExperiment replica_experiment(const ResolvedExperiment& experiment, const PoolSpec& pool) {
    ResolvedExperiment replica = experiment;
    WorkloadSpec& workload = replica.spec.workload;
    workload.kind = pool.role == "prefill" ? WorkloadKind::prefill : WorkloadKind::decode;
    // Enough of a context that a mapping has room for caches, too.
    const long made_for = experiment.model ? experiment.model->max_context : 0;
    workload.context = Tokens(static_cast<double>(made_for > 0 ? std::min(made_for, 4096L) : 4096));
    workload.batch = BatchSpec();
    workload.batch.latency_target = Seconds(1.0);  // the smallest batch, where memory is looked at
    workload.serving.reset();
    return replica;
}

void check_serving(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    RunOptions options;
    ServingFleet(experiment, alternative, options).check();
}

AlternativeResult run_serving(const ResolvedExperiment& experiment,
                              const ResolvedAlternative& alternative, const RunOptions& options,
                              RunCounts& counts) {
    ServingFleet fleet(experiment, alternative, options);
    const TrafficSpec& traffic = *experiment.traffic;
    const ServingOutcome out = fleet.run(traffic, options.seed, options.stop);
    AlternativeResult result;
    if (out.arrived == 0)
        throw InputError({at_key(experiment.spec.workload, "traffic", "no request comes",
                                 "a rate above 0, a longer duration, or another part of the "
                                 "trace")});
    if (out.finished == 0 && !out.stopped)
        throw InputError(
            {at_key(experiment.spec.workload, "traffic",
                    fmt::format("none of {} requests could be served by {}: {}", out.arrived,
                                alternative.name,
                                out.reasons.empty() ? "all timed out" : out.reasons.front()),
                    "shorter prompts, a larger max_model_len, more memory for the KV cache")});
    add_warnings(result, out, fleet);
    const long longest = experiment.spec.workload.serving->max_model_len,
               made_for = experiment.model->max_context;
    if (made_for > 0 && longest > made_for)
        result.warnings.push_back(
            fmt::format("max_model_len of {} tokens is longer than the {} that {} was made for",
                        longest, made_for, experiment.model->name));
    result.served = served_of(fleet, out, options.seed);
    result.packages = static_cast<int>(fleet.chips());
    for (const ServedPool& pool : result.served->pools) result.ranks += pool.ranks;
    result.iteration_seconds = out.span;
    std::vector<std::string> warnings;
    const Metrics add{result, provenance_of(fleet, warnings)};
    for (const std::string& warning : warnings) result.warnings.push_back(warning);
    add_rates(add, out, fleet);
    add_breakdown(result, out);
    add_resources(result, out, fleet);
    result.totals.tokens_in = out.input_tokens;
    result.totals.tokens_out = out.output_tokens;
    result.totals.sequences = static_cast<double>(out.finished);
    result.totals.tasks = out.arrived;
    result.totals.unfinished = out.in_flight;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        result.totals.flops += fleet.work(i).cost.flops;
        result.totals.matrix_flops += fleet.work(i).cost.matrix_flops;
        result.totals.hbm_bytes += fleet.work(i).cost.memory_bytes;
    }
    result.totals.sent_bytes = result.totals.received_bytes = result.served->transferred_bytes;
    const double joules = add_energy(result, out, fleet);
    add("power_per_chip", ratio(joules, out.span * fleet.chips()), "W");
    add("energy_per_token", ratio(joules, out.output_tokens), "J/tok");
    add_costs(add, out, fleet, experiment);
    counts.events += static_cast<long>(out.events);

    const double usd_per_second =
        result.cost.empty() ? 0 : result.cost.front().usd_per_hour_per_chip * fleet.chips() / 3600;
    std::vector<double> scales = experiment.spec.workload.serving->rate_scales;
    std::vector<LoadPoint>& curve = result.served->curve;
    for (const double scale : scales) {
        if (options.stop && options.stop()) break;
        const ServingOutcome other = fleet.run(scaled(traffic, scale), options.seed, options.stop);
        if (other.stopped) break;
        counts.events += static_cast<long>(other.events);
        curve.push_back(load_point(scale, other, fleet, usd_per_second));
    }
    mark_frontier(curve);
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const CostCache& cache = fleet.table(i).cache();
        counts.cache_hits += cache.hits();
        counts.cache_misses += cache.misses();
        counts.stored_hits += cache.stored_hits();
    }
    return result;
}

}  // namespace podsim
