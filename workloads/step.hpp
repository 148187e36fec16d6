// One step of serving a model under data, tensor and expert parallelism, as a program: embedding,
// layers, head, draft modules, host. A decode step gives each sequence its next tokens, a prefill
// step reads prompts, whole or in chunks. With pipeline stages it is one period of their steady
// state, in which every sequence passes every stage once. Knows no hardware.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "models/blocks.hpp"
#include "models/vision.hpp"
#include "program/program.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

// Images of one size in each prompt, and the tower that makes tokens of them.
struct StepImages {
    VisionTower tower;
    ImageSize size;
    long count = 0;
    long tokens() const { return count * image_tokens(tower, size); }
};

struct StepSpec {
    ModelSpec model;
    Precision precision;
    MappingSpec mapping;
    ExpertsSpec experts;
    SpeculationSpec speculation;
    EngineSpec engine;
    long sequences_per_group = 1;  // of a data-parallel group
    long context = 0;              // cached tokens a sequence attends to at the end of the step
    Phase phase = Phase::decode;
    // Prefill: tokens of each sequence that are computed, the last ones of its context, and how
    // many of them one pass takes, 0 for all.
    long prompt = 0, chunk = 0;
    // Prefill: what the first pass embeds beside text, each rank of a tensor-parallel group its
    // part of the images; their tokens count in `prompt` and `context`.
    std::optional<StepImages> images;

    // One time through the model: tokens of each sequence, and what they see, themselves included.
    struct Pass {
        long query, context;
    };
    std::vector<Pass> passes() const;
};

// What one rank of a class holds, by what fills it.
struct MemoryNeed {
    std::string rank_class;
    std::vector<std::pair<std::string, Bytes>> parts;  // "attention weights", "kv cache", ...
    Bytes total() const;
};

struct ServingStep {
    Program program;
    std::vector<MemoryNeed> memory;  // by class
    long sequences_per_group = 0;    // of one data-parallel group
    double tokens_per_step = 1;      // emitted per sequence
    // Assignments of the busiest rank over the mean of those with routed experts, mean over the
    // MoE layers run. Absent: balanced.
    std::optional<double> expert_imbalance;
    // Where routed experts lie outside the chips' memory, of the first class of ranks: share of its
    // experts that stay, of those asked for the share found there, weights that come in a step.
    struct Offloaded {
        double resident = 0, found = 0;
        Bytes fetched{0.0};
    };
    std::optional<Offloaded> offloaded;
    int stack_begin_layer = 0;  // first MoE layer (or layer) of the repeated stack, for layer_time
    int stack_end_layer = 0;    // one past the last
    int passes = 1;             // through the stack
};

// A step that cannot be laid out, with the key of an experiment that says so.
struct StepError : std::invalid_argument {
    StepError(std::string where, std::string why)
        : std::invalid_argument(where + " " + why), key(std::move(where)), reason(std::move(why)) {}
    std::string key;  // "mapping.expert_parallel", "experts.redundant", "context", ...
    std::string reason;
};

// All that is wrong with a step, as far as one thing can be told with another unsettled; nothing
// for one that build_step builds.
std::vector<StepError> step_problems(const StepSpec& spec);

// Throws the first StepError with the reason, and what would do: experts or heads that do not
// divide, a mapping that does not add up, fewer sequences than micro-batches or stages, drafts
// without a draft module.
ServingStep build_step(const StepSpec& spec);

}  // namespace podsim
