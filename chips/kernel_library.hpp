// The habits of one kernel library on one chip: the parameters of the cost model that are not on
// a data sheet. Fitted on kernel tables (measured), carried over from a relative (derived) or
// guessed (assumed); the record says which, and the result repeats it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/fit_record.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/tiling_rules.hpp"
#include "program/dtype.hpp"
#include "program/operator.hpp"

namespace podsim {

// Dense and grouped products (modelling: tile + wave quantisation + latency ramp + smooth
// roofline).
struct GemmHabits {
    double matrix_efficiency = 0.8;   // sustained share of the matrix peak inside a tile
    double memory_efficiency = 0.85;  // share of HBM peak a long stream reaches
    Seconds launch{3e-6};             // fixed cost of a kernel
    Seconds tile_overhead{0.0};       // un-overlapped prologue and epilogue of a 128 x 256 tile
    double feed_factor = 1;           // operand reuse between cores: multicast, panels kept on chip
    Seconds k_step{0.0};   // latency of one 64-deep step along K that the pipeline can't hide
    bool splits_k = true;  // the library tries splits along K
    Seconds ramp{0.0};     // latency until streaming, for transfers beyond ramp_bytes
    Bytes ramp_bytes{1e6};
    Seconds split_reduce{0.0};    // second phase of a split along K
    Seconds group_overhead{0.0};  // of each group of a grouped product, idle ones too
    long smallest_tile = 16;      // rows of the smallest tile the library has
    FitRecord record;
};

struct AttentionHabits {
    double matrix_efficiency = 0.6;
    double memory_efficiency = 0.84;
    Seconds launch{10e-6};
    Seconds ramp{0.0};
    Bytes ramp_bytes{1e6};
    long row_block = 64;        // query rows a core works on at a time
    double split_overhead = 0;  // cost of one more split of the keys, in blocks of 64 keys
    Seconds block_latency{
        0.0};                 // of a block of 64 keys, whatever the head size: exponentials, loads
    Seconds split_join{0.0};  // of keys that are cut, beside the launch
    Seconds sequence_overhead{0.0};  // of each sequence: gathering its cache before the kernel runs
    bool pads_selection = false;     // works on all slots of a choice, filled or not
    FitRecord record;
};

// Kinds of attention for which libraries have kernels of their own, by the format of the cache.
// multi_head: as many KV heads as heads; grouped: fewer; sparse: latent attention that reads
// chosen, compressed or windowed entries, each query its own; window: keys and values of a sliding
// window. Latent attention is the decode and prefill every library has.
enum class AttentionKind {
    multi_head_decode,
    multi_head_decode_fp8,
    grouped_decode,
    grouped_decode_fp8,
    grouped_prefill,  // of multi-head attention too
    grouped_prefill_fp8,
    sparse_decode,
    sparse_decode_fp8,
    sparse_prefill,
    sparse_prefill_fp8,
    compressed_decode,
    compressed_decode_fp8,
    compressed_prefill,
    compressed_prefill_fp8,
    window_decode,
    window_prefill
};
const std::vector<std::pair<const char*, AttentionKind>>& names_of(const AttentionKind*);

struct VectorHabits {
    double memory_efficiency = 0.8;
    double vector_efficiency = 0.5;
    double row_efficiency = 1;  // of a core's feed and vector units, in work that is cut by rows
    Seconds launch{2e-6};
    FitRecord record;
};

// Scores of an indexer (IndexScores): products, then relu, weight and sum over heads on the vector
// units, once for each block of keys.
struct IndexHabits {
    double matrix_efficiency = 0.5;
    double memory_efficiency = 0.8;
    double vector_efficiency = 1;
    Seconds launch{5e-6};
    long key_block = 64;         // keys that a query's entries are padded to
    double query_overhead = 0;   // of each query, in blocks of 64 keys
    Seconds block_latency{0.0};  // of a block of 64 keys, beside its arithmetic
    FitRecord record;
};

// The gated delta rule (DeltaRule). Decode streams the state; prefill is several kernels, one of
// which walks the chunks of a sequence one after another.
struct DeltaHabits {
    double matrix_efficiency = 0.5;
    double memory_efficiency = 0.8;
    double vector_efficiency = 0.5;
    Seconds launch{3e-6};  // of all its kernels
    Seconds ramp{0.0};
    Bytes ramp_bytes{1e6};
    Seconds chunk_latency{0.0};  // of a step from one chunk to the next
    FitRecord record;
};

// Hyper-connections (StreamMix).
struct StreamHabits {
    double memory_efficiency = 0.8;
    double stream_reads = 1;    // times the streams are read: for the norm and for the sum
    Seconds launch{3e-6};       // of all its kernels
    Seconds iteration{0.0};     // of Sinkhorn's normalisation
    Seconds step_latency{0.0};  // of 64 elements along the streams of a token
    FitRecord record;
};

// Several operators timed, or run, as one module of a framework: a host that launches kernel by
// kernel, and what the module does beside the operators that are named.
struct ModuleHabits {
    Seconds host{0.0};      // it is never done sooner: eager launches
    Seconds overhead{0.0};  // beside its operators
    FitRecord record;
};

// fitted: habits measured on kernels. structural: launches alone; all else is worked out from the
// chip's `core:`.
enum class KernelKind { fitted, structural };
const std::vector<std::pair<const char*, KernelKind>>& names_of(const KernelKind*);

struct KernelLibrarySpec {
    std::string name, chip, title;
    KernelKind kind = KernelKind::fitted;
    double smooth_maximum = 4;                 // p of (a^p + b^p)^(1/p)
    std::map<DType, GemmHabits> gemm;          // by compute format
    std::map<DType, GemmHabits> grouped_gemm;  // where these differ from `gemm`
    // Grouped products of 16 bits whose weights are stored narrower and widened in the kernel, by
    // the format they are stored in, where they differ.
    std::map<DType, GemmHabits> widened_gemm;
    std::map<DType, GemmHabits> fused_experts;  // dispatch, products and combine as one kernel
    AttentionHabits attention_decode, attention_prefill;
    std::map<AttentionKind, AttentionHabits> attention;  // where these differ from the two
    VectorHabits vector;
    std::optional<VectorHabits>
        expert_vector;  // of operators called "expert_...", where they differ
    std::map<std::string, VectorHabits> vector_kernels;  // of single operators, by their name
    std::map<Phase, IndexHabits> index_scores;
    std::map<Phase, DeltaHabits> delta_rule;
    std::map<StreamSide, StreamHabits> stream_mix;
    TilingRules tiling;                           // what the structure may be cut into
    std::map<std::string, ModuleHabits> modules;  // by name; nothing but tables asks for them
    Node calibration;                             // tables it is fitted on; whoever fits reads them
};

KernelLibrarySpec read_kernel_library(const Node& document, const std::string& name);

// Of products of a format, of several groups or one. Throws std::invalid_argument for a format that
// the library lacks.
const GemmHabits& gemm_habits(const KernelLibrarySpec& library, DType dtype, long groups = 1);
// Of a product that runs in the format `executed`.
const GemmHabits& gemm_habits(const KernelLibrarySpec& library, const Gemm& gemm, DType executed);

// The part of a library that a product's habits are: "gemm.bf16", "grouped_gemm.fp8",
// "widened_gemm.fp4".
std::string gemm_part(const KernelLibrarySpec& library, const Gemm& gemm, DType executed);

// Of the kernel that holds a whole expert exchange. Throws std::invalid_argument for a library that
// has none of that format.
const GemmHabits& fused_habits(const KernelLibrarySpec& library, DType dtype);

// The nearest kind that the library has: of the same cache format, else of any, else grouped for
// multi-head, else what all attention of that phase has.
const AttentionHabits& attention_habits(const KernelLibrarySpec& library,
                                        const Attention& attention);

// Every query token reads entries of its own: latent attention with a choice, compression or a
// window.
bool reads_own_entries(const Attention& attention);

// Habits of `kind` that stand in for those that the library lacks: "" where it has them, else what
// stands in ("attention_decode"). Sparse and windowed attention alone are asked: the kinds of whole
// attention stand in for one another as they always did.
std::string stand_in_for(const KernelLibrarySpec& library, const Attention& attention);

// Of its own kind, else as near as the library has: the other phase or side, else the plain vector
// kernels with the matrix efficiency of attention. `stands_in` names those.
template <class Habits>
struct NearestHabits {
    Habits habits;
    std::string stands_in;
};
NearestHabits<IndexHabits> index_habits(const KernelLibrarySpec& library, Phase phase);
NearestHabits<DeltaHabits> delta_habits(const KernelLibrarySpec& library, Phase phase);
NearestHabits<StreamHabits> stream_habits(const KernelLibrarySpec& library, StreamSide side);

const VectorHabits& vector_habits(const KernelLibrarySpec& library, const VectorWork& work);

// Whether anything of it rests on a measured kernel. What does not, is assumed for any chip alike.
bool is_fitted(const KernelLibrarySpec& library);

// The record of every set of habits, to be read or marked.
std::vector<FitRecord*> records_of(KernelLibrarySpec& library);

nlohmann::ordered_json kernel_library_schema();

}  // namespace podsim
