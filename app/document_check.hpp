// Any configuration file, whatever it holds: what kind it is, and whether it is right.
#pragma once

#include <string>
#include <vector>

#include "base/catalog.hpp"

namespace podsim {

// The kind of a file: that of the folder it lies in, else that of its keys, else that of its
// `base:`. "suite" and "result" are kinds too. Throws InputError when none fits.
std::string kind_of_file(const std::string& path, const Catalog& catalog);

// Reads the file to its last key, and everything it names. Throws InputError with all problems.
void check_file(const std::string& path, const Catalog& catalog);

// Audits again what a result says of its alternatives, whatever findings it carries: every law that
// is broken, in plain words. None for files of other kinds. Throws InputError for a result with
// keys missing.
std::vector<std::string> broken_laws(const std::string& path, const Catalog& catalog);

}  // namespace podsim
