#include "chips/chip.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "base/form.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, HbmSpec& hbm) {
    form.required("capacity", hbm.capacity, "memory of the package", positive());
    form.required("bandwidth", hbm.bandwidth, "data-sheet rate of the package", positive());
}

template <class Form>
void describe(Form& form, CoresSpec& cores) {
    form.required("matrix", cores.matrix, "cores with a matrix unit, of the package", at_least(1));
    form.required("vector", cores.vector, "vector cores of the package", at_least(1));
    form.optional("separate_vector", cores.separate_vector,
                  "vector cores are apart from the matrix cores and run beside them");
    form.required("clock", cores.clock, "clock behind the peaks", positive());
    form.required("macs_per_cycle", cores.macs_per_cycle,
                  "multiply-accumulates a cycle of one core's matrix unit", at_least(1));
    form.required("minimum_rows", cores.minimum_rows, "rows a matrix instruction pads to",
                  at_least(1));
    form.required("accumulator", cores.accumulator, "space for the sums of one tile, per core",
                  positive());
    form.required("l2", cores.l2, "last-level cache or buffer of the package", positive());
    form.required("feed", cores.feed, "rate from that cache into one core", positive());
}

template <class Form>
void describe(Form& form, ChipSpec& chip) {
    form.required("title", chip.title, "name in words");
    form.optional("vendor", chip.vendor, "who sells it");
    form.optional("year", chip.year, "first shipped", at_least(1990));
    form.required("ranks", chip.ranks, "programs a package runs: dies that share nothing",
                  at_least(1));
    form.required("hbm", chip.hbm, "memory");
    form.required("cores", chip.cores, "compute cores and what feeds them");
    form.required("peak_matrix", chip.peak_matrix,
                  "dense peak of the matrix units alone, by format", positive());
    form.optional("peak_published", chip.peak_published, "dense peak on the data sheet, by format",
                  positive());
    form.required("peak_vector", chip.peak_vector, "FP32 peak of the vector units", positive());
    form.required("power", chip.power, "thermal design power of the package", positive());
    form.required("kernels", chip.kernels, "kernel library it uses unless told otherwise");
    if (!form.ok()) return;
    // A peak that the cores cannot reach, or fall short of, is somebody's slip.
    for (const auto& [dtype, peak] : chip.peak_matrix) {
        const std::string key = "peak_matrix." + to_string(dtype);
        const auto macs = chip.cores.macs_per_cycle.find(dtype);
        if (macs == chip.cores.macs_per_cycle.end()) {
            form.problem(
                "peak_matrix",
                fmt::format("{} has a peak but cores.macs_per_cycle does not name it", key));
            continue;
        }
        const double cores_peak = static_cast<double>(chip.cores.matrix.value) *
                                  static_cast<double>(macs->second.value) * 2.0 *
                                  chip.cores.clock.value.value();
        if (std::abs(peak.value.value() / cores_peak - 1.0) > 0.02) {
            form.problem("peak_matrix",
                         fmt::format("{} is {}, but {} cores x {} MAC x 2 x {} give {}", key,
                                     to_string(peak.value), chip.cores.matrix.value,
                                     macs->second.value, to_string(chip.cores.clock.value),
                                     to_string(FlopsPerSecond(cores_peak))),
                         "correct one of them; they may differ by 2 %");
        }
    }
    if (chip.peak_matrix.empty()) form.problem("peak_matrix", "names no format");
    if (chip.cores.matrix.value % chip.ranks != 0) {
        form.problem("ranks", fmt::format("{} ranks do not divide {} matrix cores", chip.ranks,
                                          chip.cores.matrix.value));
    }
}

ChipSpec read_chip(const Node& document, const std::string& name) {
    ChipSpec chip = read<ChipSpec>(document, "");
    chip.name = name;
    return chip;
}

RankHardware rank_hardware(const ChipSpec& chip) {
    const double ranks = chip.ranks;
    RankHardware hardware;
    hardware.matrix_cores = chip.cores.matrix.value / chip.ranks;
    hardware.separate_vector = chip.cores.separate_vector;
    hardware.clock = chip.cores.clock.value;
    hardware.peak_vector = chip.peak_vector.value / ranks;
    hardware.hbm_bandwidth = chip.hbm.bandwidth.value / ranks;
    hardware.hbm_capacity = chip.hbm.capacity.value / ranks;
    hardware.l2 = chip.cores.l2.value / ranks;
    hardware.accumulator = chip.cores.accumulator.value;
    hardware.feed_per_core = chip.cores.feed.value;
    hardware.minimum_rows = chip.cores.minimum_rows.value;
    for (const auto& [dtype, peak] : chip.peak_matrix)
        hardware.peak_matrix[dtype] = peak.value / ranks;
    return hardware;
}

FlopsPerSecond peak_for(const RankHardware& hardware, DType dtype) {
    const auto exact = hardware.peak_matrix.find(dtype);
    if (exact != hardware.peak_matrix.end()) return exact->second;
    const std::pair<const DType, FlopsPerSecond>* wider = nullptr;
    for (const auto& entry : hardware.peak_matrix) {
        if (bytes_of(entry.first) <= bytes_of(dtype)) continue;
        if (wider == nullptr || bytes_of(entry.first) < bytes_of(wider->first)) wider = &entry;
    }
    if (wider == nullptr) {
        throw std::invalid_argument(
            fmt::format("the chip's matrix units have no rate for {} nor for a wider format",
                        to_string(dtype)));
    }
    return wider->second;
}

FlopsPerSecond published_peak_for(const ChipSpec& chip, DType dtype) {
    const auto published = chip.peak_published.find(dtype);
    if (published != chip.peak_published.end()) return published->second.value;
    return peak_for(rank_hardware(chip), dtype) * static_cast<double>(chip.ranks);
}

nlohmann::ordered_json chip_schema() {
    return schema<ChipSpec>("podsim chip");
}

}  // namespace podsim
