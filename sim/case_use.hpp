// What a published measurement is for.
#pragma once

#include <utility>
#include <vector>

namespace podsim {

// fit: parameters were fitted on it. check: scored. print: shown without a gate.
enum class CaseUse { fit, check, print };
const std::vector<std::pair<const char*, CaseUse>>& names_of(const CaseUse*);

}  // namespace podsim
