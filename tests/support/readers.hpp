// What tests of readers and of the shipped configurations have in common.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/catalog.hpp"

namespace podsim {

inline const std::string configs_root = std::string(PODSIM_SOURCE_DIR) + "/configs";

// `text` with one passage replaced; std::logic_error where it does not occur.
inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    if (at == std::string::npos) throw std::logic_error("no such text: " + from);
    return text.replace(at, from.size(), to);
}

// What `action` says as it refuses its input, "accepted" where it does not.
template <class Action>
std::string refusal_of(const Action& action) {
    try {
        action();
    } catch (const InputError& error) {
        return error.what();
    }
    return "accepted";
}

inline std::vector<std::string> names_in_configs(const char* kind) {
    return Catalog(configs_root).names(kind);
}

// A configuration's name as the name of its test.
inline std::string test_name(const testing::TestParamInfo<std::string>& info) {
    std::string name = info.param;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
    return name;
}

}  // namespace podsim
