// `podsim plan` of served traffic: the smallest fleet that keeps the objective, of each
// alternative.
//
// Every replica that may be (chips, tensor and expert parallelism, batch limits) has a bound on how
// few of it can do (sim/serving_bound). Those of the cheapest bound are simulated first: how many
// are needed is found by doubling and halving the step, from what both kinds of work take one after
// the other. A replica whose bound costs as much as the best fleet found is left.
//
// The planned rate is the traffic grown by plan.growth. The fleet, its spares left out, keeps the
// objective for plan.good of the requests at plan.burst times that rate; what it costs, spares
// paid, is said at the planned rate. Where a pool has `autoscaling` the fleet that is sought
// stands, and its replicas are the most that there may be when it runs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "chips/cost.hpp"
#include "sim/alternative_result.hpp"
#include "sim/api_prices.hpp"
#include "sim/resolve.hpp"
#include "sim/serving_bound.hpp"

namespace podsim {

struct PlanOptions;

// A replica of a pool that was chosen.
struct PlannedPool {
    std::string name, role;
    int chips = 0;     // of a replica
    int replicas = 0;  // that are needed; plan.spare_replicas stand beside
    int spares = 0;
    MappingSpec mapping;
    long max_num_seqs = 0, max_num_batched_tokens = 0;  // of a data-parallel group
    ServingBound bound;
};

// Where the fleet ends: traffic of so many times the planned rate breaks the objective. Where
// nothing did that was tried, `breaks` is 0 and the fleet holds to more than `holds`.
struct NextBottleneck {
    double holds = 0, breaks = 0;  // times the planned rate
    std::string what;              // in words
    double months = 0;             // of growth until there, 0 without growth
    bool is_open() const { return holds > 0 && !(breaks > 0); }
};

struct ServingPlanCounts {
    long candidates = 0, refused = 0, do_not_fit = 0, too_slow = 0, beyond = 0, simulated = 0,
         runs = 0;
};

struct ServingAnswer {
    std::vector<PlannedPool> pools;
    int chips = 0;
    double watts = 0;          // of all chips at what the system is built for, cooling included
    double usd_per_month = 0;  // of `basis`; 0: no price
    std::string basis;         // the first that all pools have
    // Where replicas of a pool come and go, up to these: of the hours that are paid for.
    std::optional<double> scaled_usd_per_month;
    double mean_replicas = 0;  // of all pools, paid for
    double good = 0;           // share of the requests, at burst without spares
    double bound_usd_per_month = 0;
    int bound_chips = 0;
    NextBottleneck next;
    AlternativeResult result;  // as `podsim run` gives it
    Node experiment;           // that it runs
};

struct ServingPlanAlternative {
    std::string name, system, chip, fidelity;
    bool partial = false;
    ServingPlanCounts counts;
    std::optional<ServingAnswer> answer;
    std::string nothing;    // why there is no fleet, with what would help
    std::string pool;       // that it is about, the first if ""
    bool too_slow = false;  // no batch keeps the objective
    // `most_chips` is too few: what the least fleet that may do has, or the next one to try.
    int least_chips = 0;
    // More replicas do not help, a tier that they share is full: what bandwidth of it would do.
    std::optional<BytesPerSecond> tier_bandwidth;
    std::vector<std::string> warnings;
};

// The traffic of a month at an API's price.
struct ApiBill {
    std::string name;
    ApiPrice price;
    double usd_per_month = 0;
};

struct ServingPlanReport {
    std::string experiment, model;
    ServingPlanForm form;
    ServiceObjective objective;
    ServingDemand demand;  // at the planned rate
    std::vector<ServingPlanAlternative> alternatives;
    std::string api_list;
    std::vector<ApiBill> api;
    // Tokens of a month at the planned rate.
    double input_per_month = 0, output_per_month = 0, cached_per_month = 0;
    bool partial() const;
};

inline constexpr double kHoursOfMonth = 730.5;  // 365.25 days of 24 h over 12

// Throws InputError: what is wrong with the file, an objective that no batch keeps (with the best
// that can be reached), no fleet in any alternative.
ServingPlanReport plan_serving(const Node& experiment, Catalog& catalog,
                               const PlanOptions& options);

// The part of it that needs no search, for files that are only checked.
void check_serving_plan(const ResolvedExperiment& experiment,
                        const ResolvedAlternative& alternative);

}  // namespace podsim
