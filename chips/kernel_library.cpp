#include "chips/kernel_library.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/form.hpp"

namespace podsim {

const std::vector<std::pair<const char*, AttentionKind>>& names_of(const AttentionKind*) {
    using Kind = AttentionKind;
    static const std::vector<std::pair<const char*, Kind>> names = {
        {"multi_head_decode", Kind::multi_head_decode},
        {"multi_head_decode_fp8", Kind::multi_head_decode_fp8},
        {"grouped_decode", Kind::grouped_decode},
        {"grouped_decode_fp8", Kind::grouped_decode_fp8},
        {"grouped_prefill", Kind::grouped_prefill},
        {"grouped_prefill_fp8", Kind::grouped_prefill_fp8}};
    return names;
}

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
    form.optional("group_overhead", habits.group_overhead,
                  "time for each group of a grouped product, idle ones too", non_negative());
    form.optional("smallest_tile", habits.smallest_tile, "rows of the smallest tile", at_least(1));
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
    form.optional("block_latency", habits.block_latency,
                  "time of a block of 64 keys that no head size changes", non_negative());
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
    form.optional("grouped_gemm", library.grouped_gemm,
                  "grouped products, by compute format, where they differ");
    form.required("attention_decode", library.attention_decode,
                  "attention of new tokens over a cache");
    form.required("attention_prefill", library.attention_prefill, "causal attention of a prompt");
    form.optional("attention", library.attention,
                  "kinds of attention that have kernels of their own");
    form.required("vector", library.vector, "element-wise, normalising and gathering kernels");
    form.optional("expert_vector", library.expert_vector,
                  "kernels that sort, quantise, activate and sum rows of experts");
    form.optional("calibration", library.calibration,
                  "what podsim calibrate fits, on which tables");
    if (form.ok() && library.gemm.empty()) form.problem("gemm", "names no format");
}

KernelLibrarySpec read_kernel_library(const Node& document, const std::string& name) {
    KernelLibrarySpec library = read<KernelLibrarySpec>(document, "");
    library.name = name;
    return library;
}

const GemmHabits& gemm_habits(const KernelLibrarySpec& library, DType dtype, long groups) {
    if (groups > 1) {
        const auto grouped = library.grouped_gemm.find(dtype);
        if (grouped != library.grouped_gemm.end()) return grouped->second;
    }
    const auto found = library.gemm.find(dtype);
    if (found != library.gemm.end()) return found->second;
    std::string known;
    for (const auto& [format, habits] : library.gemm)
        known += (known.empty() ? "" : ", ") + to_string(format);
    throw std::invalid_argument(fmt::format("kernel library {} has no {} products (it has {})",
                                            library.name, to_string(dtype), known));
}

const AttentionHabits& attention_habits(const KernelLibrarySpec& library, const Attention& a) {
    using Kind = AttentionKind;
    std::vector<Kind> kinds;  // the nearest first
    const bool narrow = bytes_of(a.kv) <= 1;
    const auto add = [&](Kind wide_cache, Kind narrow_cache) {
        if (narrow) kinds.push_back(narrow_cache);
        kinds.push_back(wide_cache);
    };
    if (a.form == AttentionForm::gqa && a.phase == Phase::decode) {
        if (a.heads == a.kv_heads) add(Kind::multi_head_decode, Kind::multi_head_decode_fp8);
        add(Kind::grouped_decode, Kind::grouped_decode_fp8);
    } else if (a.form == AttentionForm::gqa) {
        add(Kind::grouped_prefill, Kind::grouped_prefill_fp8);
    }
    for (const Kind kind : kinds) {
        const auto found = library.attention.find(kind);
        if (found != library.attention.end()) return found->second;
    }
    return a.phase == Phase::decode ? library.attention_decode : library.attention_prefill;
}

const VectorHabits& vector_habits(const KernelLibrarySpec& library, const VectorWork& work) {
    const bool of_experts = work.op.rfind("expert_", 0) == 0;
    return of_experts && library.expert_vector ? *library.expert_vector : library.vector;
}

std::vector<FitRecord*> records_of(KernelLibrarySpec& library) {
    std::vector<FitRecord*> records = {&library.attention_decode.record,
                                       &library.attention_prefill.record, &library.vector.record};
    for (auto& [dtype, habits] : library.gemm) records.push_back(&habits.record);
    for (auto& [dtype, habits] : library.grouped_gemm) records.push_back(&habits.record);
    for (auto& [kind, habits] : library.attention) records.push_back(&habits.record);
    if (library.expert_vector) records.push_back(&library.expert_vector->record);
    return records;
}

nlohmann::ordered_json kernel_library_schema() {
    return schema<KernelLibrarySpec>("podsim kernel library");
}

}  // namespace podsim
