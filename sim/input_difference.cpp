#include "sim/input_difference.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>
#include <utility>

#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "interconnect/collective_library.hpp"
#include "interconnect/system.hpp"
#include "sim/experiment.hpp"
#include "sim/json_numbers.hpp"
#include "sim/price.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

struct Stated {
    std::string path, text;
    std::string otherwise;  // what holds where it is not stated, "" where the schema cannot say
};
using Values = std::vector<Stated>;

std::string text_of(const Json& json) {
    return json.is_string()   ? json.get<std::string>()
           : json.is_number() ? number_text(json)
                              : json.dump();
}

// Elements of a list go by their name where they have one.
std::string label_of(const Json& item, std::size_t index) {
    const bool named = item.is_object() && item.contains("name") && item["name"].is_string();
    return named ? item["name"].get<std::string>() : std::to_string(index);
}

// What is said about values is no input: no time depends on it.
bool is_said_about(const std::string& key) {
    static const std::set<std::string> keys = {"record", "calibration", "title",     "source",
                                               "note",   "ranges",      "variant_of"};
    return keys.count(key) > 0;
}

const Json& below(const Json& json, const std::string& key) {
    static const Json nothing;
    const auto found = json.is_object() ? json.find(key) : json.end();
    return json.is_object() && found != json.end() ? *found : nothing;
}

// The schema of a key of a map, of an entry or of an element of a list; null where there is none. A
// value that may say its source has two forms, of which the map is left out.
const Json& schema_below(const Json& schema, const std::string& key) {
    const Json& properties = below(schema, "properties");
    if (properties.is_object() && properties.contains(key)) return properties[key];
    return below(schema, "additionalProperties");
}

void collect(const Json& json, const Json& schema, const std::string& path, Values& values) {
    const auto state = [&](const Json& value) {
        const Json& otherwise = below(schema, "default");
        values.push_back(
            {path, text_of(value), otherwise.is_null() ? "" : text_of(otherwise) + " (default)"});
    };
    if (json.is_object() && json.contains("value")) {
        state(json["value"]);
    } else if (json.is_object()) {
        for (const auto& [key, item] : json.items()) {
            if (is_said_about(key)) continue;
            collect(item, schema_below(schema, key), path.empty() ? key : path + "." + key, values);
        }
    } else if (json.is_array()) {
        for (std::size_t i = 0; i < json.size(); ++i) {
            collect(json[i], below(schema, "items"), path + "." + label_of(json[i], i), values);
        }
    } else {
        state(json);
    }
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

const Stated* find(const Values& values, const std::string& path) {
    for (const Stated& one : values) {
        if (one.path == path) return &one;
    }
    return nullptr;
}

void compare(const Json& a, const Json& b, const Json& schema, const std::string& path,
             std::vector<InputDifference>& differences) {
    Values in_a, in_b;
    collect(a, schema, path, in_a);
    collect(b, schema, path, in_b);
    for (const Stated& one : in_a) {
        const Stated* other = find(in_b, one.path);
        if (other == nullptr || other->text != one.text)
            differences.push_back(
                {one.path, one.text, other == nullptr ? one.otherwise : other->text});
    }
    for (const Stated& one : in_b) {
        if (find(in_a, one.path) == nullptr)
            differences.push_back({one.path, one.otherwise, one.text});
    }
}

// What a document of a kind may say; null for a model, whose keys are Hugging Face's.
Json schema_of(const std::string& kind) {
    if (kind == "system") return system_schema();
    if (kind == "chip") return chip_schema();
    if (kind == "engine") return engine_schema();
    if (kind == "kernels") return kernel_library_schema();
    if (kind == "collectives") return collective_library_schema();
    if (kind == "prices") return price_schema();
    return {};
}

// The documents an alternative rests on: kind and name.
using Names = std::vector<std::pair<std::string, std::string>>;
Names documents_of(const Result& result, const AlternativeResult& alternative) {
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
    const Json schema = experiment_schema();
    compare(without(below(in_a, "workload"), {"model"}),
            without(below(in_b, "workload"), {"model"}), schema_below(schema, "workload"),
            "workload", differences);
    compare(alternative_of(a, of_a.name), alternative_of(b, of_b.name),
            below(schema_below(schema, "alternatives"), "items"), "alternative", differences);
    // What a latency target came to.
    const Metric *batch_a = of_a.metric("batch_per_chip"), *batch_b = of_b.metric("batch_per_chip");
    if (batch_a != nullptr && batch_b != nullptr)
        add("batch_per_chip", fmt::format("{}", batch_a->value), fmt::format("{}", batch_b->value));
    const Names documents_a = documents_of(a, of_a), documents_b = documents_of(b, of_b);
    for (std::size_t i = 0; i < documents_a.size(); ++i) {
        const auto& [kind, name] = documents_a[i];
        add(kind.c_str(), name, documents_b[i].second);
        if (name != documents_b[i].second) continue;
        const std::string path = kind + "/" + name;
        compare(below(below(a.configuration, "documents"), path),
                below(below(b.configuration, "documents"), path), schema_of(kind), path,
                differences);
    }
    return differences;
}

}  // namespace podsim
