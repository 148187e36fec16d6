// What the audit knows of an alternative besides its result: the few numbers of the experiment,
// the data sheet, the links and the model's config that its laws need, read from the resolved
// configuration by a reader of its own. Everything in base units.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

namespace podsim {

// Of a package or of a chip's links, as sold.
struct AuditHardware {
    std::string chip, system;
    double ranks_per_chip = 1;
    double matrix_peak = 0;  // of the format that is fastest: a bound may not be too high
    double hbm_capacity = 0, hbm_bandwidth = 0;
    double scale_up = 0, scale_out = 0;  // bytes a second, per direction, planes down taken out
    double domain_chips = 1, system_chips = 0;
    std::optional<double> published_peak;  // of the weights' format
};

struct AuditMapping {
    double data_parallel = 1, tensor_parallel = 1, expert_parallel = 1, pipeline_parallel = 1;
    double micro_batches = 1;
    double redundant_experts = 0, shared_ranks = 0;
    bool balanced = true;  // every expert gets the same share of the tokens
    double ranks() const { return data_parallel * tensor_parallel * pipeline_parallel; }
};

// Bytes of an element.
struct AuditFormats {
    double weights = 2, experts = 2, attention = 2, kv_cache = 2, dispatch = 2, combine = 2;
};

// Keys of a config.json of family deepseek_v3.
struct AuditModel {
    double layers = 0, dense_layers = 0, hidden = 0, vocabulary = 0, heads = 0;
    double query_rank = 0, kv_rank = 0, nope = 0, rope = 0, value = 0;
    double dense_intermediate = 0, expert_intermediate = 0;
    double routed_experts = 0, shared_experts = 0, experts_per_token = 0;
};

struct AuditDecode {
    double context = 0, draft_tokens = 0, acceptance = 0;
    std::optional<double> batch_per_chip, batch_per_rank;
    std::optional<AuditModel> model;  // of a family the audit has closed forms for
};

struct AuditFacts {
    double chips = 0;  // packages the experiment asks for
    AuditHardware hardware;
    AuditMapping mapping;
    AuditFormats formats;
    std::optional<AuditDecode> decode;    // kind decode
    nlohmann::ordered_json the_operator;  // kind operator: as written; null otherwise
    nlohmann::ordered_json collective;    // kind collective
};

// Throws std::runtime_error naming what is missing or cannot be read.
AuditFacts read_audit_facts(const nlohmann::ordered_json& configuration,
                            const std::string& alternative, const std::string& kind);

}  // namespace podsim
