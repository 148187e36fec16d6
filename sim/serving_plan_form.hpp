// The section `plan` of a serving experiment: over what `podsim plan` searches, and how much room
// the fleet is to have. Lists are of what a replica may be; what is absent is as the alternative
// says, and a mapping it does not give is searched over all powers of two.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/form_variants.hpp"
#include "sim/plan_form.hpp"

namespace podsim {

struct ReplicaChoices {
    std::vector<int> chips_per_replica, tensor_parallel, context_parallel, expert_parallel;
    std::vector<long> max_num_seqs, max_num_batched_tokens;
};

struct PoolChoices {
    std::string name;
    ReplicaChoices choices;
};

// Of a distribution of latencies, as service levels are stated.
enum class PlanPercentile { p50, p90, p95, p99 };
const std::vector<std::pair<const char*, PlanPercentile>>& names_of(const PlanPercentile*);
double share_of(PlanPercentile percentile);

struct GrowthSpec {
    double per_month = 0;
    double months = 12;
    double factor() const;  // (1 + per_month)^months
};

struct ServingPlanForm {
    ReplicaChoices choices;
    std::vector<PoolChoices> pools;  // over `choices`, of pools by their names
    double good = 0.99;              // share of requests that keep the objective
    // Instead of `good`: of TTFT and of TPOT, each by itself, which keeps its promise.
    std::optional<PlanPercentile> percentile;
    // Share of the requests that may break either promise, and of those that must keep both.
    double may_be_late() const;
    double least_good() const;
    GrowthSpec growth;
    double burst = 1;        // times the planned rate that the fleet carries without its spares
    int spare_replicas = 0;  // of each pool, beside those that are needed
    int most_chips = 100000;
    std::string api_prices = "public";
    std::vector<std::string> api;  // of these prices; those of the model if empty
};

template <class Form>
void describe_choices(Form& form, ReplicaChoices& choices) {
    const auto list = [&](const char* key, auto& values, const char* help) {
        form.optional(key, values, help, at_least(1));
        if (form.ok() && form.has(key) && values.empty())
            form.problem(key, "is an empty list", "leave the key away, or name at least one");
    };
    list("chips_per_replica", choices.chips_per_replica,
         "serving: packages of a replica to try; the alternative's if absent");
    list("tensor_parallel", choices.tensor_parallel, "degrees to try; all that divide if absent");
    list("context_parallel", choices.context_parallel, "degrees to try; 1 if absent");
    list("expert_parallel", choices.expert_parallel, "degrees to try; all that divide if absent");
    list("max_num_seqs", choices.max_num_seqs,
         "serving: batch limits to try; the scheduler's if absent");
    list(
        "max_num_batched_tokens", choices.max_num_batched_tokens,
        "serving: tokens of a step to try; the scheduler's if absent, and without those 2048, 8192 "
        "and 32768");
}

template <class Form>
void describe(Form& form, PoolChoices& pool) {
    form.required("name", pool.name, "of a pool of the alternatives");
    describe_choices(form, pool.choices);
}

template <class Form>
void describe(Form& form, GrowthSpec& growth) {
    form.required("per_month", growth.per_month, "by which traffic grows, compound",
                  Check{0, 10, false, "a share of 0 to 1000 %"});
    form.optional("months", growth.months, "for which the fleet is bought",
                  Check{0, 120, false, "a value of 0 to 120"});
}

template <class Form>
void describe(Form& form, ServingPlanForm& plan) {
    describe_choices(form, plan.choices);
    form.optional("pools", plan.pools, "serving: lists for pools by their names");
    form.optional("good", plan.good, "serving: share of requests that have to keep the slo",
                  share_above_zero());
    form.optional("percentile", plan.percentile,
                  "serving: instead of good, of TTFT and of TPOT each by itself, that has to keep "
                  "its promise: p50, p90, p95 or p99");
    if (form.ok() && plan.percentile && form.has("good"))
        form.problem("percentile", "beside good: both say how many requests may be late",
                     "one of them");
    form.optional("growth", plan.growth, "serving: traffic that the fleet is bought for");
    form.optional("burst", plan.burst,
                  "serving: times the planned rate that the fleet has to carry without spares",
                  Check{1, 100, false, "a value of 1 to 100"});
    form.optional("spare_replicas", plan.spare_replicas,
                  "serving: of each pool, beside those that are needed (N + 1: 1)",
                  Check{0, 1000, false, "a whole number of 0 to 1000"});
    form.optional("most_chips", plan.most_chips, "serving: the largest fleet to think of",
                  Check{1, 1e6, false, "a whole number of 1 to 1,000,000"});
    form.optional("api_prices", plan.api_prices,
                  "serving: price list to compare with, of configs/api_prices");
    form.optional("api", plan.api, "serving: of that list; those of the model if absent");
}

// Either section, by the kind of the workload.
struct PlanSection {
    bool serving = false;
    PlanForm training;
    ServingPlanForm service;
};

template <class Form>
void describe(Form& form, PlanSection& plan) {
    if (kAllVariants<Form> || plan.serving) describe(form, plan.service);
    if (kAllVariants<Form> || !plan.serving) describe(form, plan.training);
}

}  // namespace podsim
