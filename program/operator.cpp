#include "program/operator.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

namespace podsim {

const std::vector<std::pair<const char*, Phase>>& names_of(const Phase*) {
    static const std::vector<std::pair<const char*, Phase>> names = {{"prefill", Phase::prefill},
                                                                     {"decode", Phase::decode}};
    return names;
}

namespace {

double real(long count) {
    return static_cast<double>(count);
}

// Of all groups.
double rows_of(const Gemm& g) {
    return real(g.m) * real(g.groups) + real(g.longer_groups);
}

// Query-key pairs of one sequence: in decode query x context; in causal prefill each of the q
// new tokens sees the past and itself, q (context - q) + q (q + 1) / 2.
double visible_pairs(const Attention& a) {
    const double q = real(a.query), s = real(a.context);
    if (a.phase == Phase::decode) return q * s;
    return q * (s - q) + q * (q + 1) / 2;
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

Bytes compulsory_bytes(const Gemm& g) {
    const double m = rows_of(g), n = real(g.n), k = real(g.k);
    return Bytes(m * k * bytes_of(g.a) + real(g.groups) * n * k * bytes_of(g.b) +
                 m * n * bytes_of(g.c));
}
Bytes compulsory_bytes(const Attention& a) {
    // The latent form keeps key and value in one entry of head_dim_qk elements.
    const double entry = a.form == AttentionForm::mla_absorbed
                             ? real(a.head_dim_qk)
                             : real(a.kv_heads) * real(a.head_dim_qk + a.head_dim_v);
    const double cache = real(a.batch) * real(a.context) * entry * bytes_of(a.kv);
    const double query_and_output = real(a.batch) * real(a.query) * real(a.heads) *
                                    real(a.head_dim_qk + a.head_dim_v) * bytes_of(a.compute);
    return Bytes(cache + query_and_output);
}
Bytes compulsory_bytes(const VectorWork& v) {
    return Bytes(v.read + v.write);
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

const char* kind(const Gemm& g) {
    return g.groups + g.idle_groups > 1 ? "grouped_gemm" : "gemm";
}
const char* kind(const Attention&) {
    return "attention";
}
const char* kind(const VectorWork&) {
    return "vector";
}

std::string shape(const Gemm& g) {
    return fmt::format(
        "gemm g{}{} m{}{} n{} k{} {}x{}->{}", g.groups,
        g.idle_groups > 0 ? fmt::format("+{}", g.idle_groups) : "", g.m,
        g.longer_groups > 0 ? fmt::format(" ({} of {})", g.longer_groups, g.m + 1) : "", g.n, g.k,
        to_string(g.a), to_string(g.b), to_string(g.c));
}
std::string shape(const Attention& a) {
    return fmt::format("attention {} {} b{} q{} s{} h{}/{} d{}+{} {} kv {}",
                       a.form == AttentionForm::mla_absorbed ? "mla" : "gqa",
                       a.phase == Phase::decode ? "decode" : "prefill", a.batch, a.query, a.context,
                       a.heads, a.kv_heads, a.head_dim_qk, a.head_dim_v, to_string(a.compute),
                       to_string(a.kv));
}
std::string shape(const VectorWork& v) {
    return fmt::format("vector {} e{} f{} r{} w{}", v.op, v.elements, v.flops_per_element, v.read,
                       v.write);
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
    if (g.longer_groups < 0 || g.longer_groups >= g.groups) {
        if (g.longer_groups != 0)
            refuse(name,
                   fmt::format("longer_groups is {} of {} groups", g.longer_groups, g.groups));
    }
}
void require_valid_body(const std::string& name, const Attention& a) {
    require_positive(name, "batch", a.batch);
    require_positive(name, "query", a.query);
    require_positive(name, "heads", a.heads);
    require_positive(name, "kv_heads", a.kv_heads);
    require_positive(name, "head_dim_qk", a.head_dim_qk);
    require_positive(name, "head_dim_v", a.head_dim_v);
    if (a.context < a.query) {
        refuse(name, fmt::format("context {} is shorter than the {} query tokens it holds",
                                 a.context, a.query));
    }
    if (a.heads % a.kv_heads != 0) {
        refuse(name, fmt::format("{} heads do not divide over {} kv_heads", a.heads, a.kv_heads));
    }
}
void require_valid_body(const std::string& name, const VectorWork& v) {
    require_positive(name, "elements", v.elements);
    for (const double amount : {v.elements, v.flops_per_element, v.read, v.write}) {
        if (!(amount >= 0) || !std::isfinite(amount)) {
            refuse(name, "negative or infinite bytes or work");
        }
    }
}

}  // namespace

Flops work_of(const OperatorBody& body) {
    return std::visit([](const auto& op) { return work(op); }, body);
}

Flops matrix_work_of(const OperatorBody& body) {
    return std::holds_alternative<VectorWork>(body) ? Flops(0.0) : work_of(body);
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
