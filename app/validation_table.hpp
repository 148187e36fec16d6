// A validation suite as text: published against simulated, case by case, and what that amounts to.
#pragma once

#include <string>

#include "sim/validation.hpp"

namespace podsim {

std::string suite_table(const SuiteReport& report);

// One line.
std::string suite_summary(const SuiteReport& report);

// passed, FAILED, or skipped where nothing was compared at all.
std::string suite_outcome(const SuiteReport& report);

// Fractions: "7.50 %", "+7.50 %".
std::string percent_text(double fraction);
std::string signed_percent_text(double fraction);

}  // namespace podsim
