// The best mappings of a training step on one system.
//
// Every candidate is held against memory, exactly and without running anything; then against a
// lower bound of its step (sim/plan_bound.hpp); where a fabric has links inside, against the step
// on its ports alone; those that may still be among the best are timed, the likeliest first, until
// no bound reaches
//
//   the throughput of the best less `within`, that of the last one shown, and the best throughput
//   under failures: nothing that is left out can be any of these.
//
// For each number of chips by itself, as a price of chip-hours makes the cost of a token on equal
// chips the reverse of throughput.
//
//   throughput      tokens of a step / its time
//   cost            paid chips x price / (throughput x goodput); chips that stand by are paid
//   communication   share of the step in which transfers are on the critical stage's chain, of
//                   mappings whose throughput is `within` the best of as many chips
//   failures        throughput x goodput, idle chips being spares of the run
//
// Mappings that differ in their ZeRO stage alone are shown once, by the best of them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/band.hpp"
#include "sim/plan_space.hpp"
#include "sim/training_case.hpp"

namespace podsim {

struct PartStep;

// Of a run: the share of the time that is steps, each once, and how many times as long steps are on
// the mean as those of equal chips (straggler_slowdown of podsim run).
struct PlanDays {
    double goodput = 1, slowdown = 1;
    double lasting = 1;  // of the slowdown what lasts; the rest is in goodput
};

struct PlanTimed {
    PlanCandidate candidate;
    std::size_t order = 0;  // in the space
    Seconds step{0.0}, bound{0.0}, exposed{0.0};
    double bubble = 0, tokens_per_second = 0, model_flops_utilization = 0;
    Bytes memory{0.0};
    PlanDays days;
    double usd_per_trillion = 0;     // tokens; 0 without a price
    Seconds low{0.0}, high{0.0};     // step with operators off by the band, of those shown
    std::vector<int> zero_stages{};  // that take as long, its own among them; of those shown
    double exposed_share() const { return exposed / step; }
    double tokens_under_failures() const { return tokens_per_second * days.goodput / days.lasting; }
};

struct PlanCounts {
    long combinations = 0, possible = 0, too_large = 0, refused = 0, hopeless = 0, timed = 0;
};

// The mapping that comes nearest to fitting, where none does.
struct PlanNearest {
    PlanCandidate candidate;
    Bytes need{0.0}, room{0.0};
    std::string help;  // the smallest single change that does; "" where none
};

struct PlanBandEffect {
    ErrorBand band;
    // Index into `timed` of the best with all operators so much faster, and so much slower.
    std::size_t best_fast = 0, best_slow = 0;
};

struct PlanFound {
    PlanCounts counts;
    bool partial = false;  // stopped before the end
    std::vector<PlanTimed> timed;
    std::map<PlanObjective, std::vector<std::size_t>> best;  // indexes into timed, `top` of each
    std::optional<PlanBandEffect> band;
    std::optional<PlanNearest> nearest;
    std::string refusal;  // why the machine refuses some: a format or a collective without a cost
    double usd_per_hour = 0;  // a chip; 0 where no price is known
    bool has_run = false;     // failures are known
};

// What is asked beside the space. References must outlive the search.
struct PlanQuestion {
    PlanQuestion(TrainingJob of, PlanForm over, const TrainingMachine& on, CostCache& costs)
        : job(std::move(of)), form(std::move(over)), machine(on), cache(costs) {}
    TrainingJob job;  // its own: batches differ
    PlanForm form;    // filled
    const TrainingMachine& machine;
    CostCache& cache;
    FlopsPerSecond peak{0.0};  // of a chip, in the formats in use
    // Of the slowest part; empty: no run is described.
    std::function<PlanDays(const PlanTimed&, const PartStep&)> days;
    double usd_per_hour = 0;  // a chip
    long spares = 0;          // chips of the run that stand by
    std::optional<ErrorBand> band;
    std::function<bool()> stop;  // whether to end early; may be empty
    std::function<void(const std::string& what, long done, long all)> progress;  // may be empty
};

PlanFound search_plans(PlanQuestion question, const PlanSpace& space);

}  // namespace podsim
