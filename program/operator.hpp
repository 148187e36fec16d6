// What a chip is asked to compute: one operator on one rank, with the work and the bytes no
// implementation can avoid. Shapes only; how long it takes is the chip's business (chips/).
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/units.hpp"
#include "program/dtype.hpp"

namespace podsim {

// `groups` independent products C[m,n] = A[m,k] B[k,n] in one kernel (experts of a rank, heads
// of a batched product). Of the groups `longer_groups` have one row more than m, as where rows do
// not divide over them. `idle_groups` more have no rows at all; the kernel only finds that out.
struct Gemm {
    long m = 0, n = 0, k = 0, groups = 1;
    DType a = DType::bf16, b = DType::bf16, c = DType::bf16;
    long idle_groups = 0;
    long longer_groups = 0;
    auto operator<=>(const Gemm&) const = default;  // NOLINT(modernize-use-nullptr)
};

// mla_absorbed: a cached entry is key and value at once, kv_heads of them a token (latent
// attention: kv_heads 1, head_dim_qk = rank + rope, head_dim_v = rank). gqa: kv_heads keys and
// values.
enum class AttentionForm { mla_absorbed, gqa };
enum class Phase { prefill, decode };
const std::vector<std::pair<const char*, Phase>>& names_of(const Phase*);

// `batch` sequences, each with `query` new tokens that see `context` cached ones (the new tokens
// included). In prefill the mask is causal: query i of the new tokens sees context - query + i + 1.
// In decode the few draft tokens all count the full context.
//
// Of n visible tokens a query reads floor(n / compression) cached entries, at most `selected` of
// them, and the last min(n, window) tokens besides. Whole attention: 1, 0, 0. Sliding window:
// compression 0 (no entries) and a window. DeepSeek sparse attention: 1 and selected; DeepSeek-V4's
// compressed kinds: 4, selected and a window, or 128 and a window.
struct Attention {
    AttentionForm form = AttentionForm::gqa;
    Phase phase = Phase::decode;
    long batch = 0, query = 1, context = 0;
    long heads = 0, kv_heads = 0, head_dim_qk = 0, head_dim_v = 0;
    DType compute = DType::bf16, kv = DType::bf16;
    long compression = 1;  // tokens to an entry; 0: no entries but the window
    long selected = 0;     // entries a query reads at most; 0: all
    long window = 0;       // raw tokens a query reads beside them
    auto operator<=>(const Attention&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Scores by which sparse attention chooses (DeepSeek-V3.2's lightning indexer):
// I = sum over heads of w_h relu(q_h . k) for each query and each visible entry, of which there is
// one in `compression` tokens, one key of head_dim for all heads. Masks as above.
struct IndexScores {
    Phase phase = Phase::decode;
    long batch = 0, query = 1, context = 0;
    long compression = 1, heads = 0, head_dim = 0;
    DType compute = DType::bf16, keys = DType::bf16;
    auto operator<=>(const IndexScores&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Gated delta rule over `batch` sequences of `query` new tokens (Gated DeltaNet, arXiv 2412.06464):
// for each value head a state S [key_dim, value_dim], FP32 unless said otherwise, that a token
// decays, corrects and reads: S = a S; S += k (b (v - k^T S))^T; o = S^T q. Decode takes tokens one
// by one; prefill cuts them into chunks that are products.
struct DeltaRule {
    Phase phase = Phase::decode;
    long batch = 0, query = 1;
    long key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0;
    DType compute = DType::bf16;
    double state_read = 4, state_written = 4;  // bytes of an element; 0: starts empty, is not kept
    auto operator<=>(const DeltaRule&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Manifold-constrained hyper-connections (arXiv 2512.24880) around one sub-layer, for `tokens` with
// `streams` residual streams of `hidden`. mix_in: norm of all streams, the product with a matrix
// [streams x hidden, streams^2 + 2 streams], `iterations` of Sinkhorn, the weighted sum that the
// sub-layer reads. mix_out: streams mixed with each other, the sub-layer's output added to each.
enum class StreamSide { mix_in, mix_out };
const std::vector<std::pair<const char*, StreamSide>>& names_of(const StreamSide*);
struct StreamMix {
    StreamSide side = StreamSide::mix_in;
    long tokens = 0, streams = 0, hidden = 0, iterations = 0;
    DType stream = DType::bf16;
    auto operator<=>(const StreamMix&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Element-wise, normalising, gathering or sorting work on the vector units: `read` and `write`
// bytes cross memory, `work` counts the arithmetic on `elements`. A choice among the elements of a
// row is one core's work: `rows` of them, 0 where it may be cut anywhere.
struct VectorWork {
    std::string op;  // "rms_norm", "quantise", "rotary", ...
    double elements = 0;
    double flops_per_element = 1;
    double read = 0, write = 0;  // bytes
    long rows = 0;
    auto operator<=>(const VectorWork&) const = default;  // NOLINT(modernize-use-nullptr)
};

// `rows` of `row_bytes` each, read from tables outside the chip: in its host's memory, or in what
// the hosts of a scale-up domain pool. No work; the cores are free meanwhile.
enum class TablePlace { host, pool };
const std::vector<std::pair<const char*, TablePlace>>& names_of(const TablePlace*);
struct TableRead {
    TablePlace place = TablePlace::host;
    double rows = 0, row_bytes = 0;
    auto operator<=>(const TableRead&) const = default;  // NOLINT(modernize-use-nullptr)
};

using OperatorBody =
    std::variant<Gemm, Attention, VectorWork, IndexScores, DeltaRule, StreamMix, TableRead>;

struct Operator {
    std::string name;  // what the model calls it: "q_up_projection"
    OperatorBody body;
    bool operator==(const Operator&) const = default;
};

// Query-key pairs of one sequence, and cached entries that at least one of its queries reads, at
// least so many of them: with `selected` every query has its own choice, which may be the same.
double visible_pairs(const Attention& attention);
double visible_pairs(const IndexScores& scores);
double entries_read(const Attention& attention);

// Rows of the choice by these scores: queries, at most those that have an entry to choose.
long rows_of_choice(const IndexScores& scores);

// Work in FLOP (integer operations counted alike): 2 m n k groups for a product; for attention
// 2 (head_dim_qk + head_dim_v) per query head and visible key; for index scores 2 head_dim + 3 per
// head and pair; for the delta rule 7 key_dim value_dim per value head and token (decay, k^T S,
// update, S^T q; the chunked form does more); for stream mixes 2 (streams^2 + 2 streams) streams
// hidden a token of products, and 6 or 2 (streams + 1) streams hidden of the rest, Sinkhorn apart.
Flops work_of(const OperatorBody& body);

// The part of the work that the matrix units do: all of a product and of attention's two
// products, the scores' 2 head_dim, the delta rule in prefill, the product of mix_in; none of a
// vector operator.
Flops matrix_work_of(const OperatorBody& body);

// Bytes that must cross memory once: operands read, result written, each once.
Bytes compulsory_bytes_of(const OperatorBody& body);

// Operand format whose matrix peak bounds the operator.
DType compute_dtype_of(const OperatorBody& body);

// "gemm", "grouped_gemm", "attention", "index_scores", "delta_rule", "stream_mix",
// "table_read" or "vector".
std::string kind_of(const OperatorBody& body);

// Shape and formats as text; equal text means equal cost on the same chip and library.
std::string shape_of(const OperatorBody& body);

// Throws std::invalid_argument naming the field: a size below 1, context below query, heads that
// do not divide over kv_heads, attention that sees nothing, vector work or bytes below zero or
// without end.
void require_valid(const Operator& op);

}  // namespace podsim
