// What everything in a program costs, before any of it runs.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/at.hpp"
#include "sim/fused_exchange_cost.hpp"
#include "sim/machine.hpp"

namespace podsim {

namespace {

// One kernel of several operators: one launch, the longest; work and traffic of all; the weakest
// evidence and the mean error of all, weighted by time. Traffic that stays on the chip shortens
// the kernel by its time, though not below what is left to move nor below what the vector units
// take at `vector_rate`, the share of their peak that this library and stream reach.
OperatorCost pipeline_cost(const Pipeline& pipeline, const std::vector<OperatorCost>& operators,
                           double vector_rate) {
    OperatorCost cost;
    Seconds work(0.0), all(0.0);
    cost.on_vector_cores = true;
    cost.basis = Confidence::vendor;
    for (const int id : pipeline.operators) {
        const OperatorCost& stage = at(operators, id);
        cost.launch = max(cost.launch, stage.launch);
        cost.matrix += stage.matrix;
        cost.vector += stage.vector;
        cost.hbm += stage.hbm;
        cost.hbm_time += stage.hbm_time;
        work += stage.time - stage.launch;
        all += stage.time;
        cost.on_vector_cores = cost.on_vector_cores && stage.on_vector_cores;
        cost.basis = std::max(cost.basis, stage.basis);
        cost.held_out_error += stage.held_out_error * stage.time.value();
        if (!stage.warning.empty()) cost.warning = stage.warning;
    }
    if (all > Seconds(0.0)) cost.held_out_error /= all.value();
    if (cost.hbm > Bytes(0.0)) {
        const Bytes saved = min(Bytes(pipeline.on_chip), cost.hbm);
        const Seconds saved_time = cost.hbm_time * (saved / cost.hbm);
        cost.hbm -= saved;
        cost.hbm_time -= saved_time;
        work -= saved_time;
    }
    cost.time = cost.launch + max(work, max(cost.hbm_time, cost.vector / vector_rate));
    cost.choice = fmt::format("{} fused", pipeline.operators.size());
    return cost;
}

// By stream, whether each operator and pipeline ever runs on it: on streams with different shares
// of the cores they cost differently, and where they never run they may have no cost at all.
struct Needed {
    explicit Needed(const Program& program)
        : operators(program.streams.size(), std::vector<char>(program.operators.size(), 0)),
          pipelines(program.streams.size(), std::vector<char>(program.pipelines.size(), 0)) {
        for (const Task& task : program.tasks) {
            if (task.kind == TaskKind::compute) at(at(operators, task.stream), task.body) = 1;
            if (task.kind != TaskKind::pipeline) continue;
            at(at(pipelines, task.stream), task.body) = 1;
            for (const int op : at(program.pipelines, task.body).operators)
                at(at(operators, task.stream), op) = 1;
        }
    }
    std::vector<std::vector<char>> operators, pipelines;
};

// Products of two formats of one size: no matrix unit multiplies them, and neither holds the other.
// One line for each pair of formats.
std::vector<std::string> mixed_formats(const Program& program) {
    std::vector<std::pair<DType, DType>> pairs;
    std::vector<std::string> warnings;
    for (const Operator& op : program.operators) {
        const auto* gemm = std::get_if<Gemm>(&op.body);
        if (gemm == nullptr || gemm->a == gemm->b || bytes_of(gemm->a) != bytes_of(gemm->b))
            continue;
        const std::pair formats{gemm->a, gemm->b};
        if (std::find(pairs.begin(), pairs.end(), formats) != pairs.end()) continue;
        pairs.push_back(formats);
        warnings.push_back(fmt::format(
            "{} and others like it multiply {} activations by {} weights: no matrix "
            "unit does, the rate is that of {}",
            op.name, to_string(gemm->a), to_string(gemm->b), to_string(compute_dtype_of(op.body))));
    }
    return warnings;
}

}  // namespace

ProgramCosts cost_program(const Program& program, CostCache& cache, const RankFabric& fabric,
                          const CollectiveLibrarySpec& library, long total_ranks) {
    ProgramCosts costs;
    const Needed needed(program);
    for (std::size_t s = 0; s < program.streams.size(); ++s) {
        const double share = program.streams[s].core_share;
        const double vector_rate = cache.library().vector.vector_efficiency * share;
        std::vector<OperatorCost> operators(program.operators.size());
        for (std::size_t i = 0; i < operators.size(); ++i) {
            if (needed.operators[s][i] == 0) continue;
            operators[i] = cache.cost(program.operators[i].body, share);
        }
        std::vector<OperatorCost> pipelines(program.pipelines.size());
        for (std::size_t i = 0; i < pipelines.size(); ++i) {
            if (needed.pipelines[s][i] == 0) continue;
            pipelines[i] = pipeline_cost(program.pipelines[i], operators, vector_rate);
        }
        costs.operators.push_back(std::move(operators));
        costs.pipelines.push_back(std::move(pipelines));
    }
    std::vector<OutsideFit> outside;
    for (const auto& transfer : program.transfers) {
        costs.coflows.push_back(make_coflow(transfer, fabric, library, total_ranks));
        const auto& more = costs.coflows.back().outside;
        outside.insert(outside.end(), more.begin(), more.end());
    }
    for (const FusedExchange& fused : program.fused) {
        const Task& task = at(program.tasks, fused.tasks.front());
        costs.fused.push_back(fused_exchange_cost(program, fused, costs.coflows, cache,
                                                  at(program.streams, task.stream).core_share));
    }
    costs.warnings = mixed_formats(program);
    for (std::string& warning : fit_warnings(library.name, outside))
        costs.warnings.push_back(std::move(warning));
    return costs;
}

CostProblems cost_problems(const Program& program, CostCache& cache, const RankFabric& fabric,
                           const CollectiveLibrarySpec& library, long total_ranks) {
    CostProblems problems;
    // Many operators fail for one reason: the first stands for all.
    std::set<std::string> known;
    const auto attempt = [&](const std::string& who, std::vector<std::string>& list, auto&& cost) {
        try {
            cost();
        } catch (const std::invalid_argument& error) {
            const std::string what = error.what();
            if (!known.insert(what).second) return;
            list.push_back(what.rfind(who + ":", 0) == 0 ? what : who + ": " + what);
        }
    };
    for (const Operator& op : program.operators)
        attempt(op.name, problems.operators, [&] { (void)cache.cost(op.body, 1.0); });
    std::vector<Coflow> coflows;
    for (const Transfer& transfer : program.transfers) {
        attempt(transfer.name, problems.transfers,
                [&] { coflows.push_back(make_coflow(transfer, fabric, library, total_ranks)); });
    }
    if (coflows.size() < program.transfers.size()) return problems;
    for (const FusedExchange& fused : program.fused) {
        attempt(fused.name, problems.operators,
                [&] { (void)fused_exchange_cost(program, fused, coflows, cache, 1.0); });
    }
    return problems;
}

}  // namespace podsim
