// Any bytes, and traces with some of theirs changed: a trace or an InputError, never anything else,
// and what was read can be counted and made a program of or is refused.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "tests/support/changed_bytes.hpp"
#include "tests/unit/workloads/trace_cases.hpp"
#include "workloads/trace_program.hpp"
#include "workloads/trace_summary.hpp"

namespace podsim {
namespace {

void read_and_use(const std::string& name, const std::string& bytes) {
    const TraceFolder folder;
    try {
        const ExecutionTrace trace = read_trace({folder.write(name, bytes)});
        (void)summarise(trace);
        (void)program_of_trace(trace, trace.rank_count() == 1 ? 4 : 0, 1);
    } catch (const InputError& error) {
        RC_ASSERT(!error.diagnostics().empty());
        RC_ASSERT(!error.diagnostics().front().what.empty());
    }
}

RC_GTEST_PROP(TraceFuzz, AnyBytes, (const std::string& bytes)) {
    read_and_use("t.0.et", bytes);
    read_and_use("t.0.et", kChakraHeader + bytes);
    read_and_use("t.0.et.gz", "\x1f\x8b\x08" + bytes);
}

RC_GTEST_PROP(TraceFuzz, ChangedChakra, ()) {
    read_and_use("t.0.et",
                 changed(kChakraHeader + chakra_compute(216, 318) +
                         chakra_collective(9, 6, 1048576, "g", {216}) +
                         chakra_message(11, true, 3, 64, 5) + chakra_compute(12, 7, {9, 11})));
}

RC_GTEST_PROP(TraceFuzz, ChangedChakraJson, ()) {
    read_and_use("t.json", changed(R"({"workload_graph": [{"Id": 3, "Name": "a", "NodeType": 4,
        "runtime": 318, "data_deps": [], "is_cpu_op": true}, {"Id": 9, "NodeType": 7, "comm_type": 2,
        "comm_size": 64, "data_deps": [3], "comm_src": 1, "comm_dst": 2, "pg_name": "1"}]})"));
}

RC_GTEST_PROP(TraceFuzz, ChangedPyTorch, ()) {
    read_and_use("t.json", changed(R"({"schema": "1.1.1", "nodes": [
      {"id": 7, "name": "record_param_comms", "ctrl_deps": 1,
       "inputs": {"values": [[[5,5,0,8,2,"cuda:0"]],1,"wait"], "shapes": [[2,3]], "types": []},
       "outputs": {"values": [[6,6,0,16,2,"cuda:0"]], "shapes": [], "types": []},
       "attrs": [{"name": "rf_id", "type": "uint64", "value": 1},
                 {"name": "pg_size", "type": "uint64", "value": 2}]},
      {"id": 8, "name": "nccl:all_gather", "ctrl_deps": 7,
       "inputs": {"values": [[5,5,0,8,2,"cuda:0"]], "shapes": [[8]], "types": []},
       "outputs": {"values": [], "shapes": [], "types": []},
       "attrs": [{"name": "rf_id", "type": "uint64", "value": 2}]}]})"));
}

RC_GTEST_PROP(TraceFuzz, ChangedKineto, ()) {
    read_and_use("t.json",
                 changed(R"({"distributedInfo": {"rank": 0, "world_size": 2}, "traceEvents": [
      {"ph": "X", "cat": "cuda_runtime", "name": "cudaStreamWaitEvent", "ts": 5, "dur": 5, "tid": 1},
      {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 10, "dur": 5, "tid": 1,
       "args": {"correlation": 1}},
      {"ph": "X", "cat": "kernel", "name": "ncclDevKernel_AllReduce", "ts": 17, "dur": 20, "tid": 7,
       "args": {"stream": 7, "correlation": 1, "Collective name": "allreduce", "dtype": "Float",
       "In msg nelems": 4, "Process Group Name": "0", "Process Group Ranks": "[0, 1]"}},
      {"ph": "X", "cat": "cuda_runtime", "name": "cudaDeviceSynchronize", "ts": 40, "dur": 60,
       "tid": 1}]})"));
}

RC_GTEST_PROP(TraceFuzz, ChangedText, ()) {
    read_and_use("w.txt",
                 changed("HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 2 pp: 2 "
                         "vpp: 1 ga: 2 all_gpus: 16 pp_comm 1000\n2\n"
                         "a -1 100 ALLREDUCE 64 10 NONE 0 20 NONE 0 1\n"
                         "a -1 5 ALLTOALL_EP 32 0 NONE 0 0 REDUCESCATTER_DP_EP 128 1\n"));
    read_and_use("w.csv", changed("[rank0 ~ rank7]\ncomm_type,comm_group,comm_group_size,msg_size,"
                                  "_elapsed_time\nCommType.all_reduce,CommGroup.tp_group,4,64,0.5\n"
                                  "CommType.all_gather,CommGroup.dp_group,None,64,None\n"));
}

}  // namespace
}  // namespace podsim
