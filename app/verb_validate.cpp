#include <ostream>

#include "app/accuracy_page.hpp"
#include "app/inventory.hpp"
#include "app/validation_table.hpp"
#include "app/verbs.hpp"
#include "sim/validation.hpp"

namespace podsim {

namespace {

std::vector<std::string> files_of(const ValidateCommand& validate,
                                  const std::string& suites_folder) {
    const Place place{"podsim validate", 0, 0};
    std::vector<std::string> names = validate.suites;
    if (names.empty()) names = suite_names(suites_folder);
    if (names.empty()) {
        throw InputError({suites_folder, 0, 0}, "", "there are no suites in this folder",
                         "name another with --suites");
    }
    std::vector<std::string> files;
    std::vector<Diagnostic> problems;
    for (const std::string& name : names) {
        try {
            files.push_back(suite_file(name, suites_folder, place));
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return files;
}

}  // namespace

ExitCode do_validate(const ValidateCommand& validate, const Surroundings& surroundings,
                     Streams streams) {
    Catalog catalog = open_catalog(validate.inputs, surroundings);
    const std::string root = find_configs_root(validate.inputs.configs, surroundings);
    const std::string folder = find_suites_folder(validate.suites_folder, root);
    const std::string data = find_data_folder(validate.data, root, surroundings);
    catalog.set_data_folder(data);
    RunOptions options;
    options.neighbour = false;
    std::vector<SuiteReport> reports;
    bool passed = true, sound = true;
    for (const std::string& file : files_of(validate, folder)) {
        if (surroundings.terminal) streams.err << "\r\033[K" << file << std::flush;
        reports.push_back(run_suite(read_yaml(file), catalog, options, data));
        if (surroundings.terminal) streams.err << "\r\033[K" << std::flush;
        passed = passed && reports.back().passed;
        for (const CaseReport& one : reports.back().cases) sound = sound && one.audit_passed;
        // A long list is read while it grows.
        if (!validate.json && !validate.markdown) {
            streams.out << (validate.summary ? suite_summary(reports.back())
                                             : suite_table(reports.back()))
                        << std::flush;
        }
    }
    if (validate.markdown) streams.out << accuracy_page(reports);
    if (validate.json) streams.out << to_json(reports).dump(2) << "\n";
    if (!sound) {
        streams.err << "audit: a case breaks a law of the audit; podsim run says which\n";
        return ExitCode::audit;
    }
    return passed ? ExitCode::ok : ExitCode::check_failed;
}

}  // namespace podsim
