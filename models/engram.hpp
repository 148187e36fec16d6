// Keys of parts that stand around the layers of several DeepSeek families.
#pragma once

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

// Conditional memory, where the config has engram_layer_ids (counted from 0); the names are those
// of the configuration in Engram's released code. Asks for a model whose layers are there.
void read_engram(ConfigReader& config, ModelSpec& model);

// hc_mult residual streams and hc_sinkhorn_iters.
void read_hyper_connections(ConfigReader& config, ModelSpec& model);

}  // namespace podsim
