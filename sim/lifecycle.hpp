// Training once, serving every day: what share of all that a model costs was its training.
//
//   bill(d) = training + d x daily        share(d) = training / bill(d)
//   share(d) = s  after  d = training / daily x (1 / s - 1)
#pragma once

#include <vector>

#include "base/units.hpp"
#include "sim/form_variants.hpp"

namespace podsim {

struct LifecycleSpec {
    Usd training{0.0};
    double share = 0.1;
    std::vector<double> days = {30, 90, 365, 730};  // of the curve
};

template <class Form>
void describe(Form& form, LifecycleSpec& spec) {
    form.required("training", spec.training, "what training the model cost", positive());
    form.optional("share", spec.share, "of the bill: after how many days training is no more",
                  Check{0.0001, 0.9999, false, "a share of 0.01 to 99.99 %"});
    form.optional("days", spec.days, "after which the bill is told",
                  Check{0, 1e6, false, "a value of 0 to 1,000,000"});
}

struct LifecyclePoint {
    double days = 0, usd = 0, training_share = 0, usd_per_million_tokens = 0;
};

double days_until_share(Usd training, Usd daily, double share);

// `tokens` of a day, in and out.
std::vector<LifecyclePoint> lifecycle(const LifecycleSpec& spec, Usd daily, double tokens);

}  // namespace podsim
