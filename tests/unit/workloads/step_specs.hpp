// Decode steps that the tests of workloads/ and sim/ share.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/models/r1.hpp"
#include "workloads/step.hpp"

namespace podsim {

// An engine without habits: no gaps, no host work, nothing fused, nothing reserved.
inline EngineSpec bare_engine() {
    EngineSpec engine;
    engine.name = engine.title = "bare";
    return engine;
}

inline Precision int8_served() {
    Precision precision;
    precision.weights = precision.experts = precision.activations = precision.dispatch =
        DType::int8;
    return precision;
}

// DeepSeek-R1 on CloudMatrix384 (arXiv 2506.12708): 288 ranks with one routed expert each (256 and
// 32 copies), 32 ranks with the shared expert, 48 sequences a rank, one draft token.
inline StepSpec ep320() {
    StepSpec spec;
    spec.model = r1();
    spec.precision = int8_served();
    spec.mapping = {320, 1, 320, 1, 2};
    spec.experts = {32, 32, Popularity::balanced};
    spec.speculation = {1, 0.7};
    spec.engine = bare_engine();
    spec.sequences_per_group = 48;
    spec.context = 4224;
    return spec;
}

// All layers dense, but for a draft module's.
inline void make_dense(ModelSpec& model) {
    const long layers = layer_count(model);
    model.layers = dense_then_experts(layers, layers);
}

// As many ranks as `expert_parallel`, the shared expert on each, no drafts, one micro-batch.
inline StepSpec plain_step(int expert_parallel, int redundant = 0) {
    StepSpec spec = ep320();
    spec.mapping = {expert_parallel, 1, expert_parallel, 1, 1};
    spec.experts = {redundant, 0, Popularity::balanced};
    spec.speculation = {};
    return spec;
}

inline std::string name_of(const Program& program, const Task& task) {
    const auto body = static_cast<std::size_t>(task.body);
    switch (task.kind) {
        case TaskKind::compute:
            return program.operators[body].name;
        case TaskKind::pipeline:
            return program.pipelines[body].name;
        case TaskKind::transfer:
            return program.transfers[static_cast<std::size_t>(program.instances[body].transfer)]
                .name;
        case TaskKind::fused:
            return program.fused[body].name;
        case TaskKind::host:
            return task.name;
    }
    return "";
}

// Ids of the tasks of a name, in program order.
inline std::vector<int> tasks_named(const Program& program, const std::string& name) {
    std::vector<int> ids;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        if (name_of(program, program.tasks[i]) == name) ids.push_back(static_cast<int>(i));
    }
    return ids;
}

// The key and text of the StepError that a step meets; empty when there is none.
struct Refusal {
    std::string key, text;
};
inline Refusal refusal_of(const StepSpec& spec) {
    try {
        build_step(spec);
    } catch (const StepError& error) {
        return {error.key, error.what()};
    }
    return {};
}

// FLOP of all products and attention, a rank of each class.
inline double matrix_work(const ServingStep& step) {
    double sum = 0;
    const auto add = [&](int op) {
        const OperatorBody& body = step.program.operators[static_cast<std::size_t>(op)].body;
        if (!std::holds_alternative<VectorWork>(body)) sum += work_of(body).value();
    };
    for (const Task& task : step.program.tasks) {
        if (task.kind == TaskKind::compute) add(task.body);
        if (task.kind != TaskKind::pipeline) continue;
        for (const int op : step.program.pipelines[static_cast<std::size_t>(task.body)].operators)
            add(op);
    }
    return sum;
}

}  // namespace podsim
