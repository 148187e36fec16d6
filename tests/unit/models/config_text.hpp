// A model's keys as text, one a line, and every problem of it as a user sees it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/model.hpp"

namespace podsim {

// Keys with their values. As a change a value replaces the one of its key, drops it ("-") or adds
// it at the end.
using Lines = std::vector<std::pair<std::string, std::string>>;

inline std::string config_text(Lines lines, const Lines& changes) {
    for (const auto& [key, value] : changes) {
        bool found = false;
        for (auto& line : lines) {
            if (line.first != key) continue;
            line.second = value;
            found = true;
        }
        if (!found) lines.emplace_back(key, value);
    }
    std::string text;
    for (const auto& [key, value] : lines) {
        if (value != "-") text += key + ": " + value + "\n";
    }
    return text;
}

inline std::vector<std::string> problems_of(const Node& node) {
    try {
        read_model(node, "small");
    } catch (const InputError& error) {
        std::vector<std::string> lines;
        for (const Diagnostic& diagnostic : error.diagnostics()) {
            lines.push_back(to_string(diagnostic));
        }
        return lines;
    }
    return {};
}

}  // namespace podsim
