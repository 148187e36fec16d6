// An independent check of a result against the laws no machine breaks. Reads the Result and the
// resolved configuration only, shares no code with the models (units and documents apart), and
// recomputes its bounds from the data sheet and the model's config by closed forms of its own.
#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/alternative_result.hpp"

namespace podsim {

// One finding per law, passed or not. `configuration` is Result::configuration.
// Laws: no resource above 100 % in any window; not faster than FLOP, HBM-byte, link-byte and
// critical-path bounds; memory fits; bytes sent = received; FLOPs executed = FLOPs of the graph
// (closed form from the model's config); tokens in = tokens out; chips counted as packages; all
// work finished; the breakdown sums to the whole; provenance shares sum to one; ranks hold their
// weights and cache; a latency target is kept; what is achieved is at most the peak; prices follow
// from rates. A law that cannot be checked is a passed finding named "not checked: ...".
std::vector<AuditFinding> audit(const AlternativeResult& alternative, const std::string& kind,
                                const nlohmann::ordered_json& configuration);

}  // namespace podsim
