#include "app/document_check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "app/comparison.hpp"
#include "app/input_file.hpp"
#include "app/rerun.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "chips/memory_device.hpp"
#include "chips/variant_notes.hpp"
#include "interconnect/collective_library.hpp"
#include "interconnect/system.hpp"
#include "models/model.hpp"
#include "models/published_size.hpp"
#include "sim/api_prices.hpp"
#include "sim/audit.hpp"
#include "sim/experiment.hpp"
#include "sim/inventory_form.hpp"
#include "sim/price.hpp"
#include "sim/resolve.hpp"
#include "sim/result_read.hpp"
#include "sim/validation_suite.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

// Keys that a document of the kind has and no other; one of them is enough.
struct Mark {
    const char* kind;
    std::vector<const char*> keys;
};

const std::vector<Mark>& marks() {
    static const std::vector<Mark> all = {
        {"result", {"configuration"}},
        {"suite", {"suite", "cases", "gates"}},
        {"experiment", {"experiment", "alternatives", "workload"}},
        {"chip", {"hbm", "cores", "peak_matrix", "macs_per_cycle"}},
        {"memory", {"organisation", "timing"}},
        {"system", {"scale_up", "scale_out"}},
        {"kernels", {"gemm", "attention_decode", "attention_prefill"}},
        {"collectives", {"transfers"}},
        {"engine", {"overlap", "kernel_gap", "host_step", "rank_skew"}},
        {"process", {"wafer", "defects_per_cm2", "reticle_mm2"}},
        {"prices", {"electricity", "power_usage_effectiveness", "chips", "systems"}},
        {"api_prices", {"api_prices"}},
        {"inventory", {"inventory", "owned"}},
        {"parts", {"parts"}},
        {"model", {"model_type", "hidden_size", "num_hidden_layers"}},
    };
    return all;
}

Node read_any(const std::string& path) {
    return fs::path(path).extension() == ".json" ? read_json(path) : read_yaml(path);
}

std::string kind_of_folder(const std::string& path) {
    const std::string folder = fs::absolute(path).parent_path().filename().string();
    if (folder == "validation") return "suite";
    for (const std::string& kind : document_kinds()) {
        if (folder == folder_of_kind(kind)) return kind;
    }
    return "";
}

std::string kind_of_keys(const Node& document) {
    for (const Mark& mark : marks()) {
        const auto has = [&](const char* key) { return document.find(key) != nullptr; };
        if (std::any_of(mark.keys.begin(), mark.keys.end(), has)) return mark.kind;
    }
    return "";
}

std::string kind_of(const std::string& path, const Catalog& catalog, std::size_t depth);

// The kind of what a file starts from: a file of its own, or a name of some kind.
std::string kind_of_base(const Node& document, const Catalog& catalog, std::size_t depth) {
    constexpr std::size_t longest_chain = 16;
    const Node* base = document.find("base");
    if (base == nullptr) return "";
    if (means_file(base->text)) {
        const fs::path beside = fs::path(base->place.file).parent_path() / base->text;
        const std::string file = beside.lexically_normal().string();
        if (depth < longest_chain) return kind_of(file, catalog, depth + 1);
        throw InputError(base->place, "base",
                         "a circle of base:, or more than 16 files in a chain");
    }
    std::vector<std::string> known;
    for (const std::string& kind : document_kinds()) {
        for (const std::string& name : catalog.names(kind)) {
            if (name == base->text) return kind;
            known.push_back(name);
        }
    }
    throw InputError({unknown_name(base->place, "base", "document", base->text, known)});
}

void append(std::vector<Diagnostic>& problems, const InputError& error) {
    problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
}

// Returns warnings.
std::vector<Diagnostic> check_named(const std::string& kind, const Node& document,
                                    const std::string& path, Catalog& catalog) {
    // A document may name others: they have to be there.
    const auto load = [&](const char* other, const std::string& name, const char* key) {
        const Node* node = document.find(key);
        if (!name.empty() && node != nullptr) catalog.load(other, name, node->place, key);
    };
    if (kind == "chip") {
        ChipSpec chip = read_chip(document, path);
        load_process(chip, document, catalog);
        std::vector<Diagnostic> odd = doubtful_values(chip, document);
        if (const Node* named = document.find("kernels")) {
            const Node library = catalog.load("kernels", chip.kernels, named->place, "kernels");
            for (Diagnostic& one :
                 unseen_changes(chip, document, read_kernel_library(library, chip.kernels)))
                odd.push_back(std::move(one));
        }
        if (!chip.memory) return odd;
        const Node& section = *document.find("memory");
        const Node device =
            catalog.load("memory", chip.memory->device, section.place, "memory.device");
        for (Diagnostic& one :
             check_memory(chip, read_memory(device, chip.memory->device), document))
            odd.push_back(std::move(one));
        return odd;
    } else if (kind == "memory") {
        read_memory(document, path);
    } else if (kind == "system") {
        SystemSpec system = read_system(document, path);
        std::vector<Diagnostic> problems;
        for (const auto& [other, name] : {std::pair<const char*, std::string>{"chip", system.chip},
                                          {"collectives", system.collectives}}) {
            try {
                load(other, name, other);
            } catch (const InputError& error) {
                append(problems, error);
            }
        }
        if (const Node* bill = document.find("bill"); bill != nullptr && problems.empty()) {
            const PartListSpec parts =
                read_parts(catalog.load("parts", system.bill.parts, bill->place, "bill.parts"),
                           system.bill.parts);
            const Node chip =
                catalog.load("chip", system.chip, document.find("chip")->place, "chip");
            chip_power_from(system, read_chip(chip, system.chip).power);
            try {
                (void)bill_of(system, parts);
            } catch (const std::invalid_argument& error) {
                problems.push_back({bill->place, "bill", error.what(), "podsim show parts"});
            }
        }
        if (!problems.empty()) throw InputError(std::move(problems));
    } else if (kind == "kernels") {
        load("chip", read_kernel_library(document, path).chip, "chip");
    } else if (kind == "collectives") {
        read_collective_library(document, path);
    } else if (kind == "engine") {
        read_engine(document, path);
    } else if (kind == "process") {
        read_process(document, path);
    } else if (kind == "prices") {
        read_prices(document, path);
    } else if (kind == "api_prices") {
        read_api_prices(document, path);
    } else if (kind == "inventory") {
        for (const OwnedChips& owned : read_inventory(document).owned)
            (void)catalog.load("system", owned.system, owned.place, "owned.system");
    } else if (kind == "parts") {
        read_parts(document, path);
    } else if (kind == "model") {
        std::vector<Diagnostic> unexpected;
        read_model(document, path, unexpected);
        read_published(document);
        return unexpected;
    } else {
        throw InputError({path, 0, 0}, "", "files of kind " + kind + " cannot be checked yet");
    }
    return {};
}

}  // namespace

namespace {

std::string kind_of(const std::string& path, const Catalog& catalog, std::size_t depth) {
    require_input_file(path);
    const Node document = read_any(path);
    if (document.kind != Node::Kind::map) {
        throw InputError(document.place, "", "a map of keys was expected");
    }
    if (std::string kind = kind_of_folder(path); !kind.empty()) return kind;
    if (std::string kind = kind_of_keys(document); !kind.empty()) return kind;
    if (std::string kind = kind_of_base(document, catalog, depth); !kind.empty()) return kind;
    std::string known;
    for (const Mark& mark : marks()) known += (known.empty() ? "" : ", ") + std::string(mark.kind);
    throw InputError({path, 0, 0}, "", "its keys do not tell what kind of file this is",
                     "expected one of: " + known);
}

}  // namespace

namespace {

// A result as it stands in its file; nothing where that holds none.
std::optional<Result> stored_result(const std::string& path) {
    std::ifstream file(path);
    const auto json = nlohmann::ordered_json::parse(file, nullptr, false);
    if (!json.is_object() || !json.contains("alternatives")) return {};
    try {
        return read_result(json);
    } catch (const std::runtime_error& error) {
        throw InputError({path, 0, 0}, "", error.what(), "a result.json as podsim run writes it");
    }
}

// What a result of an earlier version says nothing of.
void note_what_it_lacks(const std::string& path, std::vector<Diagnostic>& notes) {
    const auto result = stored_result(path);
    if (!result) return;
    for (const AlternativeResult& one : result->alternatives) {
        if (!one.served || one.served->lacks.empty()) continue;
        notes.push_back({{path, 0, 0},
                         "alternatives." + one.name + ".served",
                         fmt::format("written by an earlier version, which said nothing of {}",
                                     fmt::join(one.served->lacks, ", ")),
                         "run it again from itself: podsim run " + path});
    }
}

}  // namespace

std::string kind_of_file(const std::string& path, const Catalog& catalog) {
    return kind_of(path, catalog, 0);
}

void read_as(Node& config, const std::string& family) {
    const Place option{"--as", 0, 0};
    set_path(config, "model_type", family, option);
    // The sizes of a model with other senses are looked for there first.
    const Node* inner = config.find("text_config");
    if (inner != nullptr && inner->find("model_type") != nullptr)
        set_path(config, "text_config.model_type", family, option);
}

std::vector<Diagnostic> check_file(const std::string& path, const Catalog& catalog,
                                   const std::string& as) {
    const std::string kind = kind_of_file(path, catalog);
    if (!as.empty() && kind != "model") {
        throw InputError({"--as", 0, 0}, "", "is for models, and " + path + " is of kind " + kind,
                         "--set model:NAME.model_type=FAMILY changes the model it names");
    }
    if (kind == "suite") {
        prepare_suite(read_yaml(path), catalog);
        return {};
    }
    Catalog own = catalog;
    if (kind == "experiment" || kind == "result") {
        const Experiment experiment = load_experiment(path, own, {path, 0, 0});
        std::vector<Diagnostic> odd = check_experiment(experiment.document, own);
        if (kind == "result") note_what_it_lacks(path, odd);
        return odd;
    }
    Node document = own.load(kind, path, {path, 0, 0}, "");
    if (!as.empty()) read_as(document, as);
    return check_named(kind, document, path, own);
}

std::vector<std::string> broken_laws(const std::string& path, const Catalog& catalog) {
    if (kind_of_file(path, catalog) != "result") return {};
    auto result = stored_result(path);
    if (!result) return {};
    for (AlternativeResult& alternative : result->alternatives)
        alternative.audit = audit(alternative, result->kind, result->configuration);
    return audit_breaches(*result);
}

}  // namespace podsim
