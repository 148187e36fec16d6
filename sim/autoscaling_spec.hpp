// How an experiment says that a pool's replicas come and go with its load, and what a start takes.
#pragma once

#include <optional>

#include "base/form.hpp"
#include "base/units.hpp"
#include "workloads/autoscaling.hpp"

namespace podsim {

// From the decision until a replica serves: provision + weights of a rank / weights_bandwidth +
// warm_up.
struct StartUpSpec {
    Seconds provision{0.0};
    std::optional<BytesPerSecond> weights_bandwidth;
    Seconds warm_up{0.0};
    Seconds of(Bytes weights) const {
        return provision + warm_up +
               (weights_bandwidth ? weights / *weights_bandwidth : Seconds(0.0));
    }
};

struct AutoscalingSpec {
    int min_replicas = 1;
    std::optional<int> initial_replicas;
    std::optional<double> target_requests, target_kv_cache;  // exactly one
    Seconds interval{15.0}, look_back{60.0}, scale_up_delay{0.0}, scale_down_delay{300.0};
    double tolerance = 0.1;
    StartUpSpec start_up;

    int initial() const { return initial_replicas.value_or(min_replicas); }
    AutoscalingRule rule(Bytes weights) const {
        AutoscalingRule rule;
        rule.metric = target_requests ? ScalingMetric::requests : ScalingMetric::kv_cache;
        rule.target = target_requests ? *target_requests : target_kv_cache.value_or(1.0);
        rule.min_replicas = min_replicas;
        rule.initial_replicas = initial();
        rule.interval = interval;
        rule.look_back = look_back;
        rule.scale_up_delay = scale_up_delay;
        rule.scale_down_delay = scale_down_delay;
        rule.tolerance = tolerance;
        rule.start_up = start_up.of(weights);
        return rule;
    }
};

template <class Form>
void describe(Form& form, StartUpSpec& start_up) {
    form.optional("provision", start_up.provision, "until chips and engine are there",
                  non_negative());
    form.optional("weights_bandwidth", start_up.weights_bandwidth,
                  "at which a rank's weights come into its memory, all ranks at once; no time "
                  "if absent",
                  positive());
    form.optional("warm_up", start_up.warm_up, "graphs, kernels, first requests of its own",
                  non_negative());
}

template <class Form>
void describe(Form& form, AutoscalingSpec& scaling) {
    form.optional("min_replicas", scaling.min_replicas, "that are always there; replicas at most",
                  Check{0, 1e6, false, "a whole number of 0 to 1,000,000"});
    form.optional("initial_replicas", scaling.initial_replicas,
                  "at the beginning; min_replicas if absent",
                  Check{0, 1e6, false, "a whole number of 0 to 1,000,000"});
    form.optional("target_requests", scaling.target_requests,
                  "requests of a replica that wait or run", positive());
    form.optional("target_kv_cache", scaling.target_kv_cache,
                  "or: blocks of a replica in use, a share", share_above_zero());
    form.optional("interval", scaling.interval, "between two looks at the load", positive());
    form.optional("look_back", scaling.look_back, "whose mean load counts", positive());
    form.optional("scale_up_delay", scaling.scale_up_delay,
                  "for which more replicas have to be wanted before they start", non_negative());
    form.optional("scale_down_delay", scaling.scale_down_delay,
                  "for which fewer replicas have to be wanted before any is drained",
                  non_negative());
    form.optional("tolerance", scaling.tolerance,
                  "share by which load may miss the target without a change", share());
    form.optional("start_up", scaling.start_up, "what a start takes");
    if (!form.ok()) return;
    const char* hint = "one of target_requests and target_kv_cache";
    if (!scaling.target_requests && !scaling.target_kv_cache)
        form.problem("target_requests", "is missing: there is no target to scale by", hint);
    if (scaling.target_requests && scaling.target_kv_cache)
        form.problem("target_kv_cache", "is a second target", hint);
    if (scaling.min_replicas == 0 && scaling.target_kv_cache)
        form.problem("min_replicas",
                     "is 0: a pool without a replica has no KV cache to be scaled by",
                     "1, or target_requests");
    if (scaling.initial() < scaling.min_replicas)
        form.problem("initial_replicas", "is below min_replicas");
}

}  // namespace podsim
