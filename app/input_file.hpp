// Files that the user names on the command line.
#pragma once

#include <string>

#include "base/diagnostic.hpp"

namespace podsim {

// Whether an argument means a file rather than a name of configs/: it has a '/', ends like one of
// our files, or is one.
bool means_file(const std::string& argument);

// Throws InputError, with the nearest file of its folder, when `path` is not there or a folder.
void require_input_file(const std::string& path);

}  // namespace podsim
