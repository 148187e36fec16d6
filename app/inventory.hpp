// Everything that has a name: what of a kind exists, with one sentence each.
#pragma once

#include <string>
#include <vector>

#include "base/catalog.hpp"

namespace podsim {

struct Thing {
    std::string name, sentence;
};

// `kind` as in kinds(), plural. Sorted by name, but metrics and verbs, which have an order.
std::vector<Thing> things_of(const std::string& kind, const Catalog& catalog,
                             const std::string& suites_folder);

// Files of the folder that hold suites, by name, sorted. Empty when there is no such folder.
std::vector<std::string> suite_names(const std::string& suites_folder);
// The file of a suite given by name, or as a file. Throws InputError at `place`.
std::string suite_file(const std::string& name, const std::string& suites_folder,
                       const Place& place);

}  // namespace podsim
