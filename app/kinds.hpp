// The kinds of things that can be listed and shown: documents of configs/, and what is built in.
#pragma once

#include <string>
#include <vector>

#include "base/diagnostic.hpp"

namespace podsim {

struct Kind {
    std::string plural;    // "chips", as `list` says it
    std::string singular;  // "chip", as `show` and the catalog say it
    std::string sentence;
    bool document;  // lies in configs/
};

const std::vector<Kind>& kinds();

// By either form. Throws InputError at `place` with the nearest one.
const Kind& find_kind(const std::string& name, const Place& place);

}  // namespace podsim
