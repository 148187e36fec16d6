#include <ostream>

#include "app/document_check.hpp"
#include "app/verbs.hpp"

namespace podsim {

ExitCode do_check(const CheckCommand& check, const Surroundings& surroundings, Streams streams) {
    const Catalog catalog = open_catalog(check.inputs, surroundings);
    std::vector<Diagnostic> problems;
    for (const std::string& file : check.files) {
        try {
            check_file(file, catalog);
            streams.out << file << ": ok\n";
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return ExitCode::ok;
}

}  // namespace podsim
