// Builds dies, link and memories, gives the cores their programs, runs, and reads the statistics.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "chips/npu/attention_program.hpp"
#include "chips/npu/die_link.hpp"
#include "chips/npu/gemm_program.hpp"
#include "chips/npu/npu_die.hpp"
#include "chips/npu/simple_memory.hpp"
#include "chips/npu/vector_program.hpp"
#include "chips/npu_cycle.hpp"
#include "chips/pipeline_cost.hpp"

namespace podsim::npu {

namespace {

// All dies of one rank. Core i of a program runs on die i mod dies.
class Package : public sc_core::sc_module {
  public:
    std::vector<std::unique_ptr<NpuDie>> dies_;
    std::vector<std::unique_ptr<SimpleMemory>> memories_;
    std::unique_ptr<DieLink> link_;

    Package(const sc_core::sc_module_name& name, const CoreStructure& core, long cores)
        : sc_module(name) {
        const long dies = core.path.dies;
        if (dies > 1) {
            link_ = std::make_unique<DieLink>("link", static_cast<int>(dies), core.path.link_rate,
                                              core.path.link_latency);
        }
        for (long die = 0; die < dies; ++die) {
            const auto here = static_cast<int>((cores - die + dies - 1) / dies);
            const std::string at = std::to_string(die);
            dies_.push_back(std::make_unique<NpuDie>(("die" + at).c_str(), core, die, here));
            memories_.push_back(std::make_unique<SimpleMemory>(
                ("memory" + at).c_str(), core.path.memory_rate / static_cast<double>(dies),
                core.path.memory_latency));
            L2Cache& l2 = dies_.back()->l2_;
            l2.memory_.bind(memories_.back()->in_);
            if (dies == 1) continue;
            const auto port = static_cast<std::size_t>(die);
            l2.far_out_.bind(*link_->in_[port]);
            link_->out_[port]->bind(l2.far_in_);
        }
    }

    NpuCore& core(std::size_t index) {
        return *dies_[index % dies_.size()]->cores_[index / dies_.size()];
    }

    // Runs what the programs say to its end.
    void run(std::vector<CoreProgram> programs) {
        const std::size_t count = programs.size();
        for (std::size_t i = 0; i < count; ++i) core(i).run(std::move(programs[i]));
        sc_core::sc_start();
        for (std::size_t i = 0; i < count; ++i) {
            if (!core(i).idle()) throw std::logic_error(core(i).name() + std::string(" is stuck"));
        }
    }
};

NpuStatistic statistic(const sc_core::sc_object& module, const char* name, double value,
                       const char* unit) {
    return {module.name(), name, unit, value};
}

double microseconds_of(Picoseconds time) {
    return static_cast<double>(time) * 1e-6;
}

void read_core(const NpuCore& core, NpuRun& run) {
    const auto add = [&](const sc_core::sc_object& module, const char* name, double value,
                         const char* unit) {
        run.statistics.push_back(statistic(module, name, value, unit));
    };
    for (const ComputeUnit* unit : {&core.matrix_, &core.vector_}) {
        const ComputeStatistics s = unit->statistics();
        if (s.instructions == 0) continue;
        add(*unit, "busy", microseconds_of(s.busy), "us");
        add(*unit, "stalled", microseconds_of(s.stalled), "us");
        add(*unit, "instructions", static_cast<double>(s.instructions), "");
        add(*unit, "work", s.work, "");
    }
    for (const DmaEngine* engine : {&core.load_, &core.drain_}) {
        const DmaStatistics s = engine->statistics();
        if (s.bursts == 0) continue;
        add(*engine, "bytes", s.bytes, "B");
        add(*engine, "bursts", static_cast<double>(s.bursts), "");
        add(*engine, "stalled", microseconds_of(s.stalled), "us");
        add(*engine, "latency", microseconds_of(s.under_way) / static_cast<double>(s.bursts), "us");
    }
    const ComputeStatistics matrix = core.matrix_.statistics();
    run.matrix_busy = max(run.matrix_busy, to_seconds(matrix.busy));
    run.matrix_stalled = max(run.matrix_stalled, to_seconds(matrix.stalled));
    run.macs += matrix.work;
    run.vector_busy = max(run.vector_busy, to_seconds(core.vector_.statistics().busy));
}

void read_statistics(const Package& package, NpuRun& run) {
    for (std::size_t die = 0; die < package.dies_.size(); ++die) {
        const L2Cache& l2 = package.dies_[die]->l2_;
        const L2Statistics& s = l2.statistics();
        run.l2_hit += Bytes(s.hit);
        run.l2_missed += Bytes(s.missed);
        run.statistics.push_back(statistic(l2, "hit", s.hit, "B"));
        run.statistics.push_back(statistic(l2, "missed", s.missed, "B"));
        run.statistics.push_back(statistic(l2, "written", s.written, "B"));
        run.statistics.push_back(statistic(l2, "kept", s.kept, "B"));
        run.statistics.push_back(
            statistic(l2, "evictions", static_cast<double>(s.evictions), "blocks"));
        run.statistics.push_back(statistic(l2, "busy", microseconds_of(s.busy), "us"));
        const SimpleMemory& memory = *package.memories_[die];
        const MemoryStatistics& m = memory.statistics();
        run.memory_read += Bytes(m.read);
        run.memory_written += Bytes(m.written);
        run.statistics.push_back(statistic(memory, "read", m.read, "B"));
        run.statistics.push_back(statistic(memory, "written", m.written, "B"));
        run.statistics.push_back(statistic(memory, "busy", microseconds_of(m.busy), "us"));
        for (const auto& core : package.dies_[die]->cores_) read_core(*core, run);
    }
    if (!package.link_) return;
    const LinkStatistics& s = package.link_->statistics();
    run.die_link = Bytes(s.bytes);
    run.statistics.push_back(statistic(*package.link_, "bytes", s.bytes, "B"));
    run.statistics.push_back(statistic(*package.link_, "busy", microseconds_of(s.busy), "us"));
}

// Phases one after another on a new package.
NpuRun simulate(const CoreStructure& core, long cores,
                std::vector<std::vector<CoreProgram>> phases) {
    const SystemcSession session;
    Package package("rank", core, cores);
    for (auto& phase : phases) package.run(std::move(phase));
    NpuRun run;
    run.time = to_seconds(to_picoseconds(sc_core::sc_time_stamp()));
    read_statistics(package, run);
    return run;
}

void require_fit(bool fit, const std::string& tiling) {
    if (fit) return;
    throw std::invalid_argument("the tiling " + tiling + " does not fit into the core's buffers");
}

NpuRun run_tiling(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling) {
    require_fit(fits(core, work, tiling), tiling.text());
    const auto shared = std::make_shared<const GemmWork>(work);
    std::vector<std::vector<CoreProgram>> phases;
    phases.push_back(gemm_programs(core, shared, tiling));
    long cores = tiling.cores;
    if (tiling.split > 1) {
        double sums = 0;
        for (const long rows : work.rows)
            sums += static_cast<double>(rows) * static_cast<double>(work.n);
        const double split = static_cast<double>(tiling.split);
        const VectorPlan second = vector_plan(core, sums * 4 * split, sums * work.c, sums * split,
                                              sums * 4 * split > core.path.l2_bytes);
        const std::uint64_t from = result_address(work, tiling);
        const auto partial = static_cast<std::uint64_t>(std::ceil(sums * 4 * split));
        phases.push_back(vector_programs(core, second, from, from + partial));
        cores = std::max(cores, second.cores);
    }
    NpuRun run = simulate(core, cores, std::move(phases));
    run.gemm = tiling;
    run.tiling = tiling.text();
    return run;
}

NpuRun run_tiling(const CoreStructure& core, const AttentionWork& work,
                  const AttentionTiling& tiling) {
    require_fit(fits(core, work, tiling), tiling.text());
    std::vector<std::vector<CoreProgram>> phases;
    phases.push_back(attention_programs(core, work, tiling));
    long cores = tiling.cores;
    if (tiling.splits > 1) {
        const VectorPlan second = join_plan(core, work, tiling);
        const std::uint64_t from = output_address(work, tiling);
        const auto partial =
            static_cast<std::uint64_t>(second.read * static_cast<double>(second.chunks) + 4096);
        phases.push_back(vector_programs(core, second, from, from + partial));
        cores = std::max(cores, second.cores);
    }
    NpuRun run = simulate(core, cores, std::move(phases));
    run.attention = tiling;
    run.tiling = tiling.text();
    return run;
}

template <class Work, class Tiling>
NpuRun run_best(const CoreStructure& core, const Work& work, const std::optional<Tiling>& forced,
                std::size_t tried, const TilingRules& rules) {
    if (forced) return run_tiling(core, work, *forced);
    std::optional<NpuRun> best;
    for (const auto& choice : best_tilings(core, work, std::max<std::size_t>(1, tried), rules)) {
        NpuRun run = run_tiling(core, work, choice.tiling);
        if (!best || run.time < best->time) best = std::move(run);
    }
    return *std::move(best);
}

// Narrowest format that the matrix unit has and that holds `dtype`.
DType executed(const CoreStructure& core, DType dtype) {
    const auto& rates = core.matrix.macs_per_cycle;
    if (rates.count(dtype) > 0) return dtype;
    if (dtype == DType::bf16 && rates.count(DType::fp16) > 0) return DType::fp16;
    std::optional<DType> wider;
    for (const auto& [format, rate] : rates) {
        if (bytes_of(format) <= bytes_of(dtype)) continue;
        if (!wider || bytes_of(format) < bytes_of(*wider)) wider = format;
    }
    if (!wider) {
        throw std::invalid_argument("the matrix unit has no " + to_string(dtype) +
                                    " and no wider format");
    }
    return *wider;
}

struct RunBody {
    const CoreStructure& core;
    const NpuOptions& options;

    NpuRun operator()(const Gemm& gemm) const {
        GemmWork work = gemm_work(gemm, executed(core, compute_dtype_of(gemm)));
        if (!options.group_rows.empty()) work.rows = options.group_rows;
        return run_best(core, work, options.gemm, options.tried, options.rules);
    }
    NpuRun operator()(const Attention& attention) const {
        const AttentionWork work = attention_work(attention, executed(core, attention.compute));
        return run_best(core, work, options.attention, options.tried, options.rules);
    }
    NpuRun operator()(const VectorWork& work) const {
        const VectorPlan plan = vector_plan(core, work);
        const auto to = static_cast<std::uint64_t>(work.read) / kBlock * kBlock + 16 * kBlock;
        NpuRun run = simulate(core, plan.cores, [&] {
            std::vector<std::vector<CoreProgram>> phases;
            phases.push_back(vector_programs(core, plan, 0, to));
            return phases;
        }());
        run.tiling = fmt::format("{} chunks on {} cores", plan.chunks, plan.cores);
        return run;
    }
    template <class Other>
    NpuRun operator()(const Other& other) const {
        throw std::invalid_argument("there is no pipeline for " + kind_of(OperatorBody(other)));
    }
};

}  // namespace
}  // namespace podsim::npu

namespace podsim {

bool npu_can_run(const OperatorBody& body) {
    if (const auto* attention = std::get_if<Attention>(&body)) return has_pieces(*attention);
    return std::holds_alternative<Gemm>(body) || std::holds_alternative<VectorWork>(body);
}

NpuRun run_npu(const CoreStructure& core, const OperatorBody& body, const NpuOptions& options) {
    if (!npu_can_run(body))
        throw std::invalid_argument("there is no pipeline for " + kind_of(body) + " of this kind");
    if (!options.dataflow) return std::visit(npu::RunBody{core, options}, body);
    CoreStructure forced = core;
    forced.matrix.dataflow = *options.dataflow;
    return std::visit(npu::RunBody{forced, options}, body);
}

}  // namespace podsim
