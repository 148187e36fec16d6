#include "sim/experiment_spec.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>

#include "base/form.hpp"
#include "sim/collective_jobs_form.hpp"
#include "sim/experiment.hpp"
#include "sim/experiment_keys.hpp"
#include "sim/experiment_pools.hpp"
#include "sim/form_variants.hpp"
#include "sim/single_forms.hpp"

namespace podsim {

const std::vector<std::pair<const char*, WorkloadKind>>& names_of(const WorkloadKind*) {
    static const std::vector<std::pair<const char*, WorkloadKind>> names = {
        {"operator", WorkloadKind::kernel},   {"collective", WorkloadKind::collective},
        {"decode", WorkloadKind::decode},     {"prefill", WorkloadKind::prefill},
        {"training", WorkloadKind::training}, {"serving", WorkloadKind::serving},
        {"replay", WorkloadKind::replay}};
    return names;
}

const std::vector<std::pair<const char*, HostCharge>>& names_of(const HostCharge*) {
    static const std::vector<std::pair<const char*, HostCharge>> names = {
        {"chips", HostCharge::chips}, {"whole_hosts", HostCharge::whole_hosts}};
    return names;
}

bool is_step(WorkloadKind kind) {
    return kind == WorkloadKind::decode || kind == WorkloadKind::prefill;
}

std::string BatchSpec::key() const {
    if (per_chip) return "batch_per_chip";
    if (per_rank) return "batch_per_rank";
    if (per_group) return "batch_per_group";
    if (tokens_per_rank) return "tokens_per_rank";
    return latency_target ? "latency_target" : "";
}

template <class Form>
void describe(Form& form, Precision& precision) {
    form.optional("weights", precision.weights, "attention, dense and shared-expert weights");
    form.optional("experts", precision.experts, "routed-expert weights");
    form.optional("activations", precision.activations, "inputs of the products");
    form.optional("attention", precision.attention, "attention itself and its absorbed products");
    form.optional("kv_cache", precision.kv_cache, "cached keys and values");
    form.optional("indexer", precision.indexer,
                  "queries and cached keys of an indexer; as kv_cache if absent");
    if (!form.has("indexer")) precision.indexer = precision.kv_cache;
    form.optional("dispatch", precision.dispatch, "tokens on their way to the experts");
    form.optional("combine", precision.combine, "results on their way back");
}

template <class Form>
void describe(Form& form, MappingSpec& mapping) {
    form.optional("data_parallel", mapping.data_parallel, "groups that hold different sequences",
                  at_least(1));
    form.optional("tensor_parallel", mapping.tensor_parallel,
                  "ranks that share a group's attention and dense layers", at_least(1));
    form.optional("expert_parallel", mapping.expert_parallel,
                  "ranks over which one set of experts is spread", at_least(1));
    form.optional("engram_tables", mapping.engram_tables,
                  "where tables of conditional memory are: in each host's memory, or pooled over "
                  "the scale-up domain");
    form.optional("attention", mapping.attention,
                  "how a tensor-parallel group shares attention: tp (heads), or sp-tp-sp (tokens, "
                  "heads, tokens; latent attention)");
    form.optional("context_parallel", mapping.context.context_parallel,
                  "ranks, each with a tensor-parallel group of its own, that share the tokens of a "
                  "sequence: of a prompt its new ones, and its cache",
                  at_least(1));
    form.optional("context_exchange", mapping.context.context_exchange,
                  "training, prefill, serving: how they bring queries and keys together");
    form.optional("head_parallel", mapping.head_parallel,
                  "tensor-parallel groups that share one LM head", at_least(1));
    form.optional(
        "pipeline_parallel", mapping.pipeline_parallel,
        "stages that hold the layers one after the other, each with its own batch of sequences",
        at_least(1));
    form.optional("micro_batches", mapping.micro_batches,
                  "parts of a step, to overlap transfers with compute", at_least(1));
    describe_training_mapping(form, mapping.training);
}

template <class Form>
void describe(Form& form, ExpertOffload& offload) {
    form.required("to", offload.to, "where routed experts lie that the chips have no room for");
    form.optional("resident", offload.resident,
                  "share of a rank's routed experts that stay in its memory, the most popular "
                  "ones; as many as find room if absent, which serving does not know",
                  share());
    form.optional("hit_rate", offload.hit_rate,
                  "measured share of the experts asked for that are found there; what follows "
                  "from popularity if absent",
                  share());
    form.optional("compute", offload.compute,
                  "who works on the others: chip (their weights come over the host link), or host "
                  "(its processors do)");
    form.optional("prefetch", offload.prefetch,
                  "compute chip: a layer's experts are guessed, and fetched, while the layer "
                  "before works; every guess counts as right");
    if (!form.ok()) return;
    const bool by_host = offload.compute == OffloadCompute::host;
    if (by_host && offload.to == OffloadPlace::ssd)
        form.problem("compute", "host: its processors read its memory, not its drives", "to: host");
    if (by_host && offload.prefetch)
        form.problem("prefetch", "of weights that do not move", "remove it");
}

template <class Form>
void describe(Form& form, ExpertsSpec& experts) {
    form.optional("redundant", experts.redundant, "extra copies of routed experts", non_negative());
    form.optional("shared_ranks", experts.shared_ranks,
                  "ranks of an expert group that hold the shared expert alone", non_negative());
    form.optional(
        "exchange", experts.exchange,
        "how tokens meet their experts: all_to_all (dispatch and combine), or gather (each "
        "rank has all tokens of the expert group); of one operator of type moe, which without it "
        "is its products alone: all_to_all, or fused (dispatch, products and combine as one "
        "kernel)");
    form.optional(
        "tensor_parallel", experts.tensor_parallel,
        "exchange gather: of the expert_parallel ranks so many share each expert's width, "
        "and whole experts are spread over the groups of them",
        at_least(1));
    form.optional("capacity_factor", experts.capacity_factor,
                  "training: tokens that an expert takes of each rank at most, over an even share; "
                  "what comes above is dropped; all are taken if absent",
                  positive());
    form.optional("node_limited", experts.node_limited,
                  "training: tokens go to the scale-up domains of as many expert groups as the "
                  "model says (topk_group of n_group)");
    form.optional("offload", experts.offload,
                  "decode, prefill, serving: routed experts whose weights lie in the host's memory "
                  "or on its drives");
    form.optional("popularity", experts.popularity, "how tokens spread over experts");
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    of_variant(form, experts.popularity == Popularity::zipf, "zipf_exponent", experts.zipf_exponent,
               "zipf: the r-th most popular expert's share of assignments goes as 1 / r^exponent",
               Check{0, 10, false, "a value of 0 to 10"});
    const bool counted = experts.popularity == Popularity::histogram;
    of_variant(form, counted, "histogram", experts.histogram,
               "histogram: a JSON or CSV file of assignments counted by expert");
    optional_of_variant(form, counted, "histogram_part", experts.histogram_part,
                        "histogram: where in the JSON file the counts stand, as domains.c4");
    optional_of_variant(form, experts.popularity != Popularity::balanced, "placement",
                        experts.placement,
                        "unless balanced: which ranks hold which experts and copies");
}

template <class Form>
void describe(Form& form, SpeculationSpec& speculation) {
    form.required("draft_tokens", speculation.draft_tokens, "tokens drafted a step",
                  non_negative());
    form.optional("acceptance", speculation.acceptance,
                  "chance that a draft token is accepted, given those before it", share());
    form.optional("acceptance_by_position", speculation.acceptance_by_position,
                  "the same draft by draft, in place of acceptance: [0.8, 0.7, 0.6]", share());
    form.optional("draft_model", speculation.draft_model,
                  "a model that drafts, on the same ranks; the model's own module if absent");
    if (kAllVariants<Form> || !speculation.draft_model.empty())
        form.optional("draft_weights", speculation.draft_weights,
                      "format of the draft model's weights and products (bf16)");
    if (!form.ok()) return;
    if (speculation.draft_tokens > 16)
        form.problem("draft_tokens", "more than 16 draft tokens a step");
    const std::size_t curve = speculation.acceptance_by_position.size();
    if (form.has("acceptance") == form.has("acceptance_by_position"))
        form.problem("acceptance", "one of acceptance and acceptance_by_position is needed",
                     "acceptance: 0.7, or acceptance_by_position: [0.8, 0.7]");
    else if (curve > 0 && curve != static_cast<std::size_t>(speculation.draft_tokens))
        form.problem(
            "acceptance_by_position",
            fmt::format("has {} chances for {} draft token{}", curve, speculation.draft_tokens,
                        speculation.draft_tokens == 1 ? "" : "s"),
            "one for each draft");
}

template <class Form>
void describe(Form& form, ImagesSpec& images) {
    const Check few{1, 10'000, false, "a whole number of 1 to 10,000"};
    const Check pixels{1, 100'000, false, "a whole number of 1 to 100,000"};
    form.required("count", images.count, "images, or videos, of a prompt", few);
    form.required("width", images.width, "pixels", pixels);
    form.required("height", images.height, "pixels", pixels);
    form.optional("frames", images.frames, "of a video; 1 for an image", pixels);
}

namespace {

// One of the ways to say how many sequences.
template <class Form>
void describe_batch(Form& form, BatchSpec& batch) {
    form.optional("batch_per_chip", batch.per_chip, "sequences for each package", count());
    form.optional("batch_per_rank", batch.per_rank, "sequences for each rank", count());
    form.optional("batch_per_group", batch.per_group, "sequences for each data-parallel group",
                  count());
    form.optional("tokens_per_rank", batch.tokens_per_rank,
                  "prefill: tokens that each rank computes", count());
    form.optional("latency_target", batch.latency_target,
                  "time per output token (decode) or to the first token (prefill) to keep, with "
                  "the largest batch that does",
                  positive());
    const int given = int(batch.per_chip.has_value()) + int(batch.per_rank.has_value()) +
                      int(batch.per_group.has_value()) + int(batch.tokens_per_rank.has_value()) +
                      int(batch.latency_target.has_value());
    if (given > 1) {
        form.problem(batch.key(),
                     "says the batch a second time; give one of batch_per_chip, batch_per_rank, "
                     "batch_per_group, tokens_per_rank, latency_target");
    }
}

// The tokens of a prompt that a cache holds: a share of it, or a number.
template <class Form>
void describe_prefix(Form& form, WorkloadSpec& workload) {
    Node prefix;
    form.optional("cached_prefix", prefix,
                  "prefill: part of the prompt that a cache holds, a share (50 %) or tokens");
    if (!form.ok() || prefix.kind == Node::Kind::null) return;
    std::vector<Diagnostic> problems;
    double value = 0;
    const bool is_share = prefix.text.find('%') != std::string::npos;
    form_detail::read_number(prefix, "cached_prefix", is_share ? Dimension{} : Tokens::dimension,
                             {non_negative()}, value, problems);
    if (!problems.empty())
        return form.problem("cached_prefix", problems.front().what + ", or a share (50 %)");
    workload.cached = is_share ? value * workload.context : Tokens(value);
    if (workload.cached >= workload.context)
        return form.problem("cached_prefix", "leaves no token of the prompt to compute");
    const double cached = workload.cached.value(), prompt = workload.context.value();
    const double nearest = std::round(cached);
    // A share that a rounding error parts from whole tokens means these.
    if (is_share && std::abs(cached - nearest) < 1e-9 * prompt) workload.cached = Tokens(nearest);
    if (workload.cached.value() == std::floor(workload.cached.value()) ||
        prompt != std::floor(prompt))
        return;
    const double less = std::floor(cached), more = std::min(std::ceil(cached), prompt - 1);
    form.problem("cached_prefix",
                 fmt::format("is no whole number of tokens: {} of {:.0f} are {:.6g}", prefix.text,
                             prompt, cached),
                 less < more ? fmt::format("{:.0f} tokens or {:.0f} tokens would be", less, more)
                             : fmt::format("{:.0f} tokens would be", less));
}

}  // namespace

void require_collectives(ReadForm& form, const std::vector<CollectiveJobSpec>& several) {
    if (!form.ok()) return;
    if (form.has("collective") == form.has("collectives")) {
        form.problem("collective",
                     form.has("collective") ? "is beside collectives, which are several"
                                            : "is missing: what is moved",
                     "either collective: {type: all_reduce, bytes: 64 MB, ranks: 8}, or a list "
                     "collectives: of these, each with a name");
        return;
    }
    if (form.has("collectives") && several.empty())
        form.problem("collectives", "is empty", "a name, a type, bytes and ranks each");
    std::set<std::string> seen;
    for (const CollectiveJobSpec& job : several)
        if (!seen.insert(job.name).second)
            form.problem("collectives", fmt::format("two are called {}", job.name));
}
void require_collectives(SchemaForm&, const std::vector<CollectiveJobSpec>&) {}

template <class Form>
void describe(Form& form, WorkloadSpec& workload) {
    form.required("kind", workload.kind, "what is run");
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    const bool decode = workload.kind == WorkloadKind::decode;
    const bool prefill = workload.kind == WorkloadKind::prefill;
    const bool serving = workload.kind == WorkloadKind::serving;
    const bool training = workload.kind == WorkloadKind::training;
    of_variant(form, decode || prefill || training || serving, "model", workload.model,
               "decode, prefill, training, serving: of configs/models, or a path to a config.json");
    of_variant(form, decode, "context", workload.context,
               "decode: cached tokens of a sequence at the measured step", count());
    of_variant(form, prefill, "prompt", workload.context, "prefill: tokens of a prompt", count());
    if (prefill || kAllVariants<Form>) describe_prefix(form, workload);
    optional_of_variant(form, prefill, "chunk", workload.chunk,
                        "prefill: tokens of a prompt that one pass takes, all if absent", count());
    optional_of_variant(form, prefill, "images", workload.images,
                        "prefill: images or videos beside the text of a prompt, as tokens of the "
                        "model's vision tower");
    if (decode || prefill || kAllVariants<Form>) describe_batch(form, workload.batch);
    optional_of_variant(form, decode || serving, "speculation", workload.speculation,
                        "decode, serving: drafting of tokens ahead");
    ServingSpec served;
    describe_serving(form, serving, served);
    if (serving) workload.serving = std::move(served);
    OperatorForm op;
    of_variant(form, workload.kind == WorkloadKind::kernel, "operator", op,
               "one operator on one rank");
    CollectiveForm collective;
    const bool collectives = workload.kind == WorkloadKind::collective;
    optional_of_variant(form, collectives, "collective", collective, "one collective");
    optional_of_variant(form, collectives, "collectives", workload.collectives,
                        "collective: instead of one, several that share the fabric, each with a "
                        "name (docs/fabric.md)");
    if (collectives) require_collectives(form, workload.collectives);
    optional_of_variant(form, workload.kind == WorkloadKind::collective, "packets",
                        workload.packets,
                        "collective: knobs of the packet level, at --fidelity cycle "
                        "(docs/fabric.md)");
    ReplaySpec replay;
    describe_replay(form, workload.kind == WorkloadKind::replay, replay);
    TrainingForm of_training;
    describe_training(form, training, of_training);
    if (!form.ok()) return;
    if (training) {
        workload.training = of_training;
        if (of_training.sequence.value() != std::floor(of_training.sequence.value()))
            form.problem("sequence", "is no whole number of tokens");
        return;
    }
    if (workload.kind == WorkloadKind::replay) workload.replay = replay;
    const auto whole = [&](const char* key, Tokens tokens) {
        if (tokens.value() != std::floor(tokens.value()))
            form.problem(key, "is no whole number of tokens");
    };
    whole(prefill ? "prompt" : "context", workload.context);
    whole("chunk", workload.chunk);
    if (decode && workload.batch.tokens_per_rank)
        form.problem("tokens_per_rank", "is for prefill; decode takes batch_per_chip or the like");
    if (workload.kind == WorkloadKind::kernel) {
        if (op.type == OperatorType::moe) workload.layer = MoeLayer{op.moe, op.dtypes};
        workload.kernels = to_operators(op);
    }
    if (workload.kind == WorkloadKind::collective && workload.collectives.empty()) {
        workload.collective = to_transfer(collective);
        workload.fused_work = fused_work_of(collective);
    }
}

// Keys of a pool; an alternative without `pools` has them itself.
template <class Form>
void describe_pool(Form& form, PoolSpec& pool) {
    form.required("system", pool.system, "of configs/systems, or a path");
    form.optional("chip", pool.chip, "instead of the system's chip");
    form.required("chips", pool.chips, "packages", at_least(1));
    form.optional("precision", pool.precision, "number formats");
    form.optional("mapping", pool.mapping, "how the model is laid over the ranks");
    form.optional("experts", pool.experts, "copies and places of experts");
    form.optional("engine", pool.engine, "serving engine, of configs/engines");
    form.optional("kernels", pool.kernels, "kernel library instead of the chip's");
    form.optional("tiling", pool.tiling,
                  "tiles and dataflow to take instead of searching (docs/chips.md)");
    form.optional("collectives", pool.collectives, "collective library instead of the system's");
    form.optional("slice", pool.slice,
                  "shape of the part of a torus or mesh that the chips are: [4, 4, 4]; the first "
                  "ones in a row if left out",
                  at_least(1));
    form.optional("faults", pool.faults, "what is broken of the system's fabric (docs/fabric.md)");
    describe_batch(form, pool.batch);
    form.optional("replicas", pool.replicas,
                  "serving: engines that the chips are divided over, each with the mapping",
                  at_least(1));
    form.optional("autoscaling", pool.autoscaling,
                  "serving: replicas come and go with the load, up to `replicas` "
                  "(docs/serving.md)");
    if (form.ok() && pool.autoscaling && pool.autoscaling->initial() > pool.replicas)
        form.problem("autoscaling",
                     fmt::format("begins with {} replicas, the pool has {} at most",
                                 pool.autoscaling->initial(), pool.replicas),
                     "replicas: as many as there may be, chips of them all");
    form.optional("scheduler", pool.scheduler,
                  "serving: knobs of these engines, over those of the workload");
    form.optional("charge", pool.charge,
                  "what costs count: the pool's chips, or all chips of the hosts that it uses "
                  "(chips)");
    form.optional("packets", pool.packets,
                  "collective: knobs of the packet level, over those of the workload");
}

template <class Form>
void describe(Form& form, PoolSpec& pool) {
    form.required("name", pool.name, "of the pool");
    form.optional("role", pool.role,
                  "what it does: decode, prefill, train; of a workload of kind serving also serve, "
                  "or attention and ffn, which decode together (docs/serving.md)");
    describe_pool(form, pool);
    form.optional("exchange_over", pool.exchange_over,
                  "role ffn: links to the attention pool and back; scale_up if absent where both "
                  "pools are in one domain of one system, else scale_out");
    const char* const roles[] = {"", "decode", "prefill", "serve", "train", "attention", "ffn"};
    const bool known = std::find(std::begin(roles), std::end(roles), pool.role) != std::end(roles);
    if (form.ok() && !known) {
        form.problem("role", fmt::format("{} is not modelled yet, expected decode, prefill, train, "
                                         "or serve, attention or ffn of a workload of kind serving",
                                         pool.role));
    }
}

template <class Form>
void describe(Form& form, AlternativeSpec& alternative) {
    form.required("name", alternative.name, "column of the comparison");
    if (kAllVariants<Form>)
        form.optional("pools", alternative.pools,
                      "instead of the keys below: groups of chips with a role each");
    if (form.has("pools")) {
        form.required("pools", alternative.pools, "groups of chips with a role each");
        if (form.ok() && alternative.pools.empty())
            form.problem("pools", "0 pools: one is modelled, of kind serving one or more");
        return;
    }
    PoolSpec pool;
    describe_pool(form, pool);
    pool.name = alternative.name;
    alternative.pools = {pool};
}

template <class Form>
void describe(Form& form, ExperimentSpec& experiment) {
    form.required("experiment", experiment.name, "what is compared, in words");
    form.required("workload", experiment.workload, "what runs");
    form.required("alternatives", experiment.alternatives, "on what it runs, one column each");
    form.optional("prices", experiment.prices, "price list, of configs/prices");
    form.optional("site_power", experiment.site_power,
                  "what the facility may draw, cooling included: caps the chips of an alternative",
                  positive());
    PlanSection plan;
    plan.serving = experiment.workload.kind == WorkloadKind::serving;
    form.optional("plan", plan,
                  "training, serving: over what podsim plan searches (docs/planning.md)");
    if (!form.ok()) return;
    if (form.has("plan") && plan.serving) experiment.serving_plan = std::move(plan.service);
    if (form.has("plan") && experiment.workload.kind == WorkloadKind::training)
        experiment.plan = std::move(plan.training);
    if (form.has("plan") && !experiment.plan && !experiment.serving_plan)
        form.problem("plan", "searches mappings of training, or fleets of serving, alone",
                     "remove it");
    if (experiment.alternatives.empty())
        form.problem("alternatives", "is empty, expected at least one");
    std::set<std::string> seen;
    for (const auto& alternative : experiment.alternatives) {
        if (!seen.insert(alternative.name).second)
            form.problem("alternatives", fmt::format("two are called {}", alternative.name));
    }
}

Place KeyPlaces::of(std::string key) const {
    while (true) {
        const auto found = keys.find(key);
        if (found != keys.end()) return found->second;
        const auto dot = key.rfind('.');
        if (dot == std::string::npos) return map;
        key.resize(dot);
    }
}

namespace {

void remember(const Node& node, const std::string& prefix, KeyPlaces& places) {
    for (const auto& entry : node.entries) {
        places.keys[prefix + entry.key] = entry.value.place;
        remember(entry.value, prefix + entry.key + ".", places);
    }
}

KeyPlaces places_of(const Node& node) {
    KeyPlaces places;
    places.map = node.place;
    remember(node, "", places);
    return places;
}

void remember_places(const Node& document, ExperimentSpec& experiment) {
    experiment.workload.places = places_of(*document.find("workload"));
    if (const Node* plan = document.find("plan")) experiment.plan_places = places_of(*plan);
    const Node& list = *document.find("alternatives");
    for (std::size_t i = 0; i < experiment.alternatives.size(); ++i) {
        auto& alternative = experiment.alternatives[i];
        const Node* pools = list.items[i].find("pools");
        if (pools != nullptr) alternative.pools_place = pools->place;
        for (std::size_t p = 0; p < alternative.pools.size(); ++p) {
            PoolSpec& pool = alternative.pools[p];
            pool.places = places_of(pools != nullptr ? pools->items[p] : list.items[i]);
            pool.path = "alternatives." + alternative.name +
                        (pools != nullptr ? ".pools." + pool.name : "");
        }
    }
}

void require_batch(const ExperimentSpec& experiment, std::vector<Diagnostic>& problems) {
    if (!is_step(experiment.workload.kind) || experiment.workload.batch.given()) return;
    const auto& all = experiment.alternatives;
    if (std::all_of(all.begin(), all.end(),
                    [](const auto& one) { return one.pools.front().batch.given(); }))
        return;
    problems.push_back(
        {experiment.workload.places.map, "workload.batch_per_chip",
         "missing: how many sequences run",
         fmt::format(
             "give batch_per_chip, batch_per_rank, batch_per_group{} or "
             "latency_target, here or in every alternative",
             experiment.workload.kind == WorkloadKind::prefill ? ", tokens_per_rank" : "")});
}

}  // namespace

ExperimentSpec read_experiment(const Node& document) {
    ExperimentSpec experiment = read<ExperimentSpec>(document, "");
    remember_places(document, experiment);
    std::vector<Diagnostic> problems;
    require_pools(experiment, problems);
    require_batch(experiment, problems);
    require_used(experiment, problems);
    if (!problems.empty()) throw InputError(std::move(problems));
    return experiment;
}

nlohmann::ordered_json experiment_schema() {
    return schema<ExperimentSpec>("podsim experiment").json();
}

}  // namespace podsim
