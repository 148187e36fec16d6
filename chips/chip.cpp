#include "chips/chip.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "base/form.hpp"
#include "chips/energy_form.hpp"
#include "chips/power.hpp"
#include "chips/silicon_form.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, HbmSpec& hbm) {
    form.required("capacity", hbm.capacity, "memory of the package", positive());
    form.required("bandwidth", hbm.bandwidth, "data-sheet rate of the package", positive());
}

template <class Form>
void describe(Form& form, SramSpec& sram) {
    form.required("capacity", sram.capacity, "memory of the package", positive());
    form.required("bandwidth", sram.bandwidth, "data-sheet rate of the package", positive());
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
void describe(Form& form, HostLinkSpec& link) {
    form.required("technology", link.technology, "what the link is");
    form.required("bandwidth", link.bandwidth, "of the package, per direction", positive());
    form.required("latency", link.latency, "of one small read", non_negative());
}

template <class Form>
void describe(Form& form, SustainedSpec& sustained) {
    form.required("matrix", sustained.matrix,
                  "share of peak_matrix that the power cap leaves under long matrix work",
                  share_above_zero());
    form.required("response", sustained.response,
                  "time in which the power controller lowers the clock", positive());
}

FlopsPerSecond peak_of_cores(const CoresSpec& cores, DType dtype) {
    return static_cast<double>(cores.matrix.value) *
           static_cast<double>(cores.macs_per_cycle.at(dtype).value) * 2.0 * Flops(1.0) *
           cores.clock.value;
}

// A peak that the cores cannot reach, or fall short of, is somebody's slip.
template <class Form>
void require_agreement(Form& form, const CoresSpec& cores, DType dtype, FlopsPerSecond peak) {
    if (cores.macs_per_cycle.count(dtype) == 0) {
        form.problem("peak_matrix", fmt::format("{} has a peak but cores.macs_per_cycle does not "
                                                "name it",
                                                to_string(dtype)));
        return;
    }
    const FlopsPerSecond of_cores = peak_of_cores(cores, dtype);
    if (std::abs(peak / of_cores - 1.0) <= 0.02) return;
    form.problem(
        "peak_matrix",
        fmt::format("{} is {}, but {} cores x {} MAC x 2 x {} give {}", to_string(dtype),
                    to_string(peak), cores.matrix.value, cores.macs_per_cycle.at(dtype).value,
                    to_string(cores.clock.value), to_string(of_cores)),
        "correct one of them; they may differ by 2 %; peak_matrix: null follows the cores");
}

// Sparsity and advertisements only ever add to the dense rate.
template <class Form>
void require_above_dense(Form& form, const ChipSpec& chip, const char* key,
                         const std::map<DType, Sourced<FlopsPerSecond>>& peaks) {
    for (const auto& [dtype, peak] : peaks) {
        const auto dense = chip.peak_matrix.find(dtype);
        if (dense == chip.peak_matrix.end() || peak.value >= dense->second.value) continue;
        form.problem(key,
                     fmt::format("{} is {}, below the dense {} of peak_matrix", to_string(dtype),
                                 to_string(peak.value), to_string(dense->second.value)));
    }
}

// The smallest tile of any library: 16 columns, and 16 rows or those of an instruction.
template <class Form>
void require_room_for_a_tile(Form& form, const CoresSpec& cores) {
    const long rows = std::max(16L, cores.minimum_rows.value);
    const double needs = static_cast<double>(rows) * 16 * 4;
    if (cores.accumulator.value.value() >= needs) return;
    form.problem(
        "cores.accumulator",
        fmt::format("{:.0f} B cannot hold the {} x 16 sums of 4 bytes of the smallest tile",
                    cores.accumulator.value.value(), rows),
        fmt::format("at least {:.0f} B", needs));
}

// Spares stand beside the cores in use, the same number on each die.
template <class Form>
void require_sound_silicon(Form& form, const ChipSpec& chip) {
    if (!chip.silicon || !chip.silicon->spare_cores) return;
    const long spare = chip.silicon->spare_cores->value, dies = chip.silicon->compute_dies;
    if (spare == 0) return;
    if (!chip.cores) {
        form.problem("silicon.spare_cores",
                     fmt::format("{} spare, but no section cores says how "
                                 "many are in use",
                                 spare),
                     "add cores, or leave spare_cores away");
        return;
    }
    const long used = chip.cores->matrix.value;
    if (spare > used) {
        form.problem("silicon.spare_cores",
                     fmt::format("{} spare cores beside the {} of cores.matrix", spare, used),
                     "it counts those beside the ones in use, not all of the die");
    } else if ((used + spare) % dies != 0) {
        form.problem("silicon.spare_cores",
                     fmt::format("{} cores in use and {} spare do not divide among {} compute_dies",
                                 used, spare, dies),
                     "correct one of the three");
    }
}

template <class Form>
void require_divides(Form& form, int ranks, long cores, const char* kind) {
    if (cores % ranks == 0) return;
    form.problem("ranks", fmt::format("{} ranks do not divide {} {} cores", ranks, cores, kind));
}

// A cap beyond what cools the chip, or power at rest that leaves nothing for work.
template <class Form>
void require_sound_power(Form& form, const ChipSpec& chip) {
    if (!chip.energy) return;
    const EnergySpec& energy = *chip.energy;
    if (energy.cap && energy.cap->value > chip.power.value) {
        form.problem("energy",
                     fmt::format("cap of {} is above the design power, {}",
                                 to_string(energy.cap->value), to_string(chip.power.value)));
    }
    if (energy.static_power && !(energy.static_power->value < chip.power.value)) {
        form.problem("energy", fmt::format("static_power of {} leaves nothing of {} for work",
                                           to_string(energy.static_power->value),
                                           to_string(chip.power.value)));
    }
    for (const auto& [dtype, value] : energy.matrix) {
        if (chip.peak_matrix.count(dtype) > 0) continue;
        form.problem("energy", fmt::format("matrix has an energy for {}, which has no peak_matrix",
                                           to_string(dtype)));
    }
}

template <class Form>
void describe(Form& form, ChipSpec& chip) {
    form.required("title", chip.title, "name in words");
    form.optional("vendor", chip.vendor, "who sells it");
    form.optional("year", chip.year, "first shipped", at_least(1990));
    form.optional("variant_of", chip.variant_of,
                  "written by podsim: the chip this one started from");
    form.required("ranks", chip.ranks, "programs a package runs: dies that share nothing",
                  at_least(1));
    form.optional("hbm", chip.hbm, "memory; what holds the weights where there is any");
    form.optional("sram", chip.sram,
                  "on-chip memory that software fills; holds the weights of a chip without hbm");
    form.optional("cores", chip.cores,
                  "compute cores and what feeds them; without it only a data sheet is known, and "
                  "the chip runs at the analytic level with a band");
    form.optional(
        "peak_matrix", chip.peak_matrix,
        "dense peak of the matrix units alone, by format; not stated (null under a base): "
        "matrix cores x macs_per_cycle x 2 x clock",
        positive());
    form.optional("peak_published", chip.peak_published, "dense peak on the data sheet, by format",
                  positive());
    form.optional("peak_sparse", chip.peak_sparse,
                  "peak with structured sparsity, by format; shown, never used", positive());
    form.optional("peak_headline", chip.peak_headline,
                  "what advertisements call the peak, by format; shown, never used", positive());
    form.required("peak_vector", chip.peak_vector, "FP32 peak of the vector units", positive());
    form.required("power", chip.power, "thermal design power of the package", positive());
    form.optional("power_as_built", chip.power_as_built,
                  "written by podsim: the design power before --set changed it", positive());
    form.optional("band", chip.band,
                  "by which share the times of its operators may be off either way; without it, "
                  "for a chip without cores, the largest held-out error of its kernel library",
                  share_above_zero());
    form.optional("sustained", chip.sustained,
                  "what the power cap leaves; without it the chip keeps its clock");
    form.optional("energy", chip.energy, "what operations and bytes draw, where it is known");
    form.optional("silicon", chip.silicon, "what it is built of, for a price where it has none");
    form.optional("host_link", chip.host_link,
                  "to the host's memory; a model with tables there needs it");
    form.optional("memory", chip.memory, "the devices behind hbm, where they are known");
    form.optional("core", chip.core, "structure of one core: what the level `cycle` is built of");
    form.required("kernels", chip.kernels, "kernel library it uses unless told otherwise");
    if (!form.ok()) return;
    if (!chip.hbm && !chip.sram)
        form.problem("hbm", "is missing (memory)", "a chip without HBM has sram: instead");
    if (chip.peak_matrix.empty() && chip.cores) {
        for (const auto& [dtype, macs] : chip.cores->macs_per_cycle)
            chip.peak_matrix[dtype] = {peak_of_cores(*chip.cores, dtype),
                                       {},
                                       {},
                                       "matrix cores x multiply-accumulates x 2 x clock",
                                       Confidence::derived,
                                       ""};
    }
    if (chip.peak_matrix.empty())
        form.problem("peak_matrix", "names no format", "a peak by format, as bf16: 400 TFLOPS");
    if (chip.band && chip.band->value >= 1)
        form.problem("band", "100 % and more off: operators would take no time");
    require_above_dense(form, chip, "peak_sparse", chip.peak_sparse);
    require_above_dense(form, chip, "peak_headline", chip.peak_headline);
    require_sound_silicon(form, chip);
    if (chip.core && !chip.cores)
        form.problem("core", "there is no section cores, whose structure it would be");
    if (!chip.cores) return;
    for (const auto& [dtype, peak] : chip.peak_matrix) {
        require_agreement(form, *chip.cores, dtype, peak.value);
    }
    require_divides(form, chip.ranks, chip.cores->matrix.value, "matrix");
    require_divides(form, chip.ranks, chip.cores->vector.value, "vector");
    require_room_for_a_tile(form, *chip.cores);
    require_sound_power(form, chip);
    if (!chip.core) return;
    for (const CoreProblem& problem :
         core_problems(*chip.core, chip.cores->macs_per_cycle, chip.cores->minimum_rows.value)) {
        form.problem("core." + problem.key, problem.what, problem.hint);
    }
    if (chip.core->memory.fabric && !chip.memory) {
        form.problem("core.memory.fabric",
                     "rests on what the banks sustain, and the chip has no section memory",
                     "memory: {device: ..., stacks: ..., pin_rate: ...}, or efficiency instead");
    }
}

ChipSpec read_chip(const Node& document, const std::string& name) {
    ChipSpec chip = read<ChipSpec>(document, "");
    chip.name = name;
    return chip;
}

MainMemory main_memory(const ChipSpec& chip) {
    if (chip.hbm) return {"HBM", chip.hbm->capacity, chip.hbm->bandwidth};
    if (chip.sram) return {"SRAM", chip.sram->capacity, chip.sram->bandwidth};
    throw std::invalid_argument(chip.name + " has no memory");
}

double sustained_matrix_share(const ChipSpec& chip) {
    const bool unchanged = chip.variant_of.empty();
    const bool of_process = chip.process && chip.cores;
    const bool known = of_process || (chip.energy && !chip.energy->matrix.empty());
    if (chip.sustained && (unchanged || !known)) return chip.sustained->matrix.value;
    return known ? sustained_share(chip, energies_of(chip)) : 1.0;
}

namespace {

CoreStructure rank_core(const ChipSpec& chip) {
    const CoreStructureSpec& spec = *chip.core;
    const double ranks = chip.ranks;
    CoreStructure core;
    core.cores = chip.cores->matrix.value / chip.ranks;
    core.clock = chip.cores->clock.value.value();
    core.matrix.rows = *spec.matrix_unit.rows;
    core.matrix.columns = *spec.matrix_unit.columns;
    core.matrix.depth = *spec.matrix_unit.depth;
    core.matrix.arrays = *spec.matrix_unit.arrays;
    core.matrix.issue_cycles = *spec.matrix_unit.issue_cycles;
    core.matrix.minimum_rows = chip.cores->minimum_rows.value;
    core.matrix.dataflow = spec.matrix_unit.dataflow;
    core.matrix.double_buffered_weights = spec.matrix_unit.double_buffered_weights;
    core.matrix.weight_rows = *spec.matrix_unit.weight_rows_per_cycle;
    for (const auto& [dtype, macs] : chip.cores->macs_per_cycle)
        core.matrix.macs_per_cycle[dtype] = static_cast<double>(*macs);
    core.vector.cores = static_cast<double>(chip.cores->vector.value) /
                        static_cast<double>(chip.cores->matrix.value);
    core.vector.operations = *spec.vector.operations_per_cycle;
    core.vector.exponentials = *spec.vector.exponentials_per_cycle;
    core.vector.buffer = spec.vector.buffer.value.value();
    core.vector.rate = *spec.vector.bytes_per_cycle;
    core.vector.handoff_cycles = static_cast<double>(*spec.vector.handoff_cycles);
    core.vector.sums_in_accumulator = spec.vector.sums_in_accumulator;
    core.buffers.accumulator = spec.accumulator.size.value.value();
    core.buffers.drain = *spec.accumulator.drain_bytes_per_cycle;
    core.buffers.level1 = spec.level1.size.value.value();
    core.buffers.level1_buffers = *spec.level1.buffers;
    if (spec.level0) {
        core.buffers.level0_a = spec.level0->a.value.value();
        core.buffers.level0_b = spec.level0->b.value.value();
        core.buffers.level0_a_rate = *spec.level0->a_bytes_per_cycle;
        core.buffers.level0_b_rate = *spec.level0->b_bytes_per_cycle;
    }
    core.path.outstanding = spec.dma.outstanding.value.value();
    core.path.read = *spec.l2.read_bytes_per_cycle;
    core.path.write = *spec.l2.write_bytes_per_cycle;
    core.path.memory_read = *spec.l2.memory_bytes_per_cycle;
    core.path.l2_bytes = chip.cores->l2.value.value() / ranks;
    core.path.l2_rate = spec.l2.bandwidth.value.value() / ranks;
    core.path.l2_latency = spec.l2.latency.value.value();
    core.path.multicast = *spec.l2.multicast;
    core.path.memory_rate = main_memory(chip).bandwidth.value.value() / ranks;
    if (spec.memory.efficiency) {
        core.path.memory_rate *= spec.memory.efficiency->value;
    } else {
        // No rate at all as long as nobody has run the banks, so that none is taken for theirs.
        const bool measured = !chip.sustained_shares.shares.empty();
        core.path.memory_rate *= measured ? spec.memory.fabric->value : 0;
        core.path.sustained = chip.sustained_shares;
    }
    core.path.memory_latency = spec.memory.latency.value.value();
    core.path.resident = spec.memory.resident;
    if (spec.die_link) {
        core.path.dies = *spec.die_link->dies;
        core.path.link_rate = spec.die_link->bandwidth.value.value();
        core.path.link_latency = spec.die_link->latency.value.value();
    }
    return core;
}

}  // namespace

RankHardware rank_hardware(const ChipSpec& chip) {
    const double ranks = chip.ranks;
    const MainMemory memory = main_memory(chip);
    RankHardware hardware;
    hardware.sram_only = !chip.hbm;
    hardware.hbm_bandwidth = memory.bandwidth.value / ranks;
    hardware.hbm_capacity = memory.capacity.value / ranks;
    hardware.peak_vector = chip.peak_vector.value / ranks;
    if (chip.cores) {
        const CoresSpec& cores = *chip.cores;
        hardware.matrix_cores = cores.matrix.value / chip.ranks;
        hardware.separate_vector = cores.separate_vector;
        hardware.clock = cores.clock.value;
        hardware.l2 = cores.l2.value / ranks;
        hardware.accumulator = cores.accumulator.value;
        hardware.feed_per_core = cores.feed.value;
        hardware.minimum_rows = cores.minimum_rows.value;
    }
    hardware.sustained_matrix = sustained_matrix_share(chip);
    if (hardware.sustained_matrix < 1) {
        constexpr double usual_response = 0.1;  // as measured of H100, H200 and A100
        hardware.power_response =
            chip.sustained ? chip.sustained->response.value : Seconds(usual_response);
    }
    if (chip.host_link) {
        hardware.host_bandwidth = chip.host_link->bandwidth.value / ranks;
        hardware.host_latency = chip.host_link->latency.value;
    }
    for (const auto& [dtype, peak] : chip.peak_matrix)
        hardware.peak_matrix[dtype] = peak.value / ranks;
    if (chip.core) hardware.core = rank_core(chip);
    return hardware;
}

namespace {

template <class Peaks>
DType format_among(const Peaks& peaks, DType dtype) {
    if (peaks.count(dtype) > 0) return dtype;
    if (dtype == DType::bf16 && peaks.count(DType::fp16) > 0) return DType::fp16;
    std::optional<DType> wider;
    for (const auto& [format, peak] : peaks) {
        if (bytes_of(format) <= bytes_of(dtype)) continue;
        if (!wider || bytes_of(format) < bytes_of(*wider)) wider = format;
    }
    if (!wider) {
        throw std::invalid_argument(
            fmt::format("the chip's matrix units have no rate for {} nor for a wider format",
                        to_string(dtype)));
    }
    return *wider;
}

}  // namespace

DType executed_format(const RankHardware& hardware, DType dtype) {
    return format_among(hardware.peak_matrix, dtype);
}

DType executed_format(const ChipSpec& chip, DType dtype) {
    return format_among(chip.peak_matrix, dtype);
}

FlopsPerSecond peak_for(const RankHardware& hardware, DType dtype) {
    return hardware.peak_matrix.at(executed_format(hardware, dtype));
}

FlopsPerSecond published_peak_for(const ChipSpec& chip, DType dtype) {
    const RankHardware hardware = rank_hardware(chip);
    const FlopsPerSecond units = peak_for(hardware, dtype) * static_cast<double>(chip.ranks);
    const auto published = chip.peak_published.find(executed_format(hardware, dtype));
    // Data sheets round by up to 3 %; one that has less than the units do is of the chip that this
    // one was before it was changed.
    constexpr double rounding = 0.95;
    const bool own =
        published != chip.peak_published.end() && published->second.value >= rounding * units;
    return own ? published->second.value : units;
}

nlohmann::ordered_json chip_schema() {
    return schema<ChipSpec>("podsim chip").json();
}

}  // namespace podsim
