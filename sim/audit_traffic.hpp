// Bytes that a step's memories and links cannot avoid. Sequences of all ranks together.
#pragma once

#include "sim/audit_layout.hpp"

namespace podsim {

// Weights of every rank and the cache, each read once a pass; with pipeline stages the weights once
// for each batch.
double least_memory_bytes(const AuditFacts& facts, const AuditModel& model, double sequences);

// Dispatch and combine of `moe_tokens` tokens through MoE layers, of all ranks: what leaves its
// rank, and its scale-up domain.
struct LinkBytes {
    double sent = 0, sent_out = 0;
};
LinkBytes exchanged_bytes(const AuditFacts& facts, const AuditModel& model, double moe_tokens);

// Hidden states of `tokens` from each pipeline stage to the next. Ranks next to each other share a
// domain; a stage that fills domains sends beyond them.
LinkBytes handed_bytes(const AuditFacts& facts, const AuditModel& model, double tokens);

}  // namespace podsim
