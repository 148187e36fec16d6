#include "app/result_file.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "app/input_file.hpp"
#include "base/diagnostic.hpp"
#include "base/document.hpp"
#include "base/text_file.hpp"
#include "sim/result_read.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
    std::error_code error;
    return fs::exists(path, error);
}

// A name may hold colons, and so may a path: what is there is the path.
std::pair<std::string, std::string> split(const std::string& argument) {
    if (exists(argument)) return {argument, ""};
    for (std::size_t colon = argument.rfind(':'); colon != std::string::npos && colon > 0;
         colon = argument.rfind(':', colon - 1)) {
        if (exists(argument.substr(0, colon)))
            return {argument.substr(0, colon), argument.substr(colon + 1)};
    }
    return {argument, ""};
}

[[noreturn]] void fail_no_result(const std::string& file) {
    throw InputError({file, 0, 0}, "", "is not a result of podsim run",
                     "podsim run EXPERIMENT writes results/EXPERIMENT/result.json");
}

std::string names_of(const Result& result) {
    std::string names;
    for (const AlternativeResult& one : result.alternatives)
        names += (names.empty() ? "" : ", ") + one.name;
    return names;
}

std::optional<std::size_t> find(const Result& result, const std::string& name) {
    for (std::size_t i = 0; i < result.alternatives.size(); ++i) {
        if (result.alternatives[i].name == name) return i;
    }
    return std::nullopt;
}

std::size_t named(const ResultFile& file, const std::string& name) {
    if (const auto index = find(file.result, name)) return *index;
    std::vector<std::string> known;
    for (const AlternativeResult& one : file.result.alternatives) known.push_back(one.name);
    throw InputError({unknown_name({file.file, 0, 0}, "alternatives", "alternative", name, known)});
}

// The one that goes with `other` of the other side.
std::size_t counterpart(const ResultFile& file, const std::string& other) {
    if (const auto index = find(file.result, other)) return *index;
    if (file.result.alternatives.size() == 1) return 0;
    throw InputError({file.file, 0, 0}, "alternatives",
                     fmt::format("none of {} is called {}", file.result.alternatives.size(), other),
                     "name one: " + file.file + ":NAME, of " + names_of(file.result));
}

}  // namespace

ResultFile read_result_file(const std::string& argument) {
    ResultFile file;
    std::tie(file.file, file.alternative) = split(argument);
    std::error_code error;
    if (fs::is_directory(file.file, error)) {
        const std::string inside = (fs::path(file.file) / "result.json").string();
        if (!exists(inside)) {
            throw InputError({file.file, 0, 0}, "", "there is no result.json in this folder",
                             "podsim run --out writes one");
        }
        file.file = inside;
    }
    require_input_file(file.file);
    if (fs::path(file.file).extension() != ".json") fail_no_result(file.file);
    (void)read_json(file.file);  // says where it is no JSON
    // Values, and not how a library wrote them: 1e+15 and 1000000000000000.0 are one number.
    const auto json = nlohmann::ordered_json::parse(read_text_file(file.file));
    if (!json.is_object() || !json.contains("schema_version") || !json.contains("alternatives"))
        fail_no_result(file.file);
    if (json["schema_version"] != kResultSchemaVersion) {
        throw InputError(
            {file.file, 0, 0}, "schema_version",
            fmt::format("{}, expected {}", json["schema_version"].dump(), kResultSchemaVersion),
            "run it again from itself: podsim run " + file.file);
    }
    try {
        file.result = read_result(json);
    } catch (const std::runtime_error& problem) {
        throw InputError({file.file, 0, 0}, "", problem.what(),
                         "it was changed after podsim run wrote it");
    }
    if (file.result.alternatives.empty())
        throw InputError({file.file, 0, 0}, "alternatives", "there is none", "");
    return file;
}

std::vector<AlternativePair> pairs_of_two(const ResultFile& a, const ResultFile& b,
                                          const std::vector<std::string>& wanted) {
    const std::string of_a =
        !a.alternative.empty() || wanted.empty() ? a.alternative : wanted.front();
    const std::string of_b =
        !b.alternative.empty() || wanted.empty() ? b.alternative : wanted.back();
    const auto& in_a = a.result.alternatives;
    const auto& in_b = b.result.alternatives;
    if (!of_a.empty() && !of_b.empty()) return {{named(a, of_a), named(b, of_b)}};
    if (!of_a.empty()) {
        const std::size_t first = named(a, of_a);
        return {{first, counterpart(b, of_a)}};
    }
    if (!of_b.empty()) {
        const std::size_t second = named(b, of_b);
        return {{counterpart(a, of_b), second}};
    }
    std::vector<AlternativePair> pairs;
    for (std::size_t i = 0; i < in_a.size(); ++i) {
        if (const auto other = find(b.result, in_a[i].name)) pairs.emplace_back(i, *other);
    }
    if (pairs.empty() && in_a.size() == 1 && in_b.size() == 1) pairs.emplace_back(0, 0);
    if (!pairs.empty()) return pairs;
    throw InputError({b.file, 0, 0}, "alternatives",
                     fmt::format("none bears the name of one of {}: {} there, {} here", a.file,
                                 names_of(a.result), names_of(b.result)),
                     "name one of each: RESULT:ALTERNATIVE");
}

AlternativePair pair_of_one(const ResultFile& file, const std::vector<std::string>& wanted) {
    const Place place{file.file, 0, 0};
    if (!file.alternative.empty()) {
        throw InputError(place, "", "one alternative of one result, two are compared",
                         "name the other as a second RESULT:ALTERNATIVE");
    }
    if (wanted.size() == 2) return {named(file, wanted[0]), named(file, wanted[1])};
    const std::size_t count = file.result.alternatives.size();
    if (count == 2 && wanted.empty()) return {0, 1};
    if (count == 1) {
        throw InputError(place, "alternatives", "there is one alone, two are compared",
                         "give a second result");
    }
    throw InputError(place, "alternatives", fmt::format("there are {}, two are compared", count),
                     "name them: --alternative A --alternative B, of " + names_of(file.result));
}

}  // namespace podsim
