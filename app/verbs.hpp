// What each verb does with its arguments. Each throws InputError for bad input; only main() exits.
#pragma once

#include <iosfwd>

#include "app/command_line.hpp"
#include "app/configs_root.hpp"
#include "app/exit_code.hpp"

namespace podsim {

struct Streams {
    std::ostream& out;
    std::ostream& err;
};

ExitCode do_run(const RunCommand& run, const Surroundings& surroundings, Streams streams);
ExitCode do_plan(const PlanCommand& plan, const Surroundings& surroundings, Streams streams);
ExitCode do_list(const ListCommand& list, const Surroundings& surroundings, Streams streams);
ExitCode do_show(const ShowCommand& show, const Surroundings& surroundings, Streams streams);
ExitCode do_check(const CheckCommand& check, const Surroundings& surroundings, Streams streams);
ExitCode do_validate(const ValidateCommand& validate, const Surroundings& surroundings,
                     Streams streams);
ExitCode do_diff(const DiffCommand& command, Streams streams);
ExitCode do_calibrate(const CalibrateCommand& calibrate, const Surroundings& surroundings,
                      Streams streams);
ExitCode do_characterize(const CharacterizeCommand& command, const Surroundings& surroundings,
                         Streams streams);
ExitCode do_trace(const TraceCommand& command, const Surroundings& surroundings, Streams streams);
ExitCode do_schema(const SchemaCommand& schema, const Surroundings& surroundings, Streams streams);

// A line each on `err`.
void print_warnings(const std::vector<Diagnostic>& warnings, Streams streams);

// Parses, does, and tells on `err` what went wrong: every diagnostic in a line, then their count.
ExitCode do_command(const std::vector<std::string>& arguments, const Surroundings& surroundings,
                    Streams streams);

}  // namespace podsim
