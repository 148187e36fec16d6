// An execution trace on any system: recorded times or the chip's for compute, the fabric's for what
// is communicated.
#pragma once

#include "sim/step_run.hpp"

namespace podsim {

AlternativeResult run_replay(const ResolvedExperiment& experiment,
                             const ResolvedAlternative& alternative, const RunOptions& options,
                             RunCounts& counts);

// Throws InputError where the alternative cannot run the trace.
void check_replay(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

// Of the trace as a document of the result: what was replayed, and what the audit recomputes from.
// A document that a result carries must be of the same trace. Throws InputError.
void load_trace(ResolvedExperiment& experiment, Catalog& catalog);

// Mean over the ranks, in seconds.
struct ReplayTimes {
    double communication = 0;  // a collective or message is under way
    double exposed = 0;        // that, and nothing computes on the device meanwhile
    double waiting = 0;        // entered, and it has not begun; nothing else goes on meanwhile
    double compute = 0;        // something computes on the device
};
ReplayTimes replay_times(const Program& program, const RunRecord& record);

}  // namespace podsim
