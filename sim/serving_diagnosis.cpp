#include "sim/serving_diagnosis.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/resolve.hpp"
#include "sim/serving_metrics.hpp"

namespace podsim {

namespace {

constexpr double kFull = 0.95;     // of a room that then counts as what ran out
constexpr double kFullTier = 0.9;  // of a tier's bandwidth over the run

// Peaks of a replica against the rates of its steps: what a kind of step runs into.
std::string bound_by(const StepCost& cost, const ResolvedAlternative& replica) {
    const RankHardware hardware = hardware_of(replica);
    const double ranks = replica.ranks;
    const double memory =
        cost.memory_bytes / cost.seconds / (hardware.hbm_bandwidth.value() * ranks);
    FlopsPerSecond peak(0.0);
    for (const DType format : {replica.pool.precision.weights, replica.pool.precision.experts})
        peak = max(peak, published_peak_for(replica.chip, format));
    const double matrix = cost.matrix_flops / cost.seconds / (peak.value() * replica.packages);
    return fmt::format("HBM at {:.0f} % of its peak, matrix units at {:.0f} %", memory * 100,
                       matrix * 100);
}

std::string engine_text(ServingFleet& fleet, const ServingOutcome& out, std::size_t pool) {
    const PoolOutcome& of = out.pools[pool];
    const ServingPool& engine = fleet.engine(pool);
    const PoolWork& work = fleet.work(pool);
    const double busy = ratio(of.busy, out.span * engine.replicas);
    const double reading = ratio(work.prefill_seconds, of.busy);
    const bool reads = reading > 0.5;
    std::string text = fmt::format(
        "engines of {} at work {:.0f} % of the time, {:.0f} % of it for "
        "prompts",
        engine.name, busy * 100, reading * 100);
    if (static_cast<double>(of.peak_blocks) >= kFull * static_cast<double>(engine.kv_blocks) ||
        of.preemptions > 0)
        return fmt::format("KV room of {} (all {} blocks of a replica in use); ", engine.name,
                           engine.kv_blocks) +
               text;
    if (of.peak_sequences >= engine.knobs.max_num_seqs && !reads)
        return fmt::format("max_num_seqs of {} ({} of a replica); ", engine.name,
                           engine.knobs.max_num_seqs) +
               text;
    StepLoad load;
    if (reads && work.prefill_steps > 0) {
        load.prefill_tokens = work.prefill_tokens / work.prefill_steps;
        load.prefill_context = work.prefill_contexts / work.prefill_tokens;
    } else if (work.decode_steps > 0) {
        load.decodes = work.decode_sequences / work.decode_steps;
        load.decode_context = work.decode_contexts / work.decode_sequences;
    } else {
        return text;
    }
    return text + "; a mean step has " +
           bound_by(fleet.table(pool).cost(load), fleet.replica(pool));
}

std::string at(const Distribution& times, PlanPercentile percentile) {
    const double seconds = percentile == PlanPercentile::p50   ? times.p50
                           : percentile == PlanPercentile::p90 ? times.p90
                           : percentile == PlanPercentile::p95 ? times.p95
                                                               : times.p99;
    return fmt::format("{} {}", name_of(percentile), to_string(Seconds(seconds)));
}

double busy_share(const ServingOutcome& out, const SharedTierOutcome& tier) {
    return ratio(tier.busy, std::max(out.span, tier.busy_until));
}

double peak_share(const SharedTierOutcome& tier) {
    return tier.busy_windows.empty()
               ? 0.0
               : *std::max_element(tier.busy_windows.begin(), tier.busy_windows.end());
}

bool is_full(const ServingOutcome& out, const SharedTierOutcome& tier) {
    const bool held_up = out.waits.transfer > out.waits.queue + out.waits.prefill;
    return busy_share(out, tier) >= kFullTier || (held_up && peak_share(tier) >= kFullTier);
}

}  // namespace

std::optional<std::size_t> full_tier(const ServingOutcome& out) {
    for (std::size_t t = 0; t < out.shared.size(); ++t)
        if (is_full(out, out.shared[t])) return t;
    return {};
}

std::string what_gave_way(ServingFleet& fleet, const ServingOutcome& out,
                          PlanPercentile percentile) {
    const double first = static_cast<double>(out.late_first + out.timed_out),
                 tokens = static_cast<double>(out.late_tokens),
                 rejected = static_cast<double>(out.rejected);
    const bool is_first = first >= tokens;
    std::size_t pool = 0;
    double busiest = -1;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolRole role = fleet.engine(i).role;
        if (role == (is_first ? PoolRole::decode : PoolRole::prefill)) continue;
        const double busy = ratio(out.pools[i].busy, out.pools[i].paid);
        if (busy <= busiest) continue;
        busiest = busy;
        pool = i;
    }
    const double all = static_cast<double>(out.arrived) / 100;
    std::string what;
    if (rejected > std::max(first, tokens)) {
        what = fmt::format("rejected requests ({:.1f} %: {})", rejected / all,
                           out.reasons.empty() ? "" : out.reasons.front());
    } else if (is_first) {
        what = fmt::format("TTFT ({:.1f} % of the requests late, {})", first / all,
                           at(out.time_to_first_token, percentile));
    } else {
        what = fmt::format("TPOT ({:.1f} % of the requests slow, {})", tokens / all,
                           at(out.time_per_output_token, percentile));
    }
    what += ": ";
    for (std::size_t t = 0; t < out.shared.size(); ++t) {
        const SharedTierOutcome& tier = out.shared[t];
        if (!is_full(out, tier)) continue;
        const CacheTierSetting& setting = fleet.shared_tiers()[t];
        what += fmt::format(
            "bandwidth of the shared tier {} ({}, {:.0f} % of the time in use, {:.0f} % at its "
            "busiest); ",
            setting.name, to_string(setting.bandwidth), busy_share(out, tier) * 100,
            peak_share(tier) * 100);
    }
    return what + engine_text(fleet, out, pool);
}

}  // namespace podsim
