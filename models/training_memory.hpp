// What training keeps in memory: activations between forward and backward pass, weights, gradients
// and optimiser states of a rank.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "models/model.hpp"
#include "models/training.hpp"

namespace podsim {

// A micro-batch on one tensor-parallel group.
struct ActivationShape {
    long tokens = 0;  // sequences x their tokens, of this rank where context parallel divides them
    long sequence = 0;  // tokens of a whole sequence: what a query may see
    int tensor_parallel = 1;
    bool sequence_parallel = false;  // norms, dropout and what they read divided too
    bool flash_attention = true;     // two numbers a row in place of scores; here one in FP32
    bool dropout = false;            // masks of a byte; of scores, the dropped ones too
    // Rows that the routed experts of this rank get, absent: as many as balanced experts do, tokens
    // x top-k x expert_tensor_parallel / tensor_parallel.
    std::optional<double> routed_rows;
    int expert_tensor_parallel = 1;
    DType gate_up = DType::bf16;  // the activation function's inputs (DeepSeek-V3 keeps FP8)
};

struct KeptTensor {
    std::string name;
    Bytes bytes{0.0};
};
Bytes total_of(const std::vector<KeptTensor>& tensors);

// What one layer keeps for its backward pass on one rank, less what is computed again. Each tensor
// once, in the format of its reader: inputs of linear layers in precision.activations, the rest
// BF16; attention's output is read by its backward pass and so not narrowed (DeepSeek-V3 keeps it
// in 12 bits, here 16).
//
// Korthikanti et al. (arXiv 2205.05198, section 4), s sequence, b sequences, h hidden, a heads, t
// tensor parallel, with dropout and without flash attention, bytes of a layer:
//   s b h (10 + 24 / t + 5 a s / (h t)), with sequence parallel s b h (34 + 5 a s / h) / t;
//   selective recompute: without 5 a s / h; full: 2 s b h.
//
// Latents' down-projections are whole on every rank without sequence parallel, divided with it.
// Residual streams of hyper-connections are kept once a sub-layer, `streams` times as large, and
// the sub-layer's output. Scores of experts are taken to be applied to SwiGLU's output, so that
// experts' outputs are not kept; states of a delta rule's chunks are made again.
std::vector<KeptTensor> kept_activations(const ModelSpec& model, const Precision& precision,
                                         const LayerKind& kind, const ActivationShape& shape,
                                         const Recompute& recompute);

// Of the head: inputs of the final norm and of the projection, logits in FP32 (4 s b (h + v / t));
// of a module of multi-token prediction beside its layer and its head.
std::vector<KeptTensor> kept_by_head(const ModelSpec& model, const ActivationShape& shape);
std::vector<KeptTensor> kept_by_draft(const ModelSpec& model, const ActivationShape& shape);

// The part of a model that one rank trains.
struct ModelSlice {
    long begin = 0, end = 0;             // layers
    bool embedding = true, head = true;  // a tied head away from the embedding is a copy
    bool drafts = false;
    int tensor_parallel = 1, expert_parallel = 1, expert_tensor_parallel = 1;
};
ModelSlice whole(const ModelSpec& model);

// Parameters of one rank before anything is divided over data-parallel ranks. matrices: of
// attention, dense FFNs, shared experts, routers, the drafts' projections and mixers; vectors:
// norms and biases; tables: embedding, positions, head; experts: routed. memory_tables: those of
// conditional memory, whole; where they are held and divided is the workload's, and no part of the
// total.
struct HeldParameters {
    double matrices = 0, vectors = 0, tables = 0, experts = 0;
    double memory_tables = 0;
    double total() const { return matrices + vectors + tables + experts; }
};
HeldParameters parameters_of(const ModelSpec& model, const ModelSlice& slice);

// adam: two moments. muon: one momentum for matrices and experts, Adam for tables and vectors
// (Moonlight, arXiv 2502.16982, section 2).
enum class Optimizer { adam, muon };
const std::vector<std::pair<const char*, Optimizer>>& names_of(const Optimizer*);

// DeepSeek-V3: moments in BF16, gradients and master weights in FP32 (arXiv 2412.19437, section
// 3.3.3).
struct OptimizerFormats {
    Optimizer optimizer = Optimizer::adam;
    DType gradients = DType::fp32, master = DType::fp32, moments = DType::fp32;
};

// zero_stage 1 divides master weights and moments over the ranks that hold the same parameters, 2
// gradients too, 3 weights too (ZeRO, arXiv 1910.02054, section 5). Experts have replicas of their
// own.
struct Replicas {
    int zero_stage = 0;
    long data_parallel = 1, expert_data_parallel = 1;
};

struct StateBytes {
    Bytes weights{0.0}, gradients{0.0}, master{0.0}, moments{0.0};
    Bytes total() const { return weights + gradients + master + moments; }
};
struct TrainingState {
    StateBytes dense, experts;
    Bytes total() const { return dense.total() + experts.total(); }
};

// Bytes of one rank by part. Weights in precision.weights and precision.experts, tables and vectors
// in BF16; scales left out. A stage other than 0 to 3 or no replicas is a std::invalid_argument.
TrainingState training_state(const HeldParameters& held, const Precision& precision,
                             const OptimizerFormats& formats, const Replicas& replicas);

}  // namespace podsim
