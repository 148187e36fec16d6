#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/readers.hpp"
#include "tests/unit/workloads/trace_cases.hpp"
#include "workloads/trace_program.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

class TracePrograms : public testing::Test {
  protected:
    // One file a rank.
    ExecutionTrace trace_of(const std::vector<std::string>& ranks, const std::string& groups = "") {
        TraceFolder folder;
        std::vector<std::string> files;
        for (std::size_t i = 0; i < ranks.size(); ++i)
            files.push_back(
                folder.write("t." + std::to_string(i) + ".et", kChakraHeader + ranks[i]));
        if (!groups.empty()) folder.write("comm_group.json", groups);
        return read_trace(files);
    }
    std::string refusal(const std::vector<std::string>& ranks) {
        const ExecutionTrace trace = trace_of(ranks);
        return refusal_of([&] { (void)program_of_trace(trace, 0, 1); });
    }
};

// Rows of two and columns of two: all four ranks do the same.
TEST_F(TracePrograms, EqualRanksFold) {
    const auto rank = [](const char* row, const char* column) {
        return chakra_collective(1, 0, 64, row) + chakra_compute(2, 10, {1}) +
               chakra_collective(3, 2, 32, column, {2});
    };
    const TraceProgram traced =
        program_of_trace(trace_of({rank("0", "2"), rank("0", "3"), rank("1", "2"), rank("1", "3")},
                                  R"({"0": [0, 1], "1": [2, 3], "2": [0, 2], "3": [1, 3]})"),
                         0, 1);
    const Program& program = traced.program;
    ASSERT_EQ(program.classes.size(), 1U);
    EXPECT_EQ(program.classes[0].count, 4);
    EXPECT_EQ(program.tasks.size(), 3U);
    ASSERT_EQ(program.transfers.size(), 2U);
    EXPECT_EQ(program.transfers[0].group_ranks, 2);
    EXPECT_EQ(program.transfers[0].stride, 1);
    EXPECT_EQ(program.transfers[1].type, TransferType::all_gather);
    EXPECT_EQ(program.transfers[1].stride, 2);
    EXPECT_EQ(program.tasks[2].after, std::vector<int>{1});
    EXPECT_DOUBLE_EQ(traced.work[0].seconds, 10e-6);
}

// One late rank parts its group, and the groups of those it meets.
TEST_F(TracePrograms, WhoMeetsALateRankIsOfAnotherClass) {
    const auto rank = [](std::uint64_t micros, const char* group) {
        return chakra_compute(1, micros) + chakra_collective(2, 0, 64, group, {1});
    };
    const Program program =
        program_of_trace(trace_of({rank(10, "0"), rank(90, "0"), rank(10, "1"), rank(10, "1")},
                                  R"({"0": [0, 1], "1": [2, 3]})"),
                         0, 1)
            .program;
    ASSERT_EQ(program.classes.size(), 3U);
    EXPECT_EQ(program.classes[2].count, 2);
    EXPECT_EQ(program.instances.size(), 2U);
    EXPECT_EQ(program.instances[0].tasks.size(), 2U);
}

TEST_F(TracePrograms, MessagesJoinSenderAndReceiver) {
    const TraceProgram traced = program_of_trace(
        trace_of({chakra_message(1, true, 1, 640), chakra_message(1, false, 0, 640)}), 0, 1);
    const Program& program = traced.program;
    ASSERT_EQ(program.transfers.size(), 1U);
    EXPECT_EQ(program.transfers[0].type, TransferType::send_recv);
    ASSERT_EQ(program.transfers[0].shares.size(), 2U);
    EXPECT_EQ(program.transfers[0].shares[0].send, Bytes(640));
    EXPECT_EQ(program.transfers[0].shares[1].receive, Bytes(640));
}

TEST_F(TracePrograms, WhoWaitsForWhom) {
    EXPECT_THAT(refusal({chakra_message(1, true, 1, 64, 7), chakra_compute(1, 5)}),
                HasSubstr("rank 0, node 1: sends to rank 1 with tag 7 and waits: rank 1 receives 0 "
                          "of 1"));
    EXPECT_THAT(refusal({chakra_compute(1, 5), chakra_message(4, false, 0, 64)}),
                HasSubstr("rank 1, node 4: waits for rank 0, which sends it 0 messages"));
    EXPECT_THAT(refusal({chakra_collective(1, 0, 64), chakra_compute(1, 5)}),
                HasSubstr("rank 0, node 1: waits for rank 1, which enters 0 of the 1 collectives"));
    EXPECT_THAT(refusal({chakra_collective(1, 0, 64), chakra_collective(1, 2, 64)}),
                HasSubstr("is all_gather, the same collective of rank 0 is all_reduce"));
    EXPECT_THAT(refusal({chakra_message(1, true, 9, 64), chakra_compute(1, 5)}),
                HasSubstr("sends to rank 9, the trace has ranks 0 to 1"));
    // Each receives before it sends.
    const auto crossed = [](std::uint64_t peer) {
        return chakra_message(1, false, peer, 64) +
               chakra_node(2, "m", 5,
                           packed_ids(5, {1}) + whole_attribute("comm_dst", 7, peer) +
                               whole_attribute("comm_size", 9, 64));
    };
    EXPECT_THAT(refusal({crossed(1), crossed(0)}),
                HasSubstr("t.0.et: rank 0, node 1: transfers wait for each other in a circle: rank "
                          "0's receive of rank 1 (node 1) runs with rank 1's send to rank 0 (node "
                          "2), which comes after rank 1's receive of rank 0 (node 1), which runs "
                          "with rank 0's send to rank 1 (node 2), which comes after rank 0's "
                          "receive of rank 1 (node 1)"));
}

// Two groups that both ranks enter in opposite orders, work in between.
TEST_F(TracePrograms, CollectivesInOppositeOrdersNameTheirRanks) {
    const auto rank = [](const char* first, const char* second) {
        return chakra_collective(1, 0, 64, first) + chakra_compute(2, 10, {1}) +
               chakra_collective(3, 0, 64, second, {2});
    };
    const ExecutionTrace trace =
        trace_of({rank("a", "b"), rank("b", "a")}, R"({"a": [0, 1], "b": [0, 1]})");
    EXPECT_THAT(refusal_of([&] { (void)program_of_trace(trace, 0, 1); }),
                HasSubstr("rank 0's all_reduce (node 1) runs with rank 1's all_reduce (node 3), "
                          "which comes after rank 1's all_reduce (node 1)"));
}

TEST_F(TracePrograms, SizesThatDifferAreTold) {
    EXPECT_THAT(refusal({chakra_message(1, true, 1, 640), chakra_message(4, false, 0, 128)}),
                HasSubstr("t.1.et: rank 1, node 4: receives 128 bytes of rank 0, which sends 640 "
                          "(node 1)"));
    const TraceProgram traced = program_of_trace(
        trace_of({chakra_collective(1, 0, 64), chakra_collective(7, 0, 32)}), 0, 1);
    ASSERT_EQ(traced.warnings.size(), 1U);
    EXPECT_THAT(traced.warnings[0], HasSubstr("node 1: all_reduce of 64 bytes on rank 0, of 32 on "
                                              "rank 1 (node 7)"));
    EXPECT_EQ(traced.program.transfers[0].size, Bytes(64));
    // One side that does not say takes the other's.
    const TraceProgram told = program_of_trace(
        trace_of({chakra_message(1, true, 1, 640), chakra_message(1, false, 0, 0)}), 0, 1);
    EXPECT_EQ(told.program.transfers[0].size, Bytes(640));
}

TEST_F(TracePrograms, OneRankStandsForMany) {
    const ExecutionTrace trace = trace_of({chakra_collective(1, 0, 64)});
    EXPECT_THAT(refusal_of([&] { (void)program_of_trace(trace, 0, 1); }),
                HasSubstr("the trace is of one rank (workload.ranks says"));
    const TraceProgram traced = program_of_trace(trace, 16, 1);
    EXPECT_EQ(traced.ranks, 16);
    EXPECT_EQ(traced.program.transfers[0].group_ranks, 16);
}

// A reduction of S bytes passes S through each rank of a ring, a reduce-scatter of S' passes
// (n - 1)/n S': S' = 4/3 x 96 = 128 for four ranks.
TEST_F(TracePrograms, CollectivesThatTheFabricHasOtherWordsFor) {
    Transfer transfer;
    transfer.group_ranks = 4;
    transfer.size = Bytes(96);
    EXPECT_EQ(transfer_like(transfer, TraceCollective::broadcast).type, TransferType::broadcast);
    EXPECT_DOUBLE_EQ(transfer_like(transfer, TraceCollective::broadcast).size.value(), 96);
    EXPECT_EQ(transfer_like(transfer, TraceCollective::reduce).type, TransferType::reduce_scatter);
    EXPECT_DOUBLE_EQ(transfer_like(transfer, TraceCollective::reduce).size.value(), 128);
    EXPECT_EQ(transfer_like(transfer, TraceCollective::barrier).size, Bytes(8));
    EXPECT_EQ(transfer_like(transfer, TraceCollective::all_to_all).size, Bytes(96));
}

TEST_F(TracePrograms, HostTimesScale) {
    const ExecutionTrace trace = trace_of(
        {chakra_node(1, "h", 4, number_field(7, 50) + whole_attribute("is_cpu_op", 27, 1))});
    EXPECT_DOUBLE_EQ(program_of_trace(trace, 0, 0.5).program.tasks[0].host_time.value(), 25e-6);
    EXPECT_EQ(program_of_trace(trace, 0, 1).program.tasks[0].kind, TaskKind::host);
}

}  // namespace
}  // namespace podsim
