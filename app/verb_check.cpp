#include <ostream>

#include "app/document_check.hpp"
#include "app/verbs.hpp"

namespace podsim {

ExitCode do_check(const CheckCommand& check, const Surroundings& surroundings, Streams streams) {
    const Catalog catalog = open_catalog(check.inputs, surroundings);
    std::vector<Diagnostic> problems;
    std::vector<std::string> breaches;
    for (const std::string& file : check.files) {
        try {
            print_warnings(check_file(file, catalog, check.as), streams);
            const auto broken = broken_laws(file, catalog);
            for (const std::string& law : broken) breaches.push_back(file + ": " + law);
            if (!broken.empty()) continue;
            streams.out << file << ": ok\n";
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    for (const std::string& breach : breaches) streams.err << "audit: " << breach << "\n";
    return breaches.empty() ? ExitCode::ok : ExitCode::audit;
}

}  // namespace podsim
