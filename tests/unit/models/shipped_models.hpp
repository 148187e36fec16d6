// Models of configs/models by name.
#pragma once

#include <string>

#include "models/model.hpp"
#include "tests/support/readers.hpp"

namespace podsim {

inline ModelSpec shipped_model(const std::string& name) {
    return read_model(read_yaml(configs_root + "/models/" + name + ".yaml"), name);
}

}  // namespace podsim
