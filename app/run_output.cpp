#include "app/run_output.hpp"

#include <nlohmann/json.hpp>
#include <ostream>

#include "app/comparison.hpp"
#include "app/output_files.hpp"
#include "app/timeline.hpp"

namespace podsim {

namespace {

std::vector<OutputFile> files_of(const FinishedRun& run, bool timeline) {
    std::vector<OutputFile> files = {
        {run.folder + "/result.json", to_json(run.result).dump(2) + "\n"},
        {run.folder + "/operators.csv", operators_csv(run.result)}};
    if (std::string csv = memory_csv(run.result); !csv.empty())
        files.push_back({run.folder + "/memory.csv", std::move(csv)});
    if (timeline) files.push_back({run.folder + "/timeline.json", timeline_json(run.result)});
    return files;
}

// One result, or a list of several.
std::string as_json(const std::vector<FinishedRun>& runs) {
    auto all = nlohmann::ordered_json::array();
    for (const FinishedRun& run : runs) all.push_back(to_json(run.result));
    return (all.size() == 1 ? all[0] : all).dump(2) + "\n";
}

}  // namespace

ExitCode deliver(const std::vector<FinishedRun>& runs, const RunCommand& run, Streams streams) {
    std::vector<OutputFile> all;
    std::string text;
    for (const FinishedRun& one : runs) {
        if (!run.json && !run.quiet)
            text += (text.empty() ? "" : "\n") + comparison_text(one.result);
        for (OutputFile& file : files_of(one, run.timeline)) {
            if (!run.json && !run.quiet) text += "written: " + file.path + "\n";
            all.push_back(std::move(file));
        }
    }
    write_files(all);
    streams.out << (run.json ? as_json(runs) : text) << std::flush;
    ExitCode code = ExitCode::ok;
    for (const FinishedRun& one : runs) {
        for (const std::string& breach : audit_breaches(one.result)) {
            streams.err << "audit: " << breach << "\n";
            code = ExitCode::audit;
        }
    }
    return code;
}

}  // namespace podsim
