#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <ostream>
#include <set>

#include "app/output_files.hpp"
#include "app/rerun.hpp"
#include "app/run_output.hpp"
#include "app/verbs.hpp"
#include "base/signals_held.hpp"
#include "sim/experiment.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

// One FILE of the command line, checked.
struct Job {
    Experiment experiment;
    Catalog catalog;
    std::string folder;
};

std::string folder_of(const RunCommand& run, const Experiment& experiment) {
    fs::path folder = run.out.empty() ? fs::path("results") : fs::path(run.out);
    if (run.out.empty() || run.files.size() > 1) folder /= experiment.stem;
    folder = folder.lexically_normal();
    return (folder.has_filename() ? folder : folder.parent_path()).string();
}

std::vector<Job> prepare(const RunCommand& run, const Surroundings& surroundings) {
    const Catalog fresh = open_catalog(run.inputs, surroundings);
    std::vector<Job> jobs;
    std::vector<Diagnostic> problems;
    std::set<std::string> folders;
    for (const std::string& file : run.files) {
        try {
            Job job{{}, fresh, ""};
            job.experiment = load_experiment(file, job.catalog, {"podsim run", 0, 0});
            // Its warnings are in the result.
            (void)check_experiment(job.experiment.document, job.catalog);
            job.folder = folder_of(run, job.experiment);
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

RunOptions options_of(const RunCommand& run, const Experiment& experiment) {
    RunOptions options;
    options.fidelity = run.fidelity ? run.fidelity : experiment.fidelity;
    options.seed = run.seed.value_or(experiment.seed.value_or(1));
    options.driver = run.driver;
    options.cache = run.cache;
    options.timeline = run.timeline;
    return options;
}

// What the run took of this computer, for whoever wants to run many.
void note_host_use(RunSwitches& switches, std::chrono::duration<double> time) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    switches.host_seconds = time.count();
    switches.peak_memory_bytes = static_cast<double>(usage.ru_maxrss) * 1024.0;  // Linux: KiB
}

}  // namespace

ExitCode do_run(const RunCommand& run, const Surroundings& surroundings, Streams streams) {
    std::vector<Job> jobs = prepare(run, surroundings);
    // All runs come first: what only a run finds is found while nothing is written.
    std::vector<FinishedRun> finished;
    // A signal ends served traffic with what there is, which is then written.
    std::optional<SignalsHeld> held;
    const auto serves = [](const Job& job) {
        const Node* workload = job.experiment.document.find("workload");
        const Node* kind = workload != nullptr ? workload->find("kind") : nullptr;
        return kind != nullptr && kind->text == "serving";
    };
    if (std::any_of(jobs.begin(), jobs.end(), serves)) held.emplace();
    const bool progress = surroundings.terminal && !run.quiet;
    for (Job& job : jobs) {
        RunOptions options = options_of(run, job.experiment);
        options.cache_folder = surroundings.cache;
        if (held) options.stop = SignalsHeld::interrupted;
        if (progress) {
            options.progress = [&](const std::string& line) {
                streams.err << "\r\033[K" << line << std::flush;
            };
        }
        const auto begin = std::chrono::steady_clock::now();
        Result result = run_experiment(job.experiment.document, job.catalog, options);
        note_host_use(result.switches, std::chrono::steady_clock::now() - begin);
        if (progress) streams.err << "\r\033[K" << std::flush;
        finished.push_back({job.folder, std::move(result)});
    }
    const bool interrupted = held && SignalsHeld::take();
    const ExitCode code = deliver(finished, run, streams);
    return interrupted && code == ExitCode::ok ? ExitCode::interrupted : code;
}

}  // namespace podsim
