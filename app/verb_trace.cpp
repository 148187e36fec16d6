#include <fmt/format.h>

#include <optional>
#include <ostream>

#include "app/request_table.hpp"
#include "app/rerun.hpp"
#include "app/trace_table.hpp"
#include "app/verbs.hpp"
#include "sim/experiment.hpp"
#include "sim/program_trace.hpp"
#include "workloads/request_trace.hpp"
#include "workloads/trace_files.hpp"
#include "workloads/trace_writing.hpp"

namespace podsim {

namespace {

// Runs one alternative of an experiment, and writes the program that ran as a trace.
ExitCode write_program(const TraceCommand& command, const Surroundings& surroundings,
                       Streams streams) {
    Catalog catalog = open_catalog(command.inputs, surroundings);
    const Experiment experiment =
        load_experiment(command.files.front(), catalog, {"podsim trace", 0, 0});
    std::vector<std::string> names;
    std::optional<ExecutionTrace> trace;
    std::string written;
    RunOptions options;
    options.neighbour = false;
    options.cache_folder = surroundings.cache;
    options.program = [&](const RanProgram& ran) {
        names.push_back(ran.alternative);
        const bool wanted = command.alternative.empty() || command.alternative == ran.alternative;
        if (trace || !wanted) return;
        trace = trace_of_program(ran);
        written = ran.alternative;
    };
    const Result result = run_experiment(experiment.document, catalog, options);
    if (names.empty())
        throw InputError({command.files.front(), 0, 0}, "workload.kind",
                         result.kind + " runs no one program that a trace could hold",
                         "write a decode or prefill step at the mean batch of what is served "
                         "(served.pools of its result.json)");
    if (!trace)
        throw InputError({unknown_name({"podsim trace", 0, 0}, "--alternative", "alternative",
                                       command.alternative, names)});
    const auto files = write_trace(*trace, command.write, result.experiment + ", " + written);
    streams.out << fmt::format("{}: {} of {}, {} ranks in {} file{}\n", command.write, written,
                               result.experiment, trace->rank_count(), files.size() - 1,
                               files.size() == 2 ? "" : "s");
    return ExitCode::ok;
}

ExitCode look_at_requests(const TraceCommand& command, Streams streams) {
    const std::string& file = command.files.front();
    const RequestSummary summary = summarise_requests(file);
    for (const Diagnostic& problem : summary.counts.problems)
        streams.err << "skipped: " << to_string(problem) << "\n";
    if (command.json) {
        streams.out << to_json(summary).dump(2) << "\n";
    } else {
        streams.out << request_table(summary, file);
    }
    return ExitCode::ok;
}

}  // namespace

ExitCode do_trace(const TraceCommand& command, const Surroundings& surroundings, Streams streams) {
    if (!command.write.empty()) return write_program(command, surroundings, streams);
    if (command.files.size() == 1 && is_request_trace(command.files.front()))
        return look_at_requests(command, streams);
    const ExecutionTrace trace = read_trace(command.files);
    const TraceSummary summary = summarise(trace);
    for (const std::string& warning : summary.warnings)
        streams.err << "warning: " << warning << "\n";
    const std::string title =
        command.files.size() == 1
            ? command.files.front()
            : fmt::format("{} and {} more", command.files.front(), command.files.size() - 1);
    if (command.json) {
        streams.out << to_json(summary).dump(2) << "\n";
    } else {
        streams.out << trace_table(summary, title);
    }
    return ExitCode::ok;
}

}  // namespace podsim
