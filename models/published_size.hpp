// What a model's publisher says it amounts to, beside which our own count is printed.
#pragma once

#include <optional>

#include "base/document.hpp"

namespace podsim {

struct PublishedSize {
    std::optional<double> total, active;  // parameters
};

// The key `published: {total: 671 B, active: 37 B}` of a model's file, either may be absent: a
// number with K, M, B or T (thousand to 10^12), or without. Throws InputError for anything else.
PublishedSize read_published(const Node& config);

}  // namespace podsim
