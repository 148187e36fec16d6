// The parts of a difference sum to it, whatever ran, also through result.json.
#include "sim/difference.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <nlohmann/json.hpp>

#include "sim/result_read.hpp"
#include "tests/property/sim/random_programs.hpp"

namespace podsim {
namespace {

AlternativeResult any_result() {
    const SmallProgram p = any_program(any(1, 3));
    const RunRecord record = p.run();
    Result result;
    result.configuration = nlohmann::ordered_json::object();
    result.alternatives = {assemble(p.input(record), false)};
    return read_result(nlohmann::ordered_json::parse(to_json(result).dump())).alternatives[0];
}

TEST(DifferenceProperty, PartsSumToTheStepsAndToTheirDifference) {
    EXPECT_TRUE(rc::check([] {
        const AlternativeResult a = any_result(), b = any_result();
        const StepDifference there = step_difference(a, b), back = step_difference(b, a);
        Picoseconds of_a = 0, of_b = 0, difference = 0, reversed = 0;
        for (const PartDifference& part : there.parts) {
            of_a += part.a ? part.a->time : 0;
            of_b += part.b ? part.b->time : 0;
            difference += part.difference;
            RC_ASSERT(part.a || part.b);
        }
        for (const PartDifference& part : back.parts) reversed += part.difference;
        RC_ASSERT(there.a == to_picoseconds(Seconds(a.iteration_seconds)));
        RC_ASSERT(of_a == there.a);
        RC_ASSERT(of_b == there.b);
        RC_ASSERT(difference == there.b - there.a);
        RC_ASSERT(reversed == -difference);
    }));
}

TEST(DifferenceProperty, NothingDiffersFromItself) {
    EXPECT_TRUE(rc::check([] {
        const AlternativeResult a = any_result();
        for (const PartDifference& part : step_difference(a, a).parts)
            RC_ASSERT(part.difference == 0);
    }));
}

}  // namespace
}  // namespace podsim
