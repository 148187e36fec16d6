#include "sim/input_difference.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;
using Values = std::vector<std::pair<std::string, std::string>>;  // path, text

std::string text_of(const Json& json) {
    return json.is_string() ? json.get<std::string>() : json.dump();
}

// Elements of a list go by their name where they have one.
std::string label_of(const Json& item, std::size_t index) {
    const bool named = item.is_object() && item.contains("name") && item["name"].is_string();
    return named ? item["name"].get<std::string>() : std::to_string(index);
}

// What is said about values is no input: no time depends on it.
bool is_said_about(const std::string& key) {
    static const std::set<std::string> keys = {"record", "calibration", "title",
                                               "source", "note",        "variant_of"};
    return keys.count(key) > 0;
}

void collect(const Json& json, const std::string& path, Values& values) {
    if (json.is_object() && json.contains("value")) {
        values.emplace_back(path, text_of(json["value"]));
    } else if (json.is_object()) {
        for (const auto& [key, item] : json.items()) {
            if (!is_said_about(key)) collect(item, path.empty() ? key : path + "." + key, values);
        }
    } else if (json.is_array()) {
        for (std::size_t i = 0; i < json.size(); ++i)
            collect(json[i], path + "." + label_of(json[i], i), values);
    } else {
        values.emplace_back(path, text_of(json));
    }
}

const Json& below(const Json& json, const std::string& key) {
    static const Json nothing;
    const auto found = json.is_object() ? json.find(key) : json.end();
    return json.is_object() && found != json.end() ? *found : nothing;
}

std::string text_below(const Json& json, const std::string& key) {
    const Json& value = below(json, key);
    return value.is_string() ? value.get<std::string>() : "";
}

// Names of documents are told apart from the rest.
Json without(Json json, const std::vector<std::string>& keys) {
    if (!json.is_object()) return json;
    for (const std::string& key : keys) json.erase(key);
    return json;
}

Json alternative_of(const Result& result, const std::string& name) {
    const Json& all = below(below(result.configuration, "experiment"), "alternatives");
    if (!all.is_array()) return {};
    for (const Json& one : all) {
        if (text_below(one, "name") != name) continue;
        return without(one, {"name", "system", "chip", "engine", "kernels", "collectives"});
    }
    return {};
}

const std::string* find(const Values& values, const std::string& path) {
    for (const auto& [known, text] : values) {
        if (known == path) return &text;
    }
    return nullptr;
}

void compare(const Json& a, const Json& b, const std::string& path,
             std::vector<InputDifference>& differences) {
    Values in_a, in_b;
    collect(a, path, in_a);
    collect(b, path, in_b);
    for (const auto& [where, text] : in_a) {
        const std::string* other = find(in_b, where);
        if (other == nullptr || *other != text)
            differences.push_back({where, text, other == nullptr ? "" : *other});
    }
    for (const auto& [where, text] : in_b) {
        if (find(in_a, where) == nullptr) differences.push_back({where, "", text});
    }
}

// The documents an alternative rests on: kind and name.
Values documents_of(const Result& result, const AlternativeResult& alternative) {
    const Json& experiment = below(result.configuration, "experiment");
    return {{"model", text_below(below(experiment, "workload"), "model")},
            {"system", alternative.system},
            {"chip", alternative.chip},
            {"engine", alternative.engine},
            {"kernels", alternative.kernels},
            {"collectives", alternative.collectives},
            {"prices", text_below(experiment, "prices")}};
}

}  // namespace

std::vector<InputDifference> input_differences(const Result& a, const AlternativeResult& of_a,
                                               const Result& b, const AlternativeResult& of_b) {
    std::vector<InputDifference> differences;
    const auto add = [&](const char* path, const std::string& one, const std::string& other) {
        if (one != other) differences.push_back({path, one, other});
    };
    add("model code", a.model_code, b.model_code);
    add("seed", std::to_string(a.seed), std::to_string(b.seed));
    add("fidelity", of_a.fidelity, of_b.fidelity);
    const Json &in_a = below(a.configuration, "experiment"),
               &in_b = below(b.configuration, "experiment");
    compare(without(below(in_a, "workload"), {"model"}),
            without(below(in_b, "workload"), {"model"}), "workload", differences);
    compare(alternative_of(a, of_a.name), alternative_of(b, of_b.name), "alternative", differences);
    // What a latency target came to.
    const Metric *batch_a = of_a.metric("batch_per_chip"), *batch_b = of_b.metric("batch_per_chip");
    if (batch_a != nullptr && batch_b != nullptr)
        add("batch_per_chip", fmt::format("{}", batch_a->value), fmt::format("{}", batch_b->value));
    const Values documents_a = documents_of(a, of_a), documents_b = documents_of(b, of_b);
    for (std::size_t i = 0; i < documents_a.size(); ++i) {
        const auto& [kind, name] = documents_a[i];
        add(kind.c_str(), name, documents_b[i].second);
        if (name != documents_b[i].second) continue;
        const std::string path = kind + "/" + name;
        compare(below(below(a.configuration, "documents"), path),
                below(below(b.configuration, "documents"), path), path, differences);
    }
    return differences;
}

}  // namespace podsim
