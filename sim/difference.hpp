// What makes the difference between the step times of two results: every operator, transfer and
// wait on the critical path of either, beside each other.
//
// The critical path of a run is a chain of tasks without holes, and each task's time on it is work,
// a wait or contention. So for each side sum(parts) = step, and for both
// sum(difference of the parts) = difference of the steps. Everything is counted in whole
// picoseconds, the clock of the machine, so that both hold exactly.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/calendar.hpp"
#include "sim/alternative_result.hpp"

namespace podsim {

// What a part is in one of the two.
struct PartTime {
    long count = 0;           // executions on one rank in the step, the most of any class
    long on_path = 0;         // of them on the critical path
    double seconds_each = 0;  // alone, mean of the executions; 0 for waits
    Picoseconds time = 0;     // of the critical path
};

// An operator or transfer by its own work, of one class and stream where both paths run it on the
// same ones, else of all of them: between equal ranks a path goes here or there by chance. Or a
// wait of all tasks together. Host work is a wait of the device.
struct PartDifference {
    std::string name;
    bool wait = false;
    std::string kind;                // gemm, attention, dispatch, ..., host, wait
    std::string rank_class, stream;  // "" where it is of several
    std::optional<PartTime> a, b;    // absent where there is no such part
    Picoseconds difference = 0;      // b - a
};

struct StepDifference {
    Picoseconds a = 0, b = 0;           // the steps
    std::vector<PartDifference> parts;  // by the size of their difference, sums to b - a
};

// Throws std::invalid_argument for a result whose rows do not add up to its step.
StepDifference step_difference(const AlternativeResult& a, const AlternativeResult& b);

}  // namespace podsim
