// How many replicas a pool should have, asked now and then as its load goes up and down: the rule
// of Kubernetes' HorizontalPodAutoscaler, with the look-back window of Ray Serve's.
//
//   wanted = ceil(mean load of the last `look_back` / target),
//            at least 1 where there is any load,
//            unchanged where load / (target x replicas) is within `tolerance` of 1
//   up   to the smallest of what was wanted in the last `scale_up_delay`,
//   down to the largest  of what was wanted in the last `scale_down_delay`
//
// (kubernetes.io, "Horizontal Pod Autoscaling": algorithm details, stabilization window).
#pragma once

#include <deque>
#include <utility>

#include "base/units.hpp"

namespace podsim {

// requests: that wait and run, a replica. kv_cache: blocks in use, a share of a replica's.
enum class ScalingMetric { requests, kv_cache };

struct AutoscalingRule {
    ScalingMetric metric = ScalingMetric::requests;
    double target = 1;  // of the metric, a replica
    int min_replicas = 1;
    int initial_replicas = 1;
    Seconds interval{15.0};  // between two looks
    Seconds look_back{60.0};
    Seconds scale_up_delay{0.0}, scale_down_delay{300.0};
    double tolerance = 0.1;
    Seconds start_up{0.0};  // from the decision until a replica serves
};

class Autoscaler {
  public:
    Autoscaler(AutoscalingRule rule, int most);

    // At `now` the pool has this load, in the metric summed over replicas, and `replicas` that
    // serve or start: how many it should have.
    int look(Seconds now, double load, int replicas);

    const AutoscalingRule& rule() const { return rule_; }

  private:
    AutoscalingRule rule_;
    int most_;
    std::deque<std::pair<double, double>> loads_;  // when, how much
    std::deque<std::pair<double, int>> wanted_;
};

}  // namespace podsim
