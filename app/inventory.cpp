#include "app/inventory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/command_line.hpp"
#include "app/input_file.hpp"
#include "app/kinds.hpp"
#include "app/metric_table.hpp"
#include "base/text_file.hpp"
#include "models/family.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

std::string scalar(const Node& document, const char* key) {
    const Node* node = document.find(key);
    return node != nullptr && node->kind == Node::Kind::scalar ? node->text : "";
}

// The first line of the comment a file begins with, up to the end of its first sentence.
std::string first_comment(const std::string& file) {
    const std::string text = read_text_file(file);
    const std::string line = text.substr(0, text.find('\n'));
    if (line.empty() || line[0] != '#') return "";
    const std::size_t begin = std::min(line.find_first_not_of("# "), line.size());
    const std::size_t stop = line.find(". ", begin);
    return line.substr(begin, stop == std::string::npos ? stop : stop - begin);
}

// What a file says of itself: its title, an experiment's or a suite's own words, else its comment.
// Its own words, so that a file laid over another does not show the other's title.
std::string sentence_of(const std::string& file) {
    try {
        const bool json = fs::path(file).extension() == ".json";
        const Node document = json ? read_json(file) : read_yaml(file);
        for (const char* key : {"title", "experiment", "inventory"}) {
            if (std::string title = scalar(document, key); !title.empty()) return title;
        }
        if (json) return scalar(document, "model_type");
        return first_comment(file);
    } catch (const InputError&) {
        return fmt::format("cannot be read: podsim check {} says why", file);
    }
}

std::vector<Thing> families() {
    Registry<ReadFamily> registry("family");
    register_families(registry);
    std::vector<Thing> things;
    for (const auto& [name, entry] : registry.entries())
        things.push_back({name, entry.description});
    return things;
}

}  // namespace

std::vector<std::string> suite_names(const std::string& suites_folder) {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(suites_folder, error)) {
        const fs::path& path = entry.path();
        const bool yaml = path.extension() == ".yaml" || path.extension() == ".yml";
        if (yaml) names.push_back(path.stem().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::string suite_file(const std::string& name, const std::string& suites_folder,
                       const Place& place) {
    if (means_file(name)) {
        require_input_file(name);
        return name;
    }
    for (const char* ending : {".yaml", ".yml"}) {
        std::error_code error;
        const fs::path file = fs::path(suites_folder) / (name + ending);
        if (fs::exists(file, error)) return file.string();
    }
    throw InputError({unknown_name(place, "", "suite", name, suite_names(suites_folder))});
}

std::vector<Thing> things_of(const std::string& kind, const Catalog& catalog,
                             const std::string& suites_folder) {
    std::vector<Thing> things;
    if (kind == "metrics") {
        for (const MetricInfo& info : metric_table()) {
            things.push_back({info.name, fmt::format("{} [{}]", info.sentence, info.unit)});
        }
    } else if (kind == "families") {
        things = families();
    } else if (kind == "verbs") {
        for (const auto& [name, sentence] : verb_table()) things.push_back({name, sentence});
    } else if (kind == "suites") {
        for (const std::string& name : suite_names(suites_folder)) {
            things.push_back({name, sentence_of(suite_file(name, suites_folder, {}))});
        }
    } else {
        const std::string& singular = find_kind(kind, {}).singular;
        for (const std::string& name : catalog.names(singular)) {
            things.push_back({name, sentence_of(catalog.file_of(singular, name))});
        }
    }
    return things;
}

}  // namespace podsim
