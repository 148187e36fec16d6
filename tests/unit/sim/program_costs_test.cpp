// What operators cost when they run as one kernel, and on streams with a part of the cores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/machine.hpp"
#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

// 10,240 B of memory traffic: 1.2 us; 100 elements at 1e9 x 0.5 FLOP/s: 0.2 us a FLOP each.
Operator vector_operator(const char* name, double flops_per_element = 1) {
    return {name, VectorWork{name, 100, flops_per_element, 5120, 5120}};
}

struct Costed {
    Program program;
    CollectiveLibrarySpec collectives;
    KernelLibrarySpec library = tiny_library();
    ProgramCosts costs() {
        CostCache cache(tiny_chip(), library, Fidelity::tile, true);
        return cost_program(program, cache, RankFabric{}, collectives, 1);
    }
};

// One task that runs `operators` as a pipeline on a stream with all cores.
Costed pipeline_of(const std::vector<Operator>& operators, double on_chip) {
    Costed result;
    result.program.classes = {{"ranks", 1}};
    result.program.streams = {{"stream", 1.0}};
    Pipeline pipeline{"chain", {}, on_chip};
    for (const Operator& op : operators) pipeline.operators.push_back(intern(result.program, op));
    result.program.pipelines = {pipeline};
    Task task;
    task.kind = TaskKind::pipeline;
    result.program.tasks = {task};
    return result;
}

double in_us(Seconds time) {
    return time.value() * 1e6;
}

// Each alone is 1 us of launch and 1.2 us of traffic. Together: one launch, and of 20,480 B the
// 10,240 that one hands to the other stay on the chip.
TEST(PipelineCost, OneLaunchAndTheTrafficThatIsLeft) {
    Costed chain = pipeline_of({vector_operator("a"), vector_operator("b")}, 0);
    EXPECT_NEAR(in_us(chain.costs().pipelines[0][0].time), 1 + 2.4, 1e-9);
    chain.program.pipelines[0].on_chip = 10240;
    const OperatorCost cost = chain.costs().pipelines[0][0];
    EXPECT_NEAR(in_us(cost.launch), 1, 1e-9);
    EXPECT_NEAR(in_us(cost.time), 1 + 1.2, 1e-9);
    EXPECT_NEAR(in_us(cost.hbm_time), 1.2, 1e-9);
    EXPECT_DOUBLE_EQ(cost.hbm.value(), 10240);
    EXPECT_EQ(cost.choice, "2 fused");
}

// FP8 activations by INT8 weights, twice, and by BF16 weights, which hold them: one line.
TEST(ProgramCosts, FormatsThatDoNotMultiplyAreNamed) {
    Program program;
    program.streams = {{"stream", 1.0}};
    const auto product = [&](const char* name, DType a, DType b) {
        intern(program, Operator{name, Gemm{16, 16, 64, 1, a, b, DType::bf16}});
    };
    product("up", DType::fp8, DType::int8);
    product("down", DType::fp8, DType::int8);
    product("head", DType::fp8, DType::bf16);
    product("same", DType::fp8, DType::fp8);
    CostCache cache(tiny_chip(), tiny_library(), Fidelity::tile, true);
    EXPECT_THAT(cost_program(program, cache, RankFabric{}, {}, 1).warnings,
                ::testing::ElementsAre(
                    "up and others like it multiply fp8 activations by int8 weights: no matrix "
                    "unit does, the rate is that of fp8"));
}

// 5 FLOP an element are 1 us on the vector units in each: less than the traffic of one, 1.2 us,
// but not less than what is left of both when all but 4 % stays on the chip.
TEST(PipelineCost, SavedTrafficDoesNotSaveArithmetic) {
    Costed chain = pipeline_of({vector_operator("a", 5), vector_operator("b", 5)}, 0.96 * 20480);
    EXPECT_NEAR(in_us(chain.costs().pipelines[0][0].time), 1 + 2, 1e-9);
}

// (3, 4) -> 5 us of a 16 x 16 x 64 product's steps, see tiny_chip.hpp: its launch of 2 us is the
// longer one.
TEST(PipelineCost, AProductKeepsItsTimeAndItsLaunch) {
    const Operator product{"product", Gemm{16, 16, 64}};
    Costed one = pipeline_of({product}, 0), both = pipeline_of({vector_operator("a"), product}, 0);
    const OperatorCost alone = one.costs().pipelines[0][0], cost = both.costs().pipelines[0][0];
    EXPECT_NEAR(in_us(cost.launch), 2, 1e-9);
    EXPECT_NEAR(in_us(cost.time), in_us(alone.time) + 1.2, 1e-9);
    EXPECT_EQ(cost.matrix, alone.matrix);
}

TEST(PipelineCost, TheWeakestEvidenceStandsForTheWhole) {
    const Operator product{"product", Gemm{16, 16, 64}};
    Costed measured = pipeline_of({product}, 0);
    EXPECT_EQ(measured.costs().pipelines[0][0].basis, Confidence::measured);
    EXPECT_DOUBLE_EQ(measured.costs().pipelines[0][0].held_out_error, 0.07);
    Costed mixed = pipeline_of({product, vector_operator("a")}, 0);
    EXPECT_EQ(mixed.costs().pipelines[0][0].basis, Confidence::estimate);
    EXPECT_LT(mixed.costs().pipelines[0][0].held_out_error, 0.07);
}

TEST(ProgramCosts, AreThoseOfTheStreamAnOperatorRunsOn) {
    Costed p;
    p.program.classes = {{"ranks", 1}};
    p.program.streams = {{"half", 0.5}, {"whole", 1.0}, {"unused", 0.25}};
    const int op = intern(p.program, {"product", Gemm{64, 16, 64}});
    for (const int stream : {0, 1}) {
        Task task;
        task.body = op;
        task.stream = stream;
        p.program.tasks.push_back(task);
    }
    const ProgramCosts costs = p.costs();
    // Four tiles in two waves on two cores, in one on four.
    EXPECT_GT(costs.operators[0][0].time, costs.operators[1][0].time);
    EXPECT_EQ(costs.operators[2][0].time, Seconds(0.0));
}

TEST(ProgramCosts, SayWhatIsMissing) {
    Costed p;
    p.program.classes = {{"ranks", 2}};
    p.program.streams = {{"stream", 1.0}};
    Transfer transfer;
    transfer.name = "sum";
    transfer.group_ranks = 2;
    p.program.transfers = {transfer};
    p.collectives.name = "none";
    try {
        p.costs();
        FAIL() << "costed";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("spans 2 ranks"));
    }
    CostCache cache(tiny_chip(), p.library, Fidelity::tile, true);
    EXPECT_THROW(cost_program(p.program, cache, RankFabric{}, p.collectives, 2),
                 std::invalid_argument);
}

}  // namespace
}  // namespace podsim
