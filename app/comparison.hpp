// The table a run prints: alternatives as columns, what they answer as rows, and under it what
// the answer rests on. Reads a Result and nothing else.
#pragma once

#include <string>
#include <vector>

#include "sim/result.hpp"

namespace podsim {

// Lines of at most 80 columns; more than three alternatives come in blocks of three.
std::string comparison_text(const Result& result);

// Where the answers come from and how far to believe them: provenance, what is unequal between
// alternatives, rumours, warnings, audit. Part of comparison_text.
std::string comparison_notes(const Result& result);

// That one of the alternatives rests on assumptions far more than another; "" where none does.
std::string unequal_provenance(const Result& result);

// Every law an alternative breaks, one line each in plain words.
std::vector<std::string> audit_breaches(const Result& result);

// Whether the price behind a cost basis is a rumour, marked by * in the table.
bool is_rumour(const CostBasis& basis);

}  // namespace podsim
