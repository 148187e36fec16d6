#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "app/document_text.hpp"
#include "app/inventory.hpp"
#include "app/kinds.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"
#include "app/verbs.hpp"
#include "models/sizes.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// One thing as both faces need it.
struct Shown {
    std::string name, file;  // file: "" for what is built in
    Node document;
    std::string sentence;                               // for what is built in
    std::vector<std::pair<std::string, double>> facts;  // computed from the document
};

// Figures that follow from the sizes of a model.
std::vector<std::pair<std::string, double>> facts_of(const ModelSpec& model) {
    const ParameterCount count = count_parameters(model);
    const auto cached = [&model](DType format) {
        Precision precision;
        precision.kv_cache = precision.indexer = format;
        return cache_per_token(model).bytes(precision).value();
    };
    return {{"parameters", count.total()},
            {"active_parameters", count.active()},
            {"active_parameters_without_embedding", count.active_without_embedding()},
            {"draft_module_parameters", count.draft},
            {"kv_cache_bytes_per_token_bf16", cached(DType::bf16)},
            {"kv_cache_bytes_per_token_fp8", cached(DType::fp8)}};
}

Shown look_up(const Kind& kind, const std::string& name, Catalog& catalog,
              const std::string& suites_folder) {
    const Place place{"podsim show", 0, 0};
    if (kind.document) {
        Shown shown{name, "", catalog.load(kind.singular, name, place, ""), "", {}};
        shown.file = catalog.file_of(kind.singular, name);
        if (kind.singular == "model") shown.facts = facts_of(read_model(shown.document, name));
        return shown;
    }
    if (kind.singular == "suite") {
        const std::string file = suite_file(name, suites_folder, place);
        return {name, file, read_yaml(file), "", {}};
    }
    std::vector<std::string> names;
    for (const Thing& thing : things_of(kind.plural, catalog, suites_folder)) {
        if (thing.name == name) return {name, "", {}, thing.sentence, {}};
        names.push_back(thing.name);
    }
    throw InputError({unknown_name(place, "", kind.singular, name, names)});
}

std::string fact_text(const std::string& name, double value) {
    if (name.find("bytes") != std::string::npos) return fmt::format("{:.0f} B", value);
    return significant(value * 1e-9) + " billion";
}

std::string text_of(const Shown& shown) {
    if (shown.file.empty()) return hanging(shown.name + "  ", shown.sentence);
    std::string text = shown.name + "  <" + shown.file + ">\n";
    text += document_text(shown.document, shown.file);
    for (const auto& [name, value] : shown.facts) {
        text += hanging("= " + pad_right(name, 38), fact_text(name, value));
    }
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
    if (!shown.facts.empty()) {
        json["computed"] = Json::object();
        for (const auto& [name, value] : shown.facts) json["computed"][name] = value;
    }
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
    std::vector<Shown> all;
    std::vector<Diagnostic> problems;
    for (const std::string& name : show.names) {
        try {
            all.push_back(look_up(kind, name, catalog, suites));
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    catalog.require_all_settings_used();
    if (show.json) {
        Json json = Json::array();
        for (const Shown& shown : all) json.push_back(json_of(kind, shown));
        streams.out << (all.size() == 1 ? json[0] : json).dump(2) << "\n";
        return ExitCode::ok;
    }
    for (const Shown& shown : all) {
        streams.out << (&shown == &all.front() ? "" : "\n") << text_of(shown);
    }
    return ExitCode::ok;
}

}  // namespace podsim
