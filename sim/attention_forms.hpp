// How an experiment writes one attention core, its indexer's scores, or hyper-connections.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "program/operator.hpp"

namespace podsim {

// gqa: keys and values; mla: latent entries; dsa: chosen latent entries (DeepSeek-V3.2); csa, hca:
// compressed ones, chosen or all, and a window (DeepSeek-V4); window: the last keys and values
// alone; linear: a state instead of a cache (gated delta rule).
enum class AttentionVariant { gqa, mla, dsa, csa, hca, window, linear };
const std::vector<std::pair<const char*, AttentionVariant>>& names_of(const AttentionVariant*);

// `type: attention` and `type: index_scores` as written.
struct AttentionFields {
    AttentionVariant form = AttentionVariant::gqa;
    Phase phase = Phase::decode;
    long batch = 0, query = 1, context = 0;
    long heads = 0, kv_heads = 0, compression = 1, selected = 0, window = 0;
    long key_heads = 0, value_heads = 0, head_dim = 0;
    std::vector<long> head_dims;
};
OperatorBody attention_of(const AttentionFields& fields, const std::map<std::string, DType>& types);
OperatorBody scores_of(const AttentionFields& fields, const std::map<std::string, DType>& types);

// `type: mhc`: both sides of a sub-layer.
struct MixFields {
    long tokens = 0, streams = 4, hidden = 0, iterations = 20;
};
std::vector<Operator> mixes_of(const MixFields& fields, const std::map<std::string, DType>& types);

// The format written under `key`, else `otherwise`.
DType dtype_or(const std::map<std::string, DType>& types, const char* key, DType otherwise);

// Which of them is written; none for a type that has other keys.
struct AttentionTypes {
    bool core = false, scores = false;
};

// For ReadForm and SchemaForm: the keys, and what is wrong with them together.
template <class Form>
void describe_attention(Form& form, AttentionTypes types, AttentionFields& a);
template <class Form>
void check_attention(Form& form, AttentionTypes types, const AttentionFields& a);

}  // namespace podsim
