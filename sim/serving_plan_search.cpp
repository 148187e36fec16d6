#include "sim/serving_plan_search.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/cache_tiers.hpp"
#include "sim/default_mapping.hpp"
#include "sim/memory_shares.hpp"
#include "sim/plan_document.hpp"
#include "sim/plan_run.hpp"
#include "sim/serving_diagnosis.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_metrics.hpp"
#include "sim/serving_run.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

using Counts = std::vector<int>;

// The rate that breaks a fleet: looked for in steps of kHeadroomStep up to kStepped times the
// planned one, then doubled, as long as a run has no more than kMostRequests and up to
// kMostHeadroom; between the last two looks it is halved until they are kHeadroomApart apart.
constexpr double kHeadroomStep = 1.25;
constexpr double kStepped = 16;
constexpr double kMostHeadroom = 4096;
constexpr double kHeadroomApart = 1.0141;  // four halves of kHeadroomStep
constexpr double kMostRequests = 1e6;
// Replicas that are 1.4 times as many and leave more than this share of what is missed have not
// helped.
constexpr double kNoGain = 0.75;
constexpr double kEndlessBandwidth = 1e18;  // bytes a second, the most that a tier may have
constexpr int kBandwidthHalvings = 4;       // of the gap between too little and enough

// One kind of replica of each pool.
using Combination = std::vector<const ReplicaCandidate*>;

struct Trial {
    double good = 0;
    double missed = 0;                // share of the requests that broke a promise that counts
    std::optional<std::size_t> full;  // the tier that replicas share whose bandwidth is
    long arrived = 0;
    bool kept = false, late_first = false, late_tokens = false, stopped = false;
    std::string why;  // where it is not kept: what ran out
};

// Replicas to try next.
int grown(int replicas) {
    return std::max(replicas + 1, static_cast<int>(std::ceil(replicas * 1.4)));
}

int counted(long chips) {
    return static_cast<int>(std::min<long>(chips, std::numeric_limits<int>::max()));
}

// The same pools with another bandwidth of a tier that they share.
ResolvedAlternative with_bandwidth(const ResolvedExperiment& experiment,
                                   ResolvedAlternative alternative, const std::string& tier,
                                   BytesPerSecond bandwidth) {
    for (ResolvedAlternative& pool : alternative.pools) {
        std::vector<CacheTierSetting> tiers =
            knobs_of(experiment.spec.workload.serving->scheduler, pool.pool.scheduler).cache_tiers;
        for (CacheTierSetting& one : tiers)
            if (one.shared && one.name == tier) one.bandwidth = bandwidth;
        pool.pool.scheduler.cache_tiers = std::move(tiers);
    }
    return alternative;
}

class AlternativeSearch {
  public:
    AlternativeSearch(const PlanGroundwork& ground, std::size_t index, const PlanOptions& options)
        : ground_(ground),
          index_(index),
          options_(options),
          form_(*ground.experiment.spec.serving_plan),
          written_(ground.experiment.alternatives[index]),
          shared_usd_(shared_usd_per_hour(ground.experiment, written_)) {}

    ServingPlanAlternative take();

  private:
    bool look_for_candidates();
    std::vector<Combination> combinations() const;
    long least_chips(const std::vector<Combination>& all) const;
    void search(const Combination& combination);
    std::optional<Counts> smallest(const Combination& combination);
    bool grow(const Combination& combination, Counts& counts, Counts& failed);
    void shrink(const Combination& combination, Counts& counts, const Counts& failed);
    bool allowed(const Combination& combination, const Counts& counts);
    double usd(const Combination& combination, const Counts& counts) const;
    long chips(const Combination& combination, const Counts& counts) const;
    double watts(const Combination& combination, const Counts& counts) const;
    Counts with_spares(Counts counts) const;
    ResolvedAlternative fleet(const Combination& combination, const Counts& counts) const;
    std::string no_tiers_for(const Combination& combination, const Counts& counts) const;
    Trial run(const Combination& combination, const Counts& counts, double scale);
    Trial run(const Combination& combination, const ResolvedAlternative& fleet_of, double scale);
    bool tier_holds_back(const Combination& combination, const Counts& counts, const Trial& before,
                         const Trial& now);
    BytesPerSecond bandwidth_that_does(const Combination& combination,
                                       const ResolvedAlternative& fleet_of, const std::string& tier,
                                       BytesPerSecond too_little);
    NextBottleneck next_bottleneck(const Combination& combination, const Counts& counts);
    ServingAnswer answer(const Combination& combination, const Counts& counts);
    Node winner_document(const Combination& combination, const Counts& counts) const;
    AlternativeResult run_winner(const Node& experiment);
    void keep_standing(const Counts& all, ServingAnswer& answer);
    void count_paid_hours(const Combination& combination, ServingAnswer& answer) const;
    void explain();
    bool keeps(double good, double late_first, double late_tokens, double lost,
               double arrived) const;
    double planned() const { return form_.growth.factor(); }

    const PlanGroundwork& ground_;
    std::size_t index_;
    const PlanOptions& options_;
    const ServingPlanForm& form_;
    const ResolvedAlternative& written_;
    const double shared_usd_;  // an hour, of cache tiers that all replicas share
    ServingPlanAlternative result_;
    std::vector<PoolCandidates> pools_;
    std::optional<Combination> best_;
    Counts best_counts_;
    double best_usd_ = 0, best_good_ = 0;
    bool over_power_ = false, over_chips_ = false;
    double least_watts_ = 0;
    long least_chips_ = 0;
    std::string last_why_;
    std::string no_tiers_;  // of a fleet that would have been tried
    std::string tier_why_;  // a tier that all share held back whatever was tried
};

// Whether so many of `arrived` requests are enough: good ones, or by a percentile those that were
// late with either promise or lost.
bool AlternativeSearch::keeps(double good, double late_first, double late_tokens, double lost,
                              double arrived) const {
    if (!form_.percentile) return ratio(good, arrived) >= form_.good;
    return std::max(late_first, late_tokens) + lost <= form_.may_be_late() * arrived * (1 + 1e-9);
}

double AlternativeSearch::usd(const Combination& combination, const Counts& counts) const {
    double sum = combination.front()->priced ? shared_usd_ : 0;
    for (std::size_t i = 0; i < counts.size(); ++i) sum += combination[i]->usd(counts[i]);
    return sum;
}

long AlternativeSearch::chips(const Combination& combination, const Counts& counts) const {
    long sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
        sum += static_cast<long>(combination[i]->packages()) * counts[i];
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
    std::string no_tiers = no_tiers_for(combination, all);
    if (!no_tiers.empty()) {
        no_tiers_ = std::move(no_tiers);
        return false;
    }
    return true;
}

bool AlternativeSearch::look_for_candidates() {
    const std::size_t pools = written_.pools.size() - (has_beside(written_) ? 1 : 0);
    for (std::size_t i = 0; i < pools; ++i) {
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
            sum += pool->usd(pool->bound.replicas + form_.spare_replicas);
        return sum;
    };
    std::stable_sort(all.begin(), all.end(), [&](const Combination& a, const Combination& b) {
        return least(a) < least(b);
    });
    return all;
}

// Of the smallest fleet that any bound allows.
long AlternativeSearch::least_chips(const std::vector<Combination>& all) const {
    long least = 0;
    for (const Combination& combination : all) {
        Counts counts;
        for (const ReplicaCandidate* pool : combination) counts.push_back(pool->bound.replicas);
        const long own = chips(combination, with_spares(std::move(counts)));
        if (least == 0 || own < least) least = own;
    }
    return least;
}

// That many replicas of each.
ResolvedAlternative AlternativeSearch::fleet(const Combination& combination,
                                             const Counts& counts) const {
    ResolvedAlternative fleet = written_;
    fleet.pools.clear();
    for (std::size_t i = 0; i < counts.size(); ++i) {
        fleet.pools.push_back(combination[i]->replica);
        fleet.pools.back().pool.replicas = counts[i];
        fleet.pools.back().pool.autoscaling.reset();
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const auto& beside = combination[i]->ground->beside;
        if (!beside) continue;
        fleet.pools.push_back(*beside);
        fleet.pools.back().pool.replicas = counts[i];
    }
    return fleet;
}

// Why its hosts or fabric cannot have the cache tiers of so many replicas; "" where they can.
std::string AlternativeSearch::no_tiers_for(const Combination& combination,
                                            const Counts& counts) const {
    const auto& workload = ground_.experiment.spec.workload.serving->scheduler;
    if (std::all_of(combination.begin(), combination.end(), [&](const ReplicaCandidate* pool) {
            return knobs_of(workload, pool->replica.pool.scheduler).cache_tiers.empty();
        }))
        return "";
    const ResolvedAlternative all = fleet(combination, counts);
    Problems problems;
    std::vector<std::string> notes;
    (void)shared_tiers(ground_.experiment, all, problems);
    for (std::size_t i = 0; i < counts.size(); ++i)
        check_own_tiers(ground_.experiment, all.pools[i],
                        experts_on_hosts(all.pools[i], *combination[i]->ground->table), problems,
                        notes);
    if (problems.empty()) return "";
    return problems.front().what + " (" + problems.front().hint + ")";
}

Trial AlternativeSearch::run(const Combination& combination, const Counts& counts, double scale) {
    return run(combination, fleet(combination, counts), scale);
}

Trial AlternativeSearch::run(const Combination& combination, const ResolvedAlternative& fleet_of,
                             double scale) {
    std::vector<std::shared_ptr<StepTable>> tables;
    for (const ReplicaCandidate* pool : combination)
        tables.emplace_back(pool->ground, pool->ground->table.get());
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
    trial.arrived = out.arrived;
    trial.good = ratio(out.good, static_cast<double>(out.arrived));
    const double lost = static_cast<double>(out.timed_out + out.rejected);
    trial.missed =
        form_.percentile
            ? ratio(static_cast<double>(std::max(out.late_first, out.late_tokens)) + lost,
                    static_cast<double>(out.arrived))
            : 1 - trial.good;
    trial.kept = !out.stopped && keeps(out.good, static_cast<double>(out.late_first),
                                       static_cast<double>(out.late_tokens), lost,
                                       static_cast<double>(out.arrived));
    // What is rarer than a tenth of the other is its consequence.
    const double first = static_cast<double>(out.late_first + out.timed_out + out.rejected),
                 tokens = static_cast<double>(out.late_tokens);
    trial.late_first = first > 0 && first >= 0.1 * tokens;
    trial.late_tokens = tokens > 0 && tokens >= 0.1 * first;
    if (!trial.kept && !trial.stopped) {
        trial.why = what_gave_way(fleet, out, form_.percentile.value_or(PlanPercentile::p99));
        trial.full = full_tier(out);
    }
    return trial;
}

// Whether more replicas are of no use: the tier they share was full for the number before and is
// now, hardly anything was gained, and with a tier without end these replicas keep the objective.
bool AlternativeSearch::tier_holds_back(const Combination& combination, const Counts& counts,
                                        const Trial& before, const Trial& now) {
    if (!now.full || before.full != now.full) return false;
    if (!tier_why_.empty()) return true;
    if (now.missed <= kNoGain * before.missed) return false;
    Problems none;
    const CacheTierSetting tier =
        shared_tiers(ground_.experiment, fleet(combination, counts), none)[*now.full];
    const auto endless = [&](const Counts& replicas) {
        return run(combination,
                   with_bandwidth(ground_.experiment, fleet(combination, replicas), tier.name,
                                  BytesPerSecond(kEndlessBandwidth)),
                   form_.burst)
            .kept;
    };
    if (!endless(counts)) return false;
    // With engines to spare, so that the bandwidth is not asked to make up for them.
    Counts relieved = counts;
    for (int& one : relieved) one = grown(one);
    if (!allowed(combination, relieved) || !endless(relieved)) relieved = counts;
    const BytesPerSecond enough =
        bandwidth_that_does(combination, fleet(combination, relieved), tier.name, tier.bandwidth);
    const auto text = [](const Counts& replicas) {
        return fmt::format("{} replicas", fmt::join(replicas, " and "));
    };
    tier_why_ = fmt::format(
        "bandwidth of the shared tier {} holds every fleet back: at {} {:.3g} % of the requests "
        "are late with {}, {:.3g} % were with fewer; at {} {} keep the objective",
        tier.name, to_string(tier.bandwidth), now.missed * 100, text(counts), before.missed * 100,
        to_string(enough), text(relieved));
    result_.tier_bandwidth = enough;
    return true;
}

// The least bandwidth of a tier that keeps the objective with this fleet, to two digits, rounded
// up; an endless one does.
BytesPerSecond AlternativeSearch::bandwidth_that_does(const Combination& combination,
                                                      const ResolvedAlternative& fleet_of,
                                                      const std::string& tier,
                                                      BytesPerSecond too_little) {
    const auto kept = [&](double bandwidth) {
        const Trial trial =
            run(combination,
                with_bandwidth(ground_.experiment, fleet_of, tier, BytesPerSecond(bandwidth)),
                form_.burst);
        return trial.kept || trial.stopped;
    };
    const auto rounded = [](double value) {
        const double digit = std::pow(10, std::floor(std::log10(value)) - 1);
        return std::ceil(value / digit - 1e-9) * digit;
    };
    double low = too_little.value(), high = rounded(2 * low);
    while (high < kEndlessBandwidth && !kept(high)) {
        low = high;
        high = rounded(2 * high);
    }
    for (int i = 0; i < kBandwidthHalvings; ++i) {
        const double middle = rounded(std::sqrt(low * high));
        if (middle >= high) break;
        (kept(middle) ? high : low) = middle;
    }
    return BytesPerSecond(high);
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
    Trial before;
    while (true) {
        const Trial trial = run(combination, counts, form_.burst);
        if (trial.stopped) return false;
        if (trial.kept) {
            best_good_ = trial.good;
            return true;
        }
        last_why_ = trial.why;
        if (tier_holds_back(combination, counts, before, trial)) return false;
        before = trial;
        Counts more = counts;
        const bool one_pool = counts.size() == 1;
        for (std::size_t i = 0; i < counts.size(); ++i) {
            const PoolRole role = role_of(combination[i]->replica.pool);
            const bool at_fault = one_pool || trial.late_first == trial.late_tokens ||
                                  (trial.late_first && role != PoolRole::decode) ||
                                  (trial.late_tokens && role != PoolRole::prefill);
            if (!at_fault) continue;
            failed[i] = std::max(failed[i], counts[i]);
            more[i] = grown(counts[i]);
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
    std::iota(order.begin(), order.end(), std::size_t{0});
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
    const double most = kMostHeadroom * form_.burst;
    double step = kHeadroomStep;
    for (double scale = form_.burst * step; scale <= most; scale *= step) {
        const Trial trial = run(combination, all, scale);
        if (trial.stopped) return next;
        if (!trial.kept) {
            next.breaks = scale;
            next.what = trial.why;
            break;
        }
        next.holds = scale;
        if (scale * step <= kStepped * form_.burst) continue;
        step = 2;
        if (static_cast<double>(trial.arrived) * step > kMostRequests) break;
    }
    while (next.breaks > kHeadroomApart * next.holds) {
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
    std::vector<PoolSetting> settings, beside;
    const Counts all = with_spares(counts);
    const auto written = [&](PoolSetting setting, const PoolSpec& pool, int replicas) {
        const MappingSpec& mapping = pool.mapping;
        setting.replicas = replicas;
        setting.tensor_parallel = mapping.tensor_parallel;
        if (mapping.context_parallel() > 1) setting.context_parallel = mapping.context_parallel();
        setting.data_parallel = mapping.data_parallel;
        if (has_experts(*ground_.experiment.model) && pool.role != "attention" &&
            !shares_widths_by_rule(pool))
            setting.expert_parallel = mapping.expert_parallel;
        if (mapping.pipeline_parallel > 1) setting.pipeline_parallel = mapping.pipeline_parallel;
        return setting;
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
        const ReplicaCandidate& of = *combination[i];
        settings.push_back(written(of.setting, of.replica.pool, all[i]));
        if (of.beside) beside.push_back(written(*of.beside, of.ground->beside->pool, all[i]));
    }
    settings.insert(settings.end(), beside.begin(), beside.end());
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
        answer.bound_chips += of.packages() * of.bound.replicas;
        if (!of.priced) continue;
        usd_per_hour += of.usd(all[i]);
        answer.bound_usd_per_month += of.usd(of.bound.replicas) * kHoursOfMonth;
    }
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const auto& beside = combination[i]->ground->beside;
        if (!beside) continue;
        ServingBound bound;
        bound.replicas = combination[i]->bound.replicas;
        answer.pools.push_back({beside->pool.name, beside->pool.role, beside->packages, counts[i],
                                form_.spare_replicas, beside->pool.mapping, 0, 0, bound});
    }
    answer.chips = counted(chips(combination, all));
    answer.watts = watts(combination, all);
    if (combination.front()->priced) {
        usd_per_hour += shared_usd_;
        answer.bound_usd_per_month += shared_usd_ * kHoursOfMonth;
    }
    answer.usd_per_month = usd_per_hour * kHoursOfMonth;
    answer.basis = combination.front()->basis;
    answer.good = best_good_;
    answer.experiment = winner_document(combination, counts);
    if (ground_.stop && ground_.stop()) return answer;
    answer.next = next_bottleneck(combination, counts);
    answer.result = run_winner(answer.experiment);
    keep_standing(all, answer);
    count_paid_hours(combination, answer);
    return answer;
}

AlternativeResult AlternativeSearch::run_winner(const Node& experiment) {
    ResolvedExperiment resolved = resolve(experiment, ground_.catalog);
    measure_memories(resolved, options_.cache_folder, options_.fidelity);
    RunOptions run;
    run.fidelity = options_.fidelity;
    run.cache = options_.cache;
    run.cache_folder = options_.cache_folder;
    run.stop = options_.stop;
    RunCounts told;
    AlternativeResult result = run_serving(resolved, resolved.alternatives.front(), run, told);
    result.name = written_.name;
    ++result_.counts.runs;
    return result;
}

// Where replicas come too late for the objective as many always stand as keep it: of each pool the
// same share of those that come and go, found by halves.
void AlternativeSearch::keep_standing(const Counts& all, ServingAnswer& answer) {
    const auto kept = [&](const AlternativeResult& result) {
        const ServedTraffic& served = *result.served;
        const Metric* good = result.metric("goodput_share");
        const auto arrived = static_cast<double>(served.arrived);
        return good == nullptr ||
               keeps(good->value * arrived, static_cast<double>(served.late_first),
                     static_cast<double>(served.late_tokens),
                     static_cast<double>(served.timed_out + served.rejected), arrived);
    };
    const auto rule = [&](std::size_t pool) -> const std::optional<AutoscalingSpec>& {
        return written_.pools[pool].pool.autoscaling;
    };
    int most = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
        if (rule(i)) most = std::max(most, all[i] - rule(i)->min_replicas);
    if (most < 1 || kept(answer.result)) return;
    const auto standing = [&](int steps) {
        Node experiment = answer.experiment;
        for (std::size_t i = 0; i < all.size(); ++i) {
            if (!rule(i)) continue;
            const int moving = all[i] - rule(i)->min_replicas;
            const int stand = rule(i)->min_replicas + (moving * steps + most - 1) / most;
            const auto set = [&](const char* path, int value) {
                set_path(pool_node(experiment, i), path, std::to_string(value), experiment.place);
            };
            set("autoscaling.min_replicas", stand);
            set("autoscaling.initial_replicas", std::max(stand, rule(i)->initial()));
        }
        return experiment;
    };
    // `below` did not do; `enough` does, if anything.
    int below = 0, enough = most;
    Node experiment = standing(enough);
    AlternativeResult result = run_winner(experiment);
    if (!kept(result)) return;
    while (enough - below > 1 && !(options_.stop && options_.stop())) {
        const int middle = (below + enough) / 2;
        Node fewer = standing(middle);
        AlternativeResult tried = run_winner(fewer);
        if (!kept(tried)) {
            below = middle;
            continue;
        }
        enough = middle;
        experiment = std::move(fewer);
        result = std::move(tried);
    }
    answer.experiment = std::move(experiment);
    answer.result = std::move(result);
}

// What a month costs where replicas come and go: hours paid in the run, over its span.
void AlternativeSearch::count_paid_hours(const Combination& combination,
                                         ServingAnswer& answer) const {
    const auto& pools = written_.pools;
    if (std::none_of(pools.begin(), pools.end(),
                     [](const auto& pool) { return pool.pool.autoscaling.has_value(); }) ||
        !answer.result.served || !(answer.result.served->span_seconds > 0))
        return;
    double usd_per_hour = 0;
    for (std::size_t i = 0; i < combination.size(); ++i) {
        const double mean =
            answer.result.served->pools[i].paid_seconds / answer.result.served->span_seconds;
        answer.mean_replicas += mean;
        // Of the idle chips of its hosts its part of those beside all of them.
        const int all = answer.result.served->pools[i].replicas;
        if (combination[i]->priced) usd_per_hour += combination[i]->usd(all) / all * mean;
    }
    if (usd_per_hour > 0)
        answer.scaled_usd_per_month = (usd_per_hour + shared_usd_) * kHoursOfMonth;
}

// Why there is no fleet.
void AlternativeSearch::explain() {
    for (std::size_t i = 0; i < pools_.size(); ++i) {
        const PoolCandidates& pool = pools_[i];
        if (!pool.found.empty()) continue;
        const bool beside = pool.do_not_fit > 0 ? pool.misfit_beside : pool.refusal_beside;
        result_.pool = (beside ? written_.pools.back() : written_.pools[i]).pool.name;
        const ServiceObjective& slo = ground_.experiment.spec.workload.serving->slo;
        if (pool.too_slow > 0) {
            result_.too_slow = true;
            result_.nothing = fmt::format(
                "no batch keeps the objective for {:.4g} % of the requests: served alone they "
                "reach",
                form_.least_good() * 100);
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
                ? fmt::format("the model leaves no room for a KV cache in {}: {}",
                              pool.do_not_fit == 1
                                  ? "the one replica there may be"
                                  : fmt::format("any of {} replicas", pool.do_not_fit),
                              pool.first_misfit)
            : pool.looked_at == 1
                ? "the one replica there may be cannot be: " + pool.first_refusal
                : fmt::format("none of {} replicas can be: {}", pool.looked_at, pool.first_refusal);
        return;
    }
    if (!tier_why_.empty()) {
        result_.nothing = tier_why_;
        return;
    }
    result_.tier_bandwidth.reset();
    if (over_power_) {
        result_.nothing = fmt::format(
            "site_power of {} is too little: the next fleet to try draws {} with its cooling",
            to_string(*ground_.experiment.spec.site_power), to_string(Watts(least_watts_)));
    } else if (over_chips_) {
        result_.least_chips = counted(least_chips_);
        result_.nothing = fmt::format("most_chips of {} is too few: the next fleet to try has {}",
                                      form_.most_chips, least_chips_);
    } else if (!no_tiers_.empty()) {
        result_.nothing = "the next fleet to try has no room for its cache tiers: " + no_tiers_;
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
    // Tokens of a step that nobody listed are looked at last, of the replicas that were best; of
    // all where none did.
    const std::vector<Combination> all = combinations();
    if (const long least = least_chips(all); least > form_.most_chips) {
        result_.counts.beyond += static_cast<long>(all.size());
        result_.least_chips = counted(least);
        result_.nothing = fmt::format(
            "most_chips of {} is too few: the traffic cannot be carried by fewer than {} chips in "
            "closed form{}",
            form_.most_chips, least, form_.spare_replicas > 0 ? ", spare replicas among them" : "");
        return std::move(result_);
    }
    const auto refines = [](const Combination& one) {
        return std::any_of(one.begin(), one.end(),
                           [](const auto* pool) { return pool->setting.refines; });
    };
    const auto look = [&](const auto& wanted) {
        for (const Combination& combination : all) {
            if (options_.stop && options_.stop()) break;
            if (wanted(combination)) search(combination);
        }
    };
    look([&](const Combination& one) { return !refines(one); });
    const std::optional<Combination> first = best_;
    look([&](const Combination& one) {
        if (!refines(one)) return false;
        for (std::size_t i = 0; first && i < one.size(); ++i)
            if (!one[i]->setting.is_like((*first)[i]->setting)) return false;
        return true;
    });
    if (best_) {
        result_.answer = answer(*best_, best_counts_);
        result_.warnings = result_.answer->result.warnings;
    }
    result_.partial = options_.stop && options_.stop();
    if (!best_ && !result_.partial) explain();
    return std::move(result_);
}

}  // namespace

ServingPlanAlternative search_fleet(const PlanGroundwork& ground, std::size_t alternative,
                                    const PlanOptions& options) {
    return AlternativeSearch(ground, alternative, options).take();
}

}  // namespace podsim
