// The values of a kernel library that a fit may move: by name, with the range they may lie in.
#pragma once

#include <string>
#include <vector>

#include "base/fit_record.hpp"
#include "chips/kernel_library.hpp"
#include "sim/fit_search.hpp"
#include "sim/kernel_table.hpp"

namespace podsim {

// The parameters of a set of habits: "gemm.bf16", "grouped_gemm.fp8", "attention_decode",
// "attention_prefill", "attention.grouped_decode" (and the other kinds), "vector", "expert_vector",
// "vector_kernels.top_k", "index_scores.decode", "delta_rule.prefill", "stream_mix.in" or
// "modules.NAME". Throws std::invalid_argument for another name.
std::vector<FitParameter> fit_parameters(const std::string& part);

// Those that a library has, in that order.
std::vector<std::string> parts_of(const KernelLibrarySpec& library);

// Of a library that has the part. Throws std::invalid_argument.
double get_parameter(const KernelLibrarySpec& library, const std::string& part,
                     const std::string& name);
void set_parameter(KernelLibrarySpec& library, const std::string& part, const std::string& name,
                   double value);
// The habits that decide about an operator, or stand in for those.
std::string part_of(const KernelLibrarySpec& library, const OperatorBody& body);
// Of a row: its module's, else those of its last operator.
std::string part_of(const KernelLibrarySpec& library, const KernelRow& row);
const FitRecord& record_of(const KernelLibrarySpec& library, const std::string& part);

}  // namespace podsim
