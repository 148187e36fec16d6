// `podsim plan`: a training experiment with a section `plan`, from the file to the best mappings of
// each alternative, and to experiments that run them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "chips/cost.hpp"
#include "sim/alternative_result.hpp"
#include "sim/plan_search.hpp"
#include "sim/resolve.hpp"

namespace podsim {

struct PlanOptions {
    std::optional<Fidelity> fidelity;
    bool cache = true;
    std::string cache_folder;    // where costs are kept between runs; "": nowhere
    std::function<bool()> stop;  // polled; what is found by then is the answer
    std::function<void(const std::string&)> progress;  // one line; may be empty
};

// A mapping that is best at something, run as `podsim run` does.
struct PlanWinner {
    std::size_t timed = 0;  // index into PlanFound::timed
    AlternativeResult result;
    Node experiment;  // that runs it, alone
};

struct PlanAlternative {
    std::string name, system, chip, fidelity;
    PlanForm form;  // filled
    PlanFound found;
    std::map<PlanObjective, PlanWinner> winners;
    std::vector<std::string> warnings;
    std::string nothing;  // why no mapping is there, with what would help
};

struct PlanReport {
    std::string experiment;
    std::vector<PlanAlternative> alternatives;
    bool partial() const;
};

// Throws InputError: what is wrong with the file, values that can be in no mapping, no mapping that
// fits in any alternative.
PlanReport plan_experiment(const Node& experiment, Catalog& catalog, const PlanOptions& options);

// The part of it that needs no search, for files that are only checked.
void check_plan(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
