// A real result against the schema we publish, by a reader of the few words that schema uses.
#include "app/result_schema.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

bool is_of_type(const Json& value, const std::string& type) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "boolean") return value.is_boolean();
    return type == "null" && value.is_null();
}

void check(const Json& value, const Json& schema, const std::string& path,
           std::vector<std::string>& problems) {
    if (schema.contains("const") && value != schema["const"]) problems.push_back(path + ": const");
    if (schema.contains("type")) {
        const Json types =
            schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
        const bool fits = std::any_of(types.begin(), types.end(), [&](const Json& type) {
            return is_of_type(value, type.get<std::string>());
        });
        if (!fits) problems.push_back(path + ": not " + types.dump());
    }
    if (value.is_array() && schema.contains("items")) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            check(value[i], schema["items"], path + "." + std::to_string(i), problems);
        }
    }
    if (!value.is_object()) return;
    for (const Json& key : schema.value("required", Json::array())) {
        if (!value.contains(key.get<std::string>()))
            problems.push_back(path + ": no " + key.dump());
    }
    const Json properties = schema.value("properties", Json::object());
    const Json others = schema.value("additionalProperties", Json(true));
    for (const auto& [key, item] : value.items()) {
        if (properties.contains(key)) {
            check(item, properties[key], path + "." + key, problems);
        } else if (others.is_object()) {
            check(item, others, path + "." + key, problems);
        } else if (others == false) {
            problems.push_back(path + "." + key + ": unknown");
        }
    }
}

TEST(ResultSchema, HoldsForResultsOfEachKind) {
    const Folder folder;
    folder.write("product.yaml", kGemm);
    folder.write("decode.yaml", kDecode);
    folder.write("exchange.yaml",
                 "experiment: One exchange\n"
                 "workload: {kind: collective, collective: {type: all_reduce, ranks: 8, bytes: 1 "
                 "MB}}\n"
                 "alternatives: [{name: H800, system: h800-ib, chips: 8}]\n");
    for (const char* file : {"product.yaml", "decode.yaml", "exchange.yaml"}) {
        const Outcome outcome = folder.podsim({"run", file, "--json"});
        ASSERT_EQ(outcome.code, 0) << outcome.err;
        std::vector<std::string> problems;
        check(Json::parse(outcome.out), result_schema(), file, problems);
        EXPECT_EQ(problems, std::vector<std::string>{});
    }
}

TEST(ResultSchema, TheReaderOfThisTestSeesWhatIsWrong) {
    const Folder folder;
    folder.write("product.yaml", kGemm);
    Json result = Json::parse(folder.podsim({"run", "product.yaml", "--json"}).out);
    result["seed"] = "1";
    result["alternatives"][0].erase("chip");
    result["alternatives"][0]["metrics"]["operator_time"]["colour"] = 1;
    result["schema_version"] = 0;
    std::vector<std::string> problems;
    check(result, result_schema(), "r", problems);
    EXPECT_EQ(problems.size(), 4u);
}

}  // namespace
}  // namespace podsim
