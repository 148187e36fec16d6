// A validation suite as text: published against simulated, case by case, and what that amounts to.
#pragma once

#include <string>

#include "sim/validation.hpp"

namespace podsim {

std::string suite_table(const SuiteReport& report);

// One line.
std::string suite_summary(const SuiteReport& report);

}  // namespace podsim
