// What must hold of served traffic, recomputed from the result and the configuration alone.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/alternative_result.hpp"

namespace podsim {

std::vector<AuditFinding> audit_serving(const AlternativeResult& alternative,
                                        const nlohmann::ordered_json& configuration);

// One decode step of an attention and a feed-forward pool.
bool has_pool_pair(const AlternativeResult& alternative,
                   const nlohmann::ordered_json& configuration);
std::vector<AuditFinding> audit_pool_pair(const AlternativeResult& alternative,
                                          const nlohmann::ordered_json& configuration);

}  // namespace podsim
