#include "sim/band.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

OperatorCost scaled(OperatorCost cost, double factor, const RankHardware& hardware) {
    const Seconds memory = cost.hbm / hardware.hbm_bandwidth;
    const Seconds least = max(max(cost.matrix, cost.vector), memory);
    const Seconds work = max((cost.time - cost.launch) * factor, least);
    cost.launch = cost.launch * factor;
    cost.time = cost.launch + work;
    cost.sustained = max(cost.sustained * factor, cost.time);
    cost.hbm_time = max(cost.hbm_time * factor, memory);
    return cost;
}

}  // namespace

std::optional<ErrorBand> error_band(const ChipSpec& chip, const KernelLibrarySpec& kernels) {
    if (chip.band) return ErrorBand{chip.band->value, "stated by the record of " + chip.name};
    if (chip.cores) return {};
    ErrorBand band{0, "the largest held-out error of kernel library " + kernels.name};
    KernelLibrarySpec library = kernels;
    for (const FitRecord* record : records_of(library))
        band.share = std::max(band.share, record->held_out_error);
    return band;
}

std::string band_warning(const ChipSpec& chip, const ErrorBand& band) {
    std::string within = fmt::format(
        "times of operators may be off by {:.0f} % either way ({}): low and high are those of all "
        "of them off at once",
        band.share * 100, band.source);
    if (chip.cores) return within;
    return fmt::format("of {} only a data sheet is known: it runs at analytic, and the {}",
                       chip.name, within);
}

ProgramCosts scaled(ProgramCosts costs, double factor, const RankHardware& hardware) {
    for (auto* lists : {&costs.operators, &costs.pipelines}) {
        for (auto& of_stream : *lists) {
            for (OperatorCost& cost : of_stream) cost = scaled(cost, factor, hardware);
        }
    }
    for (FusedCost& fused : costs.fused) {
        for (FusedPartCost& part : fused.parts) part.kernel = scaled(part.kernel, factor, hardware);
    }
    return costs;
}

void add_bands(AlternativeResult& result, const AlternativeResult& fast,
               const AlternativeResult& slow) {
    constexpr double same = 1e-12;
    for (Metric& metric : result.metrics) {
        const Metric* a = fast.metric(metric.name);
        const Metric* b = slow.metric(metric.name);
        if (a == nullptr || b == nullptr) continue;
        // A price or an energy has a band of its own already: the widest of them all.
        double low = metric.value, high = metric.value;
        for (const Metric* one : {static_cast<const Metric*>(&metric), a, b}) {
            low = std::min(low, one->low.value_or(one->value));
            high = std::max(high, one->high.value_or(one->value));
        }
        if (high - low <= same * std::abs(high)) continue;
        metric.low = low;
        metric.high = high;
    }
}

}  // namespace podsim
