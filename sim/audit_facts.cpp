#include "sim/audit_facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "base/units.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// A tree and how to call it in an error.
struct Tree {
    const Json* json;
    std::string name;
};

[[noreturn]] void fail(const Tree& tree, const std::string& what) {
    throw std::runtime_error(tree.name + ": " + what);
}

std::optional<Tree> find(const Tree& tree, const std::string& key) {
    if (!tree.json->is_object()) return {};
    const auto found = tree.json->find(key);
    if (found == tree.json->end() || found->is_null()) return {};
    return Tree{&*found, tree.name + "." + key};
}

Tree get(const Tree& tree, const std::string& key) {
    if (auto found = find(tree, key)) return *found;
    fail(tree, "has no " + key);
}

std::string text(const Tree& tree) {
    if (!tree.json->is_string()) fail(tree, "expected text");
    return tree.json->get<std::string>();
}

// "3.2 TB/s", {value: 3.2 TB/s, ...}, or a number where no unit belongs.
double number(const Tree& tree, Dimension dimension) {
    if (tree.json->is_object()) return number(get(tree, "value"), dimension);
    if (tree.json->is_number() && dimension == Dimension{}) return tree.json->get<double>();
    if (!tree.json->is_string()) fail(tree, "expected " + describe_dimension(dimension));
    try {
        return parse_quantity(tree.json->get<std::string>(), dimension);
    } catch (const UnitError& error) {
        fail(tree, error.what);
    }
}

double number_or(const Tree& tree, const std::string& key, double absent) {
    const auto found = find(tree, key);
    return found ? number(*found, {}) : absent;
}

double size(const Tree& tree, const std::string& key) {
    return number(get(tree, key), {});
}

Tree document(const Json& configuration, const std::string& kind, const std::string& name) {
    const Tree documents = get({&configuration, "configuration"}, "documents");
    return get(documents, kind + "/" + name);
}

// The alternative of this name, or its one pool.
Tree pool_of(const Tree& experiment, const std::string& name) {
    const Tree alternatives = get(experiment, "alternatives");
    for (const auto& item : *alternatives.json) {
        Tree alternative{&item, alternatives.name + "." + name};
        if (text(get(alternative, "name")) != name) continue;
        const auto pools = find(alternative, "pools");
        if (!pools) return alternative;
        if (pools->json->size() != 1) fail(*pools, "the audit knows one pool");
        return {&pools->json->front(), pools->name + ".0"};
    }
    fail(alternatives, "has no " + name);
}

double link_rate(const Tree& level) {
    const double planes = number_or(level, "planes", 1), down = number_or(level, "planes_down", 0);
    return number(get(level, "bandwidth"), BytesPerSecond::dimension) * (planes - down) / planes;
}

AuditHardware read_hardware(const Json& configuration, const Tree& pool) {
    AuditHardware hardware;
    hardware.system = text(get(pool, "system"));
    const Tree system = document(configuration, "system", hardware.system);
    const auto own_chip = find(pool, "chip");
    hardware.chip = text(own_chip ? *own_chip : get(system, "chip"));
    const Tree chip = document(configuration, "chip", hardware.chip);
    hardware.ranks_per_chip = size(chip, "ranks");
    const Tree peaks = get(chip, "peak_matrix");
    for (const auto& [format, peak] : peaks.json->items()) {
        hardware.matrix_peak =
            std::max(hardware.matrix_peak,
                     number({&peak, peaks.name + "." + format}, FlopsPerSecond::dimension));
    }
    const auto precision = find(pool, "precision"), published = find(chip, "peak_published");
    const auto weights = precision ? find(*precision, "weights") : std::optional<Tree>();
    if (published) {
        const auto peak = find(*published, weights ? text(*weights) : "bf16");
        if (peak) hardware.published_peak = number(*peak, FlopsPerSecond::dimension);
    }
    hardware.hbm_capacity = number(get(get(chip, "hbm"), "capacity"), Bytes::dimension);
    hardware.hbm_bandwidth = number(get(get(chip, "hbm"), "bandwidth"), BytesPerSecond::dimension);
    hardware.scale_up = link_rate(get(system, "scale_up"));
    hardware.scale_out = link_rate(get(system, "scale_out"));
    hardware.domain_chips = size(get(system, "scale_up"), "domain");
    hardware.system_chips = size(system, "chips");
    return hardware;
}

// What is left out: as many groups as the ranks allow, experts over all of them.
AuditMapping read_mapping(const Tree& pool, double ranks) {
    const Json nothing = Json::object();
    const Tree tree = find(pool, "mapping").value_or(Tree{&nothing, "mapping"});
    const Tree experts = find(pool, "experts").value_or(Tree{&nothing, "experts"});
    AuditMapping mapping;
    mapping.tensor_parallel = number_or(tree, "tensor_parallel", 1);
    mapping.pipeline_parallel = number_or(tree, "pipeline_parallel", 1);
    mapping.micro_batches = number_or(tree, "micro_batches", 1);
    mapping.data_parallel = number_or(tree, "data_parallel",
                                      ranks / mapping.tensor_parallel / mapping.pipeline_parallel);
    mapping.expert_parallel = number_or(tree, "expert_parallel", mapping.ranks());
    mapping.redundant_experts = number_or(experts, "redundant", 0);
    mapping.shared_ranks = number_or(experts, "shared_ranks", 0);
    if (const auto popularity = find(experts, "popularity")) {
        mapping.balanced = popularity->json->is_string() && text(*popularity) == "balanced";
    }
    return mapping;
}

AuditFormats read_formats(const Tree& pool) {
    static const std::map<std::string, double> bytes = {{"fp32", 4}, {"bf16", 2}, {"fp16", 2},
                                                        {"fp8", 1},  {"int8", 1}, {"fp4", 0.5}};
    AuditFormats formats;
    const auto tree = find(pool, "precision");
    if (!tree) return formats;
    const auto read = [&](const char* key, double& field) {
        const auto found = find(*tree, key);
        if (!found) return;
        const auto known = bytes.find(text(*found));
        if (known == bytes.end()) fail(*found, "unknown format " + text(*found));
        field = known->second;
    };
    read("weights", formats.weights);
    read("experts", formats.experts);
    read("attention", formats.attention);
    read("kv_cache", formats.kv_cache);
    read("dispatch", formats.dispatch);
    read("combine", formats.combine);
    return formats;
}

AuditModel read_sizes(const Tree& config) {
    AuditModel model;
    model.layers = size(config, "num_hidden_layers");
    model.dense_layers = size(config, "first_k_dense_replace");
    model.hidden = size(config, "hidden_size");
    model.vocabulary = size(config, "vocab_size");
    model.heads = size(config, "num_attention_heads");
    model.query_rank = number_or(config, "q_lora_rank", 0);
    model.kv_rank = size(config, "kv_lora_rank");
    model.nope = size(config, "qk_nope_head_dim");
    model.rope = size(config, "qk_rope_head_dim");
    model.value = size(config, "v_head_dim");
    model.dense_intermediate = size(config, "intermediate_size");
    model.expert_intermediate = size(config, "moe_intermediate_size");
    model.routed_experts = size(config, "n_routed_experts");
    model.shared_experts = size(config, "n_shared_experts");
    model.experts_per_token = size(config, "num_experts_per_tok");
    return model;
}

AuditDecode read_decode(const Json& configuration, const Tree& workload, const Tree& pool) {
    AuditDecode decode;
    decode.context = number(get(workload, "context"), Tokens::dimension);
    if (const auto speculation = find(workload, "speculation")) {
        decode.draft_tokens = size(*speculation, "draft_tokens");
        decode.acceptance = size(*speculation, "acceptance");
    }
    // A pool's own batch comes before the workload's, whichever of the keys either uses.
    for (const Tree& tree : {pool, workload}) {
        const auto per_chip = find(tree, "batch_per_chip"), per_rank = find(tree, "batch_per_rank");
        if (per_chip) decode.batch_per_chip = number(*per_chip, {});
        if (per_rank) decode.batch_per_rank = number(*per_rank, {});
        if (per_chip || per_rank || find(tree, "latency_target")) break;
    }
    const Tree config = document(configuration, "model", text(get(workload, "model")));
    if (text(get(config, "model_type")) == "deepseek_v3") decode.model = read_sizes(config);
    return decode;
}

}  // namespace

AuditFacts read_audit_facts(const Json& configuration, const std::string& alternative,
                            const std::string& kind) {
    const Tree experiment = get({&configuration, "configuration"}, "experiment");
    const Tree workload = get(experiment, "workload");
    const Tree pool = pool_of(experiment, alternative);
    AuditFacts facts;
    facts.chips = size(pool, "chips");
    facts.hardware = read_hardware(configuration, pool);
    facts.mapping = read_mapping(pool, facts.chips * facts.hardware.ranks_per_chip);
    facts.formats = read_formats(pool);
    if (text(get(workload, "kind")) != kind) {
        fail(workload,
             fmt::format("kind {}, the result says {}", text(get(workload, "kind")), kind));
    }
    if (kind == "decode") facts.decode = read_decode(configuration, workload, pool);
    if (kind == "operator") facts.the_operator = *get(workload, "operator").json;
    if (kind == "collective") facts.collective = *get(workload, "collective").json;
    return facts;
}

}  // namespace podsim
