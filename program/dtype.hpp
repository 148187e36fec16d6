// Number formats of operands, and their sizes.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace podsim {

enum class DType { fp32, bf16, fp16, fp8, int8, fp4 };

const std::vector<std::pair<const char*, DType>>& names_of(const DType*);
std::string to_string(DType dtype);

// Bytes of one element, 0.5 for fp4. Scales are counted where they are used.
double bytes_of(DType dtype);

}  // namespace podsim
