#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <ostream>
#include <set>

#include "app/inventory_plan_table.hpp"
#include "app/output_files.hpp"
#include "app/plan_table.hpp"
#include "app/rerun.hpp"
#include "app/serving_plan_table.hpp"
#include "app/verbs.hpp"
#include "base/signals_held.hpp"
#include "base/yaml_writer.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

// A name as part of a file's: "950DT, pods of 1,024" -> "950dt-pods-of-1-024".
std::string file_part(const std::string& name) {
    std::string text;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) != 0) {
            text += static_cast<char>(std::tolower(byte));
        } else if (!text.empty() && text.back() != '-') {
            text += '-';
        }
    }
    while (!text.empty() && text.back() == '-') text.pop_back();
    return text.empty() ? "alternative" : text;
}

std::vector<OutputFile> files_of(const PlanReport& report, const std::string& folder) {
    const fs::path root = fs::path(folder).lexically_normal();
    std::vector<OutputFile> files = {
        {(root / "plan.json").string(), plan_json(report).dump(2) + "\n"}};
    std::set<std::string> names;
    for (const PlanAlternative& of : report.alternatives) {
        const auto winner = of.winners.find(of.form.objective);
        if (winner == of.winners.end()) continue;
        std::string name = "best-" + file_part(of.name);
        while (!names.insert(name).second) name += "-2";
        const std::string head =
            fmt::format("# The mapping that is best in {} of those that podsim plan searched.\n",
                        name_of(of.form.objective));
        files.push_back(
            {(root / (name + ".yaml")).string(), head + to_yaml(winner->second.experiment)});
    }
    return files;
}

std::vector<OutputFile> files_of(const ServingPlanReport& report, const std::string& folder) {
    const fs::path root = fs::path(folder).lexically_normal();
    std::vector<OutputFile> files = {
        {(root / "plan.json").string(), serving_plan_json(report).dump(2) + "\n"}};
    std::set<std::string> names;
    for (const ServingPlanAlternative& of : report.alternatives) {
        if (!of.answer) continue;
        std::string name = "best-" + file_part(of.name);
        while (!names.insert(name).second) name += "-2";
        const std::string head =
            "# The cheapest fleet that keeps the objective of those that podsim plan searched.\n";
        files.push_back(
            {(root / (name + ".yaml")).string(), head + to_yaml(of.answer->experiment)});
    }
    return files;
}

bool is_serving(const Node& experiment) {
    const Node* workload = experiment.find("workload");
    const Node* kind = workload != nullptr ? workload->find("kind") : nullptr;
    return kind != nullptr && kind->text == "serving";
}

// What a search found, whichever kind it is of.
struct Found {
    std::string text;
    std::vector<OutputFile> files;
    bool partial = false;
    bool unmet = false;  // a service that what is owned cannot carry
};

std::vector<OutputFile> files_of(const InventoryReport& report, const std::string& folder) {
    const fs::path root = fs::path(folder).lexically_normal();
    std::vector<OutputFile> files = {
        {(root / "plan.json").string(), inventory_json(report).dump(2) + "\n"}};
    std::set<std::string> names;
    for (const InventoryService& of : report.services) {
        if (of.pools.empty()) continue;
        std::string name = "placed-" + file_part(of.name);
        while (!names.insert(name).second) name += "-2";
        files.push_back({(root / (name + ".yaml")).string(),
                         "# Where podsim plan --inventory placed this service.\n" +
                             to_yaml(of.plan.answer->experiment)});
    }
    return files;
}

Found search(const PlanCommand& plan, const std::vector<Experiment>& experiments, Catalog& catalog,
             const PlanOptions& options) {
    const Experiment& experiment = experiments.front();
    const auto found = [&](const auto& report, std::string text) {
        Found all{std::move(text), {}, report.partial()};
        if (!plan.out.empty()) all.files = files_of(report, plan.out);
        return all;
    };
    if (!plan.inventory.empty()) {
        const Node inventory =
            catalog.load("inventory", plan.inventory, {"podsim plan", 0, 0}, "--inventory");
        std::vector<Node> documents;
        for (const Experiment& one : experiments) {
            if (!is_serving(one.document))
                throw InputError(one.document.place, "workload.kind",
                                 "is not serving: an inventory is for services");
            documents.push_back(one.document);
        }
        const InventoryReport report = plan_inventory(inventory, documents, catalog, options);
        Found all = found(
            report, plan.json ? inventory_json(report).dump(2) + "\n" : inventory_text(report));
        all.unmet = std::any_of(report.services.begin(), report.services.end(),
                                [](const auto& service) { return service.pools.empty(); });
        return all;
    }
    if (is_serving(experiment.document)) {
        const ServingPlanReport report = plan_serving(experiment.document, catalog, options);
        return found(report, plan.json ? serving_plan_json(report).dump(2) + "\n"
                                       : serving_plan_text(report));
    }
    const PlanReport report = plan_experiment(experiment.document, catalog, options);
    return found(report, plan.json ? plan_json(report).dump(2) + "\n" : plan_text(report));
}

}  // namespace

ExitCode do_plan(const PlanCommand& plan, const Surroundings& surroundings, Streams streams) {
    Catalog catalog = open_catalog(plan.inputs, surroundings);
    std::vector<Experiment> experiments;
    for (const std::string& file : plan.files)
        experiments.push_back(load_experiment(file, catalog, {"podsim plan", 0, 0}));
    if (!plan.out.empty()) require_writable(plan.out);
    PlanOptions options;
    options.fidelity = plan.fidelity;
    options.cache = plan.cache;
    options.cache_folder = surroundings.cache;
    options.stop = [] { return SignalsHeld::interrupted(); };
    if (surroundings.terminal) {
        options.progress = [&](const std::string& line) {
            streams.err << "\r\033[K" << line << std::flush;
        };
    }
    Found found;
    bool interrupted = false;
    {
        const SignalsHeld held;
        found = search(plan, experiments, catalog, options);
        interrupted = SignalsHeld::take() && found.partial;
    }
    if (surroundings.terminal) streams.err << "\r\033[K" << std::flush;
    std::string text = std::move(found.text);
    write_files(found.files);
    if (!plan.json && !found.files.empty()) {
        text += "\n";
        for (const OutputFile& file : found.files) text += "written: " + file.path + "\n";
    }
    streams.out << text << std::flush;
    if (interrupted) return ExitCode::interrupted;
    return found.unmet ? ExitCode::check_failed : ExitCode::ok;
}

}  // namespace podsim
