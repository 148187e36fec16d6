// How an experiment says that the popularity of experts drifts while they serve, and how often they
// are placed anew.
#pragma once

#include <optional>
#include <string>

#include "base/form.hpp"
#include "base/units.hpp"

namespace podsim {

struct ExpertBalanceSpec {
    Seconds drift_time{0.0};
    std::string drift_part;                  // of the histogram's file; "": popularity dealt anew
    std::optional<Seconds> rebalance_every;  // absent: never
    // Placed anew only once the busiest rank has so many times the mean; looked at as often as
    // rebalance_every says, or all the time. Absent: each time.
    std::optional<double> rebalance_above;
    Seconds rebalance_pause{0.0};  // beside the transfer
};

template <class Form>
void describe(Form& form, ExpertBalanceSpec& spec) {
    form.required("drift_time", spec.drift_time,
                  "after which 1 - 1/e of the experts' popularity has moved", positive());
    form.optional("drift_part", spec.drift_part,
                  "where to, in the file of experts.histogram: domains.github; popularity is dealt "
                  "out anew if absent");
    form.optional("rebalance_every", spec.rebalance_every,
                  "experts and their copies are placed for the popularity of the moment; never if "
                  "absent",
                  positive());
    form.optional("rebalance_above", spec.rebalance_above,
                  "placed anew once the busiest rank is asked so many times the mean, looked at "
                  "every rebalance_every, or all the time if that is absent",
                  Check{1, 1000, true, "a value above 1, to 1,000"});
    form.optional("rebalance_pause", spec.rebalance_pause,
                  "of a replica, each time, beside the transfer of its experts", non_negative());
}

}  // namespace podsim
