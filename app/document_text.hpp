// A configuration document as an indented tree: every value with its band, its confidence and its
// source, in lines of at most 80 columns.
#pragma once

#include <string>

#include "base/document.hpp"

namespace podsim {

// Values that come from another file than `file` (by `base:`, by --set) say so.
std::string document_text(const Node& document, const std::string& file);

}  // namespace podsim
