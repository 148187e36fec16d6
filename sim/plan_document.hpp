// What plans write: the experiment of one alternative, without its plan.
#pragma once

#include <string>

#include "base/document.hpp"

namespace podsim {

Node alone(const Node& document, std::size_t alternative);

// Of a document with one alternative: a pool of it, or the alternative where it names none.
Node& pool_node(Node& document, std::size_t pool);

void drop(Node& map, const std::string& key);

}  // namespace podsim
