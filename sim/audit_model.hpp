// What the audit knows of a model: sizes of its config.json, layer by layer, read by a reader of
// its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace podsim {

// One kind of attention. Sizes that its kind does not have are 0.
struct AuditAttention {
    // grouped: keys and values of `kv_heads`; latent: one compressed entry, expanded in prefill;
    // shared_entry: one entry of head_dim is key and value of all heads; delta: a state.
    enum class Kind { grouped, latent, shared_entry, delta };
    Kind kind = Kind::grouped;
    double heads = 0, kv_heads = 0, head_dim = 0;
    double query_rank = 0, kv_rank = 0, nope = 0, rope = 0, value = 0;
    double window = 0;          // raw tokens a query sees; 0: all of them, or none beside entries
    double pool = 0;            // tokens of a compressed entry; 0: no such entries
    bool gates_output = false;  // a gate as wide as the queries is projected with them
    bool values_are_keys = false;
    double output_groups = 0, output_rank = 0;
    double index_heads = 0, index_dim = 0, index_chosen = 0;
    double key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0, taps = 0;

    bool indexed() const { return index_heads > 0; }
};

struct AuditLayer {
    std::size_t attention = 0;  // of AuditModel::attentions
    bool experts = false;       // else a dense FFN
    bool memory = false;        // looks up conditional memory (Engram, arXiv 2601.07372) first
    bool operator==(const AuditLayer&) const = default;
};

struct AuditModel {
    std::vector<AuditAttention> attentions;
    std::vector<AuditLayer> layers;
    double draft_layers = 0;  // modules of multi-token prediction, each with one layer
    AuditLayer draft;
    double hidden = 0, vocabulary = 0, positions = 0;  // positions: rows of a learned table
    double dense_intermediate = 0, expert_intermediate = 0;
    double shared_intermediate = 0;  // of all shared experts of a layer together
    double ffn_matrices = 3;         // 2 without a gate
    double routed_experts = 0, experts_per_token = 0;
    double streams = 1;       // of the residual
    double memory_width = 0;  // elements of all rows that a token looks up in conditional memory
    bool tied_embedding = false;  // the head is the embedding

    double expert() const { return ffn_matrices * hidden * expert_intermediate; }
    double shared() const { return ffn_matrices * hidden * shared_intermediate; }
    double dense() const { return ffn_matrices * hidden * dense_intermediate; }
};

// Sizes of a model by its model_type; nothing for a family without closed forms here. Throws
// std::runtime_error for a missing size.
std::optional<AuditModel> read_audit_model(const nlohmann::ordered_json& json,
                                           const std::string& name);

}  // namespace podsim
