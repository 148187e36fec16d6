#include "sim/json_numbers.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace podsim {

namespace {

constexpr double kCountedOneByOne = 9007199254740992.0;  // 2^53

}  // namespace

std::optional<std::int64_t> whole_number(const nlohmann::ordered_json& json) {
    if (json.is_number_unsigned()) {
        const auto value = json.get<std::uint64_t>();
        if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
        return static_cast<std::int64_t>(value);
    }
    if (json.is_number_integer()) return json.get<std::int64_t>();
    if (!json.is_number_float()) return {};
    const double value = json.get<double>();
    if (std::trunc(value) != value || std::abs(value) > kCountedOneByOne) return {};
    return static_cast<std::int64_t>(value);
}

std::string number_text(const nlohmann::ordered_json& json) {
    const auto whole = whole_number(json);
    return whole ? std::to_string(*whole) : json.dump();
}

}  // namespace podsim
