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

// mla_absorbed: every query head of a sequence reads the one latent KV entry of a token
// (kv_heads 1; head_dim_qk = rank + rope, head_dim_v = rank). gqa: kv_heads keys and values.
enum class AttentionForm { mla_absorbed, gqa };
enum class Phase { prefill, decode };
const std::vector<std::pair<const char*, Phase>>& names_of(const Phase*);

// `batch` sequences, each with `query` new tokens that see `context` cached ones (the new tokens
// included). In prefill the mask is causal: query i of the new tokens sees context - query + i + 1.
// In decode the few draft tokens all count the full context.
struct Attention {
    AttentionForm form = AttentionForm::gqa;
    Phase phase = Phase::decode;
    long batch = 0, query = 1, context = 0;
    long heads = 0, kv_heads = 0, head_dim_qk = 0, head_dim_v = 0;
    DType compute = DType::bf16, kv = DType::bf16;
    auto operator<=>(const Attention&) const = default;  // NOLINT(modernize-use-nullptr)
};

// Element-wise, normalising, gathering or sorting work on the vector units: `read` and `write`
// bytes cross memory, `work` counts the arithmetic on `elements`.
struct VectorWork {
    std::string op;  // "rms_norm", "quantise", "rotary", ...
    double elements = 0;
    double flops_per_element = 1;
    double read = 0, write = 0;                           // bytes
    auto operator<=>(const VectorWork&) const = default;  // NOLINT(modernize-use-nullptr)
};

using OperatorBody = std::variant<Gemm, Attention, VectorWork>;

struct Operator {
    std::string name;  // what the model calls it: "q_up_projection"
    OperatorBody body;
    bool operator==(const Operator&) const = default;
};

// Work in FLOP (integer operations counted alike): 2 m n k groups for a product; for attention
// 2 (head_dim_qk + head_dim_v) per query head and visible key.
Flops work_of(const OperatorBody& body);

// The part of the work that the matrix units do: all of a product and of attention's two
// products, none of a vector operator.
Flops matrix_work_of(const OperatorBody& body);

// Bytes that must cross memory once: operands read, result written, each once.
Bytes compulsory_bytes_of(const OperatorBody& body);

// Operand format whose matrix peak bounds the operator.
DType compute_dtype_of(const OperatorBody& body);

// "gemm", "grouped_gemm", "attention" or "vector".
std::string kind_of(const OperatorBody& body);

// Shape and formats as text; equal text means equal cost on the same chip and library.
std::string shape_of(const OperatorBody& body);

// Throws std::invalid_argument naming the field: a size below 1, context below query, heads that
// do not divide over kv_heads, vector work or bytes below zero or without end.
void require_valid(const Operator& op);

}  // namespace podsim
