#include "program/operator.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace podsim {

namespace {

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

// Query-key pairs of one sequence: in decode query x context; in causal prefill each of the q
// new tokens sees the past and itself, q (context - q) + q (q + 1) / 2.
double visible_pairs(const Attention& a) {
    const double q = static_cast<double>(a.query), s = static_cast<double>(a.context);
    if (a.phase == Phase::decode) return q * s;
    return q * (s - q) + q * (q + 1) / 2;
}

void require_positive(const std::string& name, const char* field, double value) {
    if (!(value >= 1)) {
        throw std::invalid_argument(
            fmt::format("{}: {} is {}, expected at least 1", name, field, value));
    }
}

}  // namespace

Flops work_of(const OperatorBody& body) {
    return std::visit(
        Overloaded{[](const Gemm& g) {
                       return Flops(2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) *
                                    static_cast<double>(g.k) * static_cast<double>(g.groups));
                   },
                   [](const Attention& a) {
                       return Flops(2.0 * static_cast<double>(a.head_dim_qk + a.head_dim_v) *
                                    static_cast<double>(a.heads) * static_cast<double>(a.batch) *
                                    visible_pairs(a));
                   },
                   [](const VectorWork& v) { return Flops(v.elements * v.flops_per_element); }},
        body);
}

Flops matrix_work_of(const OperatorBody& body) {
    return std::holds_alternative<VectorWork>(body) ? Flops(0.0) : work_of(body);
}

Bytes compulsory_bytes_of(const OperatorBody& body) {
    return std::visit(
        Overloaded{[](const Gemm& g) {
                       const double m = static_cast<double>(g.m), n = static_cast<double>(g.n),
                                    k = static_cast<double>(g.k);
                       return Bytes(
                           static_cast<double>(g.groups) *
                           (m * k * bytes_of(g.a) + n * k * bytes_of(g.b) + m * n * bytes_of(g.c)));
                   },
                   [](const Attention& a) {
                       // The latent form keeps key and value in one entry of head_dim_qk elements.
                       const double entry =
                           a.form == AttentionForm::mla_absorbed
                               ? static_cast<double>(a.head_dim_qk)
                               : static_cast<double>(a.kv_heads) *
                                     static_cast<double>(a.head_dim_qk + a.head_dim_v);
                       const double batch = static_cast<double>(a.batch);
                       const double kv =
                           batch * static_cast<double>(a.context) * entry * bytes_of(a.kv);
                       const double query_and_output =
                           batch * static_cast<double>(a.query) * static_cast<double>(a.heads) *
                           static_cast<double>(a.head_dim_qk + a.head_dim_v) * bytes_of(a.compute);
                       return Bytes(kv + query_and_output);
                   },
                   [](const VectorWork& v) { return Bytes(v.read + v.write); }},
        body);
}

DType compute_dtype_of(const OperatorBody& body) {
    // A product runs at the rate of its wider operand: INT4 weights on BF16 activations are
    // expanded first.
    return std::visit(
        Overloaded{[](const Gemm& g) { return bytes_of(g.a) >= bytes_of(g.b) ? g.a : g.b; },
                   [](const Attention& a) { return a.compute; },
                   [](const VectorWork&) { return DType::fp32; }},
        body);
}

std::string kind_of(const OperatorBody& body) {
    return std::visit(Overloaded{[](const Gemm& g) {
                                     return std::string(g.groups > 1 ? "grouped_gemm" : "gemm");
                                 },
                                 [](const Attention&) { return std::string("attention"); },
                                 [](const VectorWork&) { return std::string("vector"); }},
                      body);
}

std::string shape_of(const OperatorBody& body) {
    return std::visit(
        Overloaded{[](const Gemm& g) {
                       return fmt::format("gemm g{} m{} n{} k{} {}x{}->{}", g.groups, g.m, g.n, g.k,
                                          to_string(g.a), to_string(g.b), to_string(g.c));
                   },
                   [](const Attention& a) {
                       return fmt::format("attention {} {} b{} q{} s{} h{}/{} d{}+{} {} kv {}",
                                          a.form == AttentionForm::mla_absorbed ? "mla" : "gqa",
                                          a.phase == Phase::decode ? "decode" : "prefill", a.batch,
                                          a.query, a.context, a.heads, a.kv_heads, a.head_dim_qk,
                                          a.head_dim_v, to_string(a.compute), to_string(a.kv));
                   },
                   [](const VectorWork& v) {
                       return fmt::format("vector {} e{} f{} r{} w{}", v.op, v.elements,
                                          v.flops_per_element, v.read, v.write);
                   }},
        body);
}

void require_valid(const Operator& op) {
    const auto& name = op.name;
    std::visit(
        Overloaded{[&](const Gemm& g) {
                       require_positive(name, "m", static_cast<double>(g.m));
                       require_positive(name, "n", static_cast<double>(g.n));
                       require_positive(name, "k", static_cast<double>(g.k));
                       require_positive(name, "groups", static_cast<double>(g.groups));
                   },
                   [&](const Attention& a) {
                       require_positive(name, "batch", static_cast<double>(a.batch));
                       require_positive(name, "query", static_cast<double>(a.query));
                       require_positive(name, "heads", static_cast<double>(a.heads));
                       require_positive(name, "kv_heads", static_cast<double>(a.kv_heads));
                       require_positive(name, "head_dim_qk", static_cast<double>(a.head_dim_qk));
                       require_positive(name, "head_dim_v", static_cast<double>(a.head_dim_v));
                       if (a.context < a.query) {
                           throw std::invalid_argument(fmt::format(
                               "{}: context {} is shorter than the {} query tokens it holds", name,
                               a.context, a.query));
                       }
                   },
                   [&](const VectorWork& v) {
                       require_positive(name, "elements", v.elements);
                       if (!(v.read >= 0) || !(v.write >= 0) || !(v.flops_per_element >= 0)) {
                           throw std::invalid_argument(name + ": negative bytes or work");
                       }
                   }},
        op.body);
}

}  // namespace podsim
