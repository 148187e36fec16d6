// Attention for tests, with its sizes in one line.
#pragma once

#include "program/operator.hpp"

namespace podsim {

inline Attention attention(Phase phase, AttentionForm form, long batch, long query, long context,
                           long heads, long kv_heads, long depth, long width) {
    Attention a;
    a.phase = phase;
    a.form = form;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = heads;
    a.kv_heads = kv_heads;
    a.head_dim_qk = depth;
    a.head_dim_v = width;
    return a;
}

// Of DeepSeek's models: one cache for all heads, entries of 576 values, 512 of which are the value.
inline Attention latent_attention(Phase phase, long batch, long query, long context,
                                  long heads = 128) {
    return attention(phase, AttentionForm::mla_absorbed, batch, query, context, heads, 1, 576, 512);
}

}  // namespace podsim
