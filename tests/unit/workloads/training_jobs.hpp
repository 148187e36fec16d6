// Training steps that tests share: a dense GPT small enough to count by hand.
#pragma once

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

// 8 layers of hidden 1,024, 16 heads, FFN 4,096, vocabulary 32,000; sequences of 512 tokens, 64 of
// them a step.
inline TrainingJob small_gpt() {
    TrainingJob job;
    GroupedQueryAttention attention;
    attention.heads = attention.kv_heads = 16;
    attention.head_dim = 64;
    job.model.name = "small";
    job.model.hidden = 1024;
    job.model.vocabulary = 32000;
    job.model.attentions = {attention};
    job.model.layers.assign(8, LayerKind{});
    job.model.dense_intermediate = 4096;
    job.model.gated = false;
    job.engine = bare_engine();
    job.engine.training.emplace();
    job.sequence = 512;
    job.global_batch = 64;
    return job;
}

// The same with experts in each layer: 8 of width 2,048, a token goes to 2.
inline TrainingJob small_moe() {
    TrainingJob job = small_gpt();
    for (LayerKind& layer : job.model.layers) layer.experts = true;
    job.model.routed_experts = 8;
    job.model.experts_per_token = 2;
    job.model.expert_intermediate = 2048;
    return job;
}

}  // namespace podsim
