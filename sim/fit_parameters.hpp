// The values of a kernel library that a fit may move: by name, with the range they may lie in.
#pragma once

#include <string>
#include <vector>

#include "base/fit_record.hpp"
#include "chips/kernel_library.hpp"
#include "sim/fit_search.hpp"

namespace podsim {

// The parameters of a set of habits: "gemm.bf16", "grouped_gemm.fp8", "attention_decode",
// "attention_prefill", "attention.grouped_decode" (and the other kinds), "vector" or
// "expert_vector". Throws std::invalid_argument for another name.
std::vector<FitParameter> fit_parameters(const std::string& part);

// Of a library that has the part. Throws std::invalid_argument.
double get_parameter(const KernelLibrarySpec& library, const std::string& part,
                     const std::string& name);
void set_parameter(KernelLibrarySpec& library, const std::string& part, const std::string& name,
                   double value);
// The habits that decide about an operator.
std::string part_of(const KernelLibrarySpec& library, const OperatorBody& body);
const FitRecord& record_of(const KernelLibrarySpec& library, const std::string& part);

}  // namespace podsim
