#include "chips/kernel_library.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/form.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, GemmHabits& habits) {
    form.required("matrix_efficiency", habits.matrix_efficiency,
                  "sustained share of the matrix peak inside a tile", share_above_zero());
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak a long stream reaches", share_above_zero());
    form.required("launch", habits.launch, "fixed cost of a kernel", non_negative());
    form.optional("tile_overhead", habits.tile_overhead,
                  "un-overlapped prologue and epilogue of a 128 x 256 tile", non_negative());
    form.optional("feed_factor", habits.feed_factor,
                  "operand reuse between cores, multiplies the cores' feed", positive());
    form.optional("k_step", habits.k_step, "latency of a 64-deep step along K", non_negative());
    form.optional("splits_k", habits.splits_k, "the library tries splits along K");
    form.optional("ramp", habits.ramp, "latency until a long stream flows", non_negative());
    form.optional("ramp_bytes", habits.ramp_bytes, "stream length at which half of it shows",
                  positive());
    form.optional("split_reduce", habits.split_reduce, "second phase of a split along K",
                  non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, AttentionHabits& habits) {
    form.required("matrix_efficiency", habits.matrix_efficiency,
                  "sustained share of the matrix peak, exponentials included", share_above_zero());
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak a long stream reaches", share_above_zero());
    form.required("launch", habits.launch, "fixed cost, joining of splits included",
                  non_negative());
    form.optional("ramp", habits.ramp, "latency until a long stream flows", non_negative());
    form.optional("ramp_bytes", habits.ramp_bytes, "stream length at which half of it shows",
                  positive());
    form.optional("row_block", habits.row_block, "query rows a core works on at a time",
                  at_least(1));
    form.optional("split_overhead", habits.split_overhead,
                  "cost of a piece of the keys, in blocks of 64 keys", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, VectorHabits& habits) {
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak it reaches", share_above_zero());
    form.required("vector_efficiency", habits.vector_efficiency,
                  "share of the vector peak it reaches", share_above_zero());
    form.required("launch", habits.launch, "fixed cost of a kernel", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, KernelLibrarySpec& library) {
    form.required("title", library.title, "name in words");
    form.required("chip", library.chip, "chip it was measured on, or meant for");
    form.optional("smooth_maximum", library.smooth_maximum,
                  "p of (a^p + b^p)^(1/p) between compute and memory", at_least(1));
    form.required("gemm", library.gemm, "dense and grouped products, by compute format");
    form.required("attention_decode", library.attention_decode,
                  "attention of new tokens over a cache");
    form.required("attention_prefill", library.attention_prefill, "causal attention of a prompt");
    form.required("vector", library.vector, "element-wise, normalising and gathering kernels");
    form.optional("calibration", library.calibration,
                  "what podsim calibrate fits, on which tables");
    if (form.ok() && library.gemm.empty()) form.problem("gemm", "names no format");
}

KernelLibrarySpec read_kernel_library(const Node& document, const std::string& name) {
    KernelLibrarySpec library = read<KernelLibrarySpec>(document, "");
    library.name = name;
    return library;
}

const GemmHabits& gemm_habits(const KernelLibrarySpec& library, DType dtype) {
    const auto found = library.gemm.find(dtype);
    if (found != library.gemm.end()) return found->second;
    std::string known;
    for (const auto& [format, habits] : library.gemm)
        known += (known.empty() ? "" : ", ") + to_string(format);
    throw std::invalid_argument(fmt::format("kernel library {} has no {} products (it has {})",
                                            library.name, to_string(dtype), known));
}

nlohmann::ordered_json kernel_library_schema() {
    return schema<KernelLibrarySpec>("podsim kernel library");
}

}  // namespace podsim
