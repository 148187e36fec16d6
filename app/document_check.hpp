// Any configuration file, whatever it holds: what kind it is, and whether it is right.
#pragma once

#include <string>
#include <vector>

#include "base/catalog.hpp"

namespace podsim {

// The kind of a file: that of the folder it lies in, else that of its keys, else that of its
// `base:`. "suite" and "result" are kinds too. Throws InputError when none fits.
std::string kind_of_file(const std::string& path, const Catalog& catalog);

// Sets the model_type of a model's config, `--as` of the command line.
void read_as(Node& config, const std::string& family);

// Reads the file to its last key, and everything it names; a model as of family `as` unless that is
// "". Throws InputError with all problems. Returns what is only odd.
std::vector<Diagnostic> check_file(const std::string& path, const Catalog& catalog,
                                   const std::string& as = "");

// Audits again what a result says of its alternatives, whatever findings it carries: every law that
// is broken, in plain words. None for files of other kinds. Throws InputError for a result with
// keys missing.
std::vector<std::string> broken_laws(const std::string& path, const Catalog& catalog);

}  // namespace podsim
