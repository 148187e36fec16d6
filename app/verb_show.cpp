#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "app/chip_notes.hpp"
#include "app/chip_table.hpp"
#include "app/document_check.hpp"
#include "app/document_text.hpp"
#include "app/inventory.hpp"
#include "app/kinds.hpp"
#include "app/model_table.hpp"
#include "app/system_table.hpp"
#include "app/text_table.hpp"
#include "app/verbs.hpp"
#include "chips/variant_notes.hpp"
#include "sim/resolve.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// One thing as both faces need it.
struct Shown {
    std::string name, file;  // file: "" for what is built in
    Node document;
    std::string sentence{};  // for what is built in
    std::optional<ShownModel> model{};
    std::optional<ShownChip> chip{};
    std::optional<ShownSystem> system{};
    std::string notes{};  // what follows from the document
    Json notes_json{};
};

// Nothing where a document is no whole chip: what it says is listed all the same, and `check` says
// what is wrong with it.
std::optional<ShownChip> chip_if_whole(const Node& document, const std::string& name,
                                       Catalog& catalog) {
    try {
        ChipSpec chip = read_chip(document, name);
        load_process(chip, document, catalog);
        return shown_chip(chip, catalog);
    } catch (const InputError&) {
        return {};
    }
}

// A file that is not a whole chip yet, or configurations without prices, are shown without.
void add_notes(Shown& shown, Catalog& catalog) {
    const Place place{"podsim show", 0, 0};
    try {
        ChipSpec chip = read_chip(shown.document, shown.name);
        load_process(chip, shown.document, catalog);
        const PriceSpec prices =
            read_prices(catalog.load("prices", "default", place, ""), "default");
        shown.notes = chip_notes(chip, prices);
        shown.notes_json = chip_notes_json(chip, prices);
    } catch (const InputError&) {
        shown.notes.clear();
    }
}

Shown look_up(const Kind& kind, const std::string& name, const ShowCommand& show, Catalog& catalog,
              const std::string& suites_folder, std::vector<Diagnostic>& warnings) {
    const Place place{"podsim show", 0, 0};
    if (kind.document) {
        Shown shown{name, "", catalog.load(kind.singular, name, place, "")};
        shown.file = catalog.file_of(kind.singular, name);
        if (kind.singular == "model") {
            if (!show.as.empty()) read_as(shown.document, show.as);
            std::vector<Diagnostic> unexpected;
            const ModelSpec model = read_model(shown.document, name, unexpected);
            shown.model = shown_model(shown.document, name, model);
            warnings.insert(warnings.end(), unexpected.begin(), unexpected.end());
        }
        if (kind.singular == "chip") {
            shown.chip = chip_if_whole(shown.document, name, catalog);
            add_notes(shown, catalog);
            if (shown.chip) {
                const ShownChip& chip = *shown.chip;
                for (auto& notes : {doubtful_values(chip.chip, shown.document),
                                    unseen_changes(chip.chip, shown.document, chip.kernels)})
                    warnings.insert(warnings.end(), notes.begin(), notes.end());
            }
        }
        if (kind.singular == "system") shown.system = shown_system(shown.document, name, catalog);
        return shown;
    }
    if (kind.singular == "suite") {
        const std::string file = suite_file(name, suites_folder, place);
        return {name, file, read_yaml(file)};
    }
    std::vector<std::string> names;
    for (const Thing& thing : things_of(kind.plural, catalog, suites_folder)) {
        if (thing.name == name) return {name, "", {}, thing.sentence};
        names.push_back(thing.name);
    }
    throw InputError({unknown_name(place, "", kind.singular, name, names)});
}

std::string text_of(const Shown& shown) {
    if (shown.file.empty()) return hanging(shown.name + "  ", shown.sentence);
    std::string text = shown.name + "  <" + shown.file + ">\n";
    if (shown.model) {
        text += model_table({*shown.model}) + "\n" + layer_lists(*shown.model) +
                "\nKeys of the configuration:\n";
    }
    if (shown.chip) text += chip_table({*shown.chip}) + "\nEvery number and its source:\n";
    text += document_text(shown.document, shown.file) + shown.notes;
    if (shown.system) text += "\nWhat follows from it:\n" + system_table({*shown.system});
    return text;
}

Json json_of(const Kind& kind, const Shown& shown) {
    Json json = {{"kind", kind.singular}, {"name", shown.name}};
    if (shown.file.empty()) {
        json["title"] = shown.sentence;
        return json;
    }
    json["file"] = shown.file;
    json["document"] = to_json(shown.document);
    if (!shown.notes.empty()) json["computed"] = shown.notes_json;
    if (shown.model) json["computed"] = to_json(*shown.model);
    if (shown.system) json["computed"] = to_json(*shown.system);
    Json origin = Json::object();
    for (const auto& [path, where] : origins(shown.document)) origin[path] = where;
    json["origins"] = std::move(origin);
    return json;
}

}  // namespace

ExitCode do_show(const ShowCommand& show, const Surroundings& surroundings, Streams streams) {
    Catalog catalog = open_catalog(show.inputs, surroundings);
    const std::string root = find_configs_root(show.inputs.configs, surroundings);
    const std::string suites = find_suites_folder(show.suites, root);
    const Kind& kind = find_kind(show.kind, {});
    if (!show.as.empty() && kind.singular != "model") {
        throw InputError({"--as", 0, 0}, "", "is for models, not for " + kind.plural);
    }
    std::vector<Shown> all;
    std::vector<Diagnostic> problems, warnings;
    for (const std::string& name : show.names) {
        try {
            all.push_back(look_up(kind, name, show, catalog, suites, warnings));
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    catalog.require_all_settings_used();
    print_warnings(warnings, streams);
    if (show.json) {
        Json json = Json::array();
        for (const Shown& shown : all) json.push_back(json_of(kind, shown));
        streams.out << (all.size() == 1 ? json[0] : json).dump(2) << "\n";
        return ExitCode::ok;
    }
    if (all.size() > 1 && kind.singular == "model") {
        std::vector<ShownModel> models;
        for (Shown& shown : all) models.push_back(std::move(*shown.model));
        streams.out << model_table(models)
                    << "Operators of a layer: podsim show model NAME, or --json.\n";
        return ExitCode::ok;
    }
    if (all.size() > 1 && kind.singular == "system") {
        std::vector<ShownSystem> systems;
        for (Shown& shown : all) systems.push_back(std::move(*shown.system));
        streams.out << system_table(systems)
                    << "Every number with its source: podsim show system NAME.\n";
        return ExitCode::ok;
    }
    std::vector<ShownChip> chips;
    for (const Shown& shown : all) {
        if (shown.chip) chips.push_back(*shown.chip);
    }
    if (all.size() > 1 && chips.size() == all.size()) {
        streams.out << chip_table(chips) << "Every number and its source: podsim show chip NAME.\n";
        return ExitCode::ok;
    }
    for (const Shown& shown : all) {
        streams.out << (&shown == &all.front() ? "" : "\n") << text_of(shown);
    }
    return ExitCode::ok;
}

}  // namespace podsim
