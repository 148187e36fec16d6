// What the user asked for, as plain data. Behind it is CLI11, which only command_line.cpp sees.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chips/cost.hpp"
#include "sim/machine.hpp"

namespace podsim {

// Where the inputs come from and what is changed in them.
struct InputOptions {
    std::string configs;                // "": found by find_configs_root
    std::vector<std::string> settings;  // --set, as written
};

struct RunCommand {
    std::vector<std::string> files;
    std::string out;                    // "": results/<stem of the file>
    std::optional<Fidelity> fidelity;   // absent: the finest known, or as the result run again
    std::optional<std::uint64_t> seed;  // absent: 1, or that of the result run again
    Driver driver = Driver::systemc;
    bool cache = true, json = false, timeline = false, quiet = false;
    InputOptions inputs;
};

struct PlanCommand {
    std::vector<std::string> files;  // one, but with an inventory
    std::string inventory;           // "": none
    std::string out;                 // "": nothing is written
    std::optional<Fidelity> fidelity;
    bool cache = true, json = false;
    InputOptions inputs;
};

struct ListCommand {
    std::string kind;  // "": the kinds themselves
    bool json = false;
    std::string suites;
    InputOptions inputs;
};

struct ShowCommand {
    std::string kind;
    std::vector<std::string> names;
    std::string as;  // models: the family to read them as, "" for that of their model_type
    bool json = false;
    std::string suites;
    InputOptions inputs;
};

struct CheckCommand {
    std::vector<std::string> files;
    std::string as;  // as above
    InputOptions inputs;
};

struct ValidateCommand {
    std::vector<std::string> suites;                       // names or files; none: all
    std::string suites_folder;                             // "": found by find_suites_folder
    bool json = false, summary = false, markdown = false;  // at most one
    std::string data;                                      // "": found by find_data_folder
    InputOptions inputs;
};

struct DiffCommand {
    std::vector<std::string> files;         // one or two, each FILE or FILE:ALTERNATIVE
    std::vector<std::string> alternatives;  // --alternative: of both, or one of each
    int top = 20;                           // rows of the table
    bool json = false;
};

struct CalibrateCommand {
    std::string library;
    std::string table, chip, system;  // ADAPTER:FILE of the user's own, on which chip or system
    std::vector<std::string> filters, columns;  // COLUMN=WANTED, COLUMN=VALUE
    std::vector<std::string> parts;             // only these; none: all
    std::string data, out, date;                // date "": today
    bool json = false;
    InputOptions inputs;
};

struct CharacterizeCommand {
    std::string chip;
    std::string kernels;  // "": the chip's own
    std::string svg;      // folder of plots, "": none
    bool json = false, cache = true;
    InputOptions inputs;
};

struct TraceCommand {
    std::vector<std::string> files;  // of one trace; with `write` one experiment
    std::string write;               // folder for its program as a trace, "": only look
    std::string alternative;         // of the experiment, "": the first
    bool json = false;
    InputOptions inputs;
};

struct SchemaCommand {
    std::string out;  // "": docs/schemas beside the configurations
    InputOptions inputs;
};

// --help and --version.
struct PrintCommand {
    std::string text;
};

using Command = std::variant<PrintCommand, RunCommand, ListCommand, ShowCommand, CheckCommand,
                             ValidateCommand, DiffCommand, CalibrateCommand, CharacterizeCommand,
                             TraceCommand, SchemaCommand, PlanCommand>;

// `arguments` without the program's name. Throws InputError with everything wrong in them.
Command parse_command_line(const std::vector<std::string>& arguments);

// Every verb with one sentence.
const std::vector<std::pair<std::string, std::string>>& verb_table();

}  // namespace podsim
