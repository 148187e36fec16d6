// What `run` and `check` start from: an experiment file, or a result that carries its own inputs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/catalog.hpp"
#include "chips/cost.hpp"

namespace podsim {

struct Experiment {
    Node document;     // without the settings of --set, which the run applies
    std::string stem;  // what its results are called
    // Of the result it comes from, unless the command line says otherwise.
    std::optional<Fidelity> fidelity;
    std::optional<std::uint64_t> seed;
};

// `file` is a path, or a name in configs/experiments. A JSON file with a "configuration" is a
// result: its documents go before those of the catalog, each value with the origin it had, so
// that the run is that of the result whatever configs/ holds today. Throws InputError.
Experiment load_experiment(const std::string& file, Catalog& catalog, const Place& asked_at);

}  // namespace podsim
