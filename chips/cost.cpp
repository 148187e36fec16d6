#include "chips/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/names.hpp"
#include "chips/attention_cost.hpp"
#include "chips/gemm_cost.hpp"
#include "chips/sustained_clock.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Fidelity>>& names_of(const Fidelity*) {
    static const std::vector<std::pair<const char*, Fidelity>> names = {
        {"analytic", Fidelity::analytic}, {"tile", Fidelity::tile}};
    return names;
}

std::string to_string(Fidelity fidelity) {
    return name_of(fidelity);
}

Fidelity neighbour_of(Fidelity fidelity) {
    return fidelity == Fidelity::tile ? Fidelity::analytic : Fidelity::tile;
}

namespace {

// Launch, then the slower of memory and vector units. Both fidelities alike.
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
        cost.launch + max(cost.hbm_time, cost.vector / (habits.vector_efficiency * core_share));
    cost.sustained = cost.time;
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    return cost;
}

}  // namespace

OperatorCost operator_cost(const OperatorBody& body, const RankHardware& hardware,
                           const KernelLibrarySpec& library, Fidelity fidelity, double core_share) {
    if (!(core_share > 0.0 && core_share <= 1.0)) {
        throw std::invalid_argument(fmt::format("core share {} is not in (0, 1]", core_share));
    }
    if (const auto* work = std::get_if<VectorWork>(&body)) {
        return vector_cost(*work, hardware, vector_habits(library, *work), core_share);
    }
    const auto* gemm = std::get_if<Gemm>(&body);
    OperatorCost cost = gemm != nullptr ? gemm_cost(*gemm, hardware, library, fidelity, core_share)
                                        : attention_cost(std::get<Attention>(body), hardware,
                                                         library, fidelity, core_share);
    cost.sustained = sustained_time(cost.time, cost.matrix, hardware);
    const DType asked = compute_dtype_of(body), executed = executed_format(hardware, asked);
    if (executed != asked) {
        cost.warning = fmt::format("{} runs at the rate of {}: the matrix units have none for it",
                                   to_string(asked), to_string(executed));
    }
    return cost;
}

Seconds roofline_bound(const OperatorBody& body, const RankHardware& hardware) {
    const Seconds memory = compulsory_bytes_of(body) / hardware.hbm_bandwidth;
    if (std::holds_alternative<VectorWork>(body)) {
        return max(memory, work_of(body) / hardware.peak_vector);
    }
    return max(memory, matrix_work_of(body) / peak_for(hardware, compute_dtype_of(body)));
}

}  // namespace podsim
