#include "base/form.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdint>

#include "base/fit_record.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

enum class Format { bf16, fp8, int8 };
const std::vector<std::pair<const char*, Format>>& names_of(const Format*) {
    static const std::vector<std::pair<const char*, Format>> names{
        {"bf16", Format::bf16}, {"fp8", Format::fp8}, {"int8", Format::int8}};
    return names;
}

struct MemorySpec {
    Sourced<Bytes> capacity;
    double efficiency = 0.9;
};
template <class Form>
void describe(Form& form, MemorySpec& spec) {
    form.required("capacity", spec.capacity, "memory of a package", positive());
    form.optional("efficiency", spec.efficiency, "share of peak a stream reaches",
                  share_above_zero());
}

struct ChipLikeSpec {
    std::string name;
    int ranks = 1;
    long rows = 16;
    std::uint64_t seed = 1;
    bool separate = false;
    Format format = Format::bf16;
    Seconds launch{3e-6};
    MemorySpec memory;
    std::map<Format, Sourced<FlopsPerSecond>> peak;
    std::map<std::string, double> shares;
    std::vector<MemorySpec> levels;
    std::vector<Sourced<long>> counts;
    std::optional<Seconds> limit;
    Sourced<std::string> technology;
    Node rest;
};
template <class Form>
void describe(Form& form, ChipLikeSpec& spec) {
    form.required("name", spec.name, "what it is called");
    form.optional("ranks", spec.ranks, "programs a package runs", at_least(1));
    form.optional("rows", spec.rows, "rows a matrix instruction pads to", positive());
    form.optional("seed", spec.seed, "of the random numbers");
    form.optional("separate", spec.separate, "vector work leaves the matrix cores free");
    form.optional("format", spec.format, "number format");
    form.optional("launch", spec.launch, "fixed cost of a kernel", non_negative());
    form.required("memory", spec.memory, "HBM");
    form.optional("peak", spec.peak, "of the matrix units", positive());
    form.optional("shares", spec.shares, "by name", share());
    form.optional("levels", spec.levels, "of memory");
    form.optional("counts", spec.counts, "some counts", positive());
    form.optional("limit", spec.limit, "latency limit", positive());
    form.optional("technology", spec.technology, "of the link");
    form.optional("rest", spec.rest, "whatever else");
    if (form.ok() && spec.ranks > spec.rows) form.problem("ranks", "more than rows", "fewer");
}

const std::string memory_line = "memory: {capacity: 64 GB}\n";

ChipLikeSpec read_text(const std::string& text) {
    return read<ChipLikeSpec>(parse_yaml(text, "f.yaml"), "");
}

std::string error_of(const std::string& text) {
    try {
        read_text(text);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

// The error that `line` gives in an otherwise right document, of which it is line 3.
std::string error_of_line(const std::string& line) {
    return error_of("name: x\n" + memory_line + line + "\n");
}

TEST(ReadForm, FillsEveryKindOfField) {
    const ChipLikeSpec spec = read_text(
        "name: 910\nranks: 2\nrows: 32\nseed: 18446744073709\nseparate: yes\nformat: fp8\n"
        "launch: 2.5 us\n"
        "memory:\n"
        "  capacity: {value: 64 GB, low: 60 GB, high: 64 GB, source: s, confidence: vendor, note: "
        "n}\n"
        "  efficiency: 85 %\n"
        "peak: {bf16: 376 TFLOPS, int8: {value: '752 TOPS', source: t}}\n"
        "shares: {a: 0.25, b.c: 1}\n"
        "levels: [{capacity: 1 MiB}, {capacity: 2 GiB, efficiency: 1}]\n"
        "counts: [1, {value: 2, confidence: rumour}]\n"
        "limit: 50 ms\n"
        "technology: {value: UB, source: u}\n"
        "rest: {any: [thing]}\n");
    EXPECT_EQ(spec.name, "910");
    EXPECT_EQ(spec.ranks, 2);
    EXPECT_EQ(spec.rows, 32);
    EXPECT_EQ(spec.seed, 18446744073709u);
    EXPECT_TRUE(spec.separate);
    EXPECT_EQ(spec.format, Format::fp8);
    EXPECT_EQ(spec.launch, Seconds(2.5e-6));
    EXPECT_EQ(*spec.memory.capacity, Bytes(64e9));
    EXPECT_EQ(spec.memory.capacity.low, Bytes(60e9));
    EXPECT_EQ(spec.memory.capacity.high, Bytes(64e9));
    EXPECT_EQ(spec.memory.capacity.source, "s");
    EXPECT_EQ(spec.memory.capacity.confidence, Confidence::vendor);
    EXPECT_EQ(spec.memory.capacity.note, "n");
    EXPECT_EQ(spec.memory.efficiency, 0.85);
    ASSERT_EQ(spec.peak.size(), 2u);
    EXPECT_EQ(*spec.peak.at(Format::int8), FlopsPerSecond(752e12));
    EXPECT_EQ(spec.peak.at(Format::int8).source, "t");
    EXPECT_EQ(spec.shares.at("b.c"), 1.0);
    ASSERT_EQ(spec.levels.size(), 2u);
    EXPECT_EQ(*spec.levels[1].capacity, Bytes(2147483648.0));
    EXPECT_EQ(*spec.counts[1], 2);
    EXPECT_EQ(spec.counts[1].confidence, Confidence::rumour);
    EXPECT_EQ(spec.limit, Seconds(0.05));
    EXPECT_EQ(*spec.technology, "UB");
    EXPECT_EQ(spec.rest.find("any")->items[0].text, "thing");
}

TEST(ReadForm, AbsentAndNullOptionsKeepTheirDefaults) {
    const ChipLikeSpec spec =
        read_text("name: x\n" + memory_line + "ranks: null\nlimit: ~\nlevels: null\n");
    EXPECT_EQ(spec.ranks, 1);
    EXPECT_FALSE(spec.limit.has_value());
    EXPECT_EQ(spec.launch, Seconds(3e-6));
    EXPECT_EQ(spec.memory.capacity.confidence, Confidence::assumed);
    EXPECT_FALSE(spec.memory.capacity.low.has_value());
    // an empty value is a slip and no way to say so
    EXPECT_EQ(error_of_line("ranks:"),
              "f.yaml:3:1: ranks: a whole number was expected, this is nothing");
    EXPECT_EQ(error_of("name: ~\n" + memory_line),
              "f.yaml:1:7: name: a text was expected, this is nothing");
}

TEST(ReadForm, AllProblemsAreToldAtTheirPlaces) {
    EXPECT_EQ(error_of("ranks: 0\n"
                       "memory:\n"
                       "  capasity: 64 GB\n"
                       "  efficiency: 1.5\n"
                       "peak: {bf17: 1 TFLOPS, bf16: -1 TFLOPS}\n"
                       "levels: [{capacity: 1 GB}, {}]\n"),
              "f.yaml:1:1: name: is missing (what it is called)\n"
              "f.yaml:1:8: ranks: a value of at least 1 was expected, this is \"0\"\n"
              "f.yaml:3:3: memory.capacity: is missing (memory of a package)\n"
              "f.yaml:4:15: memory.efficiency: a share above 0, at most 1 was expected, this is "
              "\"1.5\"\n"
              "f.yaml:3:3: memory.capasity: unknown key capasity (did you mean capacity? known: "
              "capacity, efficiency)\n"
              "f.yaml:5:8: peak.bf17: unknown key bf17 (did you mean bf16? known: bf16, fp8, "
              "int8)\n"
              "f.yaml:5:30: peak.bf16: a value above 0 was expected, this is \"-1 TFLOPS\"\n"
              "f.yaml:6:28: levels.1.capacity: is missing (memory of a package)");
}

TEST(ReadForm, UnitsAndNumbers) {
    EXPECT_EQ(error_of_line("launch: 3"),
              "f.yaml:3:9: launch: bare number 3: a unit belongs here, expected a time such as 929 "
              "ns");
    EXPECT_THAT(error_of_line("launch: .nan"),
                HasSubstr("f.yaml:3:9: launch: \".nan\" is not a finite"));
    EXPECT_THAT(error_of_line("launch: -1 us"), HasSubstr("a value of 0 or more was expected"));
    EXPECT_THAT(error_of_line("launch: [1 us]"), HasSubstr("expected, this is a list"));
    EXPECT_THAT(error_of_line("launch: {value: 1 us}"), HasSubstr("expected, this is a map"));
    EXPECT_THAT(error_of_line("limit: 0 s"), HasSubstr("limit: a value above 0 was expected"));
    EXPECT_THAT(error_of_line("limit:"), HasSubstr("limit: a time such as 929 ns was expected"));
    EXPECT_THAT(error_of_line("shares: {a: 1.01}"),
                HasSubstr("f.yaml:3:13: shares.a: a share from 0 to 1 was expected"));
    EXPECT_THAT(error_of_line("shares: {a: -0.01}"), HasSubstr("a share from 0 to 1"));
    EXPECT_THAT(error_of_line("shares: {a: .inf}"), HasSubstr("not a finite number"));
    EXPECT_THAT(error_of_line("shares: {a: 1 GB}"), HasSubstr("has a unit, none belongs here"));
    EXPECT_THAT(error_of_line("shares: {a: '0.5'}"), HasSubstr("(without quotes)"));
    EXPECT_EQ(error_of_line("shares: {a: '50 %', b: 0, c: 100%}"), "");
    EXPECT_THAT(error_of_line("shares: {a: " + std::string(1000, '1') + "}"), HasSubstr("1...\""));
}

TEST(ReadForm, WholeNumbers) {
    EXPECT_EQ(
        error_of_line("rows: 8.0"),
        "f.yaml:3:7: rows: a whole number was expected, this is \"8.0\" (write all digits and "
        "no point)");
    EXPECT_THAT(error_of_line("rows: 1e3"), HasSubstr("(write all digits and no point)"));
    EXPECT_THAT(error_of_line("rows: 010"), HasSubstr("(without leading zeros)"));
    EXPECT_THAT(error_of_line("rows: 1_000"), HasSubstr("(without separators)"));
    EXPECT_THAT(error_of_line("rows: 4096 tokens"), HasSubstr("(without a unit)"));
    EXPECT_THAT(error_of_line("rows: '8'"), HasSubstr("(without quotes)"));
    EXPECT_THAT(error_of_line("rows: many"), HasSubstr("a whole number was expected"));
    EXPECT_THAT(error_of_line("rows: 0x10"), HasSubstr("a whole number was expected"));
    EXPECT_THAT(error_of_line("rows: .inf"), HasSubstr("a whole number was expected"));
    EXPECT_THAT(error_of_line("rows: +8"), HasSubstr("a whole number was expected"));
    EXPECT_THAT(error_of_line("rows: [8]"), HasSubstr("this is a list"));
    EXPECT_THAT(error_of_line("rows: -3"), HasSubstr("a value above 0 was expected"));
    EXPECT_THAT(error_of_line("ranks: 2147483648"),
                HasSubstr("a whole number from -2147483648 to 2147483647 was expected"));
    EXPECT_THAT(error_of_line("rows: 99999999999999999999"), HasSubstr("a whole number from"));
    EXPECT_THAT(error_of_line("seed: -1"), HasSubstr("a whole number from 0 to"));
    EXPECT_EQ(error_of_line("rows: 9223372036854775807\nranks: 1"), "");
}

TEST(ReadForm, ChoicesTextsAndContainers) {
    EXPECT_EQ(error_of_line("format: fp9"),
              "f.yaml:3:9: format: one of bf16, fp8, int8 was expected, this is \"fp9\" (did you "
              "mean fp8?)");
    EXPECT_THAT(error_of_line("format: [fp8]"), HasSubstr("this is a list"));
    EXPECT_THAT(error_of_line("separate: maybe"), HasSubstr("true or false was expected"));
    EXPECT_THAT(error_of_line("separate: 'yes'"), HasSubstr("true or false was expected"));
    EXPECT_EQ(error_of_line("separate: false"), "");
    EXPECT_THAT(error_of_line("technology: [a]"), HasSubstr("technology: a text was expected"));
    EXPECT_THAT(error_of_line("levels: {a: 1}"),
                HasSubstr("levels: a list was expected, this is a map"));
    EXPECT_THAT(error_of_line("levels: [64 GB]"), HasSubstr("levels.0: a map was expected"));
    EXPECT_THAT(error_of_line("shares: [1]"),
                HasSubstr("shares: a map was expected, this is a list"));
    EXPECT_THAT(error_of("[1]"), HasSubstr("f.yaml:1:1: a map was expected, this is a list"));
    EXPECT_THAT(error_of("name: x\nmemory:\n"),
                HasSubstr("f.yaml:2:1: memory: a map was expected"));
}

TEST(ReadForm, SourcedValuesHoldTogether) {
    const auto capacity = [](const std::string& text) {
        return error_of("name: x\nmemory: {capacity: " + text + "}\n");
    };
    EXPECT_EQ(capacity("{value: 64 GB, low: 65 GB}"),
              "f.yaml:2:40: memory.capacity.low: is above the value");
    EXPECT_EQ(capacity("{value: 64 GB, high: 63 GB}"),
              "f.yaml:2:41: memory.capacity.high: is below the value");
    EXPECT_EQ(capacity("{value: 64 GB, low: 64 GB, high: 64 GB}"), "");
    EXPECT_EQ(capacity("{low: 65 GB}"),
              "f.yaml:2:20: memory.capacity.value: is missing (the value itself)");
    EXPECT_EQ(capacity("{value: 64 GB, low: -1 GB}"),
              "f.yaml:2:40: memory.capacity.low: a value above 0 was expected, this is \"-1 GB\"");
    EXPECT_EQ(capacity("{value: 64 GB, low: null}"), "");
    EXPECT_THAT(capacity("{value: 64 GB, surce: x}"),
                HasSubstr("memory.capacity.surce: unknown key surce (did you mean source?"));
    EXPECT_THAT(capacity("{value: 64 GB, confidence: vendr}"), HasSubstr("did you mean vendor?"));
    EXPECT_THAT(capacity("{value: {value: 64 GB}}"), HasSubstr("memory.capacity.value: an amount"));
    EXPECT_THAT(capacity("[64 GB]"), HasSubstr("an amount of bytes such as 64 GB was expected"));
    EXPECT_THAT(capacity("-64 GB"), HasSubstr("a value above 0 was expected"));
}

TEST(ReadForm, RulesOfADescriptionPointAtTheirKey) {
    EXPECT_EQ(error_of_line("ranks: 17"), "f.yaml:3:8: ranks: more than rows (fewer)");
    // a rule between keys waits until both could be read
    EXPECT_EQ(error_of_line("ranks: 17\nrows: x"),
              "f.yaml:4:7: rows: a whole number was expected, this is \"x\"");
    EXPECT_EQ(error_of_line("rows: 0"),
              "f.yaml:3:7: rows: a value above 0 was expected, this is \"0\"");
}

struct ThrowingSpec {};
template <class Form>
void describe(Form& form, ThrowingSpec&) {
    int x = 0;
    form.required("x", x, "a number");
    throw InputError({"g.yaml", 1, 1}, "y", "is wrong");
}

struct VariantSpec {
    Format kind = Format::bf16;
    int rows = 0;
};
template <class Form>
void describe(Form& form, VariantSpec& spec) {
    form.required("kind", spec.kind, "what decides about the rest");
    if (!form.ok()) return form.ignore_unknown_keys();
    if (spec.kind == Format::fp8) form.required("rows", spec.rows, "of fp8");
}

TEST(ReadForm, KeysOfAnUnreadableKindAreNotJudged) {
    const auto problems_of = [](const std::string& text) {
        VariantSpec spec;
        Problems problems;
        read_into(parse_yaml(text, "f.yaml"), "", spec, problems);
        return problems.size();
    };
    EXPECT_EQ(problems_of("kind: fp9\nrows: 3\n"), 1u);
    EXPECT_EQ(problems_of("kind: fp8\nrows: 3\n"), 0u);
    EXPECT_EQ(problems_of("kind: bf16\nrows: 3\n"), 1u);
}

TEST(ReadForm, CollectsForCallersThatGoOn) {
    const Node node = parse_yaml("a: {capacity: 1}\nb: {x: y}\n", "f.yaml");
    Problems problems;
    MemorySpec memory;
    ThrowingSpec throwing;
    EXPECT_FALSE(read_into(*node.find("a"), "a", memory, problems));
    EXPECT_FALSE(read_into(*node.find("b"), "b", throwing, problems));
    ASSERT_EQ(problems.size(), 3u);
    EXPECT_EQ(problems[0].path, "a.capacity");
    EXPECT_EQ(problems[1].path, "b.x");
    EXPECT_EQ(problems[2].what, "is wrong");
    const Node fine = parse_yaml("capacity: 1 GB\n", "f.yaml");
    EXPECT_TRUE(read_into(fine, "", memory, problems));
    EXPECT_EQ(problems.size(), 3u);
}

TEST(ReadForm, TellsWhatItReads) {
    const Node node = parse_yaml("a: 1\n", "f.yaml");
    Problems problems;
    ReadForm form(node, "p.q", problems);
    EXPECT_TRUE(form.has("a"));
    EXPECT_FALSE(form.has("b"));
    EXPECT_EQ(form.path(), "p.q");
    EXPECT_EQ(form.place().line, 1);
    EXPECT_EQ(&form.node(), &node);
    EXPECT_TRUE(form.ok());
    form.problem("b", "is wrong");
    EXPECT_FALSE(form.ok());
    EXPECT_EQ(to_string(problems[0]), "f.yaml:1:1: p.q.b: is wrong");
}

TEST(Checks, NotANumberNeverPasses) {
    for (const Check& check :
         {positive(), non_negative(), at_least(1), share(), share_above_zero()}) {
        EXPECT_FALSE(check.passes(std::nan(""))) << check.text;
        EXPECT_FALSE(check.passes(INFINITY)) << check.text;
        EXPECT_FALSE(check.passes(-1)) << check.text;
        EXPECT_TRUE(check.passes(1)) << check.text;
    }
    EXPECT_FALSE(positive().passes(0));
    EXPECT_TRUE(non_negative().passes(0));
    EXPECT_TRUE(share().passes(0));
    EXPECT_FALSE(share_above_zero().passes(0));
    EXPECT_FALSE(share().passes(1.001));
    EXPECT_FALSE(at_least(2).passes(1.9));
}

TEST(Schema, SaysWhatTheReaderTakes) {
    const auto json = schema<ChipLikeSpec>("a chip").json();
    EXPECT_EQ(json["$schema"], "https://json-schema.org/draft/2020-12/schema");
    EXPECT_EQ(json["title"], "a chip");
    EXPECT_EQ(json["type"], "object");
    EXPECT_EQ(json["additionalProperties"], false);
    EXPECT_EQ(json["required"].dump(), "[\"name\",\"memory\"]");
    const auto& keys = json["properties"];
    EXPECT_EQ(keys["name"].dump(), R"({"description":"what it is called","type":"string"})");
    EXPECT_EQ(
        keys["ranks"].dump(),
        R"({"description":"programs a package runs","type":"integer","minimum":1.0,"default":1})");
    EXPECT_EQ(
        keys["separate"].dump(),
        R"({"description":"vector work leaves the matrix cores free","type":"boolean","default":false})");
    EXPECT_EQ(keys["format"].dump(),
              R"({"description":"number format","enum":["bf16","fp8","int8"],"default":"bf16"})");
    EXPECT_EQ(keys["launch"]["default"], "3 us");
    EXPECT_EQ(keys["launch"]["description"],
              "fixed cost of a kernel; a time such as 929 ns; a value of 0 or more");
    EXPECT_THAT("2.5 us", ::testing::MatchesRegex(keys["launch"]["pattern"].get<std::string>()));
    const auto& efficiency = keys["memory"]["properties"]["efficiency"];
    EXPECT_EQ(efficiency["anyOf"][0].dump(),
              R"({"type":"number","exclusiveMinimum":0.0,"maximum":1.0})");
    EXPECT_EQ(efficiency["anyOf"][1]["type"], "string");
    EXPECT_EQ(efficiency["default"], 0.9);
    const auto& capacity = keys["memory"]["properties"]["capacity"]["anyOf"];
    ASSERT_EQ(capacity.size(), 2u);
    EXPECT_EQ(capacity[0]["type"], "string");
    EXPECT_EQ(capacity[1]["required"].dump(), "[\"value\"]");
    EXPECT_EQ(capacity[1]["properties"]["confidence"]["enum"][0], "vendor");
    EXPECT_EQ(capacity[1]["additionalProperties"], false);
    EXPECT_EQ(keys["peak"]["propertyNames"].dump(), R"({"enum":["bf16","fp8","int8"]})");
    EXPECT_TRUE(keys["peak"]["additionalProperties"].contains("anyOf"));
    EXPECT_EQ(keys["levels"]["type"], "array");
    EXPECT_EQ(keys["levels"]["items"]["required"].dump(), "[\"capacity\"]");
    EXPECT_EQ(keys["limit"]["type"], "string");
    EXPECT_EQ(keys["rest"].dump(), R"({"description":"whatever else"})");
}

TEST(FitRecord, ReadsAsDescribed) {
    const FitRecord record = read<FitRecord>(
        parse_yaml("basis: measured\nrows: 40\nheld_out_error: 7 %\nsource: s\ndate: "
                   "2026-01-01\n",
                   "f.yaml"),
        "record");
    EXPECT_EQ(record.basis, Confidence::measured);
    EXPECT_EQ(record.rows, 40);
    EXPECT_EQ(record.held_out_error, 0.07);
    EXPECT_EQ(record.date, "2026-01-01");
    EXPECT_EQ(to_string(Confidence::rumour), "rumour");
}

}  // namespace
}  // namespace podsim
