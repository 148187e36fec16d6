#include "app/kinds.hpp"

namespace podsim {

const std::vector<Kind>& kinds() {
    static const std::vector<Kind> all = {
        {"chips", "chip", "what computes: cores, memory, peaks, power", true},
        {"systems", "system", "what connects chips: supernode and network", true},
        {"memories", "memory", "memory devices: banks, timing table, controller", true},
        {"models", "model", "AI models by the keys of their config.json", true},
        {"kernels", "kernels", "habits of a kernel library on a chip, with their fit", true},
        {"collectives", "collectives", "habits of a collective library on a fabric", true},
        {"engines", "engine", "how a serving engine runs a step", true},
        {"processes", "process", "what a fabrication process costs and draws", true},
        {"prices", "prices", "what chips cost to rent and to own", true},
        {"api_prices", "api_prices", "what tokens of public model APIs cost", true},
        {"parts", "parts", "what fabrics and hosts are built of: watts and prices", true},
        {"inventories", "inventory", "chips that somebody owns, to place services on", true},
        {"experiments", "experiment", "workloads and the alternatives they compare", true},
        {"metrics", "metric", "what a result says, with its unit", false},
        {"families", "family", "model architectures that podsim knows", false},
        {"suites", "suite", "published measurements to validate against", false},
        {"verbs", "verb", "what podsim does", false},
    };
    return all;
}

const Kind& find_kind(const std::string& name, const Place& place) {
    std::vector<std::string> forms;
    std::string known;
    for (const Kind& kind : kinds()) {
        if (name == kind.plural || name == kind.singular) return kind;
        forms.push_back(kind.plural);
        forms.push_back(kind.singular);
        known += (known.empty() ? "known: " : ", ") + kind.plural;
    }
    const std::string nearest = nearest_name(name, forms);
    throw InputError(place, "", "unknown kind " + name,
                     (nearest.empty() ? "" : "did you mean " + nearest + "? ") + known);
}

}  // namespace podsim
