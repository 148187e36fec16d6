#include "sim/serving_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "sim/host_charge.hpp"
#include "sim/metrics.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_metrics.hpp"

namespace podsim {

namespace {

constexpr int kErrorSamples = 24;
// Of steps between the points of a table, above which the result says so.
constexpr double kMeanErrorSaid = 0.02, kWorstErrorSaid = 0.05;

// What the time rests on, asked at the mean loads of each pool.
Provenance provenance_of(ServingFleet& fleet, std::vector<std::string>& warnings) {
    std::vector<std::pair<Provenance, double>> parts;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        if (fleet.is_beside(i)) continue;  // in the attention pool's steps
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
    pool.role = replica.pool.role.empty() ? name_of(engine.role) : replica.pool.role;
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
    pool.failures = out.failures;
    pool.down_seconds = out.down;
    const std::vector<std::vector<std::string>> conditions =
        fleet.conditions(fleet.is_beside(i) ? fleet.attention_pool() : i);
    for (std::size_t c = 0; c < conditions.size() && conditions.size() > 1; ++c)
        pool.conditions.push_back(
            {conditions[c], out.condition_seconds[c], out.condition_steps[c]});
    pool.paid_seconds = out.paid;
    pool.min_replicas = engine.autoscaling ? engine.autoscaling->min_replicas : engine.replicas;
    pool.starts = out.starts;
    pool.stops = out.stops;
    pool.start_up_seconds = engine.autoscaling ? engine.autoscaling->start_up.value() : 0;
    pool.waited_for_start = out.waited_for_start;
    if (engine.autoscaling) pool.replicas_over_time = out.paid_windows;
    pool.preemptions = out.preemptions;
    pool.peak_blocks = out.peak_blocks;
    pool.peak_sequences = out.peak_sequences;
    pool.hit_tokens = out.hit_tokens;
    pool.looked_up_tokens = out.looked_up_tokens;
    pool.tier_tokens = out.tier_tokens;
    pool.shared_tokens = out.shared_tokens;
    pool.early_tokens = out.early_tokens;
    pool.idle_chips = idle_chips(replica);
    if (fleet.is_beside(i)) return pool;  // of one table with the attention pool's
    pool.step_points = fleet.table(i).points();
    const InterpolationError error = fleet.table(i).error(kErrorSamples, seed);
    pool.step_error_mean = error.mean;
    pool.step_error_worst = error.worst;
    pool.step_error_samples = error.samples;
    return pool;
}

ServedClass served_class(const ClassOutcome& out) {
    ServedClass own;
    own.name = out.name;
    own.arrived = out.arrived;
    own.finished = out.finished;
    own.rejected = out.rejected;
    own.timed_out = out.timed_out;
    own.in_flight = out.in_flight;
    own.promised_ttft = out.objective.time_to_first_token.value_or(Seconds(0.0)).value();
    own.promised_tpot = out.objective.time_per_output_token.value_or(Seconds(0.0)).value();
    own.goodput_share = ratio(out.good, static_cast<double>(out.arrived));
    own.output_tokens = out.output_tokens;
    own.ttft_p50 = out.time_to_first_token.p50;
    own.ttft_p99 = out.time_to_first_token.p99;
    own.tpot_p50 = out.time_per_output_token.p50;
    own.tpot_p99 = out.time_per_output_token.p99;
    return own;
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
    served.late_first = out.late_first;
    served.late_tokens = out.late_tokens;
    served.retried = out.retried;
    served.skipped_rows = fleet.stream().counts->skipped;
    served.skipped_long = fleet.stream().counts->too_long;
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
    std::map<std::string, int> named;
    for (const ClassOutcome& own : out.classes) {
        served.classes.push_back(served_class(own));
        // Streams without a name of their own.
        const int times = ++named[own.name];
        if (times > 1) served.classes.back().name += fmt::format(" ({})", times);
    }
    for (std::size_t i = 0; i < fleet.size(); ++i)
        served.pools.push_back(served_pool(fleet, i, out.pools[i], seed));
    return served;
}

void warn_of_interpolation(AlternativeResult& result) {
    for (const ServedPool& pool : result.served->pools) {
        if (pool.step_error_mean <= kMeanErrorSaid && pool.step_error_worst <= kWorstErrorSaid)
            continue;
        result.warnings.push_back(fmt::format(
            "steps of {} are interpolated between {} that were worked out: off by {:.2g} "
            "% on the mean and {:.2g} % at worst, of {} that were compared",
            pool.name, pool.step_points, 100 * pool.step_error_mean, 100 * pool.step_error_worst,
            pool.step_error_samples));
    }
}

LoadPoint load_point(double scale, const ServingOutcome& out, ServingFleet& fleet,
                     double usd_per_chip_second) {
    LoadPoint point;
    point.rate_scale = scale;
    point.requests_per_second = ratio(static_cast<double>(out.finished), out.span);
    point.output_tokens_per_second_per_chip = ratio(out.output_tokens, fleet.chip_seconds(out));
    point.tokens_per_second_per_user = ratio(1, out.time_per_output_token.mean);
    point.goodput_requests_per_second = ratio(out.good, out.span);
    point.ttft_p50 = out.time_to_first_token.p50;
    point.ttft_p99 = out.time_to_first_token.p99;
    point.tpot_p50 = out.time_per_output_token.p50;
    point.tpot_p99 = out.time_per_output_token.p99;
    for (std::size_t i = 0; i < fleet.size(); ++i)
        point.busy += out.pools[i].busy / fleet.replicas(i) * fleet.chips(i);
    point.busy = ratio(point.busy, fleet.chip_seconds(out));
    point.usd_per_million_output_tokens =
        ratio(usd_per_chip_second * fleet.chip_seconds(out), out.output_tokens) * 1e6;
    point.finished = out.finished;
    point.rejected = out.rejected;
    point.timed_out = out.timed_out;
    return point;
}

// Of one trace alone: which.
std::string of_file(const TrafficSpec& traffic) {
    if (traffic.streams.size() != 1 || traffic.streams.front().trace.empty()) return "";
    return " of " + std::filesystem::path(traffic.streams.front().trace).filename().string();
}

// Prompts are drawn with the prefix in them: one that is longer than most is hardly meant.
void warn_of_cut_prefixes(const TrafficSpec& traffic, AlternativeResult& result) {
    for (const StreamSpec& stream : traffic.streams) {
        // Of an empirical law no mean is given.
        if (!stream.prefix || !stream.input || !(stream.input->mean > Tokens(0.0))) continue;
        if (stream.prefix->tokens <= stream.input->mean) continue;
        result.warnings.push_back(
            fmt::format("{}: the prefix of {:.0f} tokens is cut to the prompts, of {:.0f} on the "
                        "mean (`input` is the whole prompt, the prefix contained)",
                        stream.name, stream.prefix->tokens.value(), stream.input->mean.value()));
    }
}

void add_warnings(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet,
                  const TrafficSpec& traffic) {
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        for (const std::string& warning : fleet.replica(i).warnings) {
            if (std::find(result.warnings.begin(), result.warnings.end(), warning) ==
                result.warnings.end())
                result.warnings.push_back(warning);
        }
    }
    for (const std::string& note : fleet.tier_notes())
        if (std::find(result.warnings.begin(), result.warnings.end(), note) ==
            result.warnings.end())
            result.warnings.push_back(note);
    if (out.stopped)
        result.warnings.push_back(
            fmt::format("partial: ended by a signal after {} of simulated time, {} requests on "
                        "their way; everything is of what had ended",
                        to_string(Seconds(out.span)), out.in_flight));
    const long skipped = fleet.stream().counts->skipped;
    if (skipped > 0)
        result.warnings.push_back(
            fmt::format("{} rows of the traffic with something wrong were skipped", skipped));
    if (const RequestCounts& counts = *fleet.stream().counts; counts.too_long > 0)
        result.warnings.push_back(
            fmt::format("{} requests longer than max_model_len were left out of the traffic, the "
                        "first: {}",
                        counts.too_long, counts.first_too_long));
    for (const std::string& reason : out.reasons)
        result.warnings.push_back("rejected requests: " + reason + of_file(traffic));
    warn_of_cut_prefixes(traffic, result);
}

}  // namespace

void load_traffic(ResolvedExperiment& experiment, const Catalog& catalog) {
    experiment.traffic = experiment.spec.workload.serving->traffic;
    find_traffic_files(*experiment.traffic, {catalog.data_folder()});
    if (!experiment.model) return;
    for (StreamSpec& stream : experiment.traffic->streams) stream.longest = longest_of(experiment);
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

Watts fleet_power(const PriceSpec& prices, const ResolvedAlternative& replica) {
    const double chips = static_cast<double>(replica.packages) * replica.pool.replicas;
    return replica.system.power_per_chip.value *
           (chips * std::max(1.0, prices.power_usage_effectiveness.value));
}

void check_serving(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    RunOptions options;
    ServingFleet(experiment, alternative, options).check();
    if (!experiment.spec.site_power) return;
    Watts drawn(0.0);
    for (const ResolvedAlternative& pool : alternative.pools)
        drawn = drawn + fleet_power(experiment.prices, pool);
    if (drawn <= *experiment.spec.site_power) return;
    throw InputError({at_key(
        alternative.pools.front().pool, "chips",
        fmt::format("all pools of {} draw {} with their cooling, site_power "
                    "is {}",
                    alternative.name, to_string(drawn), to_string(*experiment.spec.site_power)),
        "fewer chips or replicas; podsim plan finds the smallest fleet")});
}

AlternativeResult run_serving(const ResolvedExperiment& experiment,
                              const ResolvedAlternative& alternative, const RunOptions& options,
                              RunCounts& counts) {
    ServingFleet fleet(experiment, alternative, options);
    const TrafficSpec& traffic = *experiment.traffic;
    const ServingOutcome out = fleet.run(traffic, options.seed, options.stop);
    AlternativeResult result;
    if (out.arrived == 0) {
        const RequestCounts& read = *fleet.stream().counts;
        throw InputError(
            {read.too_long > 0
                 ? at_key(
                       experiment.spec.workload, "traffic",
                       fmt::format("no request comes: {} longer than max_model_len were skipped, "
                                   "the first: {}",
                                   read.too_long, read.first_too_long),
                       "shorter prompts, or a larger max_model_len")
                 : at_key(experiment.spec.workload, "traffic",
                          read.skipped > 0
                              ? fmt::format("no request comes: {} rows were skipped", read.skipped)
                              : "no request comes",
                          "a rate above 0, a longer duration, or another part of the trace")});
    }
    if (out.finished == 0 && !out.stopped)
        throw InputError({at_key(
            experiment.spec.workload, "traffic",
            fmt::format(
                "none of {} requests could be served by {}: {}", out.arrived, alternative.name,
                out.reasons.empty() ? "all timed out" : out.reasons.front() + of_file(traffic)),
            "shorter prompts, a larger max_model_len, more memory for the KV cache")});
    add_warnings(result, out, fleet, traffic);
    const long longest = experiment.spec.workload.serving->max_model_len,
               made_for = experiment.model->max_context;
    if (made_for > 0 && longest > made_for)
        result.warnings.push_back(
            fmt::format("max_model_len of {} tokens is longer than the {} that {} was made for",
                        longest, made_for, experiment.model->name));
    result.served = served_of(fleet, out, options.seed);
    warn_of_interpolation(result);
    result.packages = static_cast<int>(fleet.chips());
    for (const ServedPool& pool : result.served->pools) result.ranks += pool.ranks;
    result.iteration_seconds = out.span;
    std::vector<std::string> warnings;
    const ServingMetrics add{result, provenance_of(fleet, warnings)};
    for (const std::string& warning : warnings) result.warnings.push_back(warning);
    add_rates(add, out, fleet);
    add_breakdown(result, out);
    add_resources(result, out, fleet);
    add_shared_tiers(result, out, fleet);
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
    add("power_per_chip", ratio(joules, fleet.chip_seconds(out)), "W");
    add("energy_per_token", ratio(joules, out.output_tokens), "J/tok");
    add_costs(add, out, fleet, experiment);
    counts.events += static_cast<long>(out.events);

    add_lifecycle(add, out, fleet, experiment);

    const double usd_per_chip_second =
        result.cost.empty() ? 0 : result.cost.front().usd_per_hour_per_chip / 3600;
    std::vector<double> scales = experiment.spec.workload.serving->rate_scales;
    std::vector<LoadPoint>& curve = result.served->curve;
    for (const double scale : scales) {
        if (options.stop && options.stop()) break;
        const ServingOutcome other = fleet.run(scaled(traffic, scale), options.seed, options.stop);
        if (other.stopped) break;
        counts.events += static_cast<long>(other.events);
        curve.push_back(load_point(scale, other, fleet, usd_per_chip_second));
    }
    mark_frontier(curve);
    const auto count = [&](const CostCache& cache) {
        counts.cache_hits += cache.hits();
        counts.cache_misses += cache.misses();
        counts.stored_hits += cache.stored_hits();
    };
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        if (fleet.is_beside(i)) continue;
        count(fleet.table(i).cache());
        if (const DisaggregatedSteps* beside = fleet.table(i).beside()) {
            count(beside->cache_of_attention());
            count(beside->cache_of_feed_forward());
        }
    }
    return result;
}

}  // namespace podsim
