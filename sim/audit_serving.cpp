#include "sim/audit_serving.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"
#include "sim/audit_tree.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kCounted = 1e-6;  // sums of millions of doubles

double chip_seconds(const ServedTraffic& served) {
    double sum = 0;
    for (const ServedPool& pool : served.pools)
        sum += pool.paid_seconds * pool.chips / std::max(pool.replicas, 1);
    return sum;
}

void requests_sum(const ServedTraffic& served, AuditFindings& findings) {
    const long ended = served.finished + served.rejected + served.timed_out;
    findings.check("every request ends one way",
                   served.arrived > 0 && ended + served.in_flight == served.arrived &&
                       (served.partial || served.in_flight == 0) && served.finished >= 0 &&
                       served.rejected >= 0 && served.timed_out >= 0 && served.in_flight >= 0,
                   fmt::format("{} arrived, {} finished, {} rejected, {} timed out, {} on their "
                               "way{}",
                               served.arrived, served.finished, served.rejected, served.timed_out,
                               served.in_flight, served.partial ? " (partial)" : ""));
}

void tokens_sum(const ServedTraffic& served, AuditFindings& findings) {
    double computed = 0, written = 0;
    for (const ServedPool& pool : served.pools) {
        computed += pool.prefill_tokens;
        written += pool.written_tokens;
    }
    const double asked = served.input_tokens - served.cached_tokens + served.recomputed_tokens;
    // What was done for requests that had not ended, or gave up while they were without blocks,
    // is in the engines' count alone.
    const bool whole = !served.partial && served.timed_out == 0;
    const auto agrees = [&](double engines, double requests) {
        return whole ? same(engines, requests, kCounted) : at_least(engines, requests);
    };
    findings.check("tokens in = tokens out",
                   agrees(computed, asked) && agrees(written, served.output_tokens),
                   fmt::format("engines read {:.0f} prompt tokens, requests had {:.0f} beside "
                               "those of the cache; engines wrote {:.0f}, requests got {:.0f}",
                               computed, asked, written, served.output_tokens));
}

void littles_law(const ServedTraffic& served, AuditFindings& findings) {
    findings.check("Little's law", same(served.number_integral, served.sojourn_sum, kCounted),
                   fmt::format("requests in the system over time {:.6g} s, their times in the "
                               "system {:.6g} s",
                               served.number_integral, served.sojourn_sum));
}

void breakdown_sums(const AlternativeResult& result, AuditFindings& findings) {
    double seconds = 0, shares = 0, least = 0;
    for (const BreakdownPart& part : result.breakdown) {
        seconds += part.seconds;
        shares += part.share;
        least = std::min(least, part.seconds);
    }
    const Metric* whole = result.metric("end_to_end_latency");
    const bool empty = result.breakdown.empty() && result.served->finished == 0;
    findings.check("what requests wait for sums to their time",
                   empty || (whole != nullptr && least > -kCounted &&
                             same(seconds, whole->value * 1e-3, 1e-4) && same(shares, 1, kCounted)),
                   fmt::format("parts {}, end to end {}", time_text(seconds),
                               whole != nullptr ? time_text(whole->value * 1e-3) : "missing"));
}

// The configuration as if one replica decoded a batch, which the audit of steps can read.
Json replica_configuration(const Json& configuration, const std::string& alternative,
                           std::size_t index, const ServedPool& pool) {
    Json changed = configuration;
    Json& experiment = changed["experiment"];
    Json workload = {{"kind", "decode"},
                     {"model", experiment["workload"].at("model")},
                     {"context", fmt::format("{} tokens", std::floor(pool.mean_context) + 1)},
                     {"batch_per_group", "1"}};
    if (experiment["workload"].contains("speculation"))
        workload["speculation"] = experiment["workload"]["speculation"];
    experiment["workload"] = workload;
    for (Json& one : experiment["alternatives"]) {
        if (one.at("name").get<std::string>() != alternative) continue;
        Json own = one;
        if (one.contains("pools")) {
            own = one["pools"].at(index);
            own["name"] = alternative;
        }
        own["chips"] = std::to_string(pool.chips / pool.replicas);
        own.erase("replicas");
        own.erase("autoscaling");
        own.erase("scheduler");
        own.erase("role");
        one = own;
        return changed;
    }
    throw std::runtime_error("no alternative " + alternative);
}

// Between what is always there and what there may be, and over time what is paid for.
void replica_hours(const ServedPool& pool, double span, AuditFindings& findings) {
    double over_time = 0;
    for (const double mean : pool.replicas_over_time)
        over_time += mean * span / static_cast<double>(pool.replicas_over_time.size());
    const bool stands = pool.replicas_over_time.empty();
    findings.check(
        "replica-hours paid",
        at_least(pool.paid_seconds, pool.min_replicas * span) &&
            at_least(pool.replicas * span, pool.paid_seconds) &&
            (stands ? pool.starts == 0 && pool.stops == 0
                    : same(over_time, pool.paid_seconds, kCounted)),
        fmt::format("{}: {:.6g} replica-seconds, {} to {} replicas for {}", pool.name,
                    pool.paid_seconds, pool.min_replicas, pool.replicas, time_text(span)));
}

void conditions_sum(const ServedPool& pool, AuditFindings& findings) {
    if (pool.conditions.empty()) return;
    double seconds = 0, steps = 0;
    for (const ServedCondition& condition : pool.conditions) {
        seconds += condition.seconds;
        steps += condition.steps;
    }
    findings.check(
        "steps on whole and on broken fabrics sum",
        same(seconds, pool.busy_seconds, kCounted) && same(steps, pool.steps, kCounted),
        fmt::format("{}: {} of {}, {:.0f} of {:.0f} steps", pool.name, time_text(seconds),
                    time_text(pool.busy_seconds), steps, pool.steps));
}

// Attention and feed-forward blocks on pools of their own: a step of both is no shorter than all
// its bytes and work on all their chips, and together they do the model's work, no less.
void steps_of_both(const std::string& alternative, const Json& configuration, const ServedPool& own,
                   std::size_t index, const ServedPool& other, std::size_t last,
                   AuditFindings& findings) {
    const auto facts_of = [&](std::size_t i, const ServedPool& pool) {
        ServedPool of_loads = pool;
        of_loads.mean_context = own.mean_context;
        return read_audit_facts(replica_configuration(configuration, alternative, i, of_loads),
                                alternative, "decode");
    };
    AuditFacts facts = facts_of(index, own);
    const AuditFacts experts = facts_of(last, other);
    const char* law = "steps take at least what the data sheet allows";
    if (other.role != "ffn" || !facts.step || !facts.step->model || !(own.decode_steps > 0)) {
        findings.not_checked(law, own.name + ": a family without closed forms, or no step");
        return;
    }
    facts.formats.experts = experts.formats.experts;
    if (experts.formats.weights.bytes < facts.formats.weights.bytes)
        facts.formats.weights = experts.formats.weights;
    const ClosedForm form = closed_form(facts, *facts.step->model, own.mean_batch);
    const double peak = facts.hardware.fastest_matrix_peak() * facts.chips +
                        experts.hardware.fastest_matrix_peak() * experts.chips,
                 bandwidth = facts.hardware.hbm_bandwidth * facts.chips +
                             experts.hardware.hbm_bandwidth * experts.chips;
    const double floor = std::max(form.matrix_flops / peak, form.memory_bytes / bandwidth);
    const double mean = own.decode_step_seconds / own.decode_steps;
    findings.check(law, mean >= floor * (1 - 1e-3),
                   fmt::format("{} and {}: {} a step of {:.4g} sequences with {:.4g} tokens each, "
                               "the roofline is {}",
                               own.name, other.name, time_text(mean), own.mean_batch,
                               own.mean_context, time_text(floor)));
    // Whole tokens may be worked on where an equal share is none; the interpolation is off by as
    // much as the table says.
    const double least = own.decode_steps * form.matrix_flops, done = own.flops + other.flops;
    findings.check(
        "both pools do the model's work",
        own.prefill_tokens > 0 || done >= least * (1 - std::max(0.01, own.step_error_worst)),
        fmt::format("{} and {}: {}, the model's are {}", own.name, other.name, work_text(done),
                    work_text(least)));
}

// Who reads prompts alone: each prompt takes at least its products and its attention to itself on
// all ranks, at the peak of the data sheet. That is convex in its tokens, so the mean prompt,
// without what it finds cached, bounds them all; ranks that share a prompt have a part of it each.
void readers_law(const AlternativeResult& result, const Json& configuration, std::size_t index,
                 AuditFindings& findings) {
    const char* law = "prompts take at least what the data sheet allows";
    const ServedTraffic& served = *result.served;
    const ServedPool& pool = served.pools[index];
    // Each time that one is begun counts as a prompt of its own.
    const auto prompts =
        static_cast<double>(served.arrived - served.rejected + served.retried + pool.preemptions);
    const double mean = prompts > 0 ? std::floor(pool.prefill_tokens / prompts) : 0;
    if (!(mean >= 1)) return findings.not_checked(law, pool.name + ": no prompt was read");
    Json changed = replica_configuration(configuration, result.name, index, pool);
    changed["experiment"]["workload"] = {
        {"kind", "prefill"},
        {"model", configuration.at("experiment").at("workload").at("model")},
        {"prompt", fmt::format("{:.0f} tokens", mean)},
        {"batch_per_group", "1"}};
    const AuditFacts facts = read_audit_facts(changed, result.name, "prefill");
    if (!facts.step || !facts.step->model)
        return findings.not_checked(law, pool.name + ": a family without closed forms");
    const double flops = closed_form(facts, *facts.step->model, 1).matrix_flops,
                 peak = facts.hardware.fastest_matrix_peak() * facts.chips,
                 floor = prompts * flops / peak;
    findings.check(
        law, pool.busy_seconds >= floor * (1 - 1e-3),
        fmt::format("{}: {} of engines for {:.0f} prompts of {:.0f} tokens, the "
                    "roofline is {}",
                    pool.name, time_text(pool.busy_seconds), prompts, mean, time_text(floor)));
}

void pool_laws(const AlternativeResult& result, const Json& configuration, std::size_t index,
               AuditFindings& findings) {
    const ServedPool& pool = result.served->pools[index];
    const double span = result.served->span_seconds;
    const AuditFacts facts = read_audit_facts(
        replica_configuration(configuration, result.name, index, pool), result.name, "decode");
    const AuditHardware& hardware = facts.hardware;
    const double chips = pool.chips;
    findings.check("chips counted as packages",
                   facts.chips * pool.replicas == chips &&
                       pool.ranks == chips * hardware.ranks_per_chip &&
                       hardware.chip == pool.chip && facts.chips <= hardware.system_chips &&
                       facts.mapping.ranks() == facts.chips * hardware.ranks_per_chip,
                   fmt::format("{}: {} packages of {} in {} replicas, {} ranks", pool.name, chips,
                               pool.chip, pool.replicas, pool.ranks));
    const double peak = hardware.fastest_matrix_peak() * chips,
                 bandwidth = hardware.hbm_bandwidth * chips;
    const double share_paid = span > 0 ? pool.paid_seconds / (span * pool.replicas) : 0;
    replica_hours(pool, span, findings);
    conditions_sum(pool, findings);
    findings.check(
        "no resource above 100 %",
        pool.busy_seconds <= pool.paid_seconds * (1 + kCounted) &&
            pool.prefill_seconds <= pool.busy_seconds * (1 + kCounted) &&
            pool.flops <= peak * share_paid * span &&
            pool.memory_bytes <= bandwidth * share_paid * span &&
            pool.peak_blocks <= pool.kv_blocks && pool.peak_sequences <= pool.max_num_seqs,
        fmt::format("{}: engines {} of {}, {} of {}, {} of {}, {} of {} blocks", pool.name,
                    time_text(pool.busy_seconds), time_text(pool.paid_seconds),
                    work_text(pool.flops), work_text(peak * share_paid * span),
                    bytes_text(pool.memory_bytes), bytes_text(bandwidth * share_paid * span),
                    pool.peak_blocks, pool.kv_blocks));
    hosts_hold(facts, result, pool.replicas, findings);
    // The mean of a convex bound is above the bound of the mean load.
    const char* law = "steps take at least what the data sheet allows";
    if (pool.role == "attention") {
        const std::size_t last = result.served->pools.size() - 1;
        return steps_of_both(result.name, configuration, pool, index, result.served->pools[last],
                             last, findings);
    }
    if (pool.role == "ffn") return;  // looked at with the attention pool
    if (pool.role == "prefill") return readers_law(result, configuration, index, findings);
    if (!facts.step || !facts.step->model || !(pool.decode_steps > 0)) {
        findings.not_checked(law, pool.name + ": a family without closed forms, or no step");
        return;
    }
    const ClosedForm form = closed_form(facts, *facts.step->model, pool.mean_batch);
    const double floor = std::max(form.matrix_flops / (peak / pool.replicas),
                                  form.memory_bytes / (bandwidth / pool.replicas));
    const double mean = pool.decode_step_seconds / pool.decode_steps;
    findings.check(law, mean >= floor * (1 - 1e-3),
                   fmt::format("{}: {} a step of {:.4g} sequences with {:.4g} tokens each, the "
                               "roofline is {}",
                               pool.name, time_text(mean), pool.mean_batch, pool.mean_context,
                               time_text(floor)));
}

// Shared tiers as the configuration has them, of the pool at this place or of the workload.
const Json* tier_list(const Json& configuration, const std::string& alternative,
                      std::size_t index) {
    const auto list_of = [](const Json& owner) -> const Json* {
        if (!owner.is_object() || !owner.contains("scheduler")) return nullptr;
        const Json& scheduler = owner["scheduler"];
        return scheduler.is_object() && scheduler.contains("cache_tiers")
                   ? &scheduler["cache_tiers"]
                   : nullptr;
    };
    const Json& experiment = configuration.at("experiment");
    for (const Json& one : experiment.at("alternatives")) {
        if (one.at("name").get<std::string>() != alternative) continue;
        const Json* own = list_of(one.contains("pools") ? one["pools"].at(index) : one);
        return own != nullptr ? own : list_of(experiment.at("workload"));
    }
    return nullptr;
}

// Nothing is read that was not written, nor faster than the memory is, nor kept where there is no
// room; a prompt is written by who reads it and by who ends it, at most.
void shared_tiers_hold(const AlternativeResult& result, const Json& configuration,
                       AuditFindings& findings) {
    const ServedTraffic& served = *result.served;
    const char* law = "what replicas share was written before it is read";
    double found = 0, made = 0, read = 0, written = 0;
    std::size_t shares = served.pools.size();
    std::vector<std::pair<double, double>> stated;  // capacity, bandwidth
    for (std::size_t i = 0; i < served.pools.size(); ++i) {
        const ServedPool& pool = served.pools[i];
        found += pool.shared_tokens;
        made += 2 * (pool.prefill_tokens + pool.hit_tokens) + pool.written_tokens;
        const Json* tiers = tier_list(configuration, result.name, i);
        if (tiers == nullptr || shares < served.pools.size()) continue;
        for (const Json& tier : *tiers) {
            const AuditTree tree{&tier, "cache_tiers"};
            if (!tier.contains("shared")) continue;
            const Json& is_shared = tier["shared"];
            if (is_shared != Json(true) && is_shared != Json("true")) continue;
            shares = i;
            stated.emplace_back(tree.get("capacity").number(Bytes::dimension),
                                tree.get("bandwidth").number(BytesPerSecond::dimension));
        }
    }
    if (served.shared_tiers.empty()) {
        findings.check(law, found == 0, fmt::format("no tier, {:.0f} tokens found", found));
        return;
    }
    std::string culprit;
    if (stated.size() != served.shared_tiers.size())
        culprit = fmt::format("{} tiers in the result, {} in the configuration",
                              served.shared_tiers.size(), stated.size());
    for (std::size_t t = 0; t < served.shared_tiers.size() && culprit.empty(); ++t) {
        const ServedTier& tier = served.shared_tiers[t];
        read += tier.read_tokens;
        written += tier.written_tokens;
        const auto [capacity, bandwidth] = stated[t];
        const double until = std::max(served.span_seconds, tier.busy_until_seconds),
                     moved = tier.read_bytes + tier.written_bytes;
        if (!same(tier.capacity, capacity, kCounted) || !same(tier.bandwidth, bandwidth, kCounted))
            culprit = tier.name + " is another one than the configuration's";
        else if (!same(tier.busy_seconds * bandwidth, moved, kCounted) ||
                 tier.busy_seconds > until * (1 + kCounted))
            culprit = fmt::format("{}: {} moved, {} of {} in use", tier.name, bytes_text(moved),
                                  time_text(tier.busy_seconds), time_text(until));
        else if (tier.peak_blocks > tier.blocks)
            culprit = fmt::format("{}: {} blocks of {}", tier.name, tier.peak_blocks, tier.blocks);
    }
    if (culprit.empty() && !(read == 0 || written > 0))
        culprit = fmt::format("{:.0f} tokens read, none written", read);
    if (culprit.empty() && !at_least(read, found))
        culprit = fmt::format("{:.0f} tokens found, {:.0f} read", found, read);
    if (culprit.empty() && !at_least(made, written))
        culprit = fmt::format("{:.0f} tokens written of {:.0f} that could be", written, made);
    findings.check_none(law, culprit,
                        fmt::format("{:.0f} tokens written, {:.0f} read", written, read));
}

// A block that comes up from a tier is of use from when its transfer ends.
void prefixes_have_come_up(const ServedTraffic& served, AuditFindings& findings) {
    std::string culprit;
    double below = 0;
    for (const ServedPool& pool : served.pools) {
        below += pool.tier_tokens;
        if (culprit.empty() && pool.early_tokens != 0)
            culprit = fmt::format("{}: {:.0f} tokens of prefixes were read while they came up",
                                  pool.name, pool.early_tokens);
    }
    findings.check_none("no prefix is read before it has come up", culprit,
                        fmt::format("{:.0f} tokens came up from tiers", below));
}

void memory_fits(const AlternativeResult& result, AuditFindings& findings) {
    std::string culprit = result.memory.empty() ? "no memory is said" : "";
    std::vector<MemoryUse> uses = result.memory;
    uses.insert(uses.end(), result.host_memory.begin(), result.host_memory.end());
    for (const MemoryUse& use : uses) {
        double sum = 0;
        for (const MemoryPart& part : use.parts) sum += part.bytes;
        if (culprit.empty() && !(same(sum, use.total) && use.total <= use.capacity))
            culprit = fmt::format("{}: parts {}, total {}, capacity {}", use.rank_class,
                                  bytes_text(sum), bytes_text(use.total), bytes_text(use.capacity));
    }
    findings.check_none("memory fits", culprit, fmt::format("{} pools", result.memory.size()));
}

void rates_follow(const AlternativeResult& result, AuditFindings& findings) {
    const ServedTraffic& served = *result.served;
    const double machine_seconds = chip_seconds(served);
    std::string culprit;
    const auto compare = [&](const char* name, double expected) {
        const Metric* metric = result.metric(name);
        if (!culprit.empty() || (metric != nullptr && same(metric->value, expected, kCounted)))
            return;
        culprit = fmt::format("{}: {} in the result, {:.9g} follows", name,
                              metric != nullptr ? fmt::format("{:.9g}", metric->value) : "nothing",
                              expected);
    };
    if (served.span_seconds > 0) {
        compare("output_tokens_per_second_per_chip", served.output_tokens / machine_seconds);
        compare("input_tokens_per_second_per_chip", served.input_tokens / machine_seconds);
        compare("requests_per_second", static_cast<double>(served.finished) / served.span_seconds);
    }
    double packages = 0;
    for (const ServedPool& pool : served.pools) packages += pool.chips;
    if (culprit.empty() && packages != result.packages)
        culprit = fmt::format("{} packages, pools have {}", result.packages, packages);
    findings.check_none("rates follow from tokens, time and chips", culprit,
                        time_text(served.span_seconds));
}

// computed input x $/input + cached input x $/cached + output x $/output
//     + all x $ of idle time, idle chips = all x $/all = hours x $/hour
// Tiers are in what cached input costs, and by themselves where none was found in them.
void bill_sums(const AlternativeResult& result, AuditFindings& findings) {
    const ServedTraffic& served = *result.served;
    const double all = served.input_tokens + served.output_tokens;
    std::string culprit;
    for (std::size_t i = 0; i < result.cost.size(); ++i) {
        const std::string suffix = i == 0 ? "" : "_" + result.cost[i].name;
        const auto usd = [&](const char* name, double tokens) {
            const Metric* metric = result.metric(name + suffix);
            return metric != nullptr ? metric->value * tokens * 1e-6 : 0.0;
        };
        const double bill = result.cost[i].usd_per_hour_per_chip * chip_seconds(served) / 3600;
        const double cached = served.cached_tokens,
                     tiers = usd("usd_per_million_tokens_of_cache_tiers", all),
                     of_cached = usd("usd_per_million_cached_input_tokens", cached);
        const double parts =
            usd("usd_per_million_input_tokens", served.input_tokens - cached) + of_cached +
            usd("usd_per_million_output_tokens", served.output_tokens) +
            usd("usd_per_million_tokens_of_idle_time", all) + (cached > 0 ? 0 : tiers) +
            usd("usd_per_million_tokens_of_idle_chips", all);
        if (culprit.empty() && cached > 0 && of_cached < tiers * (1 - kCounted))
            culprit = fmt::format("{}: cached input bears {:.9g} USD, tiers cost {:.9g}",
                                  result.cost[i].name, of_cached, tiers);
        const double whole = usd("usd_per_million_total_tokens", all);
        if (culprit.empty() && all > 0 &&
            !(same(parts, bill, kCounted) && same(whole, bill, kCounted)))
            culprit = fmt::format("{}: parts {:.9g} USD, whole {:.9g}, hours times price {:.9g}",
                                  result.cost[i].name, parts, whole, bill);
    }
    findings.check_none("the bill sums", culprit,
                        fmt::format("{} bases of cost", result.cost.size()));
}

void energy_sums(const AlternativeResult& result, AuditFindings& findings) {
    double joules = 0, shares = 0, least = 0;
    for (const EnergyPart& part : result.energy) {
        joules += part.joules;
        shares += part.share;
        least = std::min(least, part.joules);
    }
    const Metric* power = result.metric("power_per_chip");
    const double expected = joules / chip_seconds(*result.served);
    findings.check("energy is the sum of its parts",
                   !(result.served->span_seconds > 0) ||
                       (least >= 0 && same(shares, 1, kCounted) && power != nullptr &&
                        same(power->value, expected, kCounted)),
                   fmt::format("{:.6g} W a chip", expected));
}

}  // namespace

namespace {

const Json* pools_of(const AlternativeResult& alternative, const Json& configuration) {
    if (!configuration.is_object() || !configuration.contains("experiment")) return nullptr;
    const Json& experiment = configuration["experiment"];
    if (!experiment.is_object() || !experiment.contains("alternatives")) return nullptr;
    for (const Json& one : experiment["alternatives"]) {
        if (one.is_object() && one.value("name", "") == alternative.name && one.contains("pools") &&
            one["pools"].is_array())
            return &one["pools"];
    }
    return nullptr;
}

// One step of both pools as served traffic of so many sequences has it.
std::vector<ServedPool> pair_of(const AlternativeResult& alternative, const Json& pools,
                                double context) {
    std::vector<ServedPool> pair(2);
    for (std::size_t i = 0; i < pair.size(); ++i) {
        ServedPool& pool = pair[i];
        const AuditTree written{&pools.at(i), "pools"};
        pool.name = written.get("name").text();
        pool.role = written.get("role").text();
        pool.chips = static_cast<int>(written.size("chips"));
        pool.mean_context = context - 1;  // cached tokens; the step's own comes on top
        pool.mean_batch = alternative.totals.sequences;
    }
    pair.front().decode_steps = 1;
    pair.front().decode_step_seconds = alternative.iteration_seconds;
    pair.front().flops = alternative.totals.matrix_flops;
    return pair;
}

void step_rates_follow(const AlternativeResult& result, double chips, AuditFindings& findings) {
    const double took = result.iteration_seconds, sequences = result.totals.sequences;
    std::string culprit;
    const auto compare = [&](const std::string& name, double expected) {
        const Metric* metric = result.metric(name);
        if (!culprit.empty() || (metric != nullptr && same(metric->value, expected, kCounted)))
            return;
        culprit = fmt::format("{}: {} in the result, {:.9g} follows", name,
                              metric != nullptr ? fmt::format("{:.9g}", metric->value) : "nothing",
                              expected);
    };
    compare("decode_tokens_per_second_per_chip", sequences / took / chips);
    compare("time_per_output_token", took * 1e3);
    compare("tokens_per_second_per_user", 1 / took);
    for (std::size_t i = 0; i < result.cost.size(); ++i)
        compare("usd_per_million_output_tokens" + (i == 0 ? "" : "_" + result.cost[i].name),
                result.cost[i].usd_per_hour_per_chip / 3600 * chips * took / sequences * 1e6);
    double parts = 0;
    for (const auto& part : result.breakdown) parts += part.seconds;
    findings.check_none("rates follow from tokens, time and chips", culprit, time_text(took));
    findings.check("the breakdown sums to the whole", same(parts, took, kCounted),
                   fmt::format("parts {}, the step {}", time_text(parts), time_text(took)));
    findings.check("chips counted as packages", result.packages == chips,
                   fmt::format("{} packages, pools have {}", result.packages, chips));
}

}  // namespace

bool has_pool_pair(const AlternativeResult& alternative,
                   const nlohmann::ordered_json& configuration) {
    const Json* pools = pools_of(alternative, configuration);
    return pools != nullptr && pools->size() == 2 && pools->back().is_object() &&
           pools->back().value("role", "") == "ffn";
}

std::vector<AuditFinding> audit_pool_pair(const AlternativeResult& alternative,
                                          const nlohmann::ordered_json& configuration) {
    constexpr const char* law = "the configuration says what was run";
    AuditFindings findings;
    try {
        const Json& workload = configuration.at("experiment").at("workload");
        const Json written{{"context", workload.at("context")}};
        const double context =
            AuditTree{&written, "workload"}.get("context").number(Tokens::dimension);
        const std::vector<ServedPool> pair =
            pair_of(alternative, *pools_of(alternative, configuration), context);
        const double chips = pair.front().chips + pair.back().chips;
        steps_of_both(alternative.name, configuration, pair.front(), 0, pair.back(), 1, findings);
        memory_fits(alternative, findings);
        step_rates_follow(alternative, chips, findings);
        findings.check(law, true, "read again from the result");
        return findings.take();
    } catch (const std::exception& error) {
        return {{law, false, error.what()}};
    }
}

std::vector<AuditFinding> audit_serving(const AlternativeResult& alternative,
                                        const nlohmann::ordered_json& configuration) {
    constexpr const char* law = "the configuration says what was run";
    if (!alternative.served) return {{law, false, "the result says nothing of traffic"}};
    AuditFindings findings;
    try {
        requests_sum(*alternative.served, findings);
        tokens_sum(*alternative.served, findings);
        littles_law(*alternative.served, findings);
        breakdown_sums(alternative, findings);
        for (std::size_t i = 0; i < alternative.served->pools.size(); ++i)
            pool_laws(alternative, configuration, i, findings);
        shared_tiers_hold(alternative, configuration, findings);
        prefixes_have_come_up(*alternative.served, findings);
        memory_fits(alternative, findings);
        rates_follow(alternative, findings);
        bill_sums(alternative, findings);
        energy_sums(alternative, findings);
        findings.check(law, true, "read again from the result");
    } catch (const std::exception& error) {
        findings.check(law, false, error.what());
    }
    return findings.take();
}

}  // namespace podsim
