// How a mapping lays a step out: parts of a batch, layers of a pipeline stage, rounding.
#pragma once

#include <vector>

#include "sim/audit_attention.hpp"

namespace podsim {

constexpr const char* audit_table_format = "bf16";  // of embedding, head, router, mixing
constexpr double audit_table_bytes = 2;

// Doubles hold these counts exactly up to 2^53; quotients of them may be off by a rounding.
bool is_whole(double value);
double rounded_up(double value);

// Of `whole` things in `parts`, each whole, how many the part `which` has: the first hold one more.
double even_share(double whole, double parts, double which);

// Whole sequences of one data-parallel group to each micro-batch or pipeline batch.
std::vector<double> sequences_of_parts(const AuditMapping& map, double sequences);

// Whole tokens of one tensor-parallel group in a pass of so many sequences of a data-parallel one:
// ranks that share them have each a part of a prompt, or of a decode step's sequences.
double tokens_of_group(const AuditMapping& map, double sequences, const AuditPass& pass);

// Layers of one kind.
struct AuditLayers {
    AuditLayer kind;
    double count = 0;
};
std::vector<AuditLayers> alike(const std::vector<AuditLayer>& layers);
double expert_layers(const std::vector<AuditLayers>& layers);

// What one pipeline stage, counted from 0, has of the model.
struct StageShare {
    std::vector<AuditLayers> layers;
    bool first = true, last = true;
};
StageShare share_of_stage(const AuditMapping& map, const AuditModel& model, double stage);

// Times through the layers, and through the layer of a module of drafts.
std::vector<AuditPass> main_passes(const AuditStep& step);
std::vector<AuditPass> draft_passes(const AuditStep& step);

// Routed experts, copies included, that a rank holds of a layer.
double slots_of_rank(const AuditMapping& map, const AuditModel& model);

// Multiply-adds by which one sub-layer's input is mixed of the residual's streams, and the head's.
double mixing_work(const AuditModel& model);
double joining_work(const AuditModel& model);

// Of what a token looks up in conditional memory: a value, and a key for each stream.
double memory_work(const AuditModel& model, const AuditLayer& layer);

}  // namespace podsim
