// Chips that are slower than others, and what those cost that wait for them.
//
// A unit (a chip, a node) takes F times as long over its passes as the mean of those that are as
// usual, F = exp(s Z - s^2 / 2), Z normal, s^2 = ln(1 + v^2) for a coefficient of variation v: mean
// 1, never below 0. Of a group whose n units wait for each other the largest counts,
//
//   E max = integral over x > 0 of 1 - G(x)^n,   G(x) = Phi((ln x + s^2 / 2) / s),
//
// with p G(x / f) + (1 - p) G(x) in place of G where a share p is slower by f, and G(x)^(n - k)
// G(x / f)^k where k of them are. Exact order statistics, whatever n; nothing is counted by unit.
#pragma once

#include <cstdint>
#include <optional>

#include "base/form.hpp"
#include "base/units.hpp"

namespace podsim {

// Slower by a factor: a share for good, or now and then.
struct SlowUnitsForm {
    double factor = 1;
    double share = 0;
    Seconds mean_time_between{0.0};  // of one unit
    Seconds lasts{0.0};              // 0: until it is replaced
    Seconds detection{0.0};          // from slow to replaced; 0: never replaced
    Seconds replacement{0.0};        // that the job stands still
};

struct StragglerSpec {
    long chips = 1;     // that share their speed
    double spread = 0;  // coefficient of variation between units, lasting
    double jitter = 0;  // the same of a unit between steps
    std::optional<SlowUnitsForm> slow;
};

template <class Form>
void describe(Form& form, SlowUnitsForm& slow) {
    form.required("factor", slow.factor, "times as long over its passes as usual",
                  Check{1, 1000, true, "a value above 1, to 1,000"});
    form.optional("share", slow.share, "of the units, for good", share());
    form.optional("mean_time_between", slow.mean_time_between,
                  "of one unit, from one time that it turns slow to the next", positive());
    form.optional("lasts", slow.lasts, "until it is as usual by itself", positive());
    form.optional("detection", slow.detection, "until it is noticed and replaced", positive());
    form.optional("replacement", slow.replacement,
                  "time that the job stands still for a spare to take its place", non_negative());
    if (!form.ok()) return;
    const bool now_and_then = form.has("mean_time_between");
    if (now_and_then == form.has("share"))
        form.problem("share", "or mean_time_between has to be given, one of them");
    if (now_and_then && !form.has("lasts") && !form.has("detection"))
        form.problem("mean_time_between", "leaves units slow for ever",
                     "lasts: 1 h, or detection: 30 min for those that are replaced");
    for (const char* key : {"lasts", "detection"}) {
        if (!now_and_then && form.has(key))
            form.problem(key, "is of units that turn slow now and then", "mean_time_between: 1 y");
    }
    if (form.has("replacement") && !form.has("detection"))
        form.problem("replacement", "is of units that are noticed", "detection: 30 min");
}

template <class Form>
void describe(Form& form, StragglerSpec& spec) {
    form.optional("chips", spec.chips, "that share their speed: those of a node", at_least(1));
    form.optional("spread", spec.spread, "coefficient of variation of pass times between units",
                  Check{0, 1, false, "a share of 0 to 1"});
    form.optional("jitter", spec.jitter, "the same between the steps of a unit",
                  Check{0, 1, false, "a share of 0 to 1"});
    form.optional("slow", spec.slow, "units that are slower by far");
}

// F above, of a unit at any step.
struct UnitSpeed {
    double deviation = 0;  // s
    double share = 0, factor = 1;
};
UnitSpeed unit_speed(const StragglerSpec& spec);

// Of so many units, `slow` of them slower by spec's factor beside the share.
double expected_largest(const StragglerSpec& spec, double units, double slow = 0);

// One draw of it: equal seeds and places give equal draws.
double drawn_largest(const StragglerSpec& spec, long units, long slow, std::uint64_t seed,
                     long place);

}  // namespace podsim
