// `podsim show model`: what models are and cost to hold and run, side by side.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/figures.hpp"
#include "models/published_size.hpp"
#include "models/vision.hpp"

namespace podsim {

struct ShownModel {
    std::string name;
    ModelSpec spec;
    ModelFigures figures;
    PublishedSize published;
    std::optional<VisionTower> tower;  // that makes prompt tokens of images
};

// Throws InputError for a `published:` that cannot be read.
ShownModel shown_model(const Node& config, const std::string& name, const ModelSpec& spec);

// A column each: two fit 80 characters with room, four just so; more stand in tables of four.
std::string model_table(const std::vector<ShownModel>& models);

// The operators of a layer of each kind, for one token in decode.
std::string layer_lists(const ShownModel& model);

// Everything, unrounded, in parameters, bytes and FLOP.
nlohmann::ordered_json to_json(const ShownModel& model);

}  // namespace podsim
