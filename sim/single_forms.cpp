#include "sim/single_forms.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "models/vector_operators.hpp"
#include "sim/form_variants.hpp"

namespace podsim {

const std::vector<std::pair<const char*, OperatorType>>& names_of(const OperatorType*) {
    static const std::vector<std::pair<const char*, OperatorType>> names = {
        {"gemm", OperatorType::gemm},
        {"attention", OperatorType::attention},
        {"moe", OperatorType::moe},
        {"vector", OperatorType::vector},
        {"index_scores", OperatorType::index_scores},
        {"mhc", OperatorType::mhc}};
    return names;
}

namespace {

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
void describe_moe(Form& form, bool moe, MoeForm& op) {
    of_variant(form, moe, "inter", op.inter, "moe: inner width of an expert", count());
    of_variant(form, moe, "experts", op.experts, "moe: routed experts of the layer",
               Check{1, 65536, false, "a value of at least 1, at most 65,536"});
    of_variant(form, moe, "top_k", op.top_k, "moe: experts a token goes to", count());
    optional_of_variant(form, moe, "ranks", op.ranks, "moe: ranks that share the experts", count());
    optional_of_variant(form, moe, "popularity", op.popularity,
                        "moe: how tokens spread over the experts; unless balanced the busiest rank "
                        "is run");
    const bool uneven = moe && op.popularity != Popularity::balanced;
    of_variant(form, uneven && op.popularity == Popularity::zipf, "zipf_exponent", op.zipf_exponent,
               "moe, zipf: the r-th most popular expert's share goes as 1 / r^exponent",
               Check{0, 10, false, "a value of 0 to 10"});
    optional_of_variant(form, uneven, "placement", op.placement,
                        "moe, unless balanced: which ranks hold which experts");
    optional_of_variant(form, moe, "scale_block", op.scale_block,
                        "moe: elements that share a 4-byte scale in FP8, 0: those of a row",
                        non_negative());
}

template <class Form>
void check_moe(Form& form, const MoeForm& op) {
    if (op.popularity == Popularity::histogram)
        form.problem("popularity", "a histogram is read for whole steps alone",
                     "balanced, uniform or zipf");
    if (op.top_k > op.experts)
        form.problem("top_k", fmt::format("a token takes {} of {} experts", op.top_k, op.experts));
    if (op.experts % op.ranks != 0)
        form.problem("ranks",
                     fmt::format("{} ranks do not divide {} experts", op.ranks, op.experts));
    if (static_cast<double>(op.tokens) * static_cast<double>(op.top_k) *
            static_cast<double>(std::max(op.hidden, 2 * op.inter)) >
        1e15)
        form.problem("tokens", "tokens x top_k x width are more than 1e15 results");
}

}  // namespace

template <class Form>
void describe(Form& form, OperatorForm& op) {
    form.required("type", op.type, "gemm, attention, moe, vector, index_scores or mhc");
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    const bool gemm = op.type == OperatorType::gemm, attention = op.type == OperatorType::attention,
               moe = op.type == OperatorType::moe, vector = op.type == OperatorType::vector,
               scores = op.type == OperatorType::index_scores, mhc = op.type == OperatorType::mhc;
    const AttentionTypes types{attention, scores};
    form.optional(
        "dtypes", op.dtypes,
        "formats by operand: a, b, c of a gemm; compute, kv of attention (state of linear); "
        "weights, activations, dispatch, combine of moe; in, out of a vector operator; "
        "compute, keys of index_scores; stream of mhc");
    of_variant(form, gemm, "m", op.gemm.m, "gemm: rows", count());
    of_variant(form, gemm, "n", op.gemm.n, "gemm: columns", count());
    of_variant(form, gemm, "k", op.gemm.k, "gemm: inner size", count());
    optional_of_variant(form, gemm, "groups", op.gemm.groups,
                        "gemm: independent products in one kernel", count());
    describe_attention(form, types, op.attention);
    of_variant(form, moe || mhc, "tokens", mhc ? op.mix.tokens : op.moe.tokens,
               "moe: tokens of the whole expert group; mhc: tokens", count());
    of_variant(form, moe || mhc, "hidden", mhc ? op.mix.hidden : op.moe.hidden,
               "moe: elements of a token; mhc: of one of its streams", count());
    optional_of_variant(form, mhc, "streams", op.mix.streams, "mhc: residual streams",
                        Check{1, 1024, false, "a value of at least 1, at most 1,024"});
    optional_of_variant(form, mhc, "iterations", op.mix.iterations, "mhc: Sinkhorn iterations",
                        Check{0, 1e6, false, "a value of 0 to 1,000,000"});
    describe_moe(form, moe, op.moe);
    of_variant(form, vector, "op", op.vector.op, "vector: what it is, for the tables");
    of_variant(form, vector, "elements", op.vector.elements, "vector: elements it works on",
               count());
    optional_of_variant(form, vector, "flops_per_element", op.vector.flops_per_element,
                        "vector: arithmetic of one element", non_negative());
    optional_of_variant(
        form, vector, "rows", op.vector.rows,
        "vector: rows that are one core's work each, as of a choice of the best; 0: "
        "cut anywhere",
        non_negative());
    if (!form.ok()) return;
    if (gemm) {
        check_dtype_keys(form, op.dtypes, {"a", "b", "c"});
        const Gemm& g = op.gemm;
        if (static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.groups) >
            1e15)
            form.problem("m", "m x n x groups are more than 1e15 results");
    }
    if (moe) {
        check_dtype_keys(form, op.dtypes, {"weights", "activations", "dispatch", "combine"});
        check_moe(form, op.moe);
    }
    if (vector) {
        check_dtype_keys(form, op.dtypes, {"in", "out"});
        if (static_cast<double>(op.vector.rows) > op.vector.elements)
            form.problem("rows", "are more than the elements");
    }
    if (attention) {
        const bool linear = op.attention.form == AttentionVariant::linear;
        check_dtype_keys(form, op.dtypes, {"compute", linear ? "state" : "kv"});
    }
    if (scores) check_dtype_keys(form, op.dtypes, {"compute", "keys"});
    if (attention || scores) check_attention(form, types, op.attention);
    if (mhc) check_dtype_keys(form, op.dtypes, {"stream"});
}

std::vector<Operator> to_operators(OperatorForm form) {
    const auto& types = form.dtypes;
    switch (form.type) {
        case OperatorType::gemm:
            form.gemm.a = dtype_or(types, "a", DType::bf16);
            form.gemm.b = dtype_or(types, "b", form.gemm.a);
            form.gemm.c = dtype_or(types, "c", DType::bf16);
            return {{"gemm", form.gemm}};
        case OperatorType::attention:
            return {
                {form.attention.form == AttentionVariant::linear ? "linear_attention" : "attention",
                 attention_of(form.attention, types)}};
        case OperatorType::index_scores:
            return {{"index_scores", scores_of(form.attention, types)}};
        case OperatorType::mhc:
            return mixes_of(form.mix, types);
        case OperatorType::moe:
            return moe_operators(form.moe, types);
        case OperatorType::vector:
            form.vector.read = form.vector.elements * bytes_of(dtype_or(types, "in", DType::bf16));
            form.vector.write =
                form.vector.elements * bytes_of(dtype_or(types, "out", DType::bf16));
            return {{form.vector.op, form.vector}};
    }
    return {};
}

template <class Form>
void describe(Form& form, CollectiveForm& collective) {
    form.required(
        "type", collective.type,
        "dispatch, combine, all_to_all, all_reduce, all_gather, reduce_scatter, broadcast or "
        "send_recv");
    form.required("ranks", collective.ranks, "members of the group", at_least(2));
    form.optional(
        "stride", collective.stride,
        "members are every stride-th rank, and the ranks between do the same in groups of "
        "their own",
        count());
    if (!kAllVariants<Form> && !form.ok()) return form.ignore_unknown_keys();
    form.optional("algorithm", collective.algorithm,
                  "the one to take, of those that the links have (docs/fabric.md); the one that is "
                  "done first if left out");
    const bool tokens = collective.by_tokens();
    of_variant(form, !tokens, "bytes", collective.bytes, "buffer, as nccl-tests count it",
               Check{0, 1e15, true, "a value above 0, at most 1 PB"});
    of_variant(form, tokens, "tokens_per_rank", collective.tokens_per_rank,
               "dispatch, combine: tokens each rank sends", count());
    of_variant(form, tokens, "hidden", collective.hidden, "dispatch, combine: elements of a token",
               count());
    of_variant(form, tokens, "top_k", collective.top_k,
               "dispatch, combine: experts a token goes to", count());
    optional_of_variant(form, tokens, "element_bytes", collective.element_bytes,
                        "dispatch, combine: bytes of an element",
                        Check{0.125, 64, false, "a value of 0.125 (a bit) to 64"});
    optional_of_variant(form, tokens, "scale_block", collective.scale_block,
                        "dispatch, combine: elements that share a 4-byte scale, 0 for none",
                        non_negative());
    optional_of_variant(form, tokens, "fused_work", collective.fused_work,
                        "dispatch, combine: its kernel quantises what it sends or sums what comes "
                        "back, and that counts");
    optional_of_variant(form, tokens, "experts", collective.experts,
                        "dispatch, combine: experts in all, redundant ones included", count());
    optional_of_variant(form, tokens, "domain_limit", collective.domain_limit,
                        "dispatch, combine: scale-up domains that the experts of a token lie in, "
                        "at most",
                        count());
    if (form.ok() && collective.experts > 0 && collective.top_k > collective.experts)
        form.problem("top_k", "is more than the experts");
}

Transfer to_transfer(const CollectiveForm& form) {
    Transfer transfer;
    transfer.name = to_string(form.type);
    transfer.type = form.type;
    transfer.group_ranks = form.ranks;
    transfer.stride = form.stride;
    transfer.size = form.bytes;
    if (form.algorithm) transfer.algorithm = to_string(*form.algorithm);
    if (form.by_tokens()) {
        const double tokens = static_cast<double>(form.tokens_per_rank),
                     copies = static_cast<double>(form.top_k);
        transfer.size = expert_payload(
            tokens, copies, token_bytes(form.hidden, form.element_bytes, form.scale_block));
        transfer.messages_per_rank = tokens * copies;
        transfer.copies = form.top_k;
        transfer.experts = form.experts;
        transfer.domain_limit = form.domain_limit;
    }
    return transfer;
}

std::optional<Operator> fused_work_of(const CollectiveForm& form) {
    if (!form.by_tokens() || !form.fused_work) return std::nullopt;
    if (form.type == TransferType::combine)
        return weighted_sum("combine_sum", form.tokens_per_rank, form.hidden, form.top_k,
                            token_bytes(form.hidden, form.element_bytes, form.scale_block));
    if (form.element_bytes >= bytes_of(stream_format)) return std::nullopt;
    return quantise("dispatch_quantise", form.tokens_per_rank, form.hidden,
                    token_bytes(form.hidden, form.element_bytes, form.scale_block));
}

template void describe(ReadForm&, OperatorForm&);
template void describe(SchemaForm&, OperatorForm&);
template void describe(ReadForm&, CollectiveForm&);
template void describe(SchemaForm&, CollectiveForm&);

}  // namespace podsim
