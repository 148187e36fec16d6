// The page docs/accuracy.md: every validation suite, how far off it is, what it rests on, and what
// is out of reach and why.
#pragma once

#include <string>
#include <vector>

#include "sim/validation.hpp"

namespace podsim {

// Markdown. Equal reports give equal bytes; no path of the computer it was made on.
std::string accuracy_page(const std::vector<SuiteReport>& suites);

}  // namespace podsim
