// What makes two steps differ, on programs small enough to add up by hand.
#include "sim/difference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <stdexcept>
#include <utility>

#include "sim/input_difference.hpp"
#include "tests/unit/sim/small_programs.hpp"

namespace podsim {
namespace {

AlternativeResult result_of(const SmallProgram& p) {
    const RunRecord record = p.run();
    return assemble(p.input(record), false);
}

// Two kernels of 1 + 2 + `work` us, a transfer of 3 + `wire` us, host work of 4 us.
AlternativeResult chain(double work, double wire) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(1);
    const int c = p.rank_class(4), s = p.stream(), t = p.stream(), h = p.stream();
    const int op = p.operation(work, {.launch = 2});
    const int first = p.task(c, s, op), second = p.task(c, s, op, {first});
    const int sent = p.part(p.enter(p.transfer(3, {wire})), c, t, {second});
    p.host(c, h, 4, {sent});
    return result_of(p);
}

const PartDifference& part(const StepDifference& difference, const std::string& name) {
    for (const PartDifference& one : difference.parts) {
        if (one.name == name) return one;
    }
    throw std::runtime_error("no part " + name);
}

constexpr Picoseconds kMicrosecond = 1000000;

// A: 2 (1 + 2 + 10) + 3 + 5 + 4 = 38 us. B: 2 (1 + 2 + 7) + 3 + 6 + 4 = 33 us.
TEST(StepDifferenceOf, PartsByTheSizeOfTheirDifference) {
    const StepDifference difference = step_difference(chain(10, 5), chain(7, 6));
    EXPECT_EQ(difference.a, 38 * kMicrosecond);
    EXPECT_EQ(difference.b, 33 * kMicrosecond);
    ASSERT_GE(difference.parts.size(), 2u);
    const PartDifference& kernel = difference.parts[0];
    EXPECT_EQ(kernel.name, "op 0");
    EXPECT_EQ(kernel.kind, "vector");
    EXPECT_FALSE(kernel.wait);
    EXPECT_EQ(kernel.rank_class, "class 0");
    EXPECT_EQ(kernel.stream, "stream 0");
    EXPECT_EQ(kernel.difference, -6 * kMicrosecond);
    EXPECT_EQ(kernel.a->count, 2);
    EXPECT_EQ(kernel.a->on_path, 2);
    EXPECT_EQ(kernel.a->time, 20 * kMicrosecond);
    EXPECT_NEAR(kernel.a->seconds_each, 13e-6, 1e-15);
    EXPECT_NEAR(kernel.b->seconds_each, 10e-6, 1e-15);
    EXPECT_EQ(difference.parts[1].name, "transfer 0");
    EXPECT_EQ(difference.parts[1].difference, kMicrosecond);
    for (const auto& [name, time] : {std::pair("kernel gaps", 2),
                                     {"kernel launches", 4},
                                     {"transfer latency", 3},
                                     {"host", 4}}) {
        EXPECT_TRUE(part(difference, name).wait) << name;
        EXPECT_EQ(part(difference, name).a->time, time * kMicrosecond) << name;
        EXPECT_EQ(part(difference, name).difference, 0) << name;
    }
    EXPECT_EQ(difference.parts.size(), 6u);
}

// Two streaming kernels of 10 us side by side wait 10 us for memory; with twice the memory none.
TEST(StepDifferenceOf, ContentionIsAPartOfItsOwn) {
    SmallProgram p;
    const int c = p.rank_class(), s = p.stream(0.5), t = p.stream(0.5);
    p.work(c, s, 10, {}, {.memory = 1});
    p.work(c, t, 10, {}, {.memory = 1});
    SmallProgram free;
    free.work(free.rank_class(), free.stream(0.5), 10, {}, {.memory = 1});
    const StepDifference difference = step_difference(result_of(p), result_of(free));
    EXPECT_EQ(difference.parts.front().name, "contention");
    EXPECT_EQ(difference.parts.front().difference, -10 * kMicrosecond);
    EXPECT_FALSE(difference.parts.front().b);
}

// The longer of two classes holds the step: class 0 with 5 of 3, class 1 with 7 of 5 us.
TEST(StepDifferenceOf, AnOperatorOnOtherRanksIsOnePart) {
    const auto of = [](double first, double second) {
        SmallProgram p;
        const int c = p.rank_class(), d = p.rank_class(), s = p.stream();
        p.program.operators[static_cast<std::size_t>(p.of(p.work(c, s, first)).body)].name = "x";
        p.program.operators[static_cast<std::size_t>(p.of(p.work(d, s, second)).body)].name = "x";
        return result_of(p);
    };
    const StepDifference difference = step_difference(of(5, 3), of(5, 7));
    ASSERT_EQ(difference.parts.size(), 1u);
    EXPECT_EQ(difference.parts[0].rank_class, "");
    EXPECT_EQ(difference.parts[0].difference, 2 * kMicrosecond);
    EXPECT_EQ(difference.parts[0].a->count, 1);  // a rank runs one of them
    EXPECT_NEAR(difference.parts[0].a->seconds_each, 4e-6, 1e-15);
}

TEST(StepDifferenceOf, RefusesRowsThatDoNotSumToTheStep) {
    const AlternativeResult sound = chain(10, 5);
    AlternativeResult longer = sound;
    longer.iteration_seconds += 1e-12;
    EXPECT_THROW(step_difference(sound, longer), std::invalid_argument);
    AlternativeResult nothing = sound;
    nothing.operators[0].critical.work = std::nan("");
    EXPECT_THROW(step_difference(nothing, sound), std::invalid_argument);
    AlternativeResult ages = sound;
    ages.operators[0].critical.work = 1e5;
    EXPECT_THROW(step_difference(ages, sound), std::invalid_argument);
}

Result with_configuration(const std::string& name, const std::string& chip, const char* text) {
    Result result;
    result.alternatives.resize(1);
    result.alternatives[0].name = name;
    result.alternatives[0].chip = chip;
    result.configuration = nlohmann::ordered_json::parse(text);
    return result;
}

std::vector<std::string> texts(const Result& a, const Result& b) {
    std::vector<std::string> lines;
    for (const InputDifference& one : input_differences(a, a.alternatives[0], b, b.alternatives[0]))
        lines.push_back(one.path + ": " + one.a + " -> " + one.b);
    return lines;
}

TEST(InputDifferences, OfWorkloadAlternativeAndDocuments) {
    const Result a = with_configuration("A", "h800", R"({
        "experiment": {"workload": {"model": "m", "context": "4096 tokens"},
                       "alternatives": [{"name": "A", "chips": 8, "system": "s"}]},
        "documents": {"chip/h800": {"clock": {"value": "1 GHz", "source": "x"}, "cores": 4, "title": "t"}}})");
    const Result b = with_configuration("B", "h800", R"({
        "experiment": {"workload": {"model": "m", "context": "8192 tokens"},
                       "alternatives": [{"name": "B", "chips": 8, "mapping": {"data_parallel": 2}}]},
        "documents": {"chip/h800": {"clock": "2 GHz", "cores": 4}}})");
    EXPECT_THAT(texts(a, b), testing::ElementsAre("workload.context: 4096 tokens -> 8192 tokens",
                                                  "alternative.mapping.data_parallel:  -> 2",
                                                  "chip/h800.clock: 1 GHz -> 2 GHz"));
    // What is left at its default is told by the schema, at the alternative and in documents.
    const Result plain = with_configuration("C", "h800", R"({
        "experiment": {"alternatives": [{"name": "C", "chips": 8}]},
        "documents": {"chip/h800": {"cores": {"clock": "1 GHz"}}}})");
    const Result halves = with_configuration("D", "h800", R"({
        "experiment": {"alternatives": [{"name": "D", "chips": 8,
                                         "mapping": {"micro_batches": 2, "expert_parallel": 4}}]},
        "documents": {"chip/h800": {"cores": {"clock": "1 GHz", "separate_vector": true}}}})");
    EXPECT_THAT(texts(plain, halves),
                testing::ElementsAre("alternative.mapping.micro_batches: 1 (default) -> 2",
                                     "alternative.mapping.expert_parallel:  -> 4",  // worked out
                                     "chip/h800.cores.separate_vector: false (default) -> true"));
    EXPECT_THAT(texts(halves, plain),
                testing::ElementsAre("alternative.mapping.micro_batches: 2 -> 1 (default)",
                                     "alternative.mapping.expert_parallel: 4 -> ",
                                     "chip/h800.cores.separate_vector: true -> false (default)"));
    Result other = b;
    other.alternatives[0].chip = "h100";
    other.seed = 3;
    EXPECT_THAT(texts(b, other), testing::ElementsAre("seed: 0 -> 3", "chip: h800 -> h100"));
    EXPECT_TRUE(texts(a, a).empty());
}

}  // namespace
}  // namespace podsim
