#include "chips/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/names.hpp"
#include "chips/attention_cost.hpp"
#include "chips/delta_cost.hpp"
#include "chips/gemm_cost.hpp"
#include "chips/index_cost.hpp"
#include "chips/npu_cycle.hpp"
#include "chips/stream_cost.hpp"
#include "chips/structural_cost.hpp"
#include "chips/sustained_clock.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Fidelity>>& names_of(const Fidelity*) {
    static const std::vector<std::pair<const char*, Fidelity>> names = {
        {"analytic", Fidelity::analytic}, {"tile", Fidelity::tile}, {"cycle", Fidelity::cycle}};
    return names;
}

std::string to_string(Fidelity fidelity) {
    return name_of(fidelity);
}

Fidelity neighbour_of(Fidelity fidelity) {
    return fidelity == Fidelity::tile ? Fidelity::analytic : Fidelity::tile;
}

Fidelity finest_fidelity(const ChipSpec& chip) {
    return chip.cores ? Fidelity::tile : Fidelity::analytic;
}

namespace {

// Work of rows that are one core's each (the choice of a query's best entries): the core with the
// most of them draws no more than its feed and does no more than its vector units,
//
//   t_rows = ceil(rows / cores) |bytes of a row / feed, work of a row / core's peak| / row
//   efficiency
//
// Of a chip without known cores nothing is known of a core's feed either.
Seconds rows_time(const VectorWork& work, const RankHardware& hardware, const VectorHabits& habits,
                  double core_share) {
    if (work.rows == 0 || !(hardware.feed_per_core > BytesPerSecond(0.0))) return Seconds(0.0);
    const auto rows = static_cast<double>(work.rows);
    const double turns = std::ceil(rows / static_cast<double>(usable_cores(hardware, core_share)));
    const FlopsPerSecond core = hardware.peak_vector / static_cast<double>(hardware.matrix_cores);
    return turns / rows / habits.row_efficiency *
           max(Bytes(work.read + work.write) / hardware.feed_per_core,
               Flops(work.elements * work.flops_per_element) / core);
}

// Launch, then the slowest of memory, vector units and a core with its rows. Both fidelities alike.
OperatorCost vector_cost(const VectorWork& work, const RankHardware& hardware,
                         const VectorHabits& habits, double core_share) {
    OperatorCost cost;
    const BytesPerSecond bandwidth = hardware.hbm_bandwidth * habits.memory_efficiency;
    cost.launch = habits.launch;
    cost.hbm = Bytes(work.read + work.write);
    cost.hbm_time = cost.hbm / bandwidth;
    cost.vector = Flops(work.elements * work.flops_per_element) / hardware.peak_vector;
    cost.on_vector_cores = hardware.separate_vector;
    cost.time =
        cost.launch + max(max(cost.hbm_time, cost.vector / (habits.vector_efficiency * core_share)),
                          rows_time(work, hardware, habits, core_share));
    cost.sustained = cost.time;
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    return cost;
}

// One request's latency, then rows one after the other over the link. A packet carries at most 256
// B and 24 B of header and framing (PCI Express transaction layer; taken for other links too).
OperatorCost table_cost(const TableRead& read, const RankHardware& hardware) {
    const bool host = read.place == TablePlace::host;
    const BytesPerSecond link = host ? hardware.host_bandwidth : hardware.pool_bandwidth;
    if (!(link > BytesPerSecond(0.0))) {
        throw std::invalid_argument(
            host ? "tables in the host's memory: the chip's record has no host_link"
                 : "tables in pooled memory: the system has no scale-up links");
    }
    constexpr double payload = 256, header = 24;
    const double row = read.row_bytes + std::ceil(read.row_bytes / payload) * header;
    OperatorCost cost;
    cost.launch = host ? hardware.host_latency : hardware.pool_latency;
    cost.hbm = Bytes(read.rows * read.row_bytes);
    cost.hbm_time = cost.hbm / hardware.hbm_bandwidth;
    cost.off_cores = true;
    cost.time = cost.launch + max(Bytes(read.rows * row) / link, cost.hbm_time);
    cost.sustained = cost.time;
    cost.basis = Confidence::assumed;
    return cost;
}

// Habits of a neighbouring kind: whatever they rest on, they were not measured for this.
constexpr double kStandInError = 0.2;  // what a library without measurements is expected to be off

void mark_stand_in(const std::string& kind, const std::string& stands_in,
                   const KernelLibrarySpec& library, OperatorCost& cost) {
    if (stands_in.empty()) return;
    if (cost.basis == Confidence::vendor || cost.basis == Confidence::measured)
        cost.basis = Confidence::derived;
    cost.held_out_error = std::max(cost.held_out_error, kStandInError);
    cost.warning =
        fmt::format("{} has no habits for {}: those of {} stand in", library.name, kind, stands_in);
}

// One body against one library, at full clock.
struct CostOf {
    const RankHardware& hardware;
    const KernelLibrarySpec& library;
    Fidelity fidelity;
    double core_share;

    OperatorCost operator()(const VectorWork& work) const {
        return vector_cost(work, hardware, vector_habits(library, work), core_share);
    }
    OperatorCost operator()(const TableRead& read) const { return table_cost(read, hardware); }
    OperatorCost operator()(const Gemm& gemm) const {
        return gemm_cost(gemm, hardware, library, fidelity, core_share);
    }
    OperatorCost operator()(const Attention& a) const {
        OperatorCost cost = attention_cost(a, hardware, library, fidelity, core_share);
        mark_stand_in(reads_own_entries(a) ? "sparse attention" : "windowed attention",
                      stand_in_for(library, a), library, cost);
        return cost;
    }
    OperatorCost operator()(const IndexScores& scores) const {
        const auto near = index_habits(library, scores.phase);
        return nearest(
            near,
            index_cost(scores, hardware, near.habits, library.smooth_maximum, fidelity, core_share),
            "index scores");
    }
    OperatorCost operator()(const DeltaRule& rule) const {
        const auto near = delta_habits(library, rule.phase);
        return nearest(
            near,
            delta_cost(rule, hardware, near.habits, library.smooth_maximum, fidelity, core_share),
            "the delta rule");
    }
    OperatorCost operator()(const StreamMix& mix) const {
        const auto near = stream_habits(library, mix.side);
        return nearest(
            near,
            stream_cost(mix, hardware, near.habits, library.smooth_maximum, fidelity, core_share),
            "mixes of streams");
    }

  private:
    template <class Habits>
    OperatorCost nearest(const NearestHabits<Habits>& near, OperatorCost cost,
                         const char* kind) const {
        mark_stand_in(kind, near.stands_in, library, cost);
        return cost;
    }
};

}  // namespace

OperatorCost operator_cost(const OperatorBody& body, const RankHardware& hardware,
                           const KernelLibrarySpec& library, Fidelity fidelity, double core_share) {
    if (!(core_share > 0.0 && core_share <= 1.0)) {
        throw std::invalid_argument(fmt::format("core share {} is not in (0, 1]", core_share));
    }
    // Where there is no pipeline, `cycle` is `tile`.
    const Fidelity formulas = fidelity == Fidelity::cycle ? Fidelity::tile : fidelity;
    OperatorCost cost = is_structural(body, library, fidelity)
                            ? structural_cost(body, hardware, library, fidelity, core_share)
                            : std::visit(CostOf{hardware, library, formulas, core_share}, body);
    if (formulas != fidelity && !is_structural(body, library, fidelity)) {
        cost.warning += fmt::format("{}there is no pipeline for {}: tile stands in for cycle",
                                    cost.warning.empty() ? "" : "; ", kind_of(body));
    }
    // What a library's kernels are made for is no wish of the user's.
    const TilingRules& rules = library.tiling;
    const bool forced = !rules.tile.empty() || !rules.attention_tile.empty() || rules.stages > 0 ||
                        rules.cores > 0 || rules.dataflow;
    if (forced && fidelity == Fidelity::tile && npu_can_run(body) &&
        !is_structural(body, library, fidelity)) {
        cost.warning += fmt::format(
            "{}a tiling counts with the kernel library structural or with --fidelity cycle: {} cut "
            "by its own habits",
            cost.warning.empty() ? "" : "; ", library.name);
    }
    if (std::holds_alternative<VectorWork>(body) || std::holds_alternative<TableRead>(body)) {
        cost.sustained = cost.time;
        return cost;
    }
    cost.sustained = sustained_time(cost.time, cost.matrix, hardware);
    const DType asked = compute_dtype_of(body), executed = executed_format(hardware, asked);
    // Weights are widened beside the product; of activations nothing is known but that it is so.
    if (const auto* gemm = std::get_if<Gemm>(&body);
        gemm != nullptr && asked == executed && bytes_of(gemm->a) < bytes_of(executed) &&
        (bytes_of(executed) > 1 || hardware.peak_matrix.count(gemm->a) == 0)) {
        cost.warning += fmt::format(
            "{}{} activations are widened to {}, which the matrix units take: the time of that is "
            "left out",
            cost.warning.empty() ? "" : "; ", to_string(gemm->a), to_string(executed));
    }
    if (executed != asked) {
        cost.warning +=
            fmt::format("{}{} runs at the rate of {}: the matrix units have none for it",
                        cost.warning.empty() ? "" : "; ", to_string(asked), to_string(executed));
    }
    return cost;
}

Seconds roofline_bound(const OperatorBody& body, const RankHardware& hardware) {
    const Seconds memory = compulsory_bytes_of(body) / hardware.hbm_bandwidth;
    if (std::holds_alternative<TableRead>(body)) return memory;
    if (std::holds_alternative<VectorWork>(body)) {
        return max(memory, work_of(body) / hardware.peak_vector);
    }
    return max(memory, matrix_work_of(body) / peak_for(hardware, compute_dtype_of(body)));
}

}  // namespace podsim
