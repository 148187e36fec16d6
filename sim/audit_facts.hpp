// What the audit knows of an alternative besides its result: the few numbers of the experiment,
// the data sheet, the links and the model's config that its laws need, read from the resolved
// configuration by a reader of its own. Everything in base units.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "sim/audit_model.hpp"
#include "sim/audit_vision.hpp"

namespace podsim {

// Of a package or of a chip's links, as sold.
struct AuditHardware {
    std::string chip, system;
    double ranks_per_chip = 1;
    std::map<std::string, double> matrix_peaks, published_peaks;  // by format
    std::string memory = "HBM";                                   // or SRAM: what holds the weights
    double hbm_capacity = 0, hbm_bandwidth = 0;                   // of it
    double power = 0;                                             // design power, watts
    double scale_up = 0, scale_out = 0;  // bytes a second, per direction, planes down taken out
    double domain_chips = 1, system_chips = 0;
    // Of a host, 0 where its record says nothing of it.
    double host_chips = 0, host_memory = 0, host_storage = 0;

    // A format without a rate of its own runs in the narrowest one that is wider. Throw
    // std::runtime_error where there is none.
    double matrix_peak(const std::string& format) const;
    double published_peak(const std::string& format) const;  // as sold, else of the matrix units
    double fastest_matrix_peak() const;
};

struct AuditMapping {
    double data_parallel = 1, tensor_parallel = 1, expert_parallel = 1, pipeline_parallel = 1;
    double micro_batches = 1;
    double redundant_experts = 0, shared_ranks = 0;
    bool splits_tokens = false;  // attention sp-tp-sp
    double head_parallel = 1;    // tensor-parallel groups that share a head
    // Of a step: ranks that share sequences, and whether a prefill's have some heads each.
    double context_parallel = 1;
    bool cuts_heads = false;
    bool balanced = true;  // every expert gets the same share of the tokens
    // Routed experts that lie with the host: the share that stays at least, and who works on the
    // others.
    bool offloads = false, on_drives = false, at_host = false;
    double resident = 1;
    bool gathers = false;  // every rank of an expert group sees all its tokens
    // of a tensor-parallel group, as all its ranks have them
    bool sees_group() const { return gathers && tensor_parallel > 1; }
    double stage_ranks() const { return data_parallel * tensor_parallel * context_parallel; }
    double ranks() const { return stage_ranks() * pipeline_parallel; }
};

struct AuditFormat {
    std::string name = "bf16";
    double bytes = 2;  // of an element
};

struct AuditFormats {
    AuditFormat weights, experts, activations, attention, kv_cache, indexer, dispatch, combine;
    AuditFormat linear() const;           // in which products of activations and weights run
    AuditFormat expert_products() const;  // and those of the routed experts
};

// A model that drafts for another one.
struct AuditDrafter {
    AuditModel model;
    AuditFormat weights;  // of it and its products
};

// A decode step, or with a prompt a prefill.
struct AuditStep {
    double context = 0, draft_tokens = 0;  // context: a prefill's whole prompt
    std::vector<double> acceptance;        // by draft
    std::optional<AuditDrafter> drafter;   // else drafts come from the model's own module
    double computed = 0, chunk = 0;        // prefill: tokens of a prompt not cached; 0 in decode
    std::optional<double> batch_per_chip, batch_per_rank, batch_per_group, tokens_per_rank,
        latency_target;
    bool is_prefill() const { return computed > 0; }
    // New tokens of a sequence, and what it sees at the end, by pass through the model.
    std::vector<std::pair<double, double>> passes() const;
    std::string family;
    std::optional<AuditModel> model;  // of a family the audit has closed forms for
    // Prefill: of each prompt; their tokens count in context and computed.
    std::optional<AuditImages> images;
};

// What the document of a replayed trace says.
struct AuditTrace {
    std::map<std::string, double> ranks;  // by class
    double tasks = 0;                     // of one rank of each class, summed
    double flops = 0;                     // over all ranks
    double moved_bytes = 0;               // that must leave ranks, at least
    double working_ranks() const;
};

// A training step, its forward pass as a prefill of whole sequences.
struct AuditTraining {
    AuditStep forward;
    double sequences = 0, sequence = 0;  // of all ranks; tokens of each
    double context_parallel = 1, zero_stage = 1;
    bool trains_drafts = true;
    double capacity_factor = 0;  // of experts; 0: they take every token
};

struct AuditFacts {
    std::optional<AuditTrace> trace;
    std::optional<AuditTraining> training;
    double chips = 0;  // packages the experiment asks for
    AuditHardware hardware;
    AuditMapping mapping;
    AuditFormats formats;
    std::optional<AuditStep> step;        // kinds decode and prefill
    nlohmann::ordered_json the_operator;  // kind operator: as written; null otherwise
    // Kind collective: the one, or each of several at once.
    std::vector<nlohmann::ordered_json> collectives;
    bool exchanges_layer = false;  // kind operator: moe with dispatch and combine
    // The collective library sends copies of a token to one rank as one, on dispatch and on
    // combine.
    bool merges_dispatch = false, merges_combine = false;
};

// Format in which the one operator of an experiment runs: the wider of a product's, a's where they
// are equally wide; bf16 for vector work, which has none.
std::string operator_format(const nlohmann::ordered_json& the_operator);

// The same ranks as the model sees them that drafts.
AuditFacts drafter_facts(const AuditFacts& facts);

// Throws std::runtime_error naming what is missing or cannot be read.
AuditFacts read_audit_facts(const nlohmann::ordered_json& configuration,
                            const std::string& alternative, const std::string& kind);

}  // namespace podsim
