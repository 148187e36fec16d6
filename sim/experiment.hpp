// From an experiment file to a Result: resolves every name, builds the programs, runs them,
// audits what came out.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "chips/cost.hpp"
#include "sim/machine.hpp"
#include "sim/result.hpp"

namespace podsim {

// What an alternative came down to, for who wants to keep it.
struct RanProgram {
    const std::string& alternative;
    const Program& program;
    const ProgramCosts& costs;
    const RunRecord& record;
};

struct RunOptions {
    // Absent: the finest level that what is known of each alternative's chip carries.
    std::optional<Fidelity> fidelity;
    Driver driver = Driver::systemc;
    bool cache = true;
    std::string cache_folder;  // where costs are kept between runs; "": nowhere
    bool timeline = false;
    bool neighbour = true;  // also answer at the neighbouring fidelity, for the gap
    std::uint64_t seed = 1;
    std::function<bool()> stop;  // asked now and then; true ends served traffic early. May be empty
    std::function<void(const RanProgram&)> program;    // gets each program that ran; may be empty
    std::function<void(const std::string&)> progress;  // one line per alternative; may be empty
};

// Validates an experiment and everything it names without running it. Throws InputError with all
// that is wrong. Returns what is only odd: keys of the model that no size comes from.
std::vector<Diagnostic> check_experiment(const Node& experiment, Catalog& catalog);

Fidelity fidelity_of(const RunOptions& options, const ChipSpec& chip);

// Runs all alternatives. Throws InputError (bad input, memory that does not fit, a level of detail
// that nothing is known for).
// The caller looks at Result::audit_passed().
Result run_experiment(const Node& experiment, Catalog& catalog, const RunOptions& options);

// JSON Schema of experiment files.
nlohmann::ordered_json experiment_schema();

}  // namespace podsim
