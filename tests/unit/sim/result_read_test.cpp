// A result read back is the result that was written, and an audit of it finds the same.
#include "sim/result_read.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <stdexcept>

#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

Result written(const Audited& audited) {
    Result result;
    result.experiment = "EP320";
    result.kind = audited.kind;
    result.seed = 7;
    result.alternatives = {audited.result};
    result.configuration = audited.configuration;
    return result;
}

TEST(ResultRead, GivesBackWhatWasWritten) {
    for (const Audited& audited : {hand_worked_step(), audited_cloudmatrix()}) {
        const Json json = to_json(written(audited));
        const Result again = read_result(Json::parse(json.dump()));
        EXPECT_EQ(to_json(again), json);
        const Audited read = {again.alternatives.front(), again.kind, again.configuration};
        EXPECT_EQ(read.broken(), Laws{});
    }
}

// Other libraries write whole numbers with a point, and numbers that are whole without one.
Json written_again(Json json, bool with_point) {
    if (json.is_structured()) {
        for (Json& value : json) value = written_again(value, with_point);
    } else if (with_point && json.is_number_integer()) {
        return json.get<double>();
    } else if (!with_point && json.is_number_float()) {
        const double value = json.get<double>();
        if (std::trunc(value) == value && std::abs(value) < 1e15) return static_cast<long>(value);
    }
    return json;
}

TEST(ResultRead, NumbersOfEqualValueAreEqual) {
    const Json json = to_json(written(audited_cloudmatrix()));
    for (const bool with_point : {false, true}) {
        const Json other = written_again(json, with_point);
        ASSERT_NE(other.dump(), json.dump());
        Json again = to_json(read_result(other));
        again["configuration"] = json["configuration"];  // kept as it was written
        EXPECT_EQ(again.dump(), json.dump());
    }
}

TEST(ResultRead, TamperedFileBreaksItsLaw) {
    Json json = to_json(written(audited_cloudmatrix()));
    json["alternatives"][0]["metrics"]["decode_tokens_per_second_per_chip"]["value"] = 1e5;
    const Result again = read_result(json);
    const Audited read = {again.alternatives.front(), again.kind, again.configuration};
    EXPECT_EQ(read.broken(), Laws{kRates});
}

TEST(ResultRead, NumbersThatAreNoneStayNone) {
    Audited audited = hand_worked_step();
    audited.result.totals.hbm_bytes = std::nan("");
    const Result again = read_result(to_json(written(audited)));
    EXPECT_TRUE(std::isnan(again.alternatives[0].totals.hbm_bytes));
}

std::string problem_of(const Json& json) {
    try {
        read_result(json);
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "none";
}

TEST(ResultRead, SaysWhatIsMissingOrOfAnotherKind) {
    const Json sound = to_json(written(hand_worked_step()));
    EXPECT_EQ(problem_of(sound), "none");
    Json json = sound;
    json["alternatives"][0]["totals"].erase("flops");
    EXPECT_EQ(problem_of(json), "alternatives.0.totals.flops: is missing");
    json = sound;
    json["alternatives"][0]["memory"][0]["ranks"] = "many";
    EXPECT_EQ(problem_of(json), "alternatives.0.memory.0.ranks: expected a whole number");
    json = sound;
    json["alternatives"][0]["packages"] = 2.5;
    EXPECT_EQ(problem_of(json), "alternatives.0.packages: expected a whole number");
    json["alternatives"][0]["packages"] = 1e12;
    EXPECT_EQ(problem_of(json), "alternatives.0.packages: is too large a number");
    json["alternatives"][0]["packages"] = 1000000000000;
    EXPECT_EQ(problem_of(json), "alternatives.0.packages: is too large a number");
    json = sound;
    json["alternatives"] = 3;
    EXPECT_EQ(problem_of(json), "alternatives: expected a list");
    json = sound;
    json["schema_version"] = kResultSchemaVersion + 1;
    EXPECT_EQ(problem_of(json).rfind("schema_version: ", 0), 0u);
    EXPECT_EQ(problem_of(Json::array()), "result: expected a map of keys");
}

}  // namespace
}  // namespace podsim
