#include "app/number_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace podsim {

std::string significant(double value, int digits) {
    if (!std::isfinite(value)) return "-";
    if (value == 0.0) return "0";
    // The magnitude of what will be printed: 9.9999 is 10.00 at four digits.
    const std::string scientific = fmt::format("{:.{}e}", std::abs(value), digits - 1);
    const int exponent = std::stoi(scientific.substr(scientific.find('e') + 1));
    if (exponent >= 7 || exponent < -4) return fmt::format("{:.{}e}", value, digits - 1);
    return fmt::format("{:.{}f}", value, std::max(0, digits - 1 - exponent));
}

std::string signed_significant(double value, int digits) {
    const std::string text = significant(value, digits);
    return value > 0 ? "+" + text : text;
}

PrintUnit print_unit(const std::string& unit) {
    static const std::map<std::string, PrintUnit> known = {
        {"s", {"ms", 1e3}},           {"B", {"GB", 1e-9}},
        {"B/s", {"GB/s", 1e-9}},      {"FLOP/s", {"TFLOP/s", 1e-12}},
        {"FLOPS", {"TFLOPS", 1e-12}}, {"", {"%", 100.0}},
        {"1", {"%", 100.0}},          {"fraction", {"%", 100.0}},
        {"share", {"%", 100.0}},
    };
    const auto it = known.find(unit);
    return it == known.end() ? PrintUnit{unit, 1.0} : it->second;
}

}  // namespace podsim
