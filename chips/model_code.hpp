#pragma once

namespace podsim {

// A hash of all code that a cost can depend on, and of how it was compiled: the sources of this
// room and of those that it may include (cmake/model_code.cmake writes it when one changes). A
// version that somebody has to raise would be forgotten, and old costs taken for new ones.
const char* model_code_hash();

}  // namespace podsim
