#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

const char* const kTrace = R"({"workload_graph": [
  {"Id": 1, "Name": "a", "NodeType": 4, "runtime": 250, "data_deps": [], "is_cpu_op": false,
   "num_ops": 1000},
  {"Id": 2, "Name": "b", "NodeType": 7, "comm_type": 0, "comm_size": 1048576, "data_deps": [1],
   "is_cpu_op": false}]})";

TEST(TraceVerb, SaysWhatATraceHolds) {
    const Folder folder;
    folder.write("t.json", kTrace);
    const Outcome table = folder.podsim({"trace", "t.json"});
    EXPECT_EQ(table.code, 0) << table.err;
    for (const char* part : {"Chakra JSON, 1 rank in 1 file", "2 nodes", "compute, device",
                             "250 us", "1 kFLOP", "all_reduce", "1.05 MB", "the other ranks"})
        EXPECT_TRUE(contains(table.out, part)) << part << "\n" << table.out;
    for (const std::string& line : lines_of(table.out)) EXPECT_LE(line.size(), 80U) << line;

    const auto json = nlohmann::json::parse(folder.podsim({"trace", "t.json", "--json"}).out);
    EXPECT_EQ(json["nodes"], 2);
    EXPECT_EQ(json["dependencies"], 1);
    EXPECT_EQ(json["transfers"][0]["bytes"], 1048576.0);
    EXPECT_EQ(json["critical_path"]["seconds"], 250e-6);
}

TEST(TraceVerb, RefusesWhatCannotRun) {
    const Folder folder;
    folder.write("t.json", R"({"workload_graph": [{"Id": 1, "NodeType": 4, "data_deps": [1]}]})");
    const Outcome circle = folder.podsim({"trace", "t.json"});
    EXPECT_EQ(circle.code, 2);
    EXPECT_TRUE(contains(circle.err, "t.json: entry 1, node 1: waits for itself")) << circle.err;
    EXPECT_EQ(folder.podsim({"trace", "none.et"}).code, 2);
    EXPECT_EQ(folder.podsim({"trace", "t.json", "t.json", "--write", "d"}).code, 2);
}

// The demo's step as Chakra, looked at and replayed where it ran.
// A fused exchange is one node with the work of its products.
TEST(TraceVerb, WritesAFusedExchange) {
    const Folder folder;
    const Outcome written = folder.podsim({"trace", "fused-experts", "--write", "fused"});
    EXPECT_EQ(written.code, 0) << written.err;
    const Outcome read = folder.podsim({"trace", "fused"});
    EXPECT_EQ(read.code, 0) << read.err;
    EXPECT_TRUE(contains(read.out, "FLOP")) << read.out;
}

TEST(TraceVerb, WritesAProgramThatReplays) {
    const Folder folder;
    const Outcome written =
        folder.podsim({"trace", "deepseek-r1-decode", "--alternative", "H800", "--write", "step"});
    ASSERT_EQ(written.code, 0) << written.err;
    EXPECT_TRUE(contains(written.out, "144 ranks in 1 file\n")) << written.out;
    EXPECT_TRUE(folder.has("step/trace.0.et"));
    EXPECT_TRUE(contains(folder.podsim({"trace", "step"}).out, "dispatch"));
    folder.write("r.yaml",
                 "experiment: r\nworkload: {kind: replay, trace: step}\nalternatives: [{name: a, "
                 "system: h800-ib, chips: 144, collectives: deepep-2025-06}]\n");
    const Outcome run = folder.podsim({"run", "r.yaml", "--out", "out"});
    EXPECT_EQ(run.code, 0) << run.err;
    EXPECT_TRUE(contains(run.out, "exposed")) << run.out;
    // From itself, as long as the trace is there.
    EXPECT_EQ(folder.podsim({"run", "out/result.json", "--out", "again"}).code, 0);
    const Outcome unknown =
        folder.podsim({"trace", "deepseek-r1-decode", "--alternative", "H80", "--write", "step"});
    EXPECT_EQ(unknown.code, 2);
    EXPECT_TRUE(contains(unknown.err, "did you mean H800?")) << unknown.err;
}

}  // namespace
}  // namespace podsim
