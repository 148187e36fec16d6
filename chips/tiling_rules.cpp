#include "chips/tiling_rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/form.hpp"

namespace podsim {

CoreStructure with_rules(CoreStructure core, const TilingRules& rules) {
    if (rules.dataflow) core.matrix.dataflow = *rules.dataflow;
    return core;
}

template <class Form>
void describe(Form& form, TilingRules& rules) {
    form.optional("tile", rules.tile, "of every product: rows, columns, depth of a step along K");
    form.optional("attention_tile", rules.attention_tile,
                  "of all attention: query rows of a piece, keys of a block");
    form.optional("rows", rules.rows, "rows that tiles of products may have");
    form.optional("columns", rules.columns, "columns that tiles of products may have");
    form.optional("split", rules.split, "slices of K that products are cut into", at_least(1));
    form.optional("stages", rules.stages, "operand panels in level 1", at_least(2));
    form.optional("cores", rules.cores, "cores in use", at_least(1));
    form.optional("dataflow", rules.dataflow, "instead of the matrix unit's own");
    if (!form.ok()) return;
    const auto sizes = [&](const char* key, const std::vector<long>& list, std::size_t expected,
                           const char* what) {
        if (!list.empty() && expected > 0 && list.size() != expected)
            form.problem(key, fmt::format("has {} sizes, expected {}", list.size(), what));
        if (std::any_of(list.begin(), list.end(), [](long size) { return size < 1; }))
            form.problem(key, "has a size below 1");
    };
    sizes("tile", rules.tile, 3, "[rows, columns, depth]");
    sizes("attention_tile", rules.attention_tile, 2, "[rows, keys]");
    sizes("rows", rules.rows, 0, "");
    sizes("columns", rules.columns, 0, "");
    if (!rules.tile.empty() && (!rules.rows.empty() || !rules.columns.empty()))
        form.problem("tile", "is stated beside rows or columns, expected one of the two");
}

template void describe(ReadForm& form, TilingRules& rules);
template void describe(SchemaForm& form, TilingRules& rules);

}  // namespace podsim
