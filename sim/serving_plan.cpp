#include "sim/serving_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/names.hpp"
#include "sim/memory_shares.hpp"
#include "sim/plan_run.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_metrics.hpp"
#include "sim/serving_plan_space.hpp"
#include "sim/serving_run.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

double GrowthSpec::factor() const {
    return std::pow(1 + per_month, months);
}

namespace {

using Counts = std::vector<int>;

constexpr double kMostHeadroom = 16;    // times the planned rate that is looked for
constexpr double kHeadroomStep = 1.25;  // between looks, then halved kHalvings times
constexpr int kHalvings = 4;
constexpr double kFull = 0.95;  // of a room that then counts as what ran out

Diagnostic at_plan(const ResolvedExperiment& experiment, const std::string& key, std::string what,
                   std::string hint = "") {
    return {experiment.spec.plan_places.of(key), "plan." + key, std::move(what), std::move(hint)};
}

// One kind of replica of each pool.
using Combination = std::vector<const ReplicaCandidate*>;

struct Trial {
    double good = 0;
    bool kept = false, late_first = false, late_tokens = false, stopped = false;
    std::string why;  // where it is not kept: what ran out
};

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

class AlternativeSearch {
  public:
    AlternativeSearch(const PlanGroundwork& ground, std::size_t index, const PlanOptions& options)
        : ground_(ground),
          index_(index),
          options_(options),
          form_(*ground.experiment.spec.serving_plan),
          written_(ground.experiment.alternatives[index]) {}

    ServingPlanAlternative take();
    // What no batch keeps, with the best that is reached; "" where the objective is kept.
    const std::vector<PoolCandidates>& pools() const { return pools_; }

  private:
    bool look_for_candidates();
    std::vector<Combination> combinations() const;
    void search(const Combination& combination);
    std::optional<Counts> smallest(const Combination& combination);
    bool grow(const Combination& combination, Counts& counts, Counts& failed);
    void shrink(const Combination& combination, Counts& counts, const Counts& failed);
    bool allowed(const Combination& combination, const Counts& counts);
    double usd(const Combination& combination, const Counts& counts) const;
    int chips(const Combination& combination, const Counts& counts) const;
    double watts(const Combination& combination, const Counts& counts) const;
    Counts with_spares(Counts counts) const;
    Trial run(const Combination& combination, const Counts& counts, double scale);
    std::string diagnosis(ServingFleet& fleet, const ServingOutcome& out, double scale) const;
    std::string engine_text(ServingFleet& fleet, const ServingOutcome& out, std::size_t pool) const;
    NextBottleneck next_bottleneck(const Combination& combination, const Counts& counts);
    ServingAnswer answer(const Combination& combination, const Counts& counts);
    Node winner_document(const Combination& combination, const Counts& counts) const;
    void explain();
    double planned() const { return form_.growth.factor(); }

    const PlanGroundwork& ground_;
    std::size_t index_;
    const PlanOptions& options_;
    const ServingPlanForm& form_;
    const ResolvedAlternative& written_;
    ServingPlanAlternative result_;
    std::vector<PoolCandidates> pools_;
    std::optional<Combination> best_;
    Counts best_counts_;
    double best_usd_ = 0, best_good_ = 0;
    bool over_power_ = false, over_chips_ = false;
    double least_watts_ = 0;
    int least_chips_ = 0;
    std::string last_why_;
};

double AlternativeSearch::usd(const Combination& combination, const Counts& counts) const {
    double sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) sum += combination[i]->usd_per_hour * counts[i];
    return sum;
}

int AlternativeSearch::chips(const Combination& combination, const Counts& counts) const {
    int sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        sum += combination[i]->replica.packages * counts[i];
    return sum;
}

double AlternativeSearch::watts(const Combination& combination, const Counts& counts) const {
    double sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) sum += combination[i]->watts * counts[i];
    return sum;
}

Counts AlternativeSearch::with_spares(Counts counts) const {
    for (int& one : counts) one += form_.spare_replicas;
    return counts;
}

// Cheaper than what is known, and within the site.
bool AlternativeSearch::allowed(const Combination& combination, const Counts& counts) {
    if (best_ && usd(combination, with_spares(counts)) >= best_usd_ * (1 - 1e-9)) return false;
    const Counts all = with_spares(counts);
    const double drawn = watts(combination, all);
    const auto& site = ground_.experiment.spec.site_power;
    const auto note_least = [](auto& least, auto value) {
        if (least == 0 || value < least) least = value;
    };
    if (site && drawn > site->value()) {
        over_power_ = true;
        note_least(least_watts_, drawn);
        return false;
    }
    if (chips(combination, all) > form_.most_chips) {
        over_chips_ = true;
        note_least(least_chips_, chips(combination, all));
        return false;
    }
    return true;
}

bool AlternativeSearch::look_for_candidates() {
    for (std::size_t i = 0; i < written_.pools.size(); ++i) {
        pools_.push_back(pool_candidates(ground_, index_, i));
        const PoolCandidates& pool = pools_.back();
        result_.counts.candidates += pool.looked_at;
        result_.counts.refused += pool.refused;
        result_.counts.do_not_fit += pool.do_not_fit;
        result_.counts.too_slow += pool.too_slow;
    }
    return std::none_of(pools_.begin(), pools_.end(),
                        [](const auto& pool) { return pool.found.empty(); });
}

std::vector<Combination> AlternativeSearch::combinations() const {
    std::vector<Combination> all = {{}};
    for (const PoolCandidates& pool : pools_) {
        std::vector<Combination> longer;
        for (const Combination& one : all) {
            for (const ReplicaCandidate& candidate : pool.found) {
                longer.push_back(one);
                longer.back().push_back(&candidate);
            }
        }
        all = std::move(longer);
    }
    const auto least = [&](const Combination& one) {
        double sum = 0;
        for (const ReplicaCandidate* pool : one)
            sum += pool->usd_per_hour * (pool->bound.replicas + form_.spare_replicas);
        return sum;
    };
    std::stable_sort(all.begin(), all.end(), [&](const Combination& a, const Combination& b) {
        return least(a) < least(b);
    });
    return all;
}

Trial AlternativeSearch::run(const Combination& combination, const Counts& counts, double scale) {
    ResolvedAlternative fleet_of = written_;
    std::vector<std::shared_ptr<StepTable>> tables;
    fleet_of.pools.clear();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        fleet_of.pools.push_back(combination[i]->replica);
        fleet_of.pools.back().pool.replicas = counts[i];
        const std::shared_ptr<ReplicaGround>& ground = combination[i]->ground;
        tables.emplace_back(ground, ground->table.get());
    }
    RunOptions options;
    options.fidelity = options_.fidelity;
    ServingFleet fleet(ground_.experiment, fleet_of, options, std::move(tables));
    const ServingOutcome out =
        fleet.run(scaled(*ground_.experiment.traffic, planned() * scale), 1, options_.stop);
    ++result_.counts.runs;
    if (options_.progress)
        options_.progress(fmt::format("{}: {} replicas looked at, {} runs", written_.name,
                                      result_.counts.simulated, result_.counts.runs));
    Trial trial;
    trial.stopped = out.stopped;
    trial.good = ratio(out.good, static_cast<double>(out.arrived));
    trial.kept = !out.stopped && trial.good >= form_.good;
    trial.late_first = out.late_first > 0 || out.timed_out > 0 || out.rejected > 0;
    trial.late_tokens = out.late_tokens > 0;
    // What is rarer than a tenth of the other is its consequence.
    const double first = static_cast<double>(out.late_first + out.timed_out + out.rejected),
                 tokens = static_cast<double>(out.late_tokens);
    if (first < 0.1 * tokens) trial.late_first = false;
    if (tokens < 0.1 * first) trial.late_tokens = false;
    if (!trial.kept && !trial.stopped) trial.why = diagnosis(fleet, out, scale);
    return trial;
}

std::string AlternativeSearch::engine_text(ServingFleet& fleet, const ServingOutcome& out,
                                           std::size_t pool) const {
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

// Which promise breaks, and in which pool: of the busiest for the first token among those that
// read, for the others among those that write.
std::string AlternativeSearch::diagnosis(ServingFleet& fleet, const ServingOutcome& out,
                                         double) const {
    const double first = static_cast<double>(out.late_first + out.timed_out),
                 tokens = static_cast<double>(out.late_tokens),
                 rejected = static_cast<double>(out.rejected);
    const bool is_first = first >= tokens;
    std::size_t at = 0;
    double busiest = -1;
    for (std::size_t i = 0; i < fleet.size(); ++i) {
        const PoolRole role = fleet.engine(i).role;
        if (role == (is_first ? PoolRole::decode : PoolRole::prefill)) continue;
        const double busy = ratio(out.pools[i].busy, out.span * fleet.replicas(i));
        if (busy <= busiest) continue;
        busiest = busy;
        at = i;
    }
    const double all = static_cast<double>(out.arrived) / 100;
    std::string what;
    if (rejected > std::max(first, tokens)) {
        what = fmt::format("rejected requests ({:.1f} %: {})", rejected / all,
                           out.reasons.empty() ? "" : out.reasons.front());
    } else if (is_first) {
        what = fmt::format("TTFT ({:.1f} % of the requests late, p99 {})", first / all,
                           to_string(Seconds(out.time_to_first_token.p99)));
    } else {
        what = fmt::format("TPOT ({:.1f} % of the requests slow, p99 {})", tokens / all,
                           to_string(Seconds(out.time_per_output_token.p99)));
    }
    return what + ": " + engine_text(fleet, out, at);
}

// From the likely number up until the objective is kept. `failed` are numbers that did not do.
bool AlternativeSearch::grow(const Combination& combination, Counts& counts, Counts& failed) {
    // What may be tried at most: towards the bound where the likely number costs too much.
    while (!allowed(combination, counts)) {
        bool moved = false;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            const int least = combination[i]->bound.replicas;
            if (counts[i] <= least) continue;
            counts[i] = std::max(least, std::min(counts[i] - 1, counts[i] * 9 / 10));
            moved = true;
        }
        if (!moved) return false;
    }
    while (true) {
        const Trial trial = run(combination, counts, form_.burst);
        if (trial.stopped) return false;
        if (trial.kept) {
            best_good_ = trial.good;
            return true;
        }
        last_why_ = trial.why;
        Counts more = counts;
        const bool one_pool = counts.size() == 1;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            const PoolRole role = combination[i]->replica.pool.role == "prefill" ? PoolRole::prefill
                                  : combination[i]->replica.pool.role == "decode" ? PoolRole::decode
                                                                                  : PoolRole::serve;
            const bool at_fault = one_pool || trial.late_first == trial.late_tokens ||
                                  (trial.late_first && role != PoolRole::decode) ||
                                  (trial.late_tokens && role != PoolRole::prefill);
            if (!at_fault) continue;
            failed[i] = std::max(failed[i], counts[i]);
            more[i] = std::max(counts[i] + 1, static_cast<int>(std::ceil(counts[i] * 1.4)));
        }
        // As far as it may go, step by step.
        while (!allowed(combination, more)) {
            bool moved = false;
            for (std::size_t i = 0; i < more.size(); ++i) {
                if (more[i] <= counts[i] + 1) continue;
                --more[i];
                moved = true;
            }
            if (!moved) return false;
        }
        if (more == counts) return false;
        counts = std::move(more);
    }
}

// Each pool by itself down to what it needs, the dearest first.
void AlternativeSearch::shrink(const Combination& combination, Counts& counts,
                               const Counts& failed) {
    std::vector<std::size_t> order(counts.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return combination[a]->usd_per_hour * counts[a] > combination[b]->usd_per_hour * counts[b];
    });
    for (const std::size_t i : order) {
        int below = std::max(failed[i], combination[i]->bound.replicas - 1);
        while (counts[i] - below > 1) {
            Counts fewer = counts;
            fewer[i] = (below + counts[i]) / 2;
            const Trial trial = run(combination, fewer, form_.burst);
            if (trial.stopped) return;
            if (trial.kept) {
                counts = std::move(fewer);
                best_good_ = trial.good;
            } else {
                below = fewer[i];
            }
        }
    }
}

std::optional<Counts> AlternativeSearch::smallest(const Combination& combination) {
    Counts counts, failed(combination.size(), 0);
    for (const ReplicaCandidate* pool : combination) counts.push_back(pool->bound.likely);
    if (!grow(combination, counts, failed)) return {};
    shrink(combination, counts, failed);
    return counts;
}

void AlternativeSearch::search(const Combination& combination) {
    Counts least;
    for (const ReplicaCandidate* pool : combination) least.push_back(pool->bound.replicas);
    if (!allowed(combination, least)) {
        ++result_.counts.beyond;
        return;
    }
    ++result_.counts.simulated;
    const double good_before = best_good_;
    const std::optional<Counts> counts = smallest(combination);
    if (!counts) {
        best_good_ = good_before;
        return;
    }
    best_ = combination;
    best_counts_ = *counts;
    best_usd_ = usd(combination, with_spares(*counts));
}

NextBottleneck AlternativeSearch::next_bottleneck(const Combination& combination,
                                                  const Counts& counts) {
    NextBottleneck next;
    const Counts all = with_spares(counts);
    next.holds = form_.burst;
    for (double scale = form_.burst * kHeadroomStep; scale <= kMostHeadroom * form_.burst;
         scale *= kHeadroomStep) {
        const Trial trial = run(combination, all, scale);
        if (trial.stopped) return next;
        if (!trial.kept) {
            next.breaks = scale;
            next.what = trial.why;
            break;
        }
        next.holds = scale;
    }
    for (int i = 0; i < kHalvings && next.breaks > 0; ++i) {
        const double middle = std::sqrt(next.holds * next.breaks);
        const Trial trial = run(combination, all, middle);
        if (trial.stopped) return next;
        if (trial.kept) {
            next.holds = middle;
        } else {
            next.breaks = middle;
            next.what = trial.why;
        }
    }
    if (form_.growth.per_month > 0)
        next.months =
            form_.growth.months + std::log(next.holds) / std::log1p(form_.growth.per_month);
    return next;
}

Node AlternativeSearch::winner_document(const Combination& combination,
                                        const Counts& counts) const {
    std::vector<PoolSetting> settings;
    const Counts all = with_spares(counts);
    for (std::size_t i = 0; i < all.size(); ++i) {
        PoolSetting setting = combination[i]->setting;
        const MappingSpec& mapping = combination[i]->replica.pool.mapping;
        setting.replicas = all[i];
        setting.tensor_parallel = mapping.tensor_parallel;
        setting.data_parallel = mapping.data_parallel;
        if (has_experts(*ground_.experiment.model))
            setting.expert_parallel = mapping.expert_parallel;
        if (mapping.pipeline_parallel > 1) setting.pipeline_parallel = mapping.pipeline_parallel;
        settings.push_back(setting);
    }
    return plan_document(ground_.document, index_, settings, planned(),
                         *ground_.experiment.traffic);
}

ServingAnswer AlternativeSearch::answer(const Combination& combination, const Counts& counts) {
    ServingAnswer answer;
    const ReplicaKnobs general = knobs_of(ground_.experiment.spec.workload.serving->scheduler, {});
    const Counts all = with_spares(counts);
    double usd_per_hour = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const ReplicaCandidate& of = *combination[i];
        const ReplicaKnobs knobs = knobs_of(ground_.experiment.spec.workload.serving->scheduler,
                                            of.replica.pool.scheduler);
        answer.pools.push_back({of.replica.pool.name, of.replica.pool.role, of.replica.packages,
                                counts[i], form_.spare_replicas, of.replica.pool.mapping,
                                knobs.scheduler.max_num_seqs,
                                knobs.scheduler.max_num_batched_tokens, of.bound});
        answer.bound_chips += of.replica.packages * of.bound.replicas;
        std::vector<std::string> notes;
        const auto bases =
            cost_bases(ground_.experiment.prices, of.replica.chip, of.replica.system, notes);
        if (bases.empty()) continue;
        const double each = bases.front().usd_per_hour_per_chip * of.replica.packages;
        usd_per_hour += each * all[i];
        answer.bound_usd_per_month += each * of.bound.replicas * kHoursOfMonth;
    }
    answer.chips = chips(combination, all);
    answer.watts = watts(combination, all);
    answer.usd_per_month = usd_per_hour * kHoursOfMonth;
    answer.good = best_good_;
    answer.experiment = winner_document(combination, counts);
    if (ground_.stop && ground_.stop()) return answer;
    answer.next = next_bottleneck(combination, counts);
    ResolvedExperiment resolved = resolve(answer.experiment, ground_.catalog);
    measure_memories(resolved, options_.cache_folder, options_.fidelity);
    RunOptions run;
    run.fidelity = options_.fidelity;
    run.cache = options_.cache;
    run.cache_folder = options_.cache_folder;
    run.stop = options_.stop;
    RunCounts told;
    answer.result = run_serving(resolved, resolved.alternatives.front(), run, told);
    answer.result.name = written_.name;
    ++result_.counts.runs;
    return answer;
}

// Why there is no fleet.
void AlternativeSearch::explain() {
    for (const PoolCandidates& pool : pools_) {
        if (!pool.found.empty()) continue;
        const ServiceObjective& slo = ground_.experiment.spec.workload.serving->slo;
        if (pool.too_slow > 0) {
            result_.nothing = fmt::format(
                "no batch keeps the objective for {:.4g} % of the requests: served alone they "
                "reach",
                form_.good * 100);
            if (pool.best_first_token > 0)
                result_.nothing += fmt::format(
                    " a TTFT of {}{} at best ({})", to_string(Seconds(pool.best_first_token)),
                    slo.time_to_first_token
                        ? fmt::format(" ({} promised)", to_string(*slo.time_to_first_token))
                        : "",
                    pool.best_first_how);
            if (pool.best_each_token > 0)
                result_.nothing += fmt::format(
                    "{} a TPOT of {}{} at best ({})", pool.best_first_token > 0 ? " and" : "",
                    to_string(Seconds(pool.best_each_token)),
                    slo.time_per_output_token
                        ? fmt::format(" ({} promised)", to_string(*slo.time_per_output_token))
                        : "",
                    pool.best_each_how);
            return;
        }
        result_.nothing =
            pool.do_not_fit > 0
                ? fmt::format("the model leaves no room for a KV cache in any of {} replicas: {}",
                              pool.do_not_fit, pool.first_misfit)
                : fmt::format("none of {} replicas can be: {}", pool.looked_at, pool.first_refusal);
        return;
    }
    if (over_power_) {
        result_.nothing = fmt::format(
            "site_power of {} is too little: the next fleet to try draws {} with its cooling",
            to_string(*ground_.experiment.spec.site_power), to_string(Watts(least_watts_)));
    } else if (over_chips_) {
        result_.nothing = fmt::format("most_chips of {} is too few: the next fleet to try has {}",
                                      form_.most_chips, least_chips_);
    } else {
        result_.nothing = "no fleet keeps the objective";
    }
    if (!last_why_.empty()) result_.nothing += "; the largest that was tried broke " + last_why_;
}

ServingPlanAlternative AlternativeSearch::take() {
    result_.name = written_.name;
    result_.system = written_.system.name;
    result_.chip = written_.chip.name;
    RunOptions run;
    run.fidelity = options_.fidelity;
    result_.fidelity = to_string(fidelity_of(run, written_.chip));
    if (!look_for_candidates()) {
        result_.partial = options_.stop && options_.stop();
        if (!result_.partial) explain();
        return std::move(result_);
    }
    for (const Combination& combination : combinations()) {
        if (options_.stop && options_.stop()) break;
        search(combination);
    }
    if (best_) {
        result_.answer = answer(*best_, best_counts_);
        result_.warnings = result_.answer->result.warnings;
    }
    result_.partial = options_.stop && options_.stop();
    if (!best_ && !result_.partial) explain();
    return std::move(result_);
}

std::vector<ApiBill> api_bills(const ResolvedExperiment& experiment, Catalog& catalog,
                               const ServingPlanReport& report, std::string& list_title) {
    const ServingPlanForm& form = *experiment.spec.serving_plan;
    const ApiPriceList list = read_api_prices(
        catalog.load("api_prices", form.api_prices, experiment.spec.plan_places.of("api_prices"),
                     "plan.api_prices"),
        form.api_prices);
    list_title = list.title;
    std::vector<std::string> names = form.api;
    if (names.empty()) {
        for (const auto& [name, price] : list.prices)
            if (price.model == experiment.spec.workload.model) names.push_back(name);
    }
    std::vector<Diagnostic> problems;
    std::vector<ApiBill> bills;
    std::vector<std::string> known;
    for (const auto& [name, price] : list.prices) known.push_back(name);
    for (const std::string& name : names) {
        const auto found = list.prices.find(name);
        if (found == list.prices.end()) {
            problems.push_back(at_plan(experiment, "api",
                                       fmt::format("{} has no price {}", form.api_prices, name),
                                       fmt::format("one of: {}", fmt::join(known, ", "))));
            continue;
        }
        bills.push_back({name, found->second,
                         found->second
                             .of(Tokens(report.input_per_month), Tokens(report.cached_per_month),
                                 Tokens(report.output_per_month))
                             .value()});
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return bills;
}

bool promises(const ResolvedExperiment& experiment) {
    const ServiceObjective& slo = experiment.spec.workload.serving->slo;
    if (slo.time_to_first_token || slo.time_per_output_token) return true;
    const auto& streams = experiment.traffic->streams;
    return std::any_of(streams.begin(), streams.end(), [](const StreamSpec& stream) {
        return stream.service_class.time_to_first_token ||
               stream.service_class.time_per_output_token;
    });
}

}  // namespace

bool ServingPlanReport::partial() const {
    return std::any_of(alternatives.begin(), alternatives.end(),
                       [](const auto& one) { return one.partial; });
}

void check_serving_plan(const ResolvedExperiment& experiment,
                        const ResolvedAlternative& alternative) {
    const ServingPlanForm& form = *experiment.spec.serving_plan;
    std::vector<Diagnostic> problems;
    if (!promises(experiment))
        problems.push_back(at_key(experiment.spec.workload, "slo",
                                  "is missing: a fleet is planned for what is promised",
                                  "slo: {ttft: 2 s, tpot: 50 ms}"));
    for (const PoolChoices& choices : form.pools) {
        const auto& pools = alternative.pools;
        const bool known = std::any_of(pools.begin(), pools.end(), [&](const auto& pool) {
            return pool.pool.name == choices.name;
        });
        if (!known)
            problems.push_back(
                at_plan(experiment, "pools",
                        fmt::format("{} has no pool {}", alternative.name, choices.name),
                        "names of pools of every alternative"));
    }
    for (const int size : form.choices.chips_per_replica) {
        if (size <= alternative.system.chips) continue;
        problems.push_back(at_plan(experiment, "chips_per_replica",
                                   fmt::format("{} chips asked of {}, which has {}", size,
                                               alternative.system.name, alternative.system.chips),
                                   fmt::format("at most {}", alternative.system.chips)));
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

ServingPlanReport plan_serving(const Node& experiment, Catalog& catalog,
                               const PlanOptions& options) {
    Node document = experiment;
    catalog.apply_experiment_settings(document);
    ResolvedExperiment resolved = resolve(document, catalog);
    if (!resolved.spec.serving_plan)
        throw InputError(document.place, "plan", "missing: what is searched",
                         "plan: {} searches all degrees that divide; see docs/planning.md");
    measure_memories(resolved, options.cache_folder, options.fidelity);
    std::vector<Diagnostic> problems;
    for (const auto& alternative : resolved.alternatives) {
        try {
            check_serving_plan(resolved, alternative);
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    catalog.require_all_settings_used();

    ServingPlanReport report;
    report.experiment = resolved.spec.name;
    report.model = resolved.spec.workload.model;
    report.form = *resolved.spec.serving_plan;
    const ServingSpec& serving = *resolved.spec.workload.serving;
    report.objective = serving.slo;
    const bool keeps = serving.scheduler.enable_prefix_caching.value_or(true);
    // The bound is of the rate that has to be carried; the bill is of the one that is planned.
    const double planned = report.form.growth.factor();
    const auto demand = [&](double scale) {
        return demand_of(scaled(*resolved.traffic, scale), 1, serving.slo, longest_of(resolved),
                         keeps, options.stop);
    };
    report.demand = demand(planned);
    if (report.demand.output < 1 && !report.demand.stopped)
        throw InputError(
            {at_key(resolved.spec.workload, "traffic", "no request comes that could be served",
                    "a rate above 0, a longer duration, or a larger max_model_len")});
    const ServingDemand carried =
        report.form.burst > 1 ? demand(planned * report.form.burst) : report.demand;
    const double months = report.demand.seconds / (kHoursOfMonth * 3600);
    if (months > 0) {
        report.input_per_month = report.demand.input / months;
        report.output_per_month = report.demand.output / months;
        report.cached_per_month = (report.demand.input - report.demand.computed) / months;
    }
    report.api = api_bills(resolved, catalog, report, report.api_list);
    const PlanGroundwork ground{document,         resolved,
                                catalog,          carried,
                                options.fidelity, options.cache ? options.cache_folder : "",
                                options.stop};
    for (std::size_t i = 0; i < resolved.alternatives.size(); ++i)
        report.alternatives.push_back(AlternativeSearch(ground, i, options).take());
    const auto& all = report.alternatives;
    if (std::all_of(all.begin(), all.end(), [](const auto& one) { return !one.nothing.empty(); })) {
        for (std::size_t i = 0; i < all.size(); ++i) {
            const bool slow = all[i].nothing.rfind("no batch", 0) == 0;
            const std::string what = all[i].name + ": " + all[i].nothing;
            problems.push_back(
                slow ? at_key(resolved.spec.workload, "slo", what, "a longer one, or faster chips")
                     : at_key(resolved.alternatives[i].pool, "chips", what));
        }
        throw InputError(std::move(problems));
    }
    return report;
}

}  // namespace podsim
