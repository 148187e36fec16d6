// A model of many layers, of which a few stand for all. Layers that repeat with a period take the
// same time each once the step runs evenly, so that with n periods of them
//
//   T(n) = T(few) + (n - few) / (more - few) x [T(more) - T(few)]
//
// in time, energy, work and traffic. Exact where layers follow each other; where two micro-batches
// overlap, from the period on in which their pattern repeats.
#pragma once

#include <optional>

#include "models/model.hpp"

namespace podsim {

struct StepFold {
    ModelSpec few, more;
    double times = 0;  // (n - few) / (more - few)
};

// Nothing where layers do not repeat, or are too few to be worth it. `overlaps`: two micro-batches.
std::optional<StepFold> fold_layers(const ModelSpec& model, bool overlaps);

}  // namespace podsim
