// Public traces, where they lie beside the repository: what was counted in them apart from this
// reader.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "workloads/trace_files.hpp"
#include "workloads/trace_program.hpp"
#include "workloads/trace_summary.hpp"

namespace podsim {
namespace {

namespace fs = std::filesystem;

class TraceData : public testing::Test {
  protected:
    void SetUp() override {
        const char* set = std::getenv("PODSIM_DATA");
        root_ = set != nullptr ? fs::path(set) : fs::path(PODSIM_SOURCE_DIR) / "../shared/data";
        if (!fs::exists(root_ / "chakra"))
            GTEST_SKIP() << "no third-party data beside the repository";
    }
    ExecutionTrace read(const std::string& path) const {
        return read_trace({(root_ / path).string()});
    }
    static const TraceTransferSum* find(const TraceSummary& summary, const std::string& type,
                                        double payload) {
        for (const TraceTransferSum& one : summary.transfers)
            if (one.type == type && one.payload == payload) return &one;
        return nullptr;
    }
    static double recorded(const TraceSummary& summary) {
        double sum = 0;
        for (const TraceKindSum& kind : summary.kinds) sum += kind.seconds;
        return sum;
    }
    fs::path root_;
};

TEST_F(TraceData, MicrobenchmarksOfAstraSim) {
    for (const char* type : {"all_reduce", "all_gather", "reduce_scatter"}) {
        for (const int ranks : {4, 8, 16}) {
            const ExecutionTrace trace = read("chakra/astra_microbench/" + std::string(type) + "_" +
                                              std::to_string(ranks) + "npus_1MB");
            ASSERT_EQ(trace.rank_count(), ranks);
            const Program program = program_of_trace(trace, 0, 1).program;
            ASSERT_EQ(program.classes.size(), 1U);  // all alike
            ASSERT_EQ(program.transfers.size(), 1U);
            EXPECT_EQ(to_string(program.transfers[0].type), type);
            EXPECT_EQ(program.transfers[0].group_ranks, ranks);
            EXPECT_EQ(program.transfers[0].size, Bytes(1048576));
        }
    }
}

TEST_F(TraceData, Tori) {
    const Program two = program_of_trace(read("chakra/torus_T2D"), 0, 1).program;
    EXPECT_EQ(two.classes.size(), 1U);
    EXPECT_EQ(two.classes[0].count, 16);
    ASSERT_EQ(two.transfers.size(), 2U);
    EXPECT_EQ(two.transfers[0].stride, 1);
    EXPECT_EQ(two.transfers[1].stride, 4);
    EXPECT_EQ(program_of_trace(read("chakra/torus_T1D"), 0, 1).program.classes[0].count, 8);
    EXPECT_EQ(read("chakra/torus_multitenant_T1D/J1").rank_count(), 4);
}

TEST_F(TraceData, PyTorchIterationConvertedByTheWorkingGroup) {
    const TraceSummary summary = summarise(read("chakra/mlcommons_pytorch_rank0.et.gz"));
    EXPECT_EQ(summary.nodes, 3664);
    EXPECT_EQ(summary.edges, 181878);
    EXPECT_NEAR(recorded(summary), 381795e-6, 1e-9);
    for (const double payload : {8196000.0, 31502336.0, 26255360.0, 26550272.0})
        EXPECT_NE(find(summary, "all_reduce", payload), nullptr);
    EXPECT_NE(find(summary, "broadcast", 212480), nullptr);
}

// 245 kernels and 16 copies on rank 0, 8 of the kernels NCCL's.
TEST_F(TraceData, KinetoOfEightRanks) {
    const ExecutionTrace trace = read("chakra/kineto/dlrm_8rank");
    ASSERT_EQ(trace.rank_count(), 8);
    long device = 0, collectives = 0;
    for (const TraceNode& node : trace.ranks[0].nodes) {
        device += node.on_host ? 0 : 1;
        collectives += node.kind == TraceKind::collective ? 1 : 0;
    }
    EXPECT_EQ(device, 245 + 16);
    EXPECT_EQ(collectives, 8);
}

// The same step as execution trace and as Kineto moves the same bytes.
TEST_F(TraceData, BothRecordsOfOneStepMoveTheSame) {
    const auto kineto = summarise(read("chakra/kineto/dlrm_8rank")).transfers;
    const auto torch = summarise(read("chakra/pytorch_et/dlrm_8rank")).transfers;
    ASSERT_EQ(kineto.size(), torch.size());
    for (std::size_t i = 0; i < kineto.size(); ++i) {
        EXPECT_EQ(kineto[i].type, torch[i].type);
        EXPECT_EQ(kineto[i].payload, torch[i].payload);
        EXPECT_EQ(kineto[i].times, torch[i].times);
    }
}

TEST_F(TraceData, KinetoWithArgumentsOfItsCollectives) {
    const ExecutionTrace trace = read("chakra/kineto/a100_2rank_allreduce.json.gz");
    const TraceSummary summary = summarise(trace);
    EXPECT_EQ(trace.groups.at("0").size(), 2);
    long device = 0;
    for (const TraceNode& node : trace.ranks[0].nodes) device += node.on_host ? 0 : 1;
    EXPECT_EQ(device, 2700 + 960 + 114);
    EXPECT_NE(find(summary, "all_reduce", 6637568 * 4.0), nullptr);
}

TEST_F(TraceData, PyTorchOfTheLaterSchema) {
    const TraceSummary summary = summarise(read("chakra/pytorch_et/resnet_2gpu_et.json.gz"));
    double times = 0;
    for (const TraceTransferSum& one : summary.transfers) {
        EXPECT_EQ(one.ranks, 2);
        times += one.times;
    }
    EXPECT_EQ(times, 6 + 15);  // broadcasts and all-reduces
}

// 768 of the expert all-to-alls on each rank: 8 layers of 24 micro-batches, twice forward and twice
// backward; messages over 11 boundaries, 24 micro-batches, both ways, of 768 ranks a stage.
TEST_F(TraceData, SimAiMixtureOfExperts) {
    const ExecutionTrace trace = read("simai/workload_moe_tp2_ep16_pp12_9216gpu.txt.gz");
    EXPECT_EQ(trace.rank_count(), 9216);
    EXPECT_EQ(trace.ranks.size(), 12U);
    const TraceSummary summary = summarise(trace);
    const TraceTransferSum* experts = find(summary, "all_to_all", 100663296);
    ASSERT_NE(experts, nullptr);
    EXPECT_EQ(experts->times * 16, 768.0 * 9216);
    const TraceTransferSum* messages = find(summary, "send_recv", 50331648);
    ASSERT_NE(messages, nullptr);
    EXPECT_EQ(messages->times, 11.0 * 24 * 2 * 768);
}

TEST_F(TraceData, EveryFileIsRead) {
    for (const char* folder : {"simai/micro", "simai/simAI", "simai/physical"}) {
        for (const auto& file : fs::directory_iterator(root_ / folder))
            EXPECT_GT(summarise(read_trace({file.path().string()})).nodes, 0) << file.path();
    }
    EXPECT_GT(summarise(read("simai/measured_a100_example.csv.gz")).nodes, 8000);
    EXPECT_EQ(summarise(read("chakra/mlcommons_small.json")).nodes, 7);
}

}  // namespace
}  // namespace podsim
