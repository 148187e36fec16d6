#include "chips/kernel_library.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

#include "base/form.hpp"
#include "base/names.hpp"

namespace podsim {

const std::vector<std::pair<const char*, KernelKind>>& names_of(const KernelKind*) {
    static const std::vector<std::pair<const char*, KernelKind>> names = {
        {"fitted", KernelKind::fitted}, {"structural", KernelKind::structural}};
    return names;
}

const std::vector<std::pair<const char*, AttentionKind>>& names_of(const AttentionKind*) {
    using Kind = AttentionKind;
    static const std::vector<std::pair<const char*, Kind>> names = {
        {"multi_head_decode", Kind::multi_head_decode},
        {"multi_head_decode_fp8", Kind::multi_head_decode_fp8},
        {"grouped_decode", Kind::grouped_decode},
        {"grouped_decode_fp8", Kind::grouped_decode_fp8},
        {"grouped_prefill", Kind::grouped_prefill},
        {"grouped_prefill_fp8", Kind::grouped_prefill_fp8},
        {"sparse_decode", Kind::sparse_decode},
        {"sparse_decode_fp8", Kind::sparse_decode_fp8},
        {"sparse_prefill", Kind::sparse_prefill},
        {"sparse_prefill_fp8", Kind::sparse_prefill_fp8},
        {"compressed_decode", Kind::compressed_decode},
        {"compressed_decode_fp8", Kind::compressed_decode_fp8},
        {"compressed_prefill", Kind::compressed_prefill},
        {"compressed_prefill_fp8", Kind::compressed_prefill_fp8},
        {"window_decode", Kind::window_decode},
        {"window_prefill", Kind::window_prefill}};
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
    form.optional("split_join", habits.split_join,
                  "second phase where the keys are cut in several splits", non_negative());
    form.optional("sequence_overhead", habits.sequence_overhead,
                  "time for each sequence: its cache gathered before the kernel", non_negative());
    form.optional("pads_selection", habits.pads_selection,
                  "works on all slots of a choice of entries, filled or not");
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, IndexHabits& habits) {
    form.required("matrix_efficiency", habits.matrix_efficiency,
                  "sustained share of the matrix peak", share_above_zero());
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak a long stream reaches", share_above_zero());
    form.optional("vector_efficiency", habits.vector_efficiency,
                  "share of the vector peak that relu, weights and sums reach", share_above_zero());
    form.required("launch", habits.launch, "fixed cost of a kernel", non_negative());
    form.optional("key_block", habits.key_block, "keys that a query's entries are padded to",
                  at_least(1));
    form.optional("query_overhead", habits.query_overhead,
                  "cost of each query, in blocks of 64 keys", non_negative());
    form.optional("block_latency", habits.block_latency,
                  "time of a block of 64 keys beside its arithmetic", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, DeltaHabits& habits) {
    form.optional("matrix_efficiency", habits.matrix_efficiency,
                  "prefill: sustained share of the matrix peak", share_above_zero());
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak a long stream reaches", share_above_zero());
    form.optional("vector_efficiency", habits.vector_efficiency, "decode: share of the vector peak",
                  share_above_zero());
    form.required("launch", habits.launch, "fixed cost of its kernels together", non_negative());
    form.optional("ramp", habits.ramp, "latency until a long stream flows", non_negative());
    form.optional("ramp_bytes", habits.ramp_bytes, "stream length at which half of it shows",
                  positive());
    form.optional("chunk_latency", habits.chunk_latency,
                  "prefill: step from one chunk of 64 tokens to the next", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, StreamHabits& habits) {
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak a long stream reaches", share_above_zero());
    form.optional("stream_reads", habits.stream_reads,
                  "times the streams are read: for the norm, and for the sum", at_least(1));
    form.required("launch", habits.launch, "fixed cost of its kernels together", non_negative());
    form.optional("iteration", habits.iteration, "time of one Sinkhorn iteration", non_negative());
    form.optional("step_latency", habits.step_latency,
                  "time of 64 elements along a token's streams", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, ModuleHabits& habits) {
    form.optional("host", habits.host, "time of the host's launches: never done sooner",
                  non_negative());
    form.optional("overhead", habits.overhead, "time beside its operators", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, VectorHabits& habits) {
    form.required("memory_efficiency", habits.memory_efficiency,
                  "share of the memory peak it reaches", share_above_zero());
    form.required("vector_efficiency", habits.vector_efficiency,
                  "share of the vector peak it reaches", share_above_zero());
    form.optional(
        "row_efficiency", habits.row_efficiency,
        "share of one core's feed and vector units that a row reaches, of operators whose "
        "rows are one core's work each (top_k)",
        share_above_zero());
    form.required("launch", habits.launch, "fixed cost of a kernel", non_negative());
    form.required("record", habits.record, "where the parameters come from");
}

template <class Form>
void describe(Form& form, KernelLibrarySpec& library) {
    form.required("title", library.title, "name in words");
    form.required("chip", library.chip, "chip it was measured on, or meant for");
    form.optional("kind", library.kind,
                  "fitted habits, or launches alone beside the structure of the chip's core");
    form.optional("smooth_maximum", library.smooth_maximum,
                  "p of (a^p + b^p)^(1/p) between compute and memory", at_least(1));
    form.required("gemm", library.gemm, "dense and grouped products, by compute format");
    form.optional("grouped_gemm", library.grouped_gemm,
                  "grouped products, by compute format, where they differ");
    form.optional("widened_gemm", library.widened_gemm,
                  "grouped products of 16 bits whose weights are stored narrower, by the format of "
                  "the weights, where they differ");
    form.optional("fused_experts", library.fused_experts,
                  "dispatch, products of the experts and combine as one kernel, by compute format");
    form.required("attention_decode", library.attention_decode,
                  "attention of new tokens over a cache");
    form.required("attention_prefill", library.attention_prefill, "causal attention of a prompt");
    form.optional("attention", library.attention,
                  "kinds of attention that have kernels of their own");
    form.required("vector", library.vector, "element-wise, normalising and gathering kernels");
    form.optional("expert_vector", library.expert_vector,
                  "kernels that sort, quantise, activate and sum rows of experts");
    form.optional("vector_kernels", library.vector_kernels,
                  "vector operators with habits of their own, by name: top_k, causal_conv1d ...");
    form.optional("index_scores", library.index_scores,
                  "scores by which sparse attention chooses, by phase");
    form.optional("delta_rule", library.delta_rule, "gated delta rule, by phase");
    form.optional("stream_mix", library.stream_mix, "hyper-connections: in and out");
    form.optional("tiling", library.tiling,
                  "tiles its products and attention are cut into, where the structure answers");
    form.optional("modules", library.modules,
                  "what a framework's module costs beside its operators, by name; tables of "
                  "modules alone ask for it");
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

namespace {

bool has_widened(const KernelLibrarySpec& library, const Gemm& gemm, DType executed) {
    return gemm.groups + gemm.idle_groups > 1 && bytes_of(executed) > 1.0 &&
           bytes_of(gemm.b) < bytes_of(executed) && library.widened_gemm.count(gemm.b) > 0;
}

}  // namespace

const GemmHabits& gemm_habits(const KernelLibrarySpec& library, const Gemm& gemm, DType executed) {
    if (has_widened(library, gemm, executed)) return library.widened_gemm.at(gemm.b);
    return gemm_habits(library, executed, gemm.groups + gemm.idle_groups);
}

std::string gemm_part(const KernelLibrarySpec& library, const Gemm& gemm, DType executed) {
    if (has_widened(library, gemm, executed)) return "widened_gemm." + to_string(gemm.b);
    const bool grouped =
        gemm.groups + gemm.idle_groups > 1 && library.grouped_gemm.count(executed) > 0;
    return (grouped ? "grouped_gemm." : "gemm.") + to_string(executed);
}

const GemmHabits& fused_habits(const KernelLibrarySpec& library, DType dtype) {
    const auto found = library.fused_experts.find(dtype);
    if (found != library.fused_experts.end()) return found->second;
    std::string known;
    for (const auto& [format, habits] : library.fused_experts)
        known += (known.empty() ? "" : ", ") + to_string(format);
    throw std::invalid_argument(fmt::format(
        "kernel library {} has no kernel that fuses {} experts with their exchange{}", library.name,
        to_string(dtype), known.empty() ? "" : fmt::format(" (it has {})", known)));
}

bool reads_own_entries(const Attention& a) {
    return a.form == AttentionForm::mla_absorbed &&
           (a.compression != 1 || a.selected > 0 || a.window > 0);
}

namespace {

using Kind = AttentionKind;

// The nearest first; what all attention of the phase has comes after them.
std::vector<Kind> kinds_for(const Attention& a) {
    std::vector<Kind> kinds;
    const bool narrow = bytes_of(a.kv) <= 1, decode = a.phase == Phase::decode;
    const auto add = [&](Kind wide_cache, Kind narrow_cache) {
        if (narrow) kinds.push_back(narrow_cache);
        kinds.push_back(wide_cache);
    };
    if (reads_own_entries(a)) {
        const bool sparse = a.compression == 1 && a.window == 0;
        // Either before whole attention, in any format of the cache; stand_in_for says so.
        for (const bool chosen : {sparse, !sparse}) {
            for (const bool wide : {!narrow, narrow}) {
                if (decode && chosen)
                    kinds.push_back(wide ? Kind::sparse_decode : Kind::sparse_decode_fp8);
                else if (decode)
                    kinds.push_back(wide ? Kind::compressed_decode : Kind::compressed_decode_fp8);
                else if (chosen)
                    kinds.push_back(wide ? Kind::sparse_prefill : Kind::sparse_prefill_fp8);
                else
                    kinds.push_back(wide ? Kind::compressed_prefill : Kind::compressed_prefill_fp8);
            }
        }
    }
    if (a.form != AttentionForm::gqa) return kinds;
    if (a.window > 0) kinds.push_back(decode ? Kind::window_decode : Kind::window_prefill);
    if (decode) {
        if (a.heads == a.kv_heads) add(Kind::multi_head_decode, Kind::multi_head_decode_fp8);
        add(Kind::grouped_decode, Kind::grouped_decode_fp8);
    } else {
        add(Kind::grouped_prefill, Kind::grouped_prefill_fp8);
    }
    return kinds;
}

std::optional<Kind> kind_at_hand(const KernelLibrarySpec& library, const Attention& a) {
    for (const Kind kind : kinds_for(a)) {
        if (library.attention.count(kind) > 0) return kind;
    }
    return std::nullopt;
}

const AttentionHabits& whole_attention(const KernelLibrarySpec& library, Phase phase) {
    return phase == Phase::decode ? library.attention_decode : library.attention_prefill;
}

// The habits under `key`, else those under the other of two keys.
template <class Key, class Habits>
std::optional<NearestHabits<Habits>> nearest(const std::map<Key, Habits>& all, Key key,
                                             const char* name) {
    if (all.empty()) return std::nullopt;
    const auto own = all.find(key);
    if (own != all.end()) return NearestHabits<Habits>{own->second, ""};
    const auto& [other, habits] = *all.begin();
    return NearestHabits<Habits>{habits, fmt::format("{}.{}", name, name_of(other))};
}

}  // namespace

const AttentionHabits& attention_habits(const KernelLibrarySpec& library, const Attention& a) {
    const auto kind = kind_at_hand(library, a);
    return kind ? library.attention.at(*kind) : whole_attention(library, a.phase);
}

std::string stand_in_for(const KernelLibrarySpec& library, const Attention& a) {
    if (!reads_own_entries(a) && a.window == 0) return "";
    const auto kind = kind_at_hand(library, a);
    if (kind == kinds_for(a).front()) return "";
    if (kind) return "attention." + name_of(*kind);
    return a.phase == Phase::decode ? "attention_decode" : "attention_prefill";
}

NearestHabits<IndexHabits> index_habits(const KernelLibrarySpec& library, Phase phase) {
    if (const auto found = nearest(library.index_scores, phase, "index_scores")) return *found;
    const AttentionHabits& near = whole_attention(library, phase);
    IndexHabits habits;
    habits.matrix_efficiency = near.matrix_efficiency;
    habits.memory_efficiency = near.memory_efficiency;
    habits.launch = near.launch;
    habits.block_latency = near.block_latency;
    habits.record = near.record;
    return {habits, phase == Phase::decode ? "attention_decode" : "attention_prefill"};
}

NearestHabits<DeltaHabits> delta_habits(const KernelLibrarySpec& library, Phase phase) {
    if (const auto found = nearest(library.delta_rule, phase, "delta_rule")) return *found;
    DeltaHabits habits;
    habits.matrix_efficiency = whole_attention(library, phase).matrix_efficiency;
    habits.memory_efficiency = library.vector.memory_efficiency;
    habits.vector_efficiency = library.vector.vector_efficiency;
    habits.launch = library.vector.launch;
    habits.record = library.vector.record;
    return {habits, "vector"};
}

NearestHabits<StreamHabits> stream_habits(const KernelLibrarySpec& library, StreamSide side) {
    if (const auto found = nearest(library.stream_mix, side, "stream_mix")) return *found;
    StreamHabits habits;
    habits.memory_efficiency = library.vector.memory_efficiency;
    habits.launch = library.vector.launch;
    habits.record = library.vector.record;
    return {habits, "vector"};
}

const VectorHabits& vector_habits(const KernelLibrarySpec& library, const VectorWork& work) {
    const auto own = library.vector_kernels.find(work.op);
    if (own != library.vector_kernels.end()) return own->second;
    const bool of_experts = work.op.rfind("expert_", 0) == 0;
    return of_experts && library.expert_vector ? *library.expert_vector : library.vector;
}

std::vector<FitRecord*> records_of(KernelLibrarySpec& library) {
    std::vector<FitRecord*> records = {&library.attention_decode.record,
                                       &library.attention_prefill.record, &library.vector.record};
    for (auto& [dtype, habits] : library.gemm) records.push_back(&habits.record);
    for (auto& [dtype, habits] : library.grouped_gemm) records.push_back(&habits.record);
    for (auto& [dtype, habits] : library.widened_gemm) records.push_back(&habits.record);
    for (auto& [dtype, habits] : library.fused_experts) records.push_back(&habits.record);
    for (auto& [kind, habits] : library.attention) records.push_back(&habits.record);
    if (library.expert_vector) records.push_back(&library.expert_vector->record);
    const auto add = [&records](auto& all) {
        for (auto& [key, habits] : all) records.push_back(&habits.record);
    };
    add(library.vector_kernels);
    add(library.index_scores);
    add(library.delta_rule);
    add(library.stream_mix);
    add(library.modules);
    return records;
}

bool is_fitted(const KernelLibrarySpec& library) {
    KernelLibrarySpec copy = library;
    const auto records = records_of(copy);
    return std::any_of(records.begin(), records.end(), [](const FitRecord* record) {
        return record->basis != Confidence::assumed;
    });
}

nlohmann::ordered_json kernel_library_schema() {
    return schema<KernelLibrarySpec>("podsim kernel library").json();
}

}  // namespace podsim
