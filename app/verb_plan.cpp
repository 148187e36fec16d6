#include <fmt/format.h>

#include <cctype>
#include <filesystem>
#include <ostream>
#include <set>

#include "app/output_files.hpp"
#include "app/plan_table.hpp"
#include "app/rerun.hpp"
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

}  // namespace

ExitCode do_plan(const PlanCommand& plan, const Surroundings& surroundings, Streams streams) {
    Catalog catalog = open_catalog(plan.inputs, surroundings);
    const Experiment experiment = load_experiment(plan.file, catalog, {"podsim plan", 0, 0});
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
    PlanReport report;
    bool interrupted = false;
    {
        const SignalsHeld held;
        report = plan_experiment(experiment.document, catalog, options);
        interrupted = SignalsHeld::take() && report.partial();
    }
    if (surroundings.terminal) streams.err << "\r\033[K" << std::flush;
    std::string text = plan.json ? plan_json(report).dump(2) + "\n" : plan_text(report);
    if (!plan.out.empty()) {
        const std::vector<OutputFile> files = files_of(report, plan.out);
        write_files(files);
        if (!plan.json) {
            text += "\n";
            for (const OutputFile& file : files) text += "written: " + file.path + "\n";
        }
    }
    streams.out << text << std::flush;
    return interrupted ? ExitCode::interrupted : ExitCode::ok;
}

}  // namespace podsim
