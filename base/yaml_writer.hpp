// A tree as YAML text that reads back as the same tree.
#pragma once

#include <string>

#include "base/document.hpp"

namespace podsim {

// Block style, two spaces; maps of scalars that fit a line in flow style from the third level on.
// Text is quoted only where YAML would read it as something else. Comments are not in a tree.
std::string to_yaml(const Node& node);

}  // namespace podsim
