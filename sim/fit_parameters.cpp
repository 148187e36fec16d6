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
        {time("split_join", 0.001, 30), &H::split_join},
        {time("sequence_overhead", 0.001, 30), &H::sequence_overhead},
        {time("ramp", 0.001, 60), &H::ramp},
        {{"ramp_bytes", 0.01 * mb, 1000 * mb, "MB", mb}, &H::ramp_bytes}};
    return all;
}

const std::vector<Member<IndexHabits>>& members(const IndexHabits&) {
    using H = IndexHabits;
    static const std::vector<Member<H>> all = {
        {plain("matrix_efficiency", 0.05, 1.0), &H::matrix_efficiency},
        {plain("memory_efficiency", 0.3, 1.0), &H::memory_efficiency},
        {plain("vector_efficiency", 0.05, 1.0), &H::vector_efficiency},
        {plain("query_overhead", 0.01, 40), &H::query_overhead},
        {time("block_latency", 0.0001, 5), &H::block_latency},
        {time("launch", 0.3, 60), &H::launch}};
    return all;
}

const std::vector<Member<DeltaHabits>>& members(const DeltaHabits&) {
    using H = DeltaHabits;
    static const std::vector<Member<H>> all = {
        {plain("matrix_efficiency", 0.05, 1.0), &H::matrix_efficiency},
        {plain("memory_efficiency", 0.1, 1.0), &H::memory_efficiency},
        {plain("vector_efficiency", 0.01, 1.0), &H::vector_efficiency},
        {time("chunk_latency", 0.001, 30), &H::chunk_latency},
        {time("launch", 0.3, 60), &H::launch},
        {time("ramp", 0.001, 60), &H::ramp},
        {{"ramp_bytes", 0.01 * mb, 1000 * mb, "MB", mb}, &H::ramp_bytes}};
    return all;
}

const std::vector<Member<StreamHabits>>& members(const StreamHabits&) {
    using H = StreamHabits;
    static const std::vector<Member<H>> all = {
        {plain("memory_efficiency", 0.1, 1.0), &H::memory_efficiency},
        {plain("stream_reads", 1, 4), &H::stream_reads},
        {time("step_latency", 0.0001, 1), &H::step_latency},
        {time("iteration", 0.001, 5), &H::iteration},
        {time("launch", 0.3, 60), &H::launch}};
    return all;
}

const std::vector<Member<ModuleHabits>>& members(const ModuleHabits&) {
    using H = ModuleHabits;
    static const std::vector<Member<H>> all = {{time("host", 0.1, 10000), &H::host},
                                               {time("overhead", 0.1, 1000), &H::overhead}};
    return all;
}

const std::vector<Member<VectorHabits>>& members(const VectorHabits&) {
    using H = VectorHabits;
    static const std::vector<Member<H>> all = {
        {plain("memory_efficiency", 0.1, 1.0), &H::memory_efficiency},
        {plain("vector_efficiency", 0.01, 1.0), &H::vector_efficiency},
        {plain("row_efficiency", 0.01, 1.0), &H::row_efficiency},
        {time("launch", 0.1, 60), &H::launch}};
    return all;
}

// Calls `use` with each set of habits of the library and the part's name, until it says true.
template <class Library, class Use>
bool any_habits(Library& library, const Use& use) {
    const auto among = [&use](auto& all, const char* name) {
        for (auto& [key, habits] : all) {
            using Key = std::decay_t<decltype(key)>;
            std::string written;
            if constexpr (std::is_same_v<Key, std::string>)
                written = key;
            else
                written = name_of(key);
            if (use(std::string(name) + "." + written, habits)) return true;
        }
        return false;
    };
    return among(library.gemm, "gemm") || among(library.grouped_gemm, "grouped_gemm") ||
           among(library.widened_gemm, "widened_gemm") ||
           use("attention_decode", library.attention_decode) ||
           use("attention_prefill", library.attention_prefill) ||
           among(library.attention, "attention") || use("vector", library.vector) ||
           (library.expert_vector && use("expert_vector", *library.expert_vector)) ||
           among(library.vector_kernels, "vector_kernels") ||
           among(library.index_scores, "index_scores") || among(library.delta_rule, "delta_rule") ||
           among(library.stream_mix, "stream_mix") || among(library.modules, "modules");
}

// Calls `use` with the habits that `part` names.
template <class Library, class Use>
void with_habits(Library& library, const std::string& part, const Use& use) {
    const bool found = any_habits(library, [&](const std::string& name, auto& habits) {
        if (name == part) use(habits);
        return name == part;
    });
    if (!found)
        throw std::invalid_argument("kernel library " + library.name + " has no habits called " +
                                    part);
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
    const auto fill = [](auto& all) {
        using Key = typename std::decay_t<decltype(all)>::key_type;
        for (const auto& [name, key] : names_of(static_cast<const Key*>(nullptr))) all[key] = {};
    };
    fill(any.gemm);
    fill(any.grouped_gemm);
    fill(any.widened_gemm);
    fill(any.attention);
    fill(any.index_scores);
    fill(any.delta_rule);
    fill(any.stream_mix);
    any.expert_vector.emplace();
    // Named by whoever writes the library.
    const std::size_t dot = part.find('.');
    if (dot != std::string::npos && part.rfind("vector_kernels.", 0) == 0)
        any.vector_kernels[part.substr(dot + 1)] = {};
    if (dot != std::string::npos && part.rfind("modules.", 0) == 0)
        any.modules[part.substr(dot + 1)] = {};
    std::vector<FitParameter> all;
    with_habits(any, part, [&all](const auto& habits) {
        for (const auto& one : members(habits)) all.push_back(one.parameter);
    });
    return all;
}

std::vector<std::string> parts_of(const KernelLibrarySpec& library) {
    std::vector<std::string> parts;
    any_habits(library, [&parts](const std::string& name, const auto&) {
        parts.push_back(name);
        return false;
    });
    return parts;
}

double get_parameter(const KernelLibrarySpec& library, const std::string& part,
                     const std::string& name) {
    double result = 0;
    with_habits(library, part, [&](const auto& habits) {
        std::visit(
            [&](const auto& where) {
                const auto& value = habits.*where;
                if constexpr (std::is_same_v<std::decay_t<decltype(value)>, double>)
                    result = value;
                else
                    result = value.value();
            },
            member(habits, name).where);
    });
    return result;
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
    if (const auto* gemm = std::get_if<Gemm>(&body))
        return gemm_part(library, *gemm, compute_dtype_of(body));
    if (const auto* attention = std::get_if<Attention>(&body)) {
        const AttentionHabits* habits = &attention_habits(library, *attention);
        for (const auto& [kind, own] : library.attention) {
            if (&own == habits) return "attention." + name_of(kind);
        }
        return attention->phase == Phase::decode ? "attention_decode" : "attention_prefill";
    }
    const auto own_or = [](const std::string& own, const std::string& stands_in) {
        return stands_in.empty() ? own : stands_in;
    };
    if (const auto* scores = std::get_if<IndexScores>(&body)) {
        return own_or("index_scores." + name_of(scores->phase),
                      index_habits(library, scores->phase).stands_in);
    }
    if (const auto* rule = std::get_if<DeltaRule>(&body)) {
        return own_or("delta_rule." + name_of(rule->phase),
                      delta_habits(library, rule->phase).stands_in);
    }
    if (const auto* mix = std::get_if<StreamMix>(&body)) {
        return own_or("stream_mix." + name_of(mix->side),
                      stream_habits(library, mix->side).stands_in);
    }
    if (std::holds_alternative<TableRead>(body))
        throw std::invalid_argument("a table read has no habits to be fitted");
    const auto& work = std::get<VectorWork>(body);
    if (library.vector_kernels.count(work.op) > 0) return "vector_kernels." + work.op;
    const VectorHabits& habits = vector_habits(library, work);
    return &habits == &library.vector ? "vector" : "expert_vector";
}

std::string part_of(const KernelLibrarySpec& library, const KernelRow& row) {
    return row.module.empty() ? part_of(library, row.operators.back()) : "modules." + row.module;
}

const FitRecord& record_of(const KernelLibrarySpec& library, const std::string& part) {
    const FitRecord* record = nullptr;
    with_habits(library, part, [&record](const auto& habits) { record = &habits.record; });
    return *record;
}

}  // namespace podsim
