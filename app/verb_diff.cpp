#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <ostream>
#include <stdexcept>

#include "app/comparison.hpp"
#include "app/diff_table.hpp"
#include "app/result_file.hpp"
#include "app/verbs.hpp"
#include "base/diagnostic.hpp"

namespace podsim {

namespace {

void require_same_kind(const ResultFile& a, const ResultFile& b) {
    if (a.result.kind == b.result.kind) return;
    throw InputError({b.file, 0, 0}, "kind",
                     fmt::format("{} workload, that of {} is {}: their steps have no parts in "
                                 "common",
                                 b.result.kind, a.file, a.result.kind),
                     "compare two of one kind");
}

StepDifference difference_of(const ResultFile& a, const AlternativeResult& of_a,
                             const ResultFile& b, const AlternativeResult& of_b) {
    try {
        return step_difference(of_a, of_b);
    } catch (const std::invalid_argument& problem) {
        const std::string both = a.file == b.file ? a.file : a.file + ", " + b.file;
        throw InputError({both, 0, 0}, "operators", problem.what(),
                         "it was changed after podsim run wrote it");
    }
}

// How unequal what the two rest on is, in the words of the table's columns.
std::string note_of(AlternativeResult a, AlternativeResult b) {
    a.name = "A";
    b.name = "B";
    Result both;
    both.alternatives = {std::move(a), std::move(b)};
    return unequal_provenance(both);
}

Diff diff_of(const ResultFile& a, const ResultFile& b, const AlternativePair& pair) {
    const AlternativeResult& of_a = a.result.alternatives[pair.first];
    const AlternativeResult& of_b = b.result.alternatives[pair.second];
    Diff diff;
    diff.kind = a.result.kind;
    diff.a = {a.file, a.result.experiment, of_a.name};
    diff.b = {b.file, b.result.experiment, of_b.name};
    diff.step = difference_of(a, of_a, b, of_b);
    diff.inputs = input_differences(a.result, of_a, b.result, of_b);
    diff.note = note_of(of_a, of_b);
    return diff;
}

// Laws that the alternatives compared break.
std::vector<std::string> breaches_of(const ResultFile& file, std::size_t alternative) {
    Result one;
    one.alternatives = {file.result.alternatives[alternative]};
    return audit_breaches(one);
}

}  // namespace

ExitCode do_diff(const DiffCommand& command, Streams streams) {
    const ResultFile a = read_result_file(command.files.front());
    const bool two = command.files.size() == 2;
    const ResultFile b = two ? read_result_file(command.files.back()) : a;
    require_same_kind(a, b);
    if (a.result.kind == "serving") {
        throw InputError({a.file, 0, 0}, "kind",
                         "served traffic has no one step whose parts could be told apart",
                         "compare a decode or prefill step at its mean batch (served.pools says "
                         "which)");
    }
    const std::vector<AlternativePair> pairs =
        two ? pairs_of_two(a, b, command.alternatives)
            : std::vector<AlternativePair>{pair_of_one(a, command.alternatives)};
    std::vector<Diff> diffs;
    ExitCode code = ExitCode::ok;
    for (const AlternativePair& pair : pairs) {
        diffs.push_back(diff_of(a, b, pair));
        for (const auto& [file, alternative] :
             {std::pair(&a, pair.first), std::pair(&b, pair.second)}) {
            for (const std::string& breach : breaches_of(*file, alternative)) {
                streams.err << "audit: " << file->file << ": " << breach << "\n";
                code = ExitCode::audit;
            }
        }
    }
    if (command.json) {
        auto all = nlohmann::ordered_json::array();
        for (const Diff& diff : diffs) all.push_back(to_json(diff));
        streams.out << nlohmann::ordered_json{{"pairs", all}}.dump(2) << "\n";
        return code;
    }
    for (const Diff& diff : diffs)
        streams.out << (&diff == &diffs.front() ? "" : "\n") << diff_table(diff, command.top);
    return code;
}

}  // namespace podsim
