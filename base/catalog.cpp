#include "base/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

namespace podsim {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_chain = 16;  // of base: over base:

struct KindOfDocument {
    const char* kind;
    const char* folder;
};
constexpr KindOfDocument kinds[] = {{"chip", "chips"},
                                    {"system", "systems"},
                                    {"model", "models"},
                                    {"kernels", "kernels"},
                                    {"collectives", "collectives"},
                                    {"engine", "engines"},
                                    {"prices", "prices"},
                                    {"workload", "workloads"},
                                    {"experiment", "experiments"},
                                    {"routing", "routing"},
                                    {"process", "processes"},
                                    {"memory", "memories"},
                                    {"parts", "parts"},
                                    {"trace", "traces"},
                                    {"api_prices", "api_prices"},
                                    {"inventory", "inventories"}};

const char* const endings[] = {".yaml", ".yml", ".json"};
const char* const table_endings[] = {".csv", ".gz"};
const Place option{"--set", 0, 0};

bool ends_with(const std::string& text, const std::string& ending) {
    return text.size() > ending.size() &&
           text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

bool is_path(const std::string& name) {
    if (name.find('/') != std::string::npos) return true;
    const auto fits = [&](const char* ending) { return ends_with(name, ending); };
    return std::any_of(std::begin(endings), std::end(endings), fits) ||
           std::any_of(std::begin(table_endings), std::end(table_endings), fits);
}

bool is_there(const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error);
}

fs::path canonical_path(const fs::path& path) {
    std::error_code error;
    fs::path result = fs::weakly_canonical(path, error);
    return error ? path : result;
}

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string::npos) return "";
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Where `name` is a file of the folder, with whichever ending; "" when it is none.
std::string file_in(const fs::path& folder, const std::string& name) {
    for (const char* ending : endings) {
        const fs::path file = folder / (name + ending);
        if (is_there(file)) return file.string();
    }
    return "";
}

}  // namespace

std::vector<std::string> document_kinds() {
    std::vector<std::string> result;
    for (const KindOfDocument& one : kinds) result.push_back(one.kind);
    return result;
}

std::string folder_of_kind(const std::string& kind) {
    for (const KindOfDocument& one : kinds) {
        if (kind == one.kind) return one.folder;
    }
    throw InputError({unknown_name({}, "", "kind", kind, document_kinds())});
}

Setting parse_setting(const std::string& text) {
    const auto fail = [&](const std::string& what) {
        throw InputError(option, text, what,
                         "write chip:ascend-910c.hbm.bandwidth='4.8 TB/s', or "
                         "alternatives.H800.chips=64 for the experiment");
    };
    const auto equals = text.find('=');
    if (equals == std::string::npos) fail("has no =");
    Setting setting;
    setting.text = text;
    setting.path = trimmed(text.substr(0, equals));
    setting.value = trimmed(text.substr(equals + 1));
    const auto colon = setting.path.find(':');
    const std::string kind = setting.path.substr(0, colon);
    const bool is_word = !kind.empty() && std::all_of(kind.begin(), kind.end(),
                                                      [](char c) { return c >= 'a' && c <= 'z'; });
    if (colon != std::string::npos && is_word) {
        const std::vector<std::string> known = document_kinds();
        if (std::find(known.begin(), known.end(), kind) == known.end()) {
            throw InputError({unknown_name(option, text, "kind", kind, known)});
        }
        const std::string rest = setting.path.substr(colon + 1);
        const auto slash = rest.rfind('/');
        const auto dot = rest.find('.', slash == std::string::npos ? 0 : slash + 1);
        setting.kind = kind;
        setting.name = rest.substr(0, dot);
        setting.path = dot == std::string::npos ? "" : rest.substr(dot + 1);
        if (setting.name.empty()) fail("names no " + kind);
    }
    if (setting.path.empty()) fail("names no key");
    return setting;
}

Catalog::Catalog(std::string root, std::vector<Setting> settings)
    : root_(std::move(root)),
      settings_(std::move(settings)),
      setting_used_(settings_.size(), false) {
    std::error_code error;
    if (!fs::is_directory(root_, error)) {
        throw InputError({root_}, "", "is not a folder; the configurations are looked for here");
    }
}

void Catalog::embed(const std::string& kind, const std::string& name, Node document) {
    folder_of_kind(kind);
    embedded_[kind + "/" + name] = std::move(document);
}

bool Catalog::holds(const std::string& kind, const std::string& name) const {
    return embedded_.count(kind + "/" + name) > 0;
}

std::vector<std::string> Catalog::names(const std::string& kind) const {
    std::set<std::string> result;
    std::error_code error;
    for (const auto& entry :
         fs::directory_iterator(fs::path(root_) / folder_of_kind(kind), error)) {
        const std::string file = entry.path().filename().string();
        for (const char* ending : endings) {
            if (ends_with(file, ending)) result.insert(entry.path().stem().string());
        }
    }
    const std::string prefix = kind + "/";
    for (const auto& [key, document] : embedded_) {
        if (key.rfind(prefix, 0) == 0) result.insert(key.substr(prefix.size()));
    }
    return {result.begin(), result.end()};
}

std::string Catalog::file_of(const std::string& kind, const std::string& name,
                             const Place& asked_at, const std::string& path) const {
    return find_file(kind, name, asked_at, path);
}

// A base of another kind would merge into nonsense: a file in the folder of one is refused.
void Catalog::refuse_other_kinds(const std::string& kind, const std::string& file,
                                 const Place& asked_at, const std::string& path) const {
    const fs::path folder = canonical_path(file).parent_path();
    for (const KindOfDocument& other : kinds) {
        if (kind == other.kind || folder != canonical_path(fs::path(root_) / other.folder))
            continue;
        throw InputError(
            asked_at, path,
            fmt::format("{} is of kind {}, one of kind {} was expected", file, other.kind, kind));
    }
}

std::string Catalog::find_file(const std::string& kind, const std::string& name,
                               const Place& asked_at, const std::string& path) const {
    if (is_path(name)) {
        const fs::path beside = (fs::path(asked_at.file).parent_path() / name).lexically_normal();
        const bool in_a_file = asked_at.line > 0;
        for (const fs::path& file : {in_a_file ? beside : fs::path(name), fs::path(name)}) {
            if (!is_there(file)) continue;
            refuse_other_kinds(kind, file.string(), asked_at, path);
            return file.string();
        }
        const bool twice = in_a_file && beside != fs::path(name);
        throw InputError(asked_at, path, fmt::format("no such file: {}", name),
                         twice ? fmt::format("looked for {} and {}", beside.string(), name) : "");
    }
    std::string file = file_in(fs::path(root_) / folder_of_kind(kind), name);
    if (!name.empty() && !file.empty()) return file;
    for (const KindOfDocument& other : kinds) {
        const std::string elsewhere = file_in(fs::path(root_) / other.folder, name);
        if (!name.empty() && !elsewhere.empty()) {
            refuse_other_kinds(kind, elsewhere, asked_at, path);
        }
    }
    throw InputError({unknown_name(asked_at, path, kind, name, names(kind))});
}

Node Catalog::load_resolved(const std::string& kind, const std::string& name, const Place& asked_at,
                            const std::string& path, std::vector<Step>& chain) {
    const auto ready = embedded_.find(kind + "/" + name);
    if (ready != embedded_.end()) return ready->second;

    const std::string file = find_file(kind, name, asked_at, path);
    const std::string found = canonical_path(file).string();
    const bool again = std::any_of(chain.begin(), chain.end(),
                                   [&](const Step& step) { return step.file == found; });
    chain.push_back({name, found});
    if (again || chain.size() > longest_chain) {
        std::string names;
        for (const Step& step : chain) names += (names.empty() ? "" : " -> ") + step.name;
        throw InputError(asked_at, path,
                         (again ? "a circle of base: " : "too long a chain of base: ") + names);
    }

    Node document = ends_with(file, ".json") ? read_json(file) : read_yaml(file);
    if (document.kind != Node::Kind::map) {
        throw InputError(document.place, "", "a map of keys was expected");
    }
    const Node* base = document.find("base");
    if (base == nullptr) return document;
    if (base->kind != Node::Kind::scalar || base->text.empty()) {
        throw InputError(base->place, "base", "the name of another " + kind + " was expected");
    }
    Node under = load_resolved(kind, base->text, base->place, "base", chain);
    document.entries.erase(std::find_if(document.entries.begin(), document.entries.end(),
                                        [](const Node::Entry& e) { return e.key == "base"; }));
    return overlay(std::move(under), document);
}

Node Catalog::load(const std::string& kind, const std::string& name, const Place& asked_at,
                   const std::string& path) {
    const std::string key = kind + "/" + name;
    const bool is_embedded = embedded_.count(key) > 0;
    const std::string file =
        is_embedded ? "" : canonical_path(find_file(kind, name, asked_at, path)).string();
    const auto known = used_.find(key);
    if (known != used_.end()) {
        if (files_[key] == file) return known->second;
        throw InputError(asked_at, path,
                         fmt::format("{} stands for two files: {} and {}", name, files_[key], file),
                         "write one of them as a longer path");
    }
    std::vector<Step> chain;
    Node document = load_resolved(kind, name, asked_at, path, chain);
    const Node* written = document.find("power");
    const Node built_for = written != nullptr ? *written : Node{};
    const bool set = apply_settings(kind, name, document);
    // Evidence and prices belong to a machine that exists: a variant says which one it came from.
    if ((kind == "chip" || kind == "system") && (chain.size() > 1 || set) &&
        document.find("variant_of") == nullptr) {
        Node origin;
        origin.kind = Node::Kind::scalar;
        origin.text = chain.size() > 1 ? chain.back().name : name;
        origin.quoted = true;
        origin.place = document.place;
        document.entries.push_back({"variant_of", document.place, origin});
    }
    // The systems around a chip are built for the power that its file says.
    const bool repowered = kind == "chip" && written != nullptr && set &&
                           to_json(*document.find("power")) != to_json(built_for);
    if (repowered && document.find("power_as_built") == nullptr)
        document.entries.push_back({"power_as_built", document.place, built_for});
    files_[key] = file;
    used_[key] = document;
    return document;
}

// The key a setting means in the document `name`, "" when it means another document. Of several
// known names that fit, as llama-3 and llama-3.1-70b do, the longest is meant.
std::string Catalog::path_within(const Setting& setting, const std::string& name) const {
    const std::string whole = setting.name + "." + setting.path;
    const auto fits = [&](const std::string& known) { return whole.rfind(known + ".", 0) == 0; };
    if (!fits(name)) return "";
    for (const std::string& known : names(setting.kind)) {
        if (known.size() > name.size() && fits(known)) return "";
    }
    return whole.substr(name.size() + 1);
}

bool Catalog::apply_settings(const std::string& kind, const std::string& name, Node& document) {
    bool any = false;
    for (std::size_t i = 0; i < settings_.size(); ++i) {
        if (settings_[i].kind != kind) continue;
        const std::string path = path_within(settings_[i], name);
        if (path.empty()) continue;
        setting_used_[i] = any = true;
        try {
            set_path(document, path, settings_[i].value, option);
        } catch (const InputError& error) {
            std::vector<Diagnostic> diagnostics = error.diagnostics();
            for (Diagnostic& one : diagnostics) one.path = kind + ":" + name + "." + path;
            throw InputError(std::move(diagnostics));
        }
    }
    return any;
}

void Catalog::apply_experiment_settings(Node& experiment) {
    for (std::size_t i = 0; i < settings_.size(); ++i) {
        if (!settings_[i].kind.empty()) continue;
        setting_used_[i] = true;
        set_path(experiment, settings_[i].path, settings_[i].value, option);
    }
}

void Catalog::require_all_settings_used() const {
    std::vector<Diagnostic> unused;
    for (std::size_t i = 0; i < settings_.size(); ++i) {
        if (setting_used_[i]) continue;
        const Setting& setting = settings_[i];
        if (setting.kind.empty()) {
            unused.push_back({option, setting.text, "is not used: no experiment was read", ""});
            continue;
        }
        const std::string prefix = setting.kind + "/";
        std::string loaded;
        for (const auto& [key, document] : used_) {
            if (key.rfind(prefix, 0) == 0) {
                loaded += (loaded.empty() ? "" : ", ") + key.substr(prefix.size());
            }
        }
        unused.push_back(
            {option, setting.text,
             fmt::format("is not used: this run rests on no {} of that name", setting.kind),
             loaded.empty() ? "" : "it rests on " + loaded});
    }
    if (!unused.empty()) throw InputError(std::move(unused));
}

}  // namespace podsim
