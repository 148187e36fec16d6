// What users, operators and payers ask of served traffic, worked out of what became of it.
#pragma once

#include <string>

#include "sim/alternative_result.hpp"
#include "sim/resolve.hpp"
#include "sim/serving_fleet.hpp"

namespace podsim {

// 0 for nothing of nothing.
inline double ratio(double a, double b) {
    return b > 0 ? a / b : 0;
}

// Adds metrics to a result; times of a distribution as mean and percentiles, in ms.
struct ServingMetrics {
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
        (*this)(name + "_p95", values.p95 * 1e3, "ms");
        (*this)(name + "_p99", values.p99 * 1e3, "ms");
    }
};

// Requests, tokens, latencies, how busy engines and caches were.
void add_rates(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet);
// What the mean request's time went to.
void add_breakdown(AlternativeResult& result, const ServingOutcome& out);
// Engines and caches over windows of the span; what fills a rank's memory.
void add_resources(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet);
// What replicas shared, and the share of its bandwidth in use.
void add_shared_tiers(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet);
// Work by what each step draws, rest by the span. Returns joules of both.
double add_energy(AlternativeResult& result, const ServingOutcome& out, ServingFleet& fleet);
// The bill of the span, and what it comes to a token: time at work by what it was for, the rest by
// itself. Sums to the bill:
//   input x $/input + output x $/output + (input + output) x $ of idle time, tiers, idle chips
//       = hours x $/hour
void add_costs(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet,
               const ResolvedExperiment& experiment);

// The run's day, over and over, beside what training cost: of the first basis of cost.
void add_lifecycle(const ServingMetrics& add, const ServingOutcome& out, ServingFleet& fleet,
                   const ResolvedExperiment& experiment);

}  // namespace podsim
