#include "sim/experiment_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/form.hpp"
#include "sim/experiment.hpp"

namespace podsim {

const std::vector<std::pair<const char*, WorkloadKind>>& names_of(const WorkloadKind*) {
    static const std::vector<std::pair<const char*, WorkloadKind>> names = {
        {"operator", WorkloadKind::kernel},
        {"collective", WorkloadKind::collective},
        {"decode", WorkloadKind::decode}};
    return names;
}

const std::vector<std::pair<const char*, OperatorType>>& names_of(const OperatorType*) {
    static const std::vector<std::pair<const char*, OperatorType>> names = {
        {"gemm", OperatorType::gemm},
        {"attention", OperatorType::attention},
        {"vector", OperatorType::vector}};
    return names;
}

const std::vector<std::pair<const char*, AttentionForm>>& names_of(const AttentionForm*) {
    static const std::vector<std::pair<const char*, AttentionForm>> names = {
        {"mla", AttentionForm::mla_absorbed}, {"gqa", AttentionForm::gqa}};
    return names;
}

const std::vector<std::pair<const char*, Phase>>& names_of(const Phase*) {
    static const std::vector<std::pair<const char*, Phase>> names = {{"prefill", Phase::prefill},
                                                                     {"decode", Phase::decode}};
    return names;
}

template <class Form>
void describe(Form& form, Precision& precision) {
    form.optional("weights", precision.weights, "attention, dense and shared-expert weights");
    form.optional("experts", precision.experts, "routed-expert weights");
    form.optional("activations", precision.activations, "inputs of the products");
    form.optional("attention", precision.attention, "attention itself and its absorbed products");
    form.optional("kv_cache", precision.kv_cache, "cached keys and values");
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
    form.optional("pipeline_parallel", mapping.pipeline_parallel, "stages of layers (1 for now)",
                  at_least(1));
    form.optional("micro_batches", mapping.micro_batches,
                  "parts of a step, to overlap transfers with compute", at_least(1));
}

template <class Form>
void describe(Form& form, ExpertsSpec& experts) {
    form.optional("redundant", experts.redundant, "extra copies of routed experts", non_negative());
    form.optional("shared_ranks", experts.shared_ranks,
                  "ranks of an expert group that hold the shared expert alone", non_negative());
    form.optional("popularity", experts.popularity, "how tokens spread over experts");
}

template <class Form>
void describe(Form& form, SpeculationSpec& speculation) {
    form.required("draft_tokens", speculation.draft_tokens, "tokens drafted a step",
                  non_negative());
    form.required("acceptance", speculation.acceptance,
                  "chance that a draft token is accepted, given those before it", share());
    if (form.ok() && speculation.draft_tokens > 16)
        form.problem("draft_tokens", "more than 16 draft tokens a step");
}

namespace {

// A schema shows the keys of every variant, none of them required; a reader takes those of the
// variant at hand.
template <class Form>
constexpr bool kAllVariants = std::is_same_v<Form, SchemaForm>;

template <class Form, class T, class... C>
void of_variant(Form& form, bool chosen, const char* key, T& field, const char* help,
                const C&... checks) {
    if (kAllVariants<Form> || chosen)
        form.field(chosen && !kAllVariants<Form>, key, field, help, Checks{checks...});
}

// One of the three ways to say how many sequences.
template <class Form>
void describe_batch(Form& form, BatchSpec& batch) {
    form.optional("batch_per_chip", batch.per_chip, "sequences for each package", at_least(1));
    form.optional("batch_per_rank", batch.per_rank, "sequences for each rank", at_least(1));
    form.optional("latency_target", batch.latency_target,
                  "time per output token to keep, with the largest batch that does", positive());
    const int given = int(batch.per_chip.has_value()) + int(batch.per_rank.has_value()) +
                      int(batch.latency_target.has_value());
    if (given > 1) {
        form.problem(batch.per_chip ? "batch_per_chip" : "batch_per_rank",
                     "says the batch a second time; give one of batch_per_chip, batch_per_rank, "
                     "latency_target");
    }
}

// `operator:` as written, before its type decides which keys belong to it.
struct OperatorForm {
    OperatorType type = OperatorType::gemm;
    Gemm gemm;
    Attention attention;
    VectorWork vector;
    std::map<std::string, DType> dtypes;
    std::vector<long> head_dims;
};

DType dtype_or(const std::map<std::string, DType>& dtypes, const char* key, DType fallback) {
    const auto found = dtypes.find(key);
    return found != dtypes.end() ? found->second : fallback;
}

template <class Form>
void check_dtype_keys(Form& form, const std::map<std::string, DType>& dtypes,
                      const std::vector<std::string>& known) {
    for (const auto& [key, dtype] : dtypes) {
        if (std::find(known.begin(), known.end(), key) == known.end()) {
            form.problem("dtypes", fmt::format("{} is no operand of this operator, expected {}",
                                               key, fmt::join(known, ", ")));
        }
    }
}

template <class Form>
void describe(Form& form, OperatorForm& op) {
    form.required("type", op.type, "gemm, attention or vector");
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    const bool gemm = op.type == OperatorType::gemm, attention = op.type == OperatorType::attention,
               vector = op.type == OperatorType::vector;
    form.optional("dtypes", op.dtypes,
                  "formats by operand: a, b, c of a gemm; compute, kv of attention; in, out of a "
                  "vector operator");
    of_variant(form, gemm, "m", op.gemm.m, "gemm: rows", at_least(1));
    of_variant(form, gemm, "n", op.gemm.n, "gemm: columns", at_least(1));
    of_variant(form, gemm, "k", op.gemm.k, "gemm: inner size", at_least(1));
    if (gemm || kAllVariants<Form>)
        form.optional("groups", op.gemm.groups, "gemm: independent products in one kernel",
                      at_least(1));
    of_variant(form, attention, "form", op.attention.form, "attention: mla or gqa");
    of_variant(form, attention, "phase", op.attention.phase, "attention: prefill or decode");
    of_variant(form, attention, "batch", op.attention.batch, "attention: sequences", at_least(1));
    of_variant(form, attention, "query", op.attention.query, "attention: new tokens of each",
               at_least(1));
    of_variant(form, attention, "context", op.attention.context,
               "attention: cached tokens of each, new ones included", at_least(1));
    of_variant(form, attention, "heads", op.attention.heads, "attention: query heads", at_least(1));
    of_variant(form, attention, "head_dims", op.head_dims,
               "attention: sizes of a head, [query and key, value]", at_least(1));
    if (attention || kAllVariants<Form>)
        form.optional("kv_heads", op.attention.kv_heads, "attention: key-value heads (gqa)",
                      at_least(1));
    of_variant(form, vector, "op", op.vector.op, "vector: what it is, for the tables");
    of_variant(form, vector, "elements", op.vector.elements, "vector: elements it works on",
               at_least(1));
    if (vector || kAllVariants<Form>)
        form.optional("flops_per_element", op.vector.flops_per_element,
                      "vector: arithmetic of one element", non_negative());
    if (!form.ok()) return;
    if (gemm) check_dtype_keys(form, op.dtypes, {"a", "b", "c"});
    if (vector) check_dtype_keys(form, op.dtypes, {"in", "out"});
    if (attention) {
        check_dtype_keys(form, op.dtypes, {"compute", "kv"});
        if (op.head_dims.size() != 2)
            form.problem("head_dims", "expected two sizes: [query and key, value]");
        if (op.attention.context < op.attention.query)
            form.problem("context", "is shorter than the query tokens it holds");
        if (op.attention.form == AttentionForm::gqa && op.attention.kv_heads == 0)
            form.problem("kv_heads", "missing: gqa needs it");
        if (op.attention.form == AttentionForm::mla_absorbed && op.attention.kv_heads > 1)
            form.problem("kv_heads", "mla has one latent entry a token, expected 1");
        if (op.attention.kv_heads > 1 && op.attention.heads % op.attention.kv_heads != 0)
            form.problem("heads", "does not divide by kv_heads");
    }
}

Operator to_operator(OperatorForm form) {
    const auto& types = form.dtypes;
    switch (form.type) {
        case OperatorType::gemm:
            form.gemm.a = dtype_or(types, "a", DType::bf16);
            form.gemm.b = dtype_or(types, "b", form.gemm.a);
            form.gemm.c = dtype_or(types, "c", DType::bf16);
            return {"gemm", form.gemm};
        case OperatorType::attention:
            form.attention.kv_heads = std::max(1L, form.attention.kv_heads);
            form.attention.head_dim_qk = form.head_dims[0];
            form.attention.head_dim_v = form.head_dims[1];
            form.attention.compute = dtype_or(types, "compute", DType::bf16);
            form.attention.kv = dtype_or(types, "kv", form.attention.compute);
            return {"attention", form.attention};
        case OperatorType::vector:
            form.vector.read = form.vector.elements * bytes_of(dtype_or(types, "in", DType::bf16));
            form.vector.write =
                form.vector.elements * bytes_of(dtype_or(types, "out", DType::bf16));
            return {form.vector.op, form.vector};
    }
    return {};
}

// `collective:` as written.
struct CollectiveForm {
    TransferType type = TransferType::all_reduce;
    int ranks = 0;
    Bytes bytes{0.0};
    long tokens_per_rank = 0, hidden = 0, top_k = 0, scale_block = 0;
    double element_bytes = 2;
    bool by_tokens() const {
        return type == TransferType::dispatch || type == TransferType::combine;
    }
};

template <class Form>
void describe(Form& form, CollectiveForm& collective) {
    form.required(
        "type", collective.type,
        "dispatch, combine, all_to_all, all_reduce, all_gather, reduce_scatter or send_recv");
    form.required("ranks", collective.ranks, "members of the group", at_least(1));
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    const bool tokens = collective.by_tokens();
    of_variant(form, !tokens, "bytes", collective.bytes, "buffer, as nccl-tests count it",
               positive());
    of_variant(form, tokens, "tokens_per_rank", collective.tokens_per_rank,
               "dispatch, combine: tokens each rank sends", at_least(1));
    of_variant(form, tokens, "hidden", collective.hidden, "dispatch, combine: elements of a token",
               at_least(1));
    of_variant(form, tokens, "top_k", collective.top_k,
               "dispatch, combine: experts a token goes to", at_least(1));
    if (tokens || kAllVariants<Form>) {
        form.optional("element_bytes", collective.element_bytes,
                      "dispatch, combine: bytes of an element", positive());
        form.optional("scale_block", collective.scale_block,
                      "dispatch, combine: elements that share a 4-byte scale, 0 for none",
                      non_negative());
    }
}

Transfer to_transfer(const CollectiveForm& form) {
    Transfer transfer;
    transfer.name = to_string(form.type);
    transfer.type = form.type;
    transfer.group_ranks = form.ranks;
    transfer.size = form.bytes;
    if (form.by_tokens()) {
        const double tokens = static_cast<double>(form.tokens_per_rank),
                     copies = static_cast<double>(form.top_k);
        transfer.size = expert_payload(
            tokens, copies, token_bytes(form.hidden, form.element_bytes, form.scale_block));
        transfer.messages_per_rank = tokens * copies;
    }
    return transfer;
}

}  // namespace

template <class Form>
void describe(Form& form, WorkloadSpec& workload) {
    form.required("kind", workload.kind, "what is run");
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    const bool decode = workload.kind == WorkloadKind::decode;
    of_variant(form, decode, "model", workload.model,
               "decode: of configs/models, or a path to a config.json");
    of_variant(form, decode, "context", workload.context,
               "decode: cached tokens of a sequence at the measured step", at_least(1));
    if (decode || kAllVariants<Form>) {
        describe_batch(form, workload.batch);
        form.optional("speculation", workload.speculation, "decode: drafting of tokens ahead");
    }
    OperatorForm op;
    of_variant(form, workload.kind == WorkloadKind::kernel, "operator", op,
               "one operator on one rank");
    CollectiveForm collective;
    of_variant(form, workload.kind == WorkloadKind::collective, "collective", collective,
               "one collective");
    if (!form.ok()) return;
    if (workload.kind == WorkloadKind::kernel) workload.kernel = to_operator(op);
    if (workload.kind == WorkloadKind::collective) workload.collective = to_transfer(collective);
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
    form.optional("collectives", pool.collectives, "collective library instead of the system's");
    describe_batch(form, pool.batch);
}

template <class Form>
void describe(Form& form, PoolSpec& pool) {
    form.required("name", pool.name, "of the pool");
    form.optional("role", pool.role, "what it does");
    describe_pool(form, pool);
    if (form.ok() && !pool.role.empty() && pool.role != "decode") {
        form.problem("role", fmt::format("{} is not modelled yet, expected decode", pool.role));
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
        if (form.ok() && alternative.pools.size() != 1)
            form.problem("pools",
                         fmt::format("{} pools: one is modelled for these kinds of workload",
                                     alternative.pools.size()));
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
    if (!form.ok()) return;
    if (experiment.alternatives.empty())
        form.problem("alternatives", "is empty, expected at least one");
    std::set<std::string> seen;
    for (const auto& alternative : experiment.alternatives) {
        if (!seen.insert(alternative.name).second)
            form.problem("alternatives", fmt::format("two are called {}", alternative.name));
    }
}

namespace {

// Where each pool and its keys stand, for errors that only show when names are resolved.
void remember_places(const Node& document, ExperimentSpec& experiment) {
    for (const char* key : {"batch_per_chip", "batch_per_rank", "latency_target"}) {
        const Node* value = document.find("workload")->find(key);
        if (value != nullptr) experiment.workload.batch_place = value->place;
    }
    const Node* list = document.find("alternatives");
    if (list == nullptr) return;
    for (std::size_t i = 0; i < experiment.alternatives.size() && i < list->items.size(); ++i) {
        auto& alternative = experiment.alternatives[i];
        const Node* pools = list->items[i].find("pools");
        for (std::size_t p = 0; p < alternative.pools.size(); ++p) {
            const Node& node = pools != nullptr ? pools->items[p] : list->items[i];
            PoolSpec& pool = alternative.pools[p];
            pool.place = node.place;
            pool.path = "alternatives." + alternative.name +
                        (pools != nullptr ? ".pools." + pool.name : "");
            for (const auto& entry : node.entries) pool.key_places[entry.key] = entry.value.place;
        }
    }
}

}  // namespace

ExperimentSpec read_experiment(const Node& document) {
    ExperimentSpec experiment = read<ExperimentSpec>(document, "");
    std::vector<Diagnostic> problems;
    if (experiment.workload.kind == WorkloadKind::decode && !experiment.workload.batch.given()) {
        for (const auto& alternative : experiment.alternatives) {
            if (alternative.pools.front().batch.given()) continue;
            const Node* workload = document.find("workload");
            problems.push_back({workload->place, "workload.batch_per_chip",
                                "missing: how many sequences run",
                                "give batch_per_chip, batch_per_rank or latency_target, here or in "
                                "every alternative"});
            break;
        }
    }
    if (!problems.empty()) throw InputError(problems);
    remember_places(document, experiment);
    return experiment;
}

nlohmann::ordered_json experiment_schema() {
    return schema<ExperimentSpec>("podsim experiment");
}

}  // namespace podsim
