#include "sim/attention_forms.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/names.hpp"
#include "sim/form_variants.hpp"

namespace podsim {

using Variant = AttentionVariant;

const std::vector<std::pair<const char*, AttentionVariant>>& names_of(const AttentionVariant*) {
    static const std::vector<std::pair<const char*, Variant>> names = {
        {"gqa", Variant::gqa},      {"mla", Variant::mla}, {"dsa", Variant::dsa},
        {"csa", Variant::csa},      {"hca", Variant::hca}, {"window", Variant::window},
        {"linear", Variant::linear}};
    return names;
}

DType dtype_or(const std::map<std::string, DType>& types, const char* key, DType otherwise) {
    const auto found = types.find(key);
    return found != types.end() ? found->second : otherwise;
}

namespace {

bool has_values(Variant form) {
    return form == Variant::gqa || form == Variant::window;
}

}  // namespace

template <class Form>
void describe_attention(Form& form, AttentionTypes types, AttentionFields& a) {
    of_variant(form, types.core, "form", a.form,
               "attention: gqa, mla, window (the last keys alone), linear (gated delta rule), or "
               "the core of dsa (chosen latent entries), csa and hca (compressed entries and a "
               "window); indexers and projections are operators of their own");
    if (!kAllVariants<Form> && !form.ok()) return;
    const bool linear = types.core && a.form == Variant::linear;
    const bool cached = types.scores || (types.core && !linear);
    const bool compressed = types.core && (a.form == Variant::csa || a.form == Variant::hca);
    if (compressed) {
        a.compression = a.form == Variant::csa ? 4 : 128;
        a.window = 128;
    }
    of_variant(form, types.core || types.scores, "phase", a.phase,
               "attention, index_scores: prefill or decode");
    of_variant(form, types.core || types.scores, "batch", a.batch,
               "attention, index_scores: sequences", count());
    of_variant(form, types.core || types.scores, "query", a.query,
               "attention, index_scores: new tokens of each", count());
    of_variant(form, cached, "context", a.context,
               "attention, index_scores: cached tokens of each, new ones included; not of linear",
               count());
    of_variant(form, cached, "heads", a.heads,
               "attention, index_scores: query heads; not of linear", count());
    of_variant(form, types.core, "head_dims", a.head_dims,
               "attention: sizes of a head, [query and key, value]");
    optional_of_variant(form, types.core && !linear, "kv_heads", a.kv_heads,
                        "attention: key-value heads (gqa, window)", count());
    of_variant(form, types.core && (a.form == Variant::dsa || a.form == Variant::csa), "selected",
               a.selected, "attention, dsa and csa: entries that a query reads at most", count());
    optional_of_variant(form, compressed || types.scores, "compression", a.compression,
                        "attention, csa (4) and hca (128), index_scores (1): tokens to an entry",
                        count());
    optional_of_variant(
        form, compressed || (types.core && a.form == Variant::window), "window", a.window,
        "attention, window; csa and hca (128): last tokens that a query reads", count());
    of_variant(form, linear, "key_heads", a.key_heads, "attention, linear: heads of query and key",
               count());
    of_variant(form, linear, "value_heads", a.value_heads, "attention, linear: heads of values",
               count());
    of_variant(form, types.scores, "head_dim", a.head_dim, "index_scores: size of a head and key",
               count());
}

template <class Form>
void check_attention(Form& form, AttentionTypes types, const AttentionFields& a) {
    const bool linear = types.core && a.form == Variant::linear;
    if (!linear && a.context < a.query)
        form.problem("context", "is shorter than the query tokens it holds");
    if (!types.core) return;
    if (a.head_dims.size() != 2)
        form.problem("head_dims", "expected two sizes: [query and key, value]");
    else if (a.head_dims[0] < 1 || a.head_dims[1] < 1)
        form.problem("head_dims", "a size is below 1");
    if (linear) {
        if (a.value_heads % a.key_heads != 0)
            form.problem("value_heads", "does not divide by key_heads");
        return;
    }
    if (a.form == Variant::window && a.window == 0)
        form.problem("window", "missing: form window needs it");
    if (has_values(a.form) && a.kv_heads == 0)
        form.problem("kv_heads", fmt::format("missing: {} needs it", name_of(a.form)));
    if (!has_values(a.form) && a.kv_heads > 1)
        form.problem("kv_heads",
                     fmt::format("{} has one latent entry a token, expected 1", name_of(a.form)));
    if (a.kv_heads > 1 && a.heads % a.kv_heads != 0)
        form.problem("heads", "does not divide by kv_heads");
}

OperatorBody attention_of(const AttentionFields& fields,
                          const std::map<std::string, DType>& types) {
    const DType compute = dtype_or(types, "compute", DType::bf16);
    if (fields.form == Variant::linear) {
        DeltaRule d;
        d.phase = fields.phase;
        d.batch = fields.batch;
        d.query = fields.query;
        d.key_heads = fields.key_heads;
        d.value_heads = fields.value_heads;
        d.key_dim = fields.head_dims[0];
        d.value_dim = fields.head_dims[1];
        d.compute = compute;
        d.state_read = d.state_written = bytes_of(dtype_or(types, "state", DType::fp32));
        return d;
    }
    Attention a;
    a.form = has_values(fields.form) ? AttentionForm::gqa : AttentionForm::mla_absorbed;
    a.phase = fields.phase;
    a.batch = fields.batch;
    a.query = fields.query;
    a.context = fields.context;
    a.heads = fields.heads;
    a.kv_heads = std::max(1L, fields.kv_heads);
    a.head_dim_qk = fields.head_dims[0];
    a.head_dim_v = fields.head_dims[1];
    a.compute = compute;
    a.kv = dtype_or(types, "kv", compute);
    a.compression = fields.form == Variant::window ? 0 : fields.compression;
    a.selected = fields.selected;
    a.window = fields.window;
    return a;
}

OperatorBody scores_of(const AttentionFields& fields, const std::map<std::string, DType>& types) {
    IndexScores s;
    s.phase = fields.phase;
    s.batch = fields.batch;
    s.query = fields.query;
    s.context = fields.context;
    s.compression = fields.compression;
    s.heads = fields.heads;
    s.head_dim = fields.head_dim;
    s.compute = dtype_or(types, "compute", DType::bf16);
    s.keys = dtype_or(types, "keys", s.compute);
    return s;
}

std::vector<Operator> mixes_of(const MixFields& fields, const std::map<std::string, DType>& types) {
    StreamMix in{StreamSide::mix_in, fields.tokens,     fields.streams,
                 fields.hidden,      fields.iterations, dtype_or(types, "stream", DType::bf16)};
    StreamMix out = in;
    out.side = StreamSide::mix_out;
    out.iterations = 0;
    return {{"stream_mix_in", in}, {"stream_mix_out", out}};
}

template void describe_attention(ReadForm&, AttentionTypes, AttentionFields&);
template void describe_attention(SchemaForm&, AttentionTypes, AttentionFields&);
template void check_attention(ReadForm&, AttentionTypes, const AttentionFields&);
template void check_attention(SchemaForm&, AttentionTypes, const AttentionFields&);

}  // namespace podsim
