#include "program/dtype.hpp"

#include "base/names.hpp"

namespace podsim {

const std::vector<std::pair<const char*, DType>>& names_of(const DType*) {
    static const std::vector<std::pair<const char*, DType>> names = {
        {"fp32", DType::fp32}, {"bf16", DType::bf16}, {"fp16", DType::fp16},
        {"fp8", DType::fp8},   {"int8", DType::int8}, {"fp4", DType::fp4}};
    return names;
}

std::string to_string(DType dtype) {
    return name_of(dtype);
}

double bytes_of(DType dtype) {
    switch (dtype) {
        case DType::fp32:
            return 4.0;
        case DType::bf16:
        case DType::fp16:
            return 2.0;
        case DType::fp8:
        case DType::int8:
            return 1.0;
        case DType::fp4:
            return 0.5;
    }
    return 0.0;
}

}  // namespace podsim
