// All mappings of a training step that a section `plan` names, those that can be.
//
// tensor x context x pipeline x data parallel are the ranks in use. Data parallel is not searched:
// it is the most that the ranks carry and that divides, so that what is left stands by. Experts
// are folded over the ranks of a stage (expert x expert-tensor parallel divide them).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sim/plan_form.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

struct PlanCandidate {
    TrainingPlan plan;
    long global_batch = 0;           // sequences
    int chips = 0, chips_there = 0;  // in use, of so many
};

// Equal text: mappings that differ in their ZeRO stage at most.
std::string mapping_key(const PlanCandidate& of);

// What the space is cut from. Lists that the form leaves open are filled by filled_form().
struct PlanGround {
    const TrainingJob& job;
    const TrainingPlan& start;  // what is not searched is as here
    int chips = 0, ranks_per_chip = 1;
    long domain_ranks = 1;  // of scale-up: tensor parallelism stays within
    // Chips that have to stand by for a job of so many, so that it seldom waits for a repair; null
    // where nothing fails.
    std::function<double(int chips)> standing_by;
};

// Which degrees `start` is to be kept to.
struct GivenDegrees {
    bool tensor = false, context = false, pipeline = false, expert = false, expert_tensor = false,
         positions = false;
};

// Every list filled. Throws std::invalid_argument where nothing divides.
PlanForm filled_form(const PlanGround& ground, const PlanForm& form, const GivenDegrees& given);

// Values of lists that can be in no mapping, whatever the others are: the key is that of `plan`.
std::vector<StepError> value_problems(const PlanGround& ground, const PlanForm& form);

struct PlanSpace {
    std::vector<PlanCandidate> candidates;  // in the order of the lists
    long combinations = 0;                  // of values
    std::vector<StepError> first_problem;   // of the first that cannot be, where none can
    // Combinations whose schedule takes no overlap_passes and that go without, and those schedules.
    long without_overlap = 0;
    std::vector<ScheduleKind> do_not_overlap;
    long parted = 0;        // left out, as their order of ranks parts a group
    std::string parted_by;  // why, of the first
};

// Of a filled form.
PlanSpace plan_space(const PlanGround& ground, const PlanForm& form);

}  // namespace podsim
