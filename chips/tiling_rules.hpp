// What restricts the search for a tiling: a tile that a user forces, or the tiles that a library of
// kernels has. Where the structure of the core answers (a structural library, or `cycle`).
#pragma once

#include <optional>
#include <vector>

#include "chips/core_spec.hpp"

namespace podsim {

struct TilingRules {
    std::vector<long> tile;            // rows, columns and depth of a step, of every product
    std::vector<long> attention_tile;  // query rows and keys, of all attention
    std::vector<long> rows, columns;  // that tiles of products may have; empty: what the unit likes
    long split = 0;                   // slices of K; 0: as many as are fastest
    long stages = 0;                  // panels in level 1, likewise
    long cores = 0;                   // in use, likewise
    std::optional<Dataflow> dataflow;  // instead of the matrix unit's own

    bool any() const {
        return !tile.empty() || !attention_tile.empty() || !rows.empty() || !columns.empty() ||
               split > 0 || stages > 0 || cores > 0 || dataflow;
    }
};

// `core` with the rules' dataflow.
CoreStructure with_rules(CoreStructure core, const TilingRules& rules);

// For ReadForm and SchemaForm.
template <class Form>
void describe(Form& form, TilingRules& rules);

}  // namespace podsim
