#include "program/operator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <stdexcept>
#include <utility>

#include "base/names.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Phase>>& names_of(const Phase*) {
    static const std::vector<std::pair<const char*, Phase>> names = {{"prefill", Phase::prefill},
                                                                     {"decode", Phase::decode}};
    return names;
}

const std::vector<std::pair<const char*, StreamSide>>& names_of(const StreamSide*) {
    static const std::vector<std::pair<const char*, StreamSide>> names = {
        {"in", StreamSide::mix_in}, {"out", StreamSide::mix_out}};
    return names;
}

const std::vector<std::pair<const char*, TablePlace>>& names_of(const TablePlace*) {
    static const std::vector<std::pair<const char*, TablePlace>> names = {
        {"host", TablePlace::host}, {"pool", TablePlace::pool}};
    return names;
}

namespace {

double real(long count) {
    return static_cast<double>(count);
}

// Sum over n = 1 .. last of min(most, floor(n / tokens)), in closed form. With q = floor(last / r),
// r = tokens: r q (q - 1) / 2 + q (last - q r + 1), until `most` entries are there.
double entries_up_to(double last, double tokens, double most) {
    const auto sum = [tokens](double n) {
        const double q = std::floor(n / tokens);
        return tokens * q * (q - 1) / 2 + q * (n - q * tokens + 1);
    };
    const double full = most * tokens;  // from here on every query has `most`
    if (last < full) return sum(last);
    return sum(full - 1) + most * (last - full + 1);
}

// Of one sequence, what its queries see together: in decode each of them n = context, in causal
// prefill n = context - query + 1 .. context. `most` 0: no limit.
double pairs_seen(Phase phase, long query, long context, long tokens, long most) {
    const double q = real(query), s = real(context);
    const double limit = most > 0 ? std::min(real(most), s) : s;
    if (phase == Phase::decode) return q * std::min(limit, std::floor(s / real(tokens)));
    return entries_up_to(s, real(tokens), limit) - entries_up_to(s - q, real(tokens), limit);
}

// Entries that exist, and tokens of the window that some query sees.
double entries_cached(long context, long compression) {
    return compression > 0 ? std::floor(real(context) / real(compression)) : 0;
}
double window_tokens(const Attention& a) {
    if (a.window == 0) return 0;
    const double queries = a.phase == Phase::decode ? 1 : real(a.query);
    return std::min(real(a.context), real(a.window) + queries - 1);
}

double index_matrix_work(const IndexScores& s) {
    return 2.0 * real(s.head_dim) * real(s.heads) * real(s.batch) * visible_pairs(s);
}
double delta_work(const DeltaRule& d) {
    return 7.0 * real(d.key_dim) * real(d.value_dim) * real(d.value_heads) * real(d.batch) *
           real(d.query);
}
double mixes(const StreamMix& m) {  // elements of what the streams are mixed by
    return real(m.streams) * (real(m.streams) + 2);
}
double stream_elements(const StreamMix& m) {
    return real(m.tokens) * real(m.streams) * real(m.hidden);
}
double mix_matrix_work(const StreamMix& m) {
    return m.side == StreamSide::mix_in ? 2.0 * mixes(m) * stream_elements(m) : 0;
}

// Of all groups.
double rows_of(const Gemm& g) {
    return real(g.m) * real(g.groups) + real(g.longer_groups);
}

Flops work(const Gemm& g) {
    return Flops(2.0 * real(g.n) * real(g.k) * rows_of(g));
}
Flops work(const Attention& a) {
    return Flops(2.0 * real(a.head_dim_qk + a.head_dim_v) * real(a.heads) * real(a.batch) *
                 visible_pairs(a));
}
Flops work(const VectorWork& v) {
    return Flops(v.elements * v.flops_per_element);
}
Flops work(const IndexScores& s) {
    return Flops(index_matrix_work(s) + 3.0 * real(s.heads) * real(s.batch) * visible_pairs(s));
}
Flops work(const DeltaRule& d) {
    return Flops(delta_work(d));
}
Flops work(const StreamMix& m) {
    // In: square, sum, scale, weight of the norm, then multiply and add. Out: each stream from all.
    const double rest = m.side == StreamSide::mix_in ? 6 : 2 * (real(m.streams) + 1);
    return Flops(mix_matrix_work(m) + rest * stream_elements(m));
}

Flops work(const TableRead&) {
    return Flops(0.0);
}

Flops matrix_work(const TableRead&) {
    return Flops(0.0);
}
Flops matrix_work(const Gemm& g) {
    return work(g);
}
Flops matrix_work(const Attention& a) {
    return work(a);
}
Flops matrix_work(const VectorWork&) {
    return Flops(0.0);
}
Flops matrix_work(const IndexScores& s) {
    return Flops(index_matrix_work(s));
}
Flops matrix_work(const DeltaRule& d) {
    return Flops(d.phase == Phase::prefill ? delta_work(d) : 0.0);
}
Flops matrix_work(const StreamMix& m) {
    return Flops(mix_matrix_work(m));
}

Bytes compulsory_bytes(const Gemm& g) {
    const double m = rows_of(g), n = real(g.n), k = real(g.k);
    return Bytes(m * k * bytes_of(g.a) + real(g.groups) * n * k * bytes_of(g.b) +
                 m * n * bytes_of(g.c));
}
Bytes compulsory_bytes(const Attention& a) {
    // The latent form keeps key and value in one entry of head_dim_qk elements.
    const double entry =
        real(a.kv_heads) *
        real(a.form == AttentionForm::mla_absorbed ? a.head_dim_qk : a.head_dim_qk + a.head_dim_v);
    const double cache = real(a.batch) * entries_read(a) * entry * bytes_of(a.kv);
    const double query_and_output = real(a.batch) * real(a.query) * real(a.heads) *
                                    real(a.head_dim_qk + a.head_dim_v) * bytes_of(a.compute);
    return Bytes(cache + query_and_output);
}
Bytes compulsory_bytes(const VectorWork& v) {
    return Bytes(v.read + v.write);
}
// What lands in the chip's memory.
Bytes compulsory_bytes(const TableRead& t) {
    return Bytes(t.rows * t.row_bytes);
}
// Keys, queries with a weight each, and a score a pair in FP32.
Bytes compulsory_bytes(const IndexScores& s) {
    const double keys =
        entries_cached(s.context, s.compression) * real(s.head_dim) * bytes_of(s.keys);
    const double queries = real(s.query) * real(s.heads) *
                           (real(s.head_dim) * bytes_of(s.compute) + bytes_of(DType::fp32));
    return Bytes(real(s.batch) * (keys + queries + visible_pairs(s) * bytes_of(DType::fp32)));
}
// The state once in and out; queries and keys, values, two gates and the output of each token.
Bytes compulsory_bytes(const DeltaRule& d) {
    const double state = real(d.value_heads) * real(d.key_dim) * real(d.value_dim) *
                         (d.state_read + d.state_written);
    const double token = 2 * real(d.key_heads) * real(d.key_dim) * bytes_of(d.compute) +
                         2 * real(d.value_heads) * real(d.value_dim) * bytes_of(d.compute) +
                         2 * real(d.value_heads) * bytes_of(DType::fp32);
    return Bytes(real(d.batch) * (state + real(d.query) * token));
}
// In: the streams and the matrix read, what the sub-layer reads and the mixes written. Out: the
// streams, the output and the mixes read, the streams written.
Bytes compulsory_bytes(const StreamMix& m) {
    const double fp32 = bytes_of(DType::fp32);
    const double streams = stream_elements(m) * bytes_of(m.stream);
    const double one = real(m.tokens) * real(m.hidden) * bytes_of(m.stream);
    const double mixed = real(m.tokens) * mixes(m) * fp32;
    if (m.side == StreamSide::mix_out) return Bytes(2 * streams + one + mixed);
    return Bytes(streams + one + mixed + mixes(m) * real(m.streams) * real(m.hidden) * fp32);
}

// A product runs at the rate of its wider operand: INT4 weights on BF16 activations are expanded
// first.
DType compute_dtype(const Gemm& g) {
    return bytes_of(g.a) >= bytes_of(g.b) ? g.a : g.b;
}
DType compute_dtype(const Attention& a) {
    return a.compute;
}
DType compute_dtype(const VectorWork&) {
    return DType::fp32;
}
DType compute_dtype(const TableRead&) {
    return DType::fp32;
}
DType compute_dtype(const IndexScores& s) {
    return s.compute;
}
DType compute_dtype(const DeltaRule& d) {
    return d.compute;
}
DType compute_dtype(const StreamMix& m) {
    return m.stream;
}

const char* kind(const Gemm& g) {
    return g.groups + g.idle_groups > 1 ? "grouped_gemm" : "gemm";
}
const char* kind(const Attention&) {
    return "attention";
}
const char* kind(const VectorWork&) {
    return "vector";
}
const char* kind(const TableRead&) {
    return "table_read";
}
const char* kind(const IndexScores&) {
    return "index_scores";
}
const char* kind(const DeltaRule&) {
    return "delta_rule";
}
const char* kind(const StreamMix&) {
    return "stream_mix";
}

// Only of attention that does not see all.
std::string sparsity(const Attention& a) {
    std::string text;
    if (a.compression != 1) text += fmt::format(" c{}", a.compression);
    if (a.selected > 0) text += fmt::format(" top{}", a.selected);
    if (a.window > 0) text += fmt::format(" w{}", a.window);
    return text;
}

std::string shape(const Gemm& g) {
    return fmt::format(
        "gemm g{}{} m{}{} n{} k{} {}x{}->{}", g.groups,
        g.idle_groups > 0 ? fmt::format("+{}", g.idle_groups) : "", g.m,
        g.longer_groups > 0 ? fmt::format(" ({} of {})", g.longer_groups, g.m + 1) : "", g.n, g.k,
        to_string(g.a), to_string(g.b), to_string(g.c));
}
std::string shape(const Attention& a) {
    return fmt::format("attention {} {} b{} q{} s{}{} h{}/{} d{}+{} {} kv {}",
                       a.form == AttentionForm::mla_absorbed ? "mla" : "gqa", name_of(a.phase),
                       a.batch, a.query, a.context, sparsity(a), a.heads, a.kv_heads, a.head_dim_qk,
                       a.head_dim_v, to_string(a.compute), to_string(a.kv));
}
std::string shape(const IndexScores& s) {
    return fmt::format("index_scores {} b{} q{} s{} c{} h{} d{} {} keys {}", name_of(s.phase),
                       s.batch, s.query, s.context, s.compression, s.heads, s.head_dim,
                       to_string(s.compute), to_string(s.keys));
}
std::string shape(const DeltaRule& d) {
    return fmt::format("delta_rule {} b{} q{} h{}/{} d{}+{} {} state {}+{}", name_of(d.phase),
                       d.batch, d.query, d.value_heads, d.key_heads, d.key_dim, d.value_dim,
                       to_string(d.compute), d.state_read, d.state_written);
}
std::string shape(const StreamMix& m) {
    return fmt::format("stream_mix {} t{} n{} d{} i{} {}", name_of(m.side), m.tokens, m.streams,
                       m.hidden, m.iterations, to_string(m.stream));
}
std::string shape(const TableRead& t) {
    return fmt::format("table_read {} n{} r{}", name_of(t.place), t.rows, t.row_bytes);
}
std::string shape(const VectorWork& v) {
    return fmt::format("vector {} e{} f{} r{} w{}{}", v.op, v.elements, v.flops_per_element, v.read,
                       v.write, v.rows > 0 ? fmt::format(" in {} rows", v.rows) : "");
}

[[noreturn]] void refuse(const std::string& name, const std::string& what) {
    throw std::invalid_argument(name + ": " + what);
}

template <class Number>
void require_positive(const std::string& name, const char* field, Number value) {
    if (!(value >= 1)) refuse(name, fmt::format("{} is {}, expected at least 1", field, value));
}

void require_valid_body(const std::string& name, const Gemm& g) {
    require_positive(name, "m", g.m);
    require_positive(name, "n", g.n);
    require_positive(name, "k", g.k);
    require_positive(name, "groups", g.groups);
    if (g.idle_groups < 0) refuse(name, fmt::format("idle_groups is {}", g.idle_groups));
    if (g.longer_groups != 0 && (g.longer_groups < 0 || g.longer_groups >= g.groups)) {
        refuse(name, fmt::format("longer_groups is {} of {} groups", g.longer_groups, g.groups));
    }
}
void require_counts(const std::string& name,
                    std::initializer_list<std::pair<const char*, long>> fields) {
    for (const auto& [field, value] : fields) require_positive(name, field, value);
}
void require_context(const std::string& name, long context, long query) {
    if (context >= query) return;
    refuse(name,
           fmt::format("context {} is shorter than the {} query tokens it holds", context, query));
}
void require_valid_body(const std::string& name, const Attention& a) {
    require_counts(name, {{"batch", a.batch},
                          {"query", a.query},
                          {"heads", a.heads},
                          {"kv_heads", a.kv_heads},
                          {"head_dim_qk", a.head_dim_qk},
                          {"head_dim_v", a.head_dim_v}});
    require_context(name, a.context, a.query);
    if (a.heads % a.kv_heads != 0) {
        refuse(name, fmt::format("{} heads do not divide over {} kv_heads", a.heads, a.kv_heads));
    }
    for (const auto& [field, value] :
         {std::pair{"compression", a.compression}, std::pair{"selected", a.selected},
          std::pair{"window", a.window}}) {
        if (value < 0) refuse(name, fmt::format("{} is {}", field, value));
    }
    if (a.compression == 0 && a.window == 0) {
        refuse(name, "compression 0 without a window: a query sees nothing");
    }
    if (a.compression == 0 && a.selected > 0) {
        refuse(name, fmt::format("selected is {}, but compression 0 has no entries", a.selected));
    }
}
void require_valid_body(const std::string& name, const IndexScores& s) {
    require_counts(name, {{"batch", s.batch},
                          {"query", s.query},
                          {"compression", s.compression},
                          {"heads", s.heads},
                          {"head_dim", s.head_dim}});
    require_context(name, s.context, s.query);
}
void require_valid_body(const std::string& name, const DeltaRule& d) {
    require_counts(name, {{"batch", d.batch},
                          {"query", d.query},
                          {"key_heads", d.key_heads},
                          {"value_heads", d.value_heads},
                          {"key_dim", d.key_dim},
                          {"value_dim", d.value_dim}});
    if (d.value_heads % d.key_heads != 0) {
        refuse(name, fmt::format("{} value_heads do not divide over {} key_heads", d.value_heads,
                                 d.key_heads));
    }
    for (const double bytes : {d.state_read, d.state_written}) {
        if (!(bytes >= 0) || !std::isfinite(bytes)) refuse(name, "negative or infinite state");
    }
}
void require_valid_body(const std::string& name, const StreamMix& m) {
    require_counts(name, {{"tokens", m.tokens}, {"streams", m.streams}, {"hidden", m.hidden}});
    if (m.iterations < 0) refuse(name, fmt::format("iterations is {}", m.iterations));
}
void require_valid_body(const std::string& name, const TableRead& t) {
    require_positive(name, "rows", t.rows);
    require_positive(name, "row_bytes", t.row_bytes);
    if (!std::isfinite(t.rows * t.row_bytes)) refuse(name, "bytes without end");
}
void require_valid_body(const std::string& name, const VectorWork& v) {
    require_positive(name, "elements", v.elements);
    for (const double amount : {v.elements, v.flops_per_element, v.read, v.write}) {
        if (!(amount >= 0) || !std::isfinite(amount)) {
            refuse(name, "negative or infinite bytes or work");
        }
    }
    if (v.rows < 0 || static_cast<double>(v.rows) > v.elements)
        refuse(name, fmt::format("rows is {}, expected 0 to the {} elements", v.rows, v.elements));
}

}  // namespace

double visible_pairs(const Attention& a) {
    double pairs = 0;
    if (a.compression > 0)
        pairs += pairs_seen(a.phase, a.query, a.context, a.compression, a.selected);
    if (a.window > 0) pairs += pairs_seen(a.phase, a.query, a.context, 1, a.window);
    return pairs;
}

double visible_pairs(const IndexScores& s) {
    return pairs_seen(s.phase, s.query, s.context, s.compression, 0);
}

long rows_of_choice(const IndexScores& s) {
    const double pairs = real(s.batch) * visible_pairs(s);
    return static_cast<long>(std::clamp(pairs, 1.0, real(s.batch) * real(s.query)));
}

double entries_read(const Attention& a) {
    double entries = entries_cached(a.context, a.compression);
    if (a.selected > 0) entries = std::min(entries, real(a.selected));
    return entries + window_tokens(a);
}

Flops work_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return work(op); }, body);
}

Flops matrix_work_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return matrix_work(op); }, body);
}

Bytes compulsory_bytes_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return compulsory_bytes(op); }, body);
}

DType compute_dtype_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return compute_dtype(op); }, body);
}

std::string kind_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return kind(op); }, body);
}

std::string shape_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return shape(op); }, body);
}

void require_valid(const Operator& op) {
    std::visit([&op](const auto& body) { require_valid_body(op.name, body); }, op.body);
}

}  // namespace podsim
