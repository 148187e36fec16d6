// Numbers of JSON documents by their value, however a library wrote them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace podsim {

// 2, 2.0 and 2e0 alike; nothing for what is no number, has a fraction, or is beyond what a double
// counts one by one (2^53) and is not written as a whole number.
std::optional<std::int64_t> whole_number(const nlohmann::ordered_json& json);

// Equal for equal values: whole numbers without a point.
std::string number_text(const nlohmann::ordered_json& json);

}  // namespace podsim
