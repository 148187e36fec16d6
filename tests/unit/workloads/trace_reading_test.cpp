#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/readers.hpp"
#include "tests/unit/workloads/trace_cases.hpp"
#include "workloads/trace_summary.hpp"
#include "workloads/trace_writing.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TraceReading : public testing::Test {
  protected:
    RankTrace rank_of(const std::string& bytes) {
        return read_trace({folder.write("trace.0.et", bytes)}).ranks.at(0);
    }
    std::string refusal(const std::string& bytes, const std::string& name = "trace.0.et") {
        const std::string path = folder.write(name, bytes);
        return refusal_of([&] { (void)read_trace({path}); });
    }
    ExecutionTrace read(const std::string& name, const std::string& text) {
        return read_trace({folder.write(name, text)});
    }
    TraceFolder folder;
};

TEST_F(TraceReading, ChakraByFieldNumbers) {
    const RankTrace rank = rank_of(
        kChakraHeader + chakra_compute(216, 318) +
        chakra_node(7, "load", 2,
                    packed_ids(5, {216}) + whole_attribute("tensor_size", 13, 4096) +
                        whole_attribute("num_ops", 9, 1000)) +
        chakra_collective(9, 6, 1048576, "", {216, 7}) + chakra_message(11, true, 3, 64, 5));
    ASSERT_EQ(rank.nodes.size(), 4U);
    EXPECT_EQ(rank.nodes[0].id, 216U);
    EXPECT_DOUBLE_EQ(rank.nodes[0].duration, 318e-6);
    EXPECT_EQ(rank.nodes[1].kind, TraceKind::memory_load);
    EXPECT_EQ(rank.nodes[1].bytes, 4096);
    EXPECT_EQ(rank.nodes[1].flops, 1000);
    EXPECT_LT(rank.nodes[1].duration, 0);
    EXPECT_EQ(rank.nodes[2].collective, TraceCollective::all_to_all);
    EXPECT_EQ(rank.nodes[2].payload, 1048576);
    EXPECT_THAT(rank.dependencies_of(rank.nodes[2]), ElementsAre(0U, 1U));
    EXPECT_EQ(rank.nodes[3].kind, TraceKind::send);
    EXPECT_EQ(rank.nodes[3].peer, 3);
    EXPECT_EQ(rank.nodes[3].tag, 5);
    EXPECT_EQ(rank.name_of_node(rank.nodes[1]), "load");
}

// Chakra's schema says which oneof holds an attribute; writers differ.
TEST_F(TraceReading, AttributesOfEveryWireType) {
    const auto with = [&](const std::string& value) {
        return rank_of(kChakraHeader +
                       chakra_node(1, "n", 4, text_field(10, text_field(1, "num_ops") + value)))
            .nodes[0]
            .flops;
    };
    EXPECT_EQ(with(number_field(11, 7)), 7);                            // uint32
    EXPECT_EQ(with(number_field(17, 14)), 7);                           // sint64, zigzag
    EXPECT_EQ(with(std::string("\xc9\x01\x07\0\0\0\0\0\0\0", 10)), 7);  // sfixed64, field 25
    EXPECT_EQ(with(std::string("\x19\0\0\0\0\0\0\x1c\x40", 9)), 7);     // double 7.0, field 3
    EXPECT_EQ(with(std::string("\x2d\0\0\xe0\x40", 5)), 7);             // float 7.0, field 5
}

TEST_F(TraceReading, BrokenChakraIsRefusedWithItsByte) {
    const std::string whole = kChakraHeader + chakra_compute(1, 5);
    EXPECT_THAT(refusal(whole.substr(0, whole.size() - 3)), HasSubstr("byte 8: message 1 is cut"));
    EXPECT_THAT(refusal(kChakraHeader + varint(std::uint64_t{1} << 60)),
                HasSubstr("a message of 1152921504606846976 bytes"));
    EXPECT_THAT(refusal(kChakraHeader + "\x80"),
                HasSubstr("byte 8: the length of a message is cut"));
    EXPECT_THAT(refusal(""), HasSubstr("is empty"));
    EXPECT_THAT(refusal(kChakraHeader + chakra_node(4, "n", 9)),
                HasSubstr("node 4: has the type 9"));
    EXPECT_THAT(refusal(kChakraHeader + chakra_collective(4, 17, 1)),
                HasSubstr("unknown type 17 (types are 0 (all-reduce) to 9 (barrier))"));
    EXPECT_THAT(refusal(kChakraHeader + chakra_node(4, "n", 5)), HasSubstr("sent to no one"));
    EXPECT_THAT(refusal(std::string("\x1f\x8b\x08\0\0\0", 6), "trace.0.et.gz"), HasSubstr("gzip"));
}

TEST_F(TraceReading, GraphsThatCannotRun) {
    EXPECT_THAT(refusal(kChakraHeader + chakra_compute(1, 5) + chakra_compute(1, 5)),
                HasSubstr("node 1: has the id of the node at byte 8"));
    EXPECT_THAT(refusal(kChakraHeader + chakra_compute(1, 5, {2})),
                HasSubstr("node 1: depends on the data of node 2, which is not there"));
    EXPECT_THAT(refusal(kChakraHeader + chakra_compute(1, 5, {2}) + chakra_compute(2, 5, {1})),
                HasSubstr("waits for itself, in a circle of 2 nodes: 1 <- 2"));
    EXPECT_THAT(refusal(kChakraHeader + chakra_compute(3, 5, {3})),
                HasSubstr("circle of 1 node: 3"));
}

// A parent that PyTorch's writer names contains the node, and so gives no order; a synthetic
// writer's control dependency does.
TEST_F(TraceReading, ControlDependencies) {
    const std::string nodes =
        chakra_node(1, "a", 4, packed_ids(4, {2, 99})) + chakra_node(2, "b", 4, packed_ids(5, {}));
    const RankTrace synthetic = rank_of(kChakraHeader + nodes);
    EXPECT_THAT(synthetic.dependencies_of(synthetic.nodes[0]), ElementsAre(1U));
    EXPECT_EQ(synthetic.dangling_control_edges, 1);
    const std::string pytorch =
        framed(text_field(2, text_field(1, "schema") + text_field(29, "1.0.1")));
    const RankTrace nested = rank_of(pytorch + nodes);
    EXPECT_TRUE(nested.dependencies_of(nested.nodes[0]).empty());
}

TEST_F(TraceReading, GroupsBesideTheTrace) {
    for (const char* name : {"t.0.et", "t.1.et"})
        folder.write(name, kChakraHeader + chakra_collective(1, 0, 8, "4.0"));
    folder.write("comm_group.json", R"({"4": [0, 1]})");
    const ExecutionTrace trace = read_trace({folder.path()});
    EXPECT_EQ(trace.ranks[1].group_name(trace.ranks[1].nodes[0]), "4");
    EXPECT_THAT(trace.groups.at("4").members, ElementsAre(0, 1));

    folder.write("comm_group.json", R"({"5": [0, 1]})");
    const auto refused = [&] { return refusal_of([&] { (void)read_trace({folder.path()}); }); };
    EXPECT_THAT(refused(), HasSubstr("group 4.0: is not defined"));
    folder.write("comm_group.json", R"({"4": [0, 7]})");
    EXPECT_THAT(refused(), HasSubstr("group 4: names rank 7, the trace has 2"));
    folder.write("comm_group.json", R"({"4": [0, 0]})");
    EXPECT_THAT(refused(), HasSubstr("names rank 0 twice"));
    // A file of that name is meant to be one.
    folder.write("comm_group.json", "[[0, 1]]");
    EXPECT_THAT(refused(), HasSubstr("comm_group.json: is JSON of type array"));
    folder.write("comm_group.json", R"({"4": []})");
    EXPECT_THAT(refused(), HasSubstr("group 4: is empty"));
    folder.write("comm_group.json", R"({"4": [0, "1"]})");
    EXPECT_THAT(refused(), HasSubstr("group 4: has a rank \"1\""));
    folder.write("comm_group.json", R"({"4": [0, )");
    EXPECT_THAT(refused(), HasSubstr("is not JSON"));
}

TEST_F(TraceReading, RanksOfOneTrace) {
    const std::string bytes = kChakraHeader + chakra_compute(1, 5);
    const std::string zero = folder.write("a.0.et", bytes), one = folder.write("b.0.et", bytes),
                      three = folder.write("a.3.et", bytes);
    EXPECT_THAT(refusal_of([&] { (void)read_trace({zero, one}); }), HasSubstr("is rank 0, as is"));
    EXPECT_THAT(refusal_of([&] {
                    (void)read_trace({zero, three});
                }),
                HasSubstr("is rank 3, and rank 1 is missing"));
    const std::string json = folder.write("a.1.json", R"({"workload_graph": []})");
    EXPECT_THAT(refusal_of([&] { (void)read_trace({zero, json}); }), HasSubstr("JSON"));
}

TEST_F(TraceReading, ChakraJson) {
    const ExecutionTrace trace = read("t.0.json", R"({"workload_graph": [
        {"Id": 3, "Name": "a", "NodeType": 4, "runtime": 318, "data_deps": [], "is_cpu_op": true},
        {"Id": 9, "Name": "b", "NodeType": 7, "comm_type": 2, "comm_size": 64, "data_deps": [3],
         "ctrlDeps": [77], "is_cpu_op": false}]})");
    const RankTrace& rank = trace.ranks[0];
    EXPECT_EQ(trace.format, TraceFormat::chakra_json);
    EXPECT_TRUE(rank.nodes[0].on_host);
    EXPECT_DOUBLE_EQ(rank.nodes[0].duration, 318e-6);
    EXPECT_EQ(rank.nodes[1].collective, TraceCollective::all_gather);
    EXPECT_THAT(rank.dependencies_of(rank.nodes[1]), ElementsAre(0U));
    EXPECT_THAT(refusal(R"({"workload_graph": [{"Id": 3, "NodeType": 4, "data_deps": [)", "t.json"),
                HasSubstr("byte"));
    EXPECT_THAT(refusal(R"({"workload_graph": [{"Id": "x", "NodeType": 4}]})", "t.json"),
                HasSubstr("entry 1"));
    EXPECT_THAT(refusal(R"({"something": [{"Id": 1}]})", "t.json"),
                HasSubstr("no trace that is known"));
}

// A product of [4, 8] and [8, 2] is 2 x 4 x 8 x 2 = 128 FLOP; its tensors are 32, 16 and 8 floats.
const char* const kTorch = R"({"schema": "1.0.1", "nodes": [
  {"name": "aten::linear", "id": 2, "rf_id": 1, "parent": 1, "tid": 1, "op_schema": "linear",
                  "inputs" : [], "input_shapes" : [], "outputs" : [], "output_shapes" : []
},
  {"name": "aten::mm", "id": 3, "rf_id": 2, "parent": 2, "tid": 1, "op_schema": "mm",
   "inputs": [[10,10,0,32,4,"cuda:0"],[11,11,0,16,4,"cuda:0"]], "input_shapes": [[4,8],[8,2]],
   "outputs": [[12,12,0,8,4,"cuda:0"]], "output_shapes": [[4,2]]},
  {"name": "record_param_comms", "id": 4, "rf_id": 3, "parent": 1, "tid": 1, "op_schema": "",
   "inputs": [[[12,12,0,8,4,"cuda:0"]],147,5,0,"allreduce",[],[]], "input_shapes": [],
   "outputs": [], "output_shapes": []},
  {"name": "nccl:all_reduce", "id": 5, "rf_id": 4, "parent": 4, "tid": 1, "op_schema": "",
   "inputs": [[12,12,0,8,4,"cuda:0"]], "input_shapes": [[8]], "outputs": [], "output_shapes": []},
  {"name": "aten::add", "id": 6, "rf_id": 5, "parent": 1, "tid": 1, "op_schema": "add",
   "inputs": [[10,10,0,32,4,"cuda:0"]], "input_shapes": [[32]], "outputs": [], "output_shapes": []},
  {"name": "record_param_comms", "id": 7, "rf_id": 6, "parent": 1, "tid": 1, "op_schema": "",
   "inputs": [147,0,0,"wait",[],[]], "input_shapes": [], "outputs": [], "output_shapes": []},
  {"name": "aten::sub", "id": 8, "rf_id": 7, "parent": 1, "tid": 1, "op_schema": "sub",
   "inputs": [[10,10,0,32,4,"cuda:0"]], "input_shapes": [[32]], "outputs": [], "output_shapes": []}
]
})";

TEST_F(TraceReading, PyTorch) {
    const ExecutionTrace trace = read("rank0.json", kTorch);
    const RankTrace& rank = trace.ranks[0];
    ASSERT_EQ(rank.nodes.size(), 4U);  // mm, all-reduce, add, sub
    EXPECT_EQ(rank.nodes[0].flops, 128);
    EXPECT_EQ(rank.nodes[0].bytes, 4 * (32 + 16 + 8));
    EXPECT_EQ(rank.nodes[1].kind, TraceKind::collective);
    EXPECT_EQ(rank.nodes[1].payload, 32);
    EXPECT_THAT(rank.dependencies_of(rank.nodes[1]), ElementsAre(0U));
    // The next operation runs beside the collective; what comes after the wait follows both.
    EXPECT_THAT(rank.dependencies_of(rank.nodes[2]), ElementsAre(0U));
    EXPECT_THAT(rank.dependencies_of(rank.nodes[3]), testing::UnorderedElementsAre(1U, 2U));
}

TEST_F(TraceReading, PyTorchOfTheLaterSchema) {
    const ExecutionTrace trace = read("rank0.json", R"({"schema": "1.1.1-chakra.0.0.4", "nodes": [
      {"id": 4, "name": "## process_group:init ##", "ctrl_deps": 1,
       "inputs": {"values": ["[{\"pg_name\": \"0\", \"pg_desc\": \"default_pg\", \"ranks\": [0, 1], \"group_size\": 2}]"],
                  "shapes": [[]], "types": ["String"]},
       "outputs": {"values": [], "shapes": [], "types": []}, "attrs": []},
      {"id": 7, "name": "record_param_comms", "ctrl_deps": 1,
       "inputs": {"values": [[[5,5,0,8,2,"cuda:0"]],1], "shapes": [], "types": []},
       "outputs": {"values": [[6,6,0,16,2,"cuda:0"]], "shapes": [], "types": []},
       "attrs": [{"name": "rf_id", "type": "uint64", "value": 1},
                 {"name": "pg_name", "type": "string", "value": "0"},
                 {"name": "pg_size", "type": "uint64", "value": 2}]},
      {"id": 8, "name": "nccl:_all_gather_base", "ctrl_deps": 7,
       "inputs": {"values": [[5,5,0,8,2,"cuda:0"]], "shapes": [[8]], "types": []},
       "outputs": {"values": [], "shapes": [], "types": []},
       "attrs": [{"name": "rf_id", "type": "uint64", "value": 2}]}]})");
    ASSERT_EQ(trace.ranks[0].nodes.size(), 1U);
    const TraceNode& node = trace.ranks[0].nodes[0];
    EXPECT_EQ(node.collective, TraceCollective::all_gather);
    EXPECT_EQ(node.payload, 32);  // of the result
    EXPECT_EQ(members_of(trace, trace.ranks[0], node), 2);
}

// Host: 10 us, launch A on stream 7 (call 5 us); at 30 launch an all-reduce on 20; at 40 a
// synchronisation that ends at 100, when the all-reduce has ended at 95.
const char* const kKineto = R"({"distributedInfo": {"rank": 0, "world_size": 1}, "traceEvents": [
  {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": 0, "dur": 20, "tid": 1},
  {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 10, "dur": 5, "tid": 1,
   "args": {"correlation": 1}},
  {"ph": "X", "cat": "kernel", "name": "gemm", "ts": 17, "dur": 20, "tid": 7,
   "args": {"stream": 7, "correlation": 1}},
  {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 30, "dur": 5, "tid": 1,
   "args": {"correlation": 2}},
  {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce", "ts": 38, "dur": 57, "tid": 20,
   "args": {"stream": 20, "correlation": 2, "Collective name": "allreduce", "In msg nelems": 1024,
            "Out msg nelems": 1024, "dtype": "BFloat16"}},
  {"ph": "X", "cat": "cuda_runtime", "name": "cudaDeviceSynchronize", "ts": 40, "dur": 60, "tid": 1}
]})";

TEST_F(TraceReading, Kineto) {
    const ExecutionTrace trace = read("rank0.json", kKineto);
    const RankTrace& rank = trace.ranks[0];
    std::vector<std::string> names;
    std::vector<long> micros;
    for (const TraceNode& node : rank.nodes) {
        names.push_back(rank.name_of_node(node));
        micros.push_back(std::lround(node.duration * 1e6));
    }
    EXPECT_THAT(names, ElementsAre("host", "gemm", "host", "ncclDevKernel_AllReduce", "host",
                                   "host waits", "host"));
    // To the end of the first launch; on to the second's; on to the wait, which took 5 us beyond
    // the all-reduce.
    EXPECT_THAT(micros, ElementsAre(15, 20, 20, 57, 5, 5, 0));
    EXPECT_EQ(rank.nodes[3].kind, TraceKind::collective);
    EXPECT_EQ(rank.nodes[3].payload, 2048);
    EXPECT_THAT(rank.dependencies_of(rank.nodes[3]), testing::UnorderedElementsAre(1U, 2U));
    EXPECT_THAT(rank.dependencies_of(rank.nodes[5]), testing::UnorderedElementsAre(3U, 4U));
}

const char* const kSimAi =
    "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 2 pp: 2 vpp: 1 ga: 2 "
    "all_gpus: 16 checkpoints: 0 checkpoint_initiates: 0 pp_comm 1000\n"
    "3\n"
    "embedding\t-1\t100\tALLREDUCE\t64\t10\tNONE\t0\t20\tNONE\t0\t1\n"
    "embedding\t-1\t100\tALLREDUCE\t64\t10\tNONE\t0\t20\tNONE\t0\t1\n"
    "end\t-1\t5\tALLTOALL_EP\t32\t0\tNONE\t0\t0\tREDUCESCATTER\t128\t1\n";

TEST_F(TraceReading, SimAi) {
    const ExecutionTrace trace = read("w.txt", kSimAi);
    ASSERT_EQ(trace.ranks.size(), 2U);  // stages of 8 ranks
    EXPECT_EQ(trace.ranks[1].rank, 8);
    EXPECT_EQ(trace.ranks[1].count, 8);
    const TraceSummary summary = summarise(trace);
    // Two micro-batches over one boundary, both ways, of the 8 ranks of a stage.
    std::map<std::string, TraceTransferSum> by_type;
    for (const TraceTransferSum& one : summary.transfers) by_type[one.type] = one;
    EXPECT_EQ(by_type["send_recv"].times, 2 * 2 * 8);
    EXPECT_EQ(by_type["all_reduce"].times, 2 * 16 / 2);  // groups of 2
    EXPECT_EQ(by_type["all_to_all"].times, 16 / 2);      // expert groups of 2
    EXPECT_EQ(by_type["reduce_scatter"].ranks, 8 / 2);   // data parallelism
    EXPECT_EQ(summary.transfers.size(), 4U);
    EXPECT_THAT(refusal(replaced(kSimAi, "\n3\n", "\n4\n"), "w.txt"),
                HasSubstr("2: layers: 4 are announced, 3 follow"));
    EXPECT_THAT(refusal(replaced(kSimAi, "ALLTOALL_EP", "ALLTOSOME"), "w.txt"),
                HasSubstr(":5: end: ALLTOSOME is no collective"));
    EXPECT_THAT(refusal(replaced(kSimAi, "all_gpus: 16", "all_gpus: 15"), "w.txt"),
                HasSubstr("do not divide 15 ranks"));
}

TEST_F(TraceReading, Aicb) {
    const ExecutionTrace trace =
        read("w.csv",
             "[rank0 ~ rank15]\n"
             "comm_type,comm_group,comm_group_size,msg_size,stage,dst,src,additional,_elapsed_time,"
             "algbw,"
             "busbw,count\n"
             "CommType.all_reduce,CommGroup.tp_group,4,1024,s,None,None,,0.5,0,0,1\n"
             "CommType.all_gather,CommGroup.dp_group,4,64,s,None,None,,None,0,0,1\n"
             "CommType.all_to_all,CommGroup.ep_group,None,64,s,None,None,,None,0,0,1\n");
    EXPECT_EQ(trace.rank_count(), 16);
    EXPECT_EQ(trace.groups.at("dp_group of 4").stride, 4);
    EXPECT_EQ(trace.groups.at("ep_group").ranks, 4);
    EXPECT_DOUBLE_EQ(trace.ranks[0].nodes[0].duration, 0.5e-3);
}

// What is written is read again: nodes, dependencies, times to the picosecond, sizes.
TEST_F(TraceReading, WrittenChakraIsReadAgain) {
    const RankTrace rank =
        rank_of(kChakraHeader + chakra_compute(5, 7) + chakra_collective(6, 7, 640, "g", {5}) +
                chakra_message(8, false, 2, 64, 3));
    const RankTrace again = rank_of(chakra_bytes(rank, {}));
    ASSERT_EQ(again.nodes.size(), rank.nodes.size());
    for (std::size_t i = 0; i < rank.nodes.size(); ++i) {
        const TraceNode &a = rank.nodes[i], &b = again.nodes[i];
        EXPECT_EQ(a.id, b.id);
        EXPECT_EQ(a.kind, b.kind);
        EXPECT_EQ(a.duration, b.duration);
        EXPECT_EQ(a.payload, b.payload);
        EXPECT_EQ(a.peer, b.peer);
        EXPECT_EQ(rank.group_name(a), again.group_name(b));
        EXPECT_TRUE(std::ranges::equal(rank.dependencies_of(a), again.dependencies_of(b)));
    }
}

}  // namespace
}  // namespace podsim
