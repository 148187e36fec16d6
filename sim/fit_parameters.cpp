#include "sim/fit_parameters.hpp"

#include <stdexcept>
#include <variant>

#include "base/names.hpp"
#include "base/units.hpp"

namespace podsim {

namespace {

template <class Habits>
struct Member {
    FitParameter parameter;
    std::variant<double Habits::*, Seconds Habits::*, Bytes Habits::*> where;
};

constexpr double us = 1e-6, mb = 1e6;

FitParameter time(const char* name, double low, double high) {
    return {name, low * us, high * us, "us", us};
}
FitParameter plain(const char* name, double low, double high) {
    return {name, low, high, "", 1};
}

const std::vector<Member<GemmHabits>>& members(const GemmHabits&) {
    using H = GemmHabits;
    static const std::vector<Member<H>> all = {
        {plain("matrix_efficiency", 0.2, 1.0), &H::matrix_efficiency},
        {plain("memory_efficiency", 0.3, 1.0), &H::memory_efficiency},
        {plain("feed_factor", 0.3, 12), &H::feed_factor},
        {time("launch", 0.3, 60), &H::launch},
        {time("tile_overhead", 0.001, 30), &H::tile_overhead},
        {time("group_overhead", 0.0001, 3), &H::group_overhead},
        {time("k_step", 0.0001, 0.5), &H::k_step},
        {time("ramp", 0.001, 60), &H::ramp},
        {{"ramp_bytes", 0.01 * mb, 1000 * mb, "MB", mb}, &H::ramp_bytes},
        {time("split_reduce", 0.01, 30), &H::split_reduce}};
    return all;
}

const std::vector<Member<AttentionHabits>>& members(const AttentionHabits&) {
    using H = AttentionHabits;
    static const std::vector<Member<H>> all = {
        {plain("matrix_efficiency", 0.05, 1.0), &H::matrix_efficiency},
        {plain("memory_efficiency", 0.3, 1.0), &H::memory_efficiency},
        {plain("split_overhead", 0.01, 40), &H::split_overhead},
        {time("block_latency", 0.0001, 5), &H::block_latency},
        {time("launch", 0.3, 60), &H::launch},
        {time("ramp", 0.001, 60), &H::ramp},
        {{"ramp_bytes", 0.01 * mb, 1000 * mb, "MB", mb}, &H::ramp_bytes}};
    return all;
}

const std::vector<Member<VectorHabits>>& members(const VectorHabits&) {
    using H = VectorHabits;
    static const std::vector<Member<H>> all = {
        {plain("memory_efficiency", 0.1, 1.0), &H::memory_efficiency},
        {plain("vector_efficiency", 0.01, 1.0), &H::vector_efficiency},
        {time("launch", 0.1, 60), &H::launch}};
    return all;
}

// Calls `use` with the habits that `part` names.
template <class Library, class Use>
auto with_habits(Library& library, const std::string& part, const Use& use) {
    if (part.rfind("gemm.", 0) == 0) {
        for (auto& [dtype, habits] : library.gemm) {
            if (part == "gemm." + to_string(dtype)) return use(habits);
        }
    }
    if (part.rfind("grouped_gemm.", 0) == 0) {
        for (auto& [dtype, habits] : library.grouped_gemm) {
            if (part == "grouped_gemm." + to_string(dtype)) return use(habits);
        }
    }
    if (part.rfind("attention.", 0) == 0) {
        for (auto& [kind, habits] : library.attention) {
            if (part == "attention." + name_of(kind)) return use(habits);
        }
    }
    if (part == "attention_decode") return use(library.attention_decode);
    if (part == "attention_prefill") return use(library.attention_prefill);
    if (part == "vector") return use(library.vector);
    if (part == "expert_vector" && library.expert_vector) return use(*library.expert_vector);
    throw std::invalid_argument("kernel library " + library.name + " has no habits called " + part);
}

template <class Habits>
const Member<Habits>& member(const Habits& habits, const std::string& name) {
    for (const auto& one : members(habits)) {
        if (one.parameter.name == name) return one;
    }
    throw std::invalid_argument("no parameter is called " + name);
}

}  // namespace

std::vector<FitParameter> fit_parameters(const std::string& part) {
    KernelLibrarySpec any;
    for (const auto& [name, dtype] : names_of(static_cast<const DType*>(nullptr))) {
        any.gemm[dtype] = any.grouped_gemm[dtype] = {};
    }
    for (const auto& [name, kind] : names_of(static_cast<const AttentionKind*>(nullptr))) {
        any.attention[kind] = {};
    }
    any.expert_vector.emplace();
    return with_habits(any, part, [](const auto& habits) {
        std::vector<FitParameter> all;
        for (const auto& one : members(habits)) all.push_back(one.parameter);
        return all;
    });
}

double get_parameter(const KernelLibrarySpec& library, const std::string& part,
                     const std::string& name) {
    return with_habits(library, part, [&](const auto& habits) {
        return std::visit(
            [&](const auto& where) {
                const auto& value = habits.*where;
                if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>)
                    return value;
                else
                    return value.value();
            },
            member(habits, name).where);
    });
}

void set_parameter(KernelLibrarySpec& library, const std::string& part, const std::string& name,
                   double value) {
    with_habits(library, part, [&](auto& habits) {
        std::visit(
            [&](const auto& where) {
                using Value = std::decay_t<decltype(habits.*where)>;
                habits.*where = Value(value);
            },
            member(habits, name).where);
    });
}

std::string part_of(const KernelLibrarySpec& library, const OperatorBody& body) {
    if (const auto* gemm = std::get_if<Gemm>(&body)) {
        const DType dtype = compute_dtype_of(body);
        const bool grouped =
            gemm->groups + gemm->idle_groups > 1 && library.grouped_gemm.count(dtype) > 0;
        return (grouped ? "grouped_gemm." : "gemm.") + to_string(dtype);
    }
    if (const auto* attention = std::get_if<Attention>(&body)) {
        const AttentionHabits* habits = &attention_habits(library, *attention);
        for (const auto& [kind, own] : library.attention) {
            if (&own == habits) return "attention." + name_of(kind);
        }
        return attention->phase == Phase::decode ? "attention_decode" : "attention_prefill";
    }
    const VectorHabits& habits = vector_habits(library, std::get<VectorWork>(body));
    return &habits == &library.vector ? "vector" : "expert_vector";
}

const FitRecord& record_of(const KernelLibrarySpec& library, const std::string& part) {
    return *with_habits(library, part, [](const auto& habits) { return &habits.record; });
}

}  // namespace podsim
