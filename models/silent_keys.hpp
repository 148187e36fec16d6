// Keys of a config.json that say nothing about size.
#pragma once

#include <string>

namespace podsim {

// Token ids, dropout, formats of a checkpoint, rotary angles, training: known not to matter here.
bool says_nothing(const std::string& key);

}  // namespace podsim
