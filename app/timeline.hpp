// A run as a Chrome trace, for ui.perfetto.dev or chrome://tracing: a process per alternative, a
// thread per track, counters of how full its resources are and, of training, of what ranks hold.
#pragma once

#include <string>

#include "sim/result.hpp"

namespace podsim {

// Trace Event Format, JSON object form; times in microseconds as the format has them.
std::string timeline_json(const Result& result);

}  // namespace podsim
