// A model family: what a config's keys mean. What the sizes amount to is written once, by kind of
// attention and feed-forward.
#pragma once

#include "base/registry.hpp"
#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

// Fills the sizes; notes problems in the reader. name and family are set by the caller.
using ReadFamily = ModelSpec (*)(ConfigReader& config);

// The list of families, by model_type. A new one is one source file and one line here.
void register_families(Registry<ReadFamily>& families);

}  // namespace podsim
