// What is done with each element of a JSON trace's list.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "workloads/trace/readers.hpp"

namespace podsim {

struct JsonElements {
    std::function<void(const nlohmann::json&)> element;
    std::function<void(const nlohmann::json&)> finish;  // gets what stood beside the list
    std::function<std::string()> where;                 // the element at hand: "node 5"
};

JsonElements chakra_json_elements(RankFile& file);
JsonElements pytorch_elements(RankFile& file);
JsonElements kineto_elements(RankFile& file);

// The collective that a library's or a framework's name for it means: "allreduce", "all_gather",
// "_allgather_base", "all_to_allv", "ncclKernel_AllReduce_RING_LL_Sum_float(...)". False: none.
bool collective_named(const std::string& name, TraceCollective& collective);

// Bytes of an element, by PyTorch's name of its type: "Float", "float", "c10::BFloat16". 0:
// unknown.
double bytes_of_torch_type(const std::string& name);

}  // namespace podsim
