// A result on disk and the alternatives of it that a user means.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/result.hpp"

namespace podsim {

struct ResultFile {
    std::string file;
    std::string alternative;  // after a colon; "" when none is named
    Result result;
};

// `argument` is a result.json, a folder with one, or either with ":ALTERNATIVE". Throws InputError
// for what is no result or one of another version.
ResultFile read_result_file(const std::string& argument);

// Indices into the alternatives of both. Throws InputError where it is not clear which are meant.
using AlternativePair = std::pair<std::size_t, std::size_t>;

// `wanted` names none, one for both, or one for each; names in the files go before. Without names:
// those that bear the same name, else the only ones.
std::vector<AlternativePair> pairs_of_two(const ResultFile& a, const ResultFile& b,
                                          const std::vector<std::string>& wanted);

// Of one result: the two in `wanted`, or both it has.
AlternativePair pair_of_one(const ResultFile& file, const std::vector<std::string>& wanted);

}  // namespace podsim
