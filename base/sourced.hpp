// A number that says where it comes from. In YAML either a bare value ("3.2 TB/s") or
// {value: 600 W, low: 500 W, high: 700 W, source: ..., confidence: estimate, note: ...}.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace podsim {

// vendor: published by who sells it. measured: timed by somebody, source says who. derived:
// arithmetic on other published figures. estimate: a third party's. rumour: unconfirmed.
// assumed: ours, nothing better known. Unstated confidence reads as `assumed`.
enum class Confidence { vendor, measured, derived, estimate, rumour, assumed };

const std::vector<std::pair<const char*, Confidence>>& names_of(const Confidence*);
std::string to_string(Confidence confidence);

template <class T>
struct Sourced {
    T value{};
    std::optional<T> low, high;
    std::string source;
    Confidence confidence = Confidence::assumed;
    std::string note;

    const T& operator*() const { return value; }
};

}  // namespace podsim
