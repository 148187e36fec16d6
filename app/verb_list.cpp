#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/inventory.hpp"
#include "app/kinds.hpp"
#include "app/text_table.hpp"
#include "app/verbs.hpp"

namespace podsim {

ExitCode do_list(const ListCommand& list, const Surroundings& surroundings, Streams streams) {
    std::vector<Thing> things;
    if (list.kind.empty()) {
        for (const Kind& kind : kinds()) things.push_back({kind.plural, kind.sentence});
    } else {
        const Catalog catalog = open_catalog(list.inputs, surroundings);
        const std::string root = find_configs_root(list.inputs.configs, surroundings);
        things = things_of(list.kind, catalog, find_suites_folder(list.suites, root));
    }
    if (list.json) {
        auto json = nlohmann::ordered_json::array();
        for (const Thing& thing : things) {
            json.push_back({{"name", thing.name}, {"title", thing.sentence}});
        }
        streams.out << json.dump(2) << "\n";
        return ExitCode::ok;
    }
    std::size_t width = 0;
    for (const Thing& thing : things) width = std::max(width, display_width(thing.name));
    for (const Thing& thing : things) {
        // Long names stand in a line of their own, or the sentences would have no room.
        if (width > 36) {
            streams.out << thing.name << "\n" << hanging("    ", thing.sentence);
        } else {
            streams.out << hanging(pad_right(thing.name, width) + "  ", thing.sentence);
        }
    }
    return ExitCode::ok;
}

}  // namespace podsim
