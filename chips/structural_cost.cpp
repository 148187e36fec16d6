#include "chips/structural_cost.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "chips/gemm_cost.hpp"
#include "chips/npu_cycle.hpp"
#include "chips/pipeline_cost.hpp"
#include "chips/tiling_check.hpp"

namespace podsim {

namespace {

struct Answer {
    Seconds time{0.0};
    Bytes memory{0.0};
    std::string choice;
    long cores = 0;  // that tiles fall to; 0: nothing is cut
};

struct ClosedForm {
    const CoreStructure& core;
    const RankHardware& hardware;
    const TilingRules& rules;

    Answer operator()(const Gemm& gemm) const {
        const auto best = best_tilings(
            core, gemm_work(gemm, executed_format(hardware, compute_dtype_of(gemm))), 1, rules);
        return answer(best.front().time, best.front().tiling.text(), best.front().tiling.cores);
    }
    Answer operator()(const Attention& attention) const {
        const auto best = best_tilings(
            core, attention_work(attention, executed_format(hardware, attention.compute)), 1,
            rules);
        return answer(best.front().time, best.front().tiling.text(), best.front().tiling.cores);
    }
    Answer operator()(const VectorWork& work) const {
        const VectorPlan plan = vector_plan(core, work);
        return answer(vector_time(core, plan, true), "", 0);
    }
    template <class Other>
    Answer operator()(const Other& other) const {
        throw std::invalid_argument("there is no pipeline for " + kind_of(OperatorBody(other)));
    }

  private:
    static Answer answer(const PipelineTime& time, std::string choice, long cores) {
        return {Seconds(time.seconds), Bytes(time.memory_bytes), std::move(choice), cores};
    }
};

// The share of writes among the bytes that have to cross memory at least: results among operands
// and results, whatever the tiling.
struct WriteShare {
    double operator()(const Gemm& gemm) const {
        const double rows = static_cast<double>(gemm.m) * static_cast<double>(gemm.groups) +
                            static_cast<double>(gemm.longer_groups);
        return share(rows * static_cast<double>(gemm.n) * bytes_of(gemm.c), gemm);
    }
    double operator()(const Attention& a) const {
        const double rows = static_cast<double>(a.batch) * static_cast<double>(a.query);
        const double width = static_cast<double>(a.heads) * static_cast<double>(a.head_dim_v);
        return share(rows * width * bytes_of(a.compute), a);
    }
    double operator()(const VectorWork& work) const { return share(work.write, work); }
    template <class Other>
    double operator()(const Other&) const {
        return 0;
    }

  private:
    static double share(double written, const OperatorBody& body) {
        const double all = compulsory_bytes_of(body).value();
        return all > 0 ? written / all : 0;
    }
};

// The launch, and the record that says what it rests on.
struct Habits {
    Seconds launch{0.0};
    const FitRecord* record = nullptr;
};

Habits habits_of(const OperatorBody& body, const RankHardware& hardware,
                 const KernelLibrarySpec& library) {
    if (const auto* gemm = std::get_if<Gemm>(&body)) {
        const GemmHabits& habits =
            gemm_habits(library, executed_format(hardware, compute_dtype_of(body)), gemm->groups);
        return {habits.launch, &habits.record};
    }
    if (const auto* attention = std::get_if<Attention>(&body)) {
        const AttentionHabits& habits = attention_habits(library, *attention);
        return {habits.launch, &habits.record};
    }
    const VectorHabits& habits = vector_habits(library, std::get<VectorWork>(body));
    return {habits.launch, &habits.record};
}

}  // namespace

bool is_structural(const OperatorBody& body, const KernelLibrarySpec& library, Fidelity fidelity) {
    if (!npu_can_run(body)) return false;
    return fidelity == Fidelity::cycle ||
           (fidelity == Fidelity::tile && library.kind == KernelKind::structural);
}

OperatorCost structural_cost(const OperatorBody& body, const RankHardware& hardware,
                             const KernelLibrarySpec& library, Fidelity fidelity,
                             double core_share) {
    if (!hardware.core) {
        throw std::invalid_argument(fmt::format(
            "{} needs the structure of a core, and the chip's record has no `core:`; add one "
            "(configs/chips/custom-npu.yaml shows it)",
            fidelity == Fidelity::cycle ? "fidelity cycle" : "the kernel library " + library.name));
    }
    for (const TilingProblem& problem : tiling_problems(library.tiling, *hardware.core))
        throw std::invalid_argument(
            fmt::format("tiling.{} {} ({})", problem.key, problem.what, problem.hint));
    CoreStructure core = with_memory_share(with_rules(*hardware.core, library.tiling),
                                           std::visit(WriteShare{}, body));
    core.cores = usable_cores(hardware, core_share);
    Answer answer;
    if (fidelity == Fidelity::cycle) {
        NpuOptions options;
        options.rules = library.tiling;
        // Tiles that the closed form finds equal may not be so in the pipeline.
        options.tried = 2;
        NpuRun run = run_npu(core, body, options);
        const long cores = run.gemm ? run.gemm->cores : run.attention ? run.attention->cores : 0;
        answer = {run.time, run.memory_read + run.memory_written, std::move(run.tiling), cores};
    } else {
        answer = std::visit(ClosedForm{core, hardware, library.tiling}, body);
    }
    const Habits habits = habits_of(body, hardware, library);
    OperatorCost cost;
    if (answer.cores > 0 && answer.cores < library.tiling.cores) {
        cost.warning = fmt::format(
            "tiling asks for {} cores, {} are in use: {}", library.tiling.cores, answer.cores,
            core.cores < library.tiling.cores ? "others are busy beside it"
                                              : "no more share its tiles evenly");
    }
    cost.launch = habits.launch;
    cost.time = habits.launch + answer.time;
    cost.hbm = max(compulsory_bytes_of(body), answer.memory);
    // What banks and fabric leave is the structure's; a resident chip has no memory to wait for.
    cost.hbm_time = cost.hbm / BytesPerSecond(core.path.memory_rate);
    cost.choice = std::move(answer.choice);
    cost.basis = habits.record->basis;
    cost.held_out_error = habits.record->held_out_error;
    if (library.kind != KernelKind::structural && cost.basis == Confidence::measured)
        cost.basis = Confidence::derived;  // the launch alone was measured
    if (const auto* work = std::get_if<VectorWork>(&body)) {
        cost.vector = Flops(work->elements * work->flops_per_element) / hardware.peak_vector;
        cost.on_vector_cores = hardware.separate_vector;
        return cost;
    }
    cost.matrix = matrix_work_of(body) / peak_for(hardware, compute_dtype_of(body));
    if (const auto* gemm = std::get_if<Gemm>(&body)) {
        const DType executed = executed_format(hardware, compute_dtype_of(body));
        if (bytes_of(gemm->b) < bytes_of(executed) && hardware.peak_matrix.count(gemm->b) == 0)
            cost.warning += fmt::format("{}widening of {} weights is not in the pipeline",
                                        cost.warning.empty() ? "" : "; ", to_string(gemm->b));
    }
    return cost;
}

}  // namespace podsim
