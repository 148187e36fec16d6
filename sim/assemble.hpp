// From what the machine recorded to the parts of a Result that need no prices and no names of
// workloads: breakdown, per-operator rows, resources, bounds, provenance, totals, timeline.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chips/chip.hpp"
#include "interconnect/system.hpp"
#include "program/program.hpp"
#include "sim/alternative_result.hpp"
#include "sim/machine.hpp"

namespace podsim {

// Evidence for the parts of a run that belong to the engine.
struct EngineEvidence {
    Confidence gap = Confidence::assumed, host = Confidence::assumed, skew = Confidence::assumed;
};

struct AssemblyInput {
    const Program& program;
    const ProgramCosts& costs;
    const RunRecord& record;
    const RankHardware& hardware;
    const RankFabric& fabric;
    long total_ranks;
    EngineEvidence evidence;
};

std::vector<BreakdownPart> breakdown_of(const AssemblyInput& input);
Provenance provenance_of(const AssemblyInput& input);
// Of several times, each with its weight; they must not all be 0.
Provenance merged(const std::vector<std::pair<Provenance, double>>& parts);
std::vector<OperatorRow> operator_rows(const AssemblyInput& input);
std::vector<ResourceUse> resource_use(const AssemblyInput& input);
Bounds bounds_of(const AssemblyInput& input);
Totals totals_of(const AssemblyInput& input);  // without tokens and sequences
std::vector<TimelineEvent> timeline_of(const AssemblyInput& input, int rank_class);

// All of the above but provenance, with a timeline of the first class if asked for, and the
// warnings of the operators' and the transfers' costs.
AlternativeResult assemble(const AssemblyInput& input, bool timeline);

// "measured", "specified", "derived", "estimated" or "assumed": the word for a confidence.
std::string basis_word(Confidence confidence);

}  // namespace podsim
