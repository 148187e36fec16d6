// Models of no real size whose layers differ, one for each kind of attention that no family by hand
// has: windows in turn with the whole context, pooled entries, delta nets.
#pragma once

#include "models/model.hpp"
#include "tests/unit/models/grouped_query_specs.hpp"

namespace podsim {

// In the manner of gpt-oss: every other layer sees a window; sinks, biases everywhere.
inline ModelSpec small_windows() {
    ModelSpec model;
    model.name = "small-windows";
    model.hidden = 96;
    model.vocabulary = 1001;
    GroupedQueryAttention whole = grouped_query(8, 2, 16);
    whole.biases = whole.sinks = true;
    GroupedQueryAttention window = whole;
    window.window = 128;
    model.attentions = {window, whole};
    for (int layer = 0; layer < 6; ++layer) model.layers.push_back({layer % 2, true, false});
    model.expert_intermediate = 40;
    model.ffn_biases = true;
    model.routed_experts = 12;
    model.experts_per_token = 3;
    model.router_scoring = RouterScoring::softmax;
    model.router_bias = true;
    model.max_context = 8192;
    return model;
}

// In the manner of DeepSeek-V4: windows alone, pools of 4 with an indexer and pools of 128; four
// residual streams; the first experts by a table.
inline ModelSpec small_compressed() {
    ModelSpec model;
    model.name = "small-compressed";
    model.hidden = 256;
    model.vocabulary = 1000;
    CompressedAttention window;
    window.heads = 8;
    window.head_dim = 32;
    window.rope_head_dim = 8;
    window.query_rank = 48;
    window.output_groups = 4;
    window.output_rank = 24;
    window.window = 16;
    CompressedAttention sparse = window, heavy = window;
    sparse.compression = 4;
    sparse.indexer = {6, 20, 10};
    heavy.compression = 128;
    model.attentions = {window, sparse, heavy};
    model.layers = {{0, true, true},  {1, true, true},  {2, true, false},
                    {1, true, false}, {2, true, false}, {0, true, false}};
    model.expert_intermediate = 64;
    model.shared_intermediate = 64;
    model.routed_experts = 16;
    model.experts_per_token = 2;
    model.router_scoring = RouterScoring::sqrt_softplus;
    model.router_bias = true;
    model.draft_layers = 1;
    model.draft_layer = {0, true, false};
    model.streams = 4;
    model.stream_iterations = 20;
    model.scale_block = 128;
    model.max_context = 65536;
    return model;
}

// In the manner of Qwen3.5: three delta nets, then gated grouped queries; a gate on the shared
// expert.
inline ModelSpec small_delta() {
    ModelSpec model;
    model.name = "small-delta";
    model.hidden = 128;
    model.vocabulary = 1000;
    DeltaNetAttention delta;
    delta.key_heads = 4;
    delta.value_heads = 8;
    delta.key_dim = 16;
    delta.value_dim = 24;
    delta.convolution = 4;
    GroupedQueryAttention gated = grouped_query(8, 2, 32);
    gated.query_key_norm = gated.output_gate = true;
    model.attentions = {delta, gated};
    for (int layer = 0; layer < 8; ++layer)
        model.layers.push_back({layer % 4 == 3 ? 1 : 0, true, false});
    model.expert_intermediate = 48;
    model.shared_intermediate = 80;
    model.shared_gate = true;
    model.routed_experts = 16;
    model.experts_per_token = 4;
    model.router_scoring = RouterScoring::softmax;
    model.draft_layers = 1;
    model.draft_layer = {1, true, false};
    model.max_context = 32768;
    return model;
}

}  // namespace podsim
