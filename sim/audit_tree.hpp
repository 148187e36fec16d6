// Reads values out of a resolved configuration, naming the path of what cannot be read.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/units.hpp"

namespace podsim {

// A tree and how to call it in an error. All readers throw std::runtime_error.
struct AuditTree {
    const nlohmann::ordered_json* json;
    std::string name;

    [[noreturn]] void fail(const std::string& what) const;
    std::optional<AuditTree> find(const std::string& key) const;  // nothing for null, too
    AuditTree get(const std::string& key) const;
    std::string text() const;
    // "3.2 TB/s", {value: 3.2 TB/s, ...}, or a number where no unit belongs.
    double number(Dimension dimension) const;
    double size(const std::string& key) const;
    double size_or(const std::string& key, double absent) const;
};

// Bytes of an element of a number format. Throws for one that is not known.
double format_bytes(const std::string& format);

}  // namespace podsim
