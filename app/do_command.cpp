#include <fmt/format.h>

#include <ostream>

#include "app/verbs.hpp"
#include "base/diagnostic.hpp"

namespace podsim {

namespace {

struct Doer {
    const Surroundings& surroundings;
    Streams streams;

    ExitCode operator()(const PrintCommand& print) const {
        streams.out << print.text;
        return ExitCode::ok;
    }
    ExitCode operator()(const RunCommand& c) const { return do_run(c, surroundings, streams); }
    ExitCode operator()(const PlanCommand& c) const { return do_plan(c, surroundings, streams); }
    ExitCode operator()(const ListCommand& c) const { return do_list(c, surroundings, streams); }
    ExitCode operator()(const ShowCommand& c) const { return do_show(c, surroundings, streams); }
    ExitCode operator()(const CheckCommand& c) const { return do_check(c, surroundings, streams); }
    ExitCode operator()(const ValidateCommand& c) const {
        return do_validate(c, surroundings, streams);
    }
    ExitCode operator()(const DiffCommand& c) const { return do_diff(c, streams); }
    ExitCode operator()(const CalibrateCommand& c) const {
        return do_calibrate(c, surroundings, streams);
    }
    ExitCode operator()(const CharacterizeCommand& c) const {
        return do_characterize(c, surroundings, streams);
    }
    ExitCode operator()(const TraceCommand& c) const { return do_trace(c, surroundings, streams); }
    ExitCode operator()(const SchemaCommand& c) const {
        return do_schema(c, surroundings, streams);
    }
};

void print_problems(const InputError& error, std::ostream& err) {
    err << error.what() << "\n";
    const std::size_t count = error.diagnostics().size();
    err << fmt::format("podsim: {} {}\n", count, count == 1 ? "problem" : "problems");
}

}  // namespace

void print_warnings(const std::vector<Diagnostic>& warnings, Streams streams) {
    for (const Diagnostic& warning : warnings)
        streams.err << "warning: " << to_string(warning) << "\n";
}

ExitCode do_command(const std::vector<std::string>& arguments, const Surroundings& surroundings,
                    Streams streams) {
    try {
        const ExitCode code =
            std::visit(Doer{surroundings, streams}, parse_command_line(arguments));
        streams.out.flush();
        if (streams.out) return code;
        streams.err << "podsim: standard output cannot be written to\n";
        return ExitCode::bad_input;
    } catch (const InputError& error) {
        print_problems(error, streams.err);
        return ExitCode::bad_input;
    } catch (const std::exception& error) {
        streams.err << "podsim: internal error, this is a bug of podsim: " << error.what() << "\n";
        return ExitCode::internal;
    }
}

}  // namespace podsim
