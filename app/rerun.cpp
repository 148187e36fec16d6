#include "app/rerun.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "app/input_file.hpp"
#include "base/names.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

using Origins = std::map<std::string, Place>;

// "configs/chips/h800.yaml:12" -> file and line.
Place place_of_origin(const std::string& text) {
    Place place{text, 0, 0};
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return place;
    const char* const end = text.data() + text.size();
    int line = 0;
    const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, line);
    if (error == std::errc() && stop == end) place = {text.substr(0, colon), line, 0};
    return place;
}

void restore_places(Node& node, const std::string& path, const Origins& origins) {
    const auto origin = origins.find(path);
    if (origin != origins.end()) node.place = origin->second;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        restore_places(node.items[i], path + "." + item_label(node, i), origins);
    }
    for (Node::Entry& entry : node.entries) {
        restore_places(entry.value, path + "." + entry.key, origins);
        entry.place = entry.value.place;
    }
}

// The configuration a result carries: experiment, documents, origins.
struct Carried {
    const Node& configuration;
    const std::string& file;
    Origins origins;

    Carried(const Node& node, const std::string& from) : configuration(node), file(from) {
        const Node* list = node.find("origins");
        if (list == nullptr) return;
        for (const Node::Entry& entry : list->entries) {
            origins[entry.key] = place_of_origin(entry.value.text);
        }
    }

    // JSON's text is quoted text; as it stood in YAML it was a plain value.
    Node tree(const Node& node, const std::string& path) const {
        Node plain = from_json(to_json(node), file);
        restore_places(plain, path, origins);
        return plain;
    }

    const Node& required(const char* key) const {
        const Node* node = configuration.find(key);
        if (node != nullptr && node->kind == Node::Kind::map) return *node;
        throw InputError(node != nullptr ? node->place : configuration.place,
                         std::string("configuration.") + key,
                         "is missing: this result cannot be run again from itself",
                         "run the experiment that it came from");
    }
};

// "" where its alternatives differ: nobody asked for a level, each had the finest that is known.
std::string fidelity_of_result(const Node& result) {
    const Node* alternatives = result.find("alternatives");
    if (alternatives == nullptr || alternatives->items.empty()) return "";
    std::string of_all;
    for (const Node& alternative : alternatives->items) {
        const Node* fidelity = alternative.find("fidelity");
        if (fidelity == nullptr || (!of_all.empty() && fidelity->text != of_all)) return "";
        of_all = fidelity->text;
    }
    return of_all;
}

Experiment load_result(const Node& result, const std::string& file, Catalog& catalog) {
    const Carried carried(*result.find("configuration"), file);
    Experiment experiment;
    experiment.document = carried.tree(carried.required("experiment"), "experiment");
    for (const Node::Entry& entry : carried.required("documents").entries) {
        const std::size_t slash = entry.key.find('/');
        if (slash == std::string::npos) {
            throw InputError(entry.place, "configuration.documents",
                             entry.key + " is not of the form kind/name");
        }
        const std::string kind = entry.key.substr(0, slash);
        const std::vector<std::string> known = document_kinds();
        if (std::find(known.begin(), known.end(), kind) == known.end()) {
            throw InputError(
                {unknown_name(entry.place, "configuration.documents", "kind", kind, known)});
        }
        catalog.embed(kind, entry.key.substr(slash + 1), carried.tree(entry.value, entry.key));
    }
    if (const auto fidelity = value_named<Fidelity>(fidelity_of_result(result))) {
        experiment.fidelity = *fidelity;
    }
    if (const Node* seed = result.find("seed")) {
        std::uint64_t value = 0;
        const char* const end = seed->text.data() + seed->text.size();
        const auto [stop, error] = std::from_chars(seed->text.data(), end, value);
        if (error != std::errc() || stop != end) {
            throw InputError(seed->place, "seed", "a whole number was expected");
        }
        experiment.seed = value;
    }
    // Beside the result it comes from, not over it.
    const std::string folder = fs::absolute(file).parent_path().filename().string();
    const std::string stem = fs::path(file).stem().string();
    experiment.stem = (stem == "result" && !folder.empty() ? folder : stem) + "-again";
    return experiment;
}

}  // namespace

Experiment load_experiment(const std::string& file, Catalog& catalog, const Place& asked_at) {
    const fs::path path(file);
    if (means_file(file)) require_input_file(file);
    if (path.extension() == ".json") {
        const Node json = read_json(file);
        if (json.find("configuration") != nullptr) {
            return load_result(json, file, catalog);
        }
    }
    // A copy of the catalog reads it: the run's own lists what the run rests on beside it.
    Catalog reader = catalog;
    Experiment experiment;
    experiment.document = reader.load("experiment", file, asked_at, "");
    experiment.stem = path.stem().string();
    return experiment;
}

}  // namespace podsim
