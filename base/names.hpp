// Enums that are written in files: the name of a value and back, from the one table names_of() that
// stands with each of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace podsim {

template <class E>
std::string name_of(E value) {
    for (const auto& [name, item] : names_of(static_cast<const E*>(nullptr))) {
        if (item == value) return name;
    }
    return "?";
}

template <class E>
std::optional<E> value_named(std::string_view wanted) {
    for (const auto& [name, item] : names_of(static_cast<const E*>(nullptr))) {
        if (wanted == name) return item;
    }
    return std::nullopt;
}

}  // namespace podsim
