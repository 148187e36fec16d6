// What a request trace holds, as tables for a terminal and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "workloads/request_summary.hpp"

namespace podsim {

std::string request_table(const RequestSummary& summary, const std::string& title);
nlohmann::ordered_json to_json(const RequestSummary& summary);

}  // namespace podsim
