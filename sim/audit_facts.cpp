#include "sim/audit_facts.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

#include "base/units.hpp"
#include "sim/audit_tree.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;
using Tree = AuditTree;

Tree document(const Json& configuration, const std::string& kind, const std::string& name) {
    const Tree documents = Tree{&configuration, "configuration"}.get("documents");
    return documents.get(kind + "/" + name);
}

// The alternative of this name, or its one pool.
Tree pool_of(const Tree& experiment, const std::string& name) {
    const Tree alternatives = experiment.get("alternatives");
    for (const auto& item : *alternatives.json) {
        Tree alternative{&item, alternatives.name + "." + name};
        if (alternative.get("name").text() != name) continue;
        const auto pools = alternative.find("pools");
        if (!pools) return alternative;
        if (pools->json->size() != 1) pools->fail("the audit knows one pool");
        return {&pools->json->front(), pools->name + ".0"};
    }
    alternatives.fail("has no " + name);
}

double link_rate(const Tree& level) {
    const double planes = level.size_or("planes", 1), down = level.size_or("planes_down", 0);
    return level.get("bandwidth").number(BytesPerSecond::dimension) * (planes - down) / planes;
}

std::map<std::string, double> read_peaks(const Tree& tree) {
    std::map<std::string, double> peaks;
    for (const auto& [format, peak] : tree.json->items()) {
        peaks[format] = Tree{&peak, tree.name + "." + format}.number(FlopsPerSecond::dimension);
    }
    return peaks;
}

AuditHardware read_hardware(const Json& configuration, const Tree& pool) {
    AuditHardware hardware;
    hardware.system = pool.get("system").text();
    const Tree system = document(configuration, "system", hardware.system);
    const auto own_chip = pool.find("chip");
    hardware.chip = (own_chip ? *own_chip : system.get("chip")).text();
    const Tree chip = document(configuration, "chip", hardware.chip);
    hardware.ranks_per_chip = chip.size("ranks");
    hardware.matrix_peaks = read_peaks(chip.get("peak_matrix"));
    if (const auto published = chip.find("peak_published")) {
        hardware.published_peaks = read_peaks(*published);
    }
    if (const auto power = chip.find("power")) hardware.power = power->number(Watts::dimension);
    const auto hbm = chip.find("hbm");
    const Tree memory = hbm ? *hbm : chip.get("sram");
    hardware.memory = hbm ? "HBM" : "SRAM";
    hardware.hbm_capacity = memory.get("capacity").number(Bytes::dimension);
    hardware.hbm_bandwidth = memory.get("bandwidth").number(BytesPerSecond::dimension);
    hardware.scale_up = link_rate(system.get("scale_up"));
    hardware.scale_out = link_rate(system.get("scale_out"));
    hardware.domain_chips = system.get("scale_up").size("domain");
    hardware.system_chips = system.size("chips");
    if (const auto host = system.find("host")) {
        hardware.host_chips = host->size("chips");
        hardware.host_memory = host->get("memory").number(Bytes::dimension);
        if (const auto storage = host->find("storage"))
            hardware.host_storage = storage->number(Bytes::dimension);
    }
    return hardware;
}

// What is left out: as many groups as the ranks allow, experts over all of them.
AuditMapping read_mapping(const Tree& pool, double ranks, bool trains) {
    const Json nothing = Json::object();
    const Tree tree = pool.find("mapping").value_or(Tree{&nothing, "mapping"});
    const Tree experts = pool.find("experts").value_or(Tree{&nothing, "experts"});
    AuditMapping mapping;
    mapping.tensor_parallel = tree.size_or("tensor_parallel", 1);
    mapping.pipeline_parallel = tree.size_or("pipeline_parallel", 1);
    mapping.micro_batches = tree.size_or("micro_batches", 1);
    mapping.head_parallel = tree.size_or("head_parallel", 1);
    // Training has a law of its own for it.
    if (!trains) mapping.context_parallel = tree.size_or("context_parallel", 1);
    if (const auto exchange = tree.find("context_exchange"))
        mapping.cuts_heads = exchange->text() == "all_to_all";
    mapping.data_parallel =
        tree.size_or("data_parallel", ranks / mapping.tensor_parallel / mapping.context_parallel /
                                          mapping.pipeline_parallel);
    mapping.expert_parallel = tree.size_or("expert_parallel", mapping.stage_ranks());
    mapping.redundant_experts = experts.size_or("redundant", 0);
    mapping.shared_ranks = experts.size_or("shared_ranks", 0);
    if (const auto attention = tree.find("attention"))
        mapping.splits_tokens = attention->text() == "sp-tp-sp";
    if (const auto exchange = experts.find("exchange"))
        mapping.gathers = exchange->text() == "gather";
    if (const auto offload = experts.find("offload")) {
        const std::string to = offload->get("to").text();
        mapping.offloads = to != "none";
        mapping.on_drives = to == "ssd";
        if (const auto compute = offload->find("compute"))
            mapping.at_host = mapping.offloads && compute->text() == "host";
        if (mapping.offloads) mapping.resident = 0;
        if (const auto resident = offload->find("resident"); resident && mapping.offloads)
            mapping.resident = resident->number(Dimension{});
    }
    if (const auto popularity = experts.find("popularity")) {
        mapping.balanced = popularity->json->is_string() && popularity->text() == "balanced";
    }
    return mapping;
}

AuditFormats read_formats(const Tree& pool) {
    AuditFormats formats;
    const auto tree = pool.find("precision");
    if (!tree) return formats;
    const auto read = [&](const char* key, AuditFormat& format) {
        const auto found = tree->find(key);
        if (found) format = {found->text(), format_bytes(found->text())};
    };
    read("weights", formats.weights);
    read("experts", formats.experts);
    read("activations", formats.activations);
    read("attention", formats.attention);
    read("kv_cache", formats.kv_cache);
    formats.indexer = formats.kv_cache;  // as documented, unless said otherwise
    read("indexer", formats.indexer);
    read("dispatch", formats.dispatch);
    read("combine", formats.combine);
    return formats;
}

// A share of the prompt, or tokens of it.
double cached_prefix(const Tree& workload, double prompt) {
    const auto prefix = workload.find("cached_prefix");
    if (!prefix) return 0;
    const bool is_share =
        prefix->json->is_string() && prefix->text().find('%') != std::string::npos;
    return is_share ? prompt * prefix->number({}) : prefix->number(Tokens::dimension);
}

void read_speculation(const Json& configuration, const Tree& speculation, AuditStep& step) {
    step.draft_tokens = speculation.size("draft_tokens");
    if (const auto curve = speculation.find("acceptance_by_position")) {
        for (std::size_t i = 0; i < curve->json->size(); ++i)
            step.acceptance.push_back(Tree{&curve->json->at(i), curve->name}.number({}));
    } else {
        step.acceptance.assign(static_cast<std::size_t>(step.draft_tokens),
                               speculation.size("acceptance"));
    }
    const auto name = speculation.find("draft_model");
    if (!name) return;
    const Tree config = document(configuration, "model", name->text());
    const auto model = read_audit_model(*config.json, config.name);
    if (!model) {
        step.family = config.get("model_type").text();
        step.model.reset();
        return;
    }
    const auto weights = speculation.find("draft_weights");
    const std::string format = weights ? weights->text() : "bf16";
    step.drafter = AuditDrafter{*model, {format, format_bytes(format)}};
}

AuditStep read_step(const Json& configuration, const Tree& workload, const Tree& pool) {
    AuditStep step;
    if (workload.get("kind").text() == "prefill") {
        step.context = workload.get("prompt").number(Tokens::dimension);
        step.computed = step.context - cached_prefix(workload, step.context);
        if (const auto chunk = workload.find("chunk"))
            step.chunk = chunk->number(Tokens::dimension);
    } else {
        step.context = workload.get("context").number(Tokens::dimension);
    }
    // A pool's own batch comes before the workload's, whichever of the keys either uses.
    for (const Tree& tree : {pool, workload}) {
        const auto target = tree.find("latency_target");
        const auto per_chip = tree.find("batch_per_chip"), per_rank = tree.find("batch_per_rank"),
                   per_group = tree.find("batch_per_group"), tokens = tree.find("tokens_per_rank");
        if (per_chip) step.batch_per_chip = per_chip->number({});
        if (per_rank) step.batch_per_rank = per_rank->number({});
        if (per_group) step.batch_per_group = per_group->number({});
        if (tokens) step.tokens_per_rank = tokens->number(Tokens::dimension);
        if (target) step.latency_target = target->number(Seconds::dimension);
        if (per_chip || per_rank || per_group || tokens || target) break;
    }
    const Tree config = document(configuration, "model", workload.get("model").text());
    step.family = config.get("model_type").text();
    step.model = read_audit_model(*config.json, config.name);
    if (const auto speculation = workload.find("speculation"))
        read_speculation(configuration, *speculation, step);
    if (const auto images = workload.find("images")) {
        const auto frames = images->find("frames");
        step.images = AuditImages{read_audit_tower(*config.json, config.name),
                                  images->size("count"), images->size("width"),
                                  images->size("height"), frames ? frames->number({}) : 1};
        step.context += step.images->count * step.images->tokens();
        step.computed += step.images->count * step.images->tokens();
    }
    return step;
}

// The batch is a number of sequences, or tokens of them.
AuditTraining read_training(const Json& configuration, const Tree& workload, const Tree& pool) {
    AuditTraining training;
    training.sequence = workload.get("sequence").number(Tokens::dimension);
    const Tree batch = workload.get("global_batch");
    const bool plain = batch.json->is_number() ||
                       batch.text().find_first_not_of("0123456789") == std::string::npos;
    training.sequences =
        plain ? batch.number({}) : batch.number(Tokens::dimension) / training.sequence;
    training.zero_stage = workload.size_or("zero_stage", 1);
    if (const auto mapping = pool.find("mapping"))
        training.context_parallel = mapping->size_or("context_parallel", 1);
    if (const auto drafts = workload.find("drafts"))
        training.trains_drafts = !(*drafts->json == false || *drafts->json == "false");
    if (const auto experts = pool.find("experts")) {
        if (const auto factor = experts->find("capacity_factor"))
            training.capacity_factor = factor->number({});
    }
    AuditStep& step = training.forward;
    step.context = step.computed = training.sequence;
    const Tree config = document(configuration, "model", workload.get("model").text());
    step.family = config.get("model_type").text();
    step.model = read_audit_model(*config.json, config.name);
    return training;
}

// With unequal groups chips may stand by: at work are those that the degrees multiply to.
void leave_standing(const Tree& pool, AuditFacts& facts) {
    const auto mapping = pool.find("mapping");
    const auto unequal = mapping ? mapping->find("unequal_groups") : std::nullopt;
    if (!unequal || !(*unequal->json == true || *unequal->json == "true")) return;
    const AuditMapping& map = facts.mapping;
    const double ranks = map.tensor_parallel * map.pipeline_parallel * map.data_parallel *
                         facts.training->context_parallel;
    facts.chips = std::min(facts.chips, ranks / facts.hardware.ranks_per_chip);
}

// False, and so the stricter law, where no library is named or carried.
bool merges_copies(const Json& configuration, const Tree& pool, const std::string& system,
                   const char* type) {
    auto name = pool.find("collectives");
    if (!name) name = document(configuration, "system", system).find("collectives");
    if (!name) return false;
    const Tree documents = Tree{&configuration, "configuration"}.get("documents");
    const auto library = documents.find("collectives/" + name->text());
    const auto transfers = library ? library->find("transfers") : std::nullopt;
    const auto habits = transfers ? transfers->find(type) : std::nullopt;
    const auto merges = habits ? habits->find("merges_copies") : std::nullopt;
    return merges && *merges->json == true;
}

}  // namespace

std::vector<std::pair<double, double>> AuditStep::passes() const {
    if (!is_prefill()) return {{1 + draft_tokens, context}};
    std::vector<std::pair<double, double>> passes;
    const double largest = chunk > 0 ? chunk : computed;
    for (double left = computed; left > 0; left -= largest) {
        const double query = std::min(left, largest);
        passes.emplace_back(query, context - left + query);
    }
    return passes;
}

AuditFacts drafter_facts(const AuditFacts& facts) {
    AuditFacts own = facts;
    own.formats.weights = own.formats.activations = facts.step->drafter->weights;
    own.mapping.pipeline_parallel = own.mapping.head_parallel = 1;
    own.step->drafter.reset();
    own.step->draft_tokens = 0;
    own.step->acceptance.clear();
    return own;
}

double AuditTrace::working_ranks() const {
    double sum = 0;
    for (const auto& [name, count] : ranks) sum += count;
    return sum;
}

namespace {

// Of any collective a rank sends at least what is not its own, (n - 1)/n of the buffer; switches
// that add up spare the second pass of an all-reduce. A message is sent by one of two. Exchanges of
// experts may merge copies: no bound.
void add_trace_facts(const Tree& tree, AuditTrace& trace) {
    for (const Json& one : *tree.get("classes").json) {
        trace.ranks[one.at("name").get<std::string>()] += one.at("ranks").get<double>();
        trace.tasks += one.at("tasks").get<double>();
    }
    trace.flops += tree.get("flops").json->get<double>();
    for (const Json& one : *tree.get("transfers").json) {
        const std::string type = one.at("type").get<std::string>();
        if (type == "dispatch" || type == "combine") continue;
        const double n = one.at("ranks").get<double>(), times = one.at("times").get<double>();
        const double parts = type == "send_recv" ? 1 : n - 1;
        trace.moved_bytes += times * parts * one.at("sent").get<double>();
    }
}

// Of one trace, or of all jobs together.
AuditTrace read_trace_facts(const Json& configuration, const Tree& workload) {
    AuditTrace trace;
    const auto jobs = workload.find("jobs");
    if (!jobs) {
        add_trace_facts(document(configuration, "trace", workload.get("trace").text()), trace);
        return trace;
    }
    for (const Json& job : *jobs->json)
        add_trace_facts(document(configuration, "trace", job.at("name").get<std::string>()), trace);
    return trace;
}

}  // namespace

AuditFacts read_audit_facts(const Json& configuration, const std::string& alternative,
                            const std::string& kind) {
    const Tree experiment = Tree{&configuration, "configuration"}.get("experiment");
    const Tree workload = experiment.get("workload");
    const Tree pool = pool_of(experiment, alternative);
    AuditFacts facts;
    facts.chips = pool.size("chips");
    facts.hardware = read_hardware(configuration, pool);
    facts.mapping =
        read_mapping(pool, facts.chips * facts.hardware.ranks_per_chip, kind == "training");
    facts.formats = read_formats(pool);
    const std::string& system = facts.hardware.system;
    facts.merges_dispatch = merges_copies(configuration, pool, system, "dispatch");
    facts.merges_combine = merges_copies(configuration, pool, system, "combine");
    if (workload.get("kind").text() != kind) {
        workload.fail(
            fmt::format("kind {}, the result says {}", workload.get("kind").text(), kind));
    }
    if (kind == "decode" || kind == "prefill")
        facts.step = read_step(configuration, workload, pool);
    if (kind == "training") {
        facts.training = read_training(configuration, workload, pool);
        leave_standing(pool, facts);
    }
    if (kind == "replay") facts.trace = read_trace_facts(configuration, workload);
    if (kind == "operator") {
        facts.the_operator = *workload.get("operator").json;
        const auto experts = pool.find("experts");
        facts.exchanges_layer = experts && experts->find("exchange").has_value();
    }
    if (kind == "collective") {
        if (const auto several = workload.find("collectives")) {
            facts.collectives.assign(several->json->begin(), several->json->end());
        } else {
            facts.collectives = {*workload.get("collective").json};
        }
    }
    return facts;
}

}  // namespace podsim
