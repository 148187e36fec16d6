// What a trace holds, as tables for a terminal and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "workloads/trace_summary.hpp"

namespace podsim {

std::string trace_table(const TraceSummary& summary, const std::string& title);
nlohmann::ordered_json to_json(const TraceSummary& summary);

}  // namespace podsim
