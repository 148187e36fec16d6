#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <ostream>
#include <set>

#include "app/comparison.hpp"
#include "app/output_files.hpp"
#include "app/rerun.hpp"
#include "app/timeline.hpp"
#include "app/verbs.hpp"
#include "sim/experiment.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

// One FILE of the command line on its way.
struct Job {
    Experiment experiment;
    Catalog catalog;
    std::string folder;
    Result result;
};

std::vector<Job> prepare(const RunCommand& run, const Surroundings& surroundings) {
    const Catalog fresh = open_catalog(run.inputs, surroundings);
    std::vector<Job> jobs;
    std::vector<Diagnostic> problems;
    std::set<std::string> folders;
    for (const std::string& file : run.files) {
        try {
            Job job{{}, fresh, "", {}};
            job.experiment = load_experiment(file, job.catalog, {"podsim run", 0, 0});
            check_experiment(job.experiment.document, job.catalog);
            job.folder = run.out.empty()         ? "results/" + job.experiment.stem
                         : run.files.size() == 1 ? run.out
                                                 : run.out + "/" + job.experiment.stem;
            job.folder = fs::path(job.folder).lexically_normal().string();
            require_writable(job.folder);
            if (!folders.insert(job.folder).second) {
                throw InputError(
                    {file, 0, 0}, "",
                    "its results would go to the folder of another file: " + job.folder,
                    "run them one by one with --out");
            }
            jobs.push_back(std::move(job));
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return jobs;
}

// What the run took of this computer, for whoever wants to run many.
void note_host_use(RunSwitches& switches, std::chrono::duration<double> time) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    switches.host_seconds = time.count();
    switches.peak_memory_bytes = static_cast<double>(usage.ru_maxrss) * 1024.0;  // Linux: KiB
}

std::vector<OutputFile> files_of(const Job& job, bool timeline) {
    const std::string folder = job.folder + "/";
    std::vector<OutputFile> files = {{folder + "result.json", to_json(job.result).dump(2) + "\n"},
                                     {folder + "operators.csv", operators_csv(job.result)}};
    if (timeline) files.push_back({folder + "timeline.json", timeline_json(job.result)});
    return files;
}

void print(const RunCommand& run, const std::vector<Job>& jobs, std::ostream& out) {
    if (run.json) {
        auto all = nlohmann::ordered_json::array();
        for (const Job& job : jobs) all.push_back(to_json(job.result));
        out << (jobs.size() == 1 ? all[0] : all).dump(2) << "\n";
        return;
    }
    if (run.quiet) return;
    for (const Job& job : jobs) {
        out << (&job == &jobs.front() ? "" : "\n") << comparison_text(job.result);
        for (const OutputFile& file : files_of(job, run.timeline)) {
            out << "written: " << file.path << "\n";
        }
    }
}

}  // namespace

ExitCode do_run(const RunCommand& run, const Surroundings& surroundings, Streams streams) {
    std::vector<Job> jobs = prepare(run, surroundings);
    // All runs come first: a file whose memory does not fit is found while nothing is written.
    std::vector<OutputFile> files;
    ExitCode code = ExitCode::ok;
    const bool progress = surroundings.terminal && !run.quiet;
    for (Job& job : jobs) {
        RunOptions options;
        options.fidelity = run.fidelity.value_or(job.experiment.fidelity.value_or(Fidelity::tile));
        options.seed = run.seed.value_or(job.experiment.seed.value_or(1));
        options.driver = run.driver;
        options.cache = run.cache;
        options.timeline = run.timeline;
        if (progress) {
            options.progress = [&](const std::string& line) {
                streams.err << "\r\033[K" << line << std::flush;
            };
        }
        const auto begin = std::chrono::steady_clock::now();
        job.result = run_experiment(job.experiment.document, job.catalog, options);
        note_host_use(job.result.switches, std::chrono::steady_clock::now() - begin);
        if (progress) streams.err << "\r\033[K" << std::flush;
        for (OutputFile& file : files_of(job, run.timeline)) files.push_back(std::move(file));
        if (!job.result.audit_passed()) code = ExitCode::audit;
    }
    write_files(files);
    print(run, jobs, streams.out);
    streams.out.flush();
    for (const Job& job : jobs) {
        for (const std::string& breach : audit_breaches(job.result)) {
            streams.err << "audit: " << breach << "\n";
        }
    }
    return code;
}

}  // namespace podsim
