#include "app/command_line.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>

#include "app/kinds.hpp"
#include "base/diagnostic.hpp"
#include "sim/result.hpp"

namespace podsim {

namespace {

// One verb's parser and what has to be looked at after it.
struct Verb {
    std::string name;
    std::unique_ptr<CLI::App> app;
    std::string fidelity, driver = "systemc";  // text until checked with a hint

    explicit Verb(const std::string& verb) : name(verb) {
        for (const auto& [known, sentence] : verb_table()) {
            if (known != verb) continue;
            app = std::make_unique<CLI::App>(sentence, "podsim " + verb);
        }
        app->get_formatter()->column_width(24);
        app->get_formatter()->label("REQUIRED", "");
        app->get_formatter()->label("TEXT", "");
        app->set_help_flag("-h,--help", "this text");
        // So that an unknown option comes to us, who know the nearest one.
        app->allow_extras();
    }

    Place place() const { return {"podsim " + name, 0, 0}; }
    [[noreturn]] void fail(const std::string& path, const std::string& what,
                           const std::string& hint) const {
        throw InputError(place(), path, what, hint);
    }

    std::vector<std::string> option_names() const {
        std::vector<std::string> names;
        for (const CLI::Option* option : app->get_options()) {
            for (const std::string& text : option->get_lnames()) names.push_back("--" + text);
            for (const std::string& text : option->get_snames()) names.push_back("-" + text);
        }
        return names;
    }

    // Whether the verb is to be done; false for --help.
    bool parse(const std::vector<std::string>& arguments) {
        std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
        try {
            app->parse(std::move(reversed));
        } catch (const CLI::CallForHelp&) {
            return false;
        } catch (const CLI::ParseError& error) {
            // A slip in an option's name is what makes the rest of the line not fit.
            refuse_unknown_options();
            fail("", error.what(), fmt::format("see podsim {} --help", name));
        }
        refuse_unknown_options();
        return true;
    }

    void refuse_unknown_options() const {
        std::vector<Diagnostic> problems;
        for (const std::string& text : app->remaining()) {
            const std::string option = text.substr(0, text.find('='));
            const std::string nearest = nearest_name(option, option_names());
            const bool is_option = text.size() > 1 && text[0] == '-';
            problems.push_back(
                {place(), "",
                 (is_option ? "unknown option " + option : "more arguments than expected: " + text),
                 (nearest.empty() ? "" : "did you mean " + nearest + "? ") +
                     fmt::format("see podsim {} --help", name)});
        }
        if (!problems.empty()) throw InputError(std::move(problems));
    }

    void add(InputOptions& inputs, bool settings) {
        app->add_option("--configs", inputs.configs, "folder of chips/, systems/, models/ ...")
            ->type_name("DIR");
        if (!settings) return;
        app->add_option("--set", inputs.settings,
                        "change a value: chip:h800.hbm.bandwidth='4 TB/s'")
            ->type_name("PATH=VALUE")
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
            ->allow_extra_args(false);
    }

    template <class E>
    E choice(const std::string& option, const std::string& wanted,
             const std::vector<std::pair<const char*, E>>& known) const {
        std::vector<std::string> names;
        for (const auto& [text, value] : known) {
            if (text == wanted) return value;
            names.emplace_back(text);
        }
        throw InputError({unknown_name(place(), option, option.substr(2), wanted, names)});
    }
};

Command parse_run(const std::vector<std::string>& arguments) {
    Verb verb("run");
    RunCommand run;
    std::string seed;
    CLI::App& app = *verb.app;
    app.add_option("FILE", run.files, "experiment, or a result.json to run again")->required();
    app.add_option("--out", run.out, "where results go [results/<name of FILE>]")->type_name("DIR");
    app.add_option("--fidelity", verb.fidelity,
                   "analytic, tile or cycle [tile; analytic of a data sheet]")
        ->type_name("LEVEL");
    verb.add(run.inputs, true);
    app.add_option("--seed", seed, "of the random numbers [1]")->type_name("N");
    app.add_flag("--json", run.json, "the result as JSON instead of the table");
    app.add_flag("--timeline", run.timeline, "write timeline.json for ui.perfetto.dev");
    app.add_option("--driver", verb.driver, "systemc or plain: the same bytes come out")
        ->type_name("NAME");
    bool no_cache = false;
    app.add_flag("--no-cache", no_cache, "cost every operator anew, keep no costs on disk");
    app.add_flag("--quiet", run.quiet, "print nothing but errors");
    if (!verb.parse(arguments)) return PrintCommand{app.help()};
    run.cache = !no_cache;
    if (!verb.fidelity.empty()) {
        run.fidelity = verb.choice("--fidelity", verb.fidelity,
                                   names_of(static_cast<const Fidelity*>(nullptr)));
    }
    run.driver = verb.choice<Driver>("--driver", verb.driver,
                                     {{"systemc", Driver::systemc}, {"plain", Driver::plain}});
    if (!seed.empty()) {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(seed.data(), seed.data() + seed.size(), value);
        if (error != std::errc() || end != seed.data() + seed.size()) {
            verb.fail("--seed", seed + " is not a whole number from 0 to 2^64 - 1", "");
        }
        run.seed = value;
    }
    return run;
}

Command parse_plan(const std::vector<std::string>& arguments) {
    Verb verb("plan");
    PlanCommand plan;
    CLI::App& app = *verb.app;
    app.add_option("FILE", plan.files,
                   "experiment of kind training or serving with a section plan; several with "
                   "--inventory")
        ->required();
    app.add_option("--inventory", plan.inventory,
                   "chips that are owned: which service goes where, what is left or bought")
        ->type_name("FILE");
    app.add_option("--out", plan.out, "write plan.json and experiments of the best there")
        ->type_name("DIR");
    app.add_option("--fidelity", verb.fidelity,
                   "analytic, tile or cycle [tile; analytic of a data sheet]")
        ->type_name("LEVEL");
    app.add_flag("--json", plan.json, "as JSON");
    bool no_cache = false;
    app.add_flag("--no-cache", no_cache, "cost every operator anew, keep no costs on disk");
    verb.add(plan.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{app.help()};
    plan.cache = !no_cache;
    if (plan.files.size() > 1 && plan.inventory.empty())
        verb.fail("", fmt::format("{} experiments, one is planned at a time", plan.files.size()),
                  "--inventory FILE places several services");
    if (!verb.fidelity.empty()) {
        plan.fidelity = verb.choice("--fidelity", verb.fidelity,
                                    names_of(static_cast<const Fidelity*>(nullptr)));
    }
    return plan;
}

Command parse_list(const std::vector<std::string>& arguments) {
    Verb verb("list");
    ListCommand list;
    verb.app->add_option("KIND", list.kind, "podsim list alone names the kinds");
    verb.app->add_flag("--json", list.json, "as JSON");
    verb.app->add_option("--suites", list.suites, "folder of validation suites")->type_name("DIR");
    verb.add(list.inputs, false);
    if (!verb.parse(arguments)) return PrintCommand{verb.app->help()};
    if (!list.kind.empty()) list.kind = find_kind(list.kind, verb.place()).plural;
    return list;
}

Command parse_show(const std::vector<std::string>& arguments) {
    Verb verb("show");
    ShowCommand show;
    verb.app->add_option("KIND", show.kind, "chip, system, model ... (podsim list)")->required();
    verb.app->add_option("NAME", show.names, "names or files")->required();
    verb.app->add_option("--as", show.as, "read models as of a family (podsim list families)")
        ->type_name("FAMILY");
    verb.app->add_flag("--json", show.json, "as JSON");
    verb.app->add_option("--suites", show.suites, "folder of validation suites")->type_name("DIR");
    verb.add(show.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{verb.app->help()};
    show.kind = find_kind(show.kind, verb.place()).plural;
    return show;
}

Command parse_check(const std::vector<std::string>& arguments) {
    Verb verb("check");
    CheckCommand check;
    verb.app->add_option("FILE", check.files, "any file of configs/ or bench/validation/")
        ->required();
    verb.app->add_option("--as", check.as, "read models as of a family (podsim list families)")
        ->type_name("FAMILY");
    verb.add(check.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{verb.app->help()};
    return check;
}

Command parse_validate(const std::vector<std::string>& arguments) {
    Verb verb("validate");
    ValidateCommand validate;
    verb.app->add_option("SUITE", validate.suites, "suites or files; none: all suites");
    verb.app->add_flag("--json", validate.json, "as JSON");
    verb.app->add_flag("--summary", validate.summary, "one line per suite");
    verb.app->add_flag("--markdown", validate.markdown, "the page docs/accuracy.md");
    verb.app->add_option("--suites", validate.suites_folder, "folder of validation suites")
        ->type_name("DIR");
    verb.app->add_option("--data", validate.data, "folder of the measured tables")
        ->type_name("DIR");
    verb.add(validate.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{verb.app->help()};
    if (validate.json + validate.summary + validate.markdown > 1) {
        verb.fail("", "--json, --summary and --markdown are three ways of saying the same",
                  "choose one");
    }
    return validate;
}

Command parse_diff(const std::vector<std::string>& arguments) {
    Verb verb("diff");
    DiffCommand diff;
    std::string top;
    CLI::App& app = *verb.app;
    app.add_option(
           "RESULT", diff.files,
           "two result.json, their folders, or RESULT:ALTERNATIVE; one: of its alternatives")
        ->required();
    app.add_option("--alternative", diff.alternatives,
                   "which one of both; twice: that of the first, that of the second")
        ->type_name("NAME")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
    app.add_option("--top", top, "rows of the table; the rest is gathered [20]")->type_name("N");
    app.add_flag("--json", diff.json, "every part as JSON, in whole picoseconds");
    if (!verb.parse(arguments)) return PrintCommand{app.help()};
    if (diff.files.size() > 2) {
        verb.fail("", fmt::format("{} results, two are compared", diff.files.size()),
                  "see podsim diff --help");
    }
    if (diff.alternatives.size() > 2) {
        verb.fail("--alternative",
                  fmt::format("given {} times, once or twice is meant", diff.alternatives.size()),
                  "see podsim diff --help");
    }
    if (!top.empty()) {
        const auto [end, error] = std::from_chars(top.data(), top.data() + top.size(), diff.top);
        if (error != std::errc() || end != top.data() + top.size() || diff.top < 1) {
            verb.fail("--top", top + " is not a whole number of rows above 0", "");
        }
    }
    return diff;
}

Command parse_calibrate(const std::vector<std::string>& arguments) {
    Verb verb("calibrate");
    CalibrateCommand calibrate;
    CLI::App& app = *verb.app;
    app.add_option("LIBRARY", calibrate.library, "kernel or collective library")->required();
    app.add_option("--table", calibrate.table, "a table instead of the library's own")
        ->type_name("ADAPTER:FILE");
    const auto add_list = [&](const char* name, std::vector<std::string>& to, const char* help) {
        app.add_option(name, to, help)
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
            ->allow_extra_args(false);
    };
    app.add_option("--chip", calibrate.chip, "the chip the kernels were measured on");
    app.add_option("--system", calibrate.system, "the system the collectives were measured on");
    add_list("--filter", calibrate.filters, "COLUMN=WANTED: rows of the table that are meant");
    add_list("--column", calibrate.columns, "COLUMN=VALUE: a column that the table lacks");
    add_list("--part", calibrate.parts, "fit this alone: gemm.bf16, attention_decode ...");
    app.add_option("--data", calibrate.data, "folder of the measured tables")->type_name("DIR");
    app.add_option("--out", calibrate.out, "where the library goes [results/LIBRARY.yaml]")
        ->type_name("FILE");
    app.add_option("--date", calibrate.date, "what the record says [today]");
    app.add_flag("--json", calibrate.json, "as JSON");
    verb.add(calibrate.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{app.help()};
    return calibrate;
}

Command parse_characterize(const std::vector<std::string>& arguments) {
    Verb verb("characterize");
    CharacterizeCommand characterize;
    CLI::App& app = *verb.app;
    app.add_option("CHIP", characterize.chip, "a chip, or a file of one")->required();
    app.add_option("--kernels", characterize.kernels, "kernel library [the chip's own]")
        ->type_name("NAME");
    app.add_option("--svg", characterize.svg, "write the plots into this folder")->type_name("DIR");
    bool no_cache = false;
    app.add_flag("--no-cache", no_cache, "measure the memory anew, keep nothing on disk");
    app.add_flag("--json", characterize.json, "as JSON");
    verb.add(characterize.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{app.help()};
    characterize.cache = !no_cache;
    return characterize;
}

Command parse_trace(const std::vector<std::string>& arguments) {
    Verb verb("trace");
    TraceCommand trace;
    CLI::App& app = *verb.app;
    app.add_option("FILE", trace.files,
                   "files of a trace or their folder, or a request trace; with --write an "
                   "experiment")
        ->required();
    app.add_option("--write", trace.write, "write the experiment's program there as Chakra")
        ->type_name("DIR");
    app.add_option("--alternative", trace.alternative, "of the experiment [the first]")
        ->type_name("NAME");
    app.add_flag("--json", trace.json, "as JSON");
    verb.add(trace.inputs, true);
    if (!verb.parse(arguments)) return PrintCommand{app.help()};
    if (!trace.write.empty() && trace.files.size() > 1)
        verb.fail("--write", "one experiment is written at a time", "give one FILE");
    return trace;
}

Command parse_schema(const std::vector<std::string>& arguments) {
    Verb verb("schema");
    SchemaCommand schema;
    verb.app->add_option("--out", schema.out, "where they go [docs/schemas]")->type_name("DIR");
    verb.add(schema.inputs, false);
    if (!verb.parse(arguments)) return PrintCommand{verb.app->help()};
    return schema;
}

std::string overview() {
    std::string text =
        "podsim simulates clusters of AI accelerators: how fast, how full, how dear, why.\n\n"
        "Usage: podsim VERB [ARGS]\n\nVerbs:\n";
    for (const auto& [name, sentence] : verb_table()) {
        text += fmt::format("  {:<13}{}\n", name, sentence);
    }
    text +=
        "\nOptions:\n"
        "  --help    this text; podsim VERB --help for one verb\n"
        "  --version the program's and its models' version\n\n"
        "Exit status: 0 ok, 1 a check failed, 2 bad input, 3 audit, 4 internal error.\n";
    return text;
}

}  // namespace

const std::vector<std::pair<std::string, std::string>>& verb_table() {
    static const std::vector<std::pair<std::string, std::string>> verbs = {
        {"run", "Run experiments, compare their alternatives, write the results."},
        {"plan", "Search mappings of a training step, or the smallest fleet."},
        {"validate", "Hold podsim against published measurements."},
        {"diff", "Which operators, transfers and waits make two results differ."},
        {"calibrate", "Fit a kernel or collective library's habits to measured tables."},
        {"characterize", "One chip: roofline, memory, GEMM efficiency, gaps between levels."},
        {"list", "What exists: chips, systems, models, metrics ..."},
        {"show", "One thing with every number's source."},
        {"check", "Validate configuration files without running them."},
        {"trace", "What an execution or request trace holds; or write one."},
        {"schema", "Write JSON Schemas of the configuration files."},
    };
    return verbs;
}

Command parse_command_line(const std::vector<std::string>& arguments) {
    const Place place{"podsim", 0, 0};
    if (arguments.empty()) {
        throw InputError(place, "", "a verb is missing", "see podsim --help");
    }
    const std::string& first = arguments.front();
    if (first == "--help" || first == "-h" || first == "help") return PrintCommand{overview()};
    if (first == "--version") {
        return PrintCommand{
            fmt::format("podsim {}, model code {}\n", PODSIM_VERSION, kModelCodeVersion)};
    }
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    if (first == "run") return parse_run(rest);
    if (first == "plan") return parse_plan(rest);
    if (first == "list") return parse_list(rest);
    if (first == "show") return parse_show(rest);
    if (first == "check") return parse_check(rest);
    if (first == "validate") return parse_validate(rest);
    if (first == "diff") return parse_diff(rest);
    if (first == "calibrate") return parse_calibrate(rest);
    if (first == "characterize") return parse_characterize(rest);
    if (first == "trace") return parse_trace(rest);
    if (first == "schema") return parse_schema(rest);
    if (first[0] == '-') {
        throw InputError(place, "", "unknown option " + first,
                         "options follow the verb: podsim VERB [ARGS]; see podsim --help");
    }
    std::vector<std::string> names;
    for (const auto& verb : verb_table()) names.push_back(verb.first);
    throw InputError({unknown_name(place, "", "verb", first, names)});
}

}  // namespace podsim
