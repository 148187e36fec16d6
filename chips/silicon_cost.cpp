#include "chips/silicon_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "base/diagnostic.hpp"

namespace podsim {

namespace {

constexpr double kMiB = 1024.0 * 1024.0;
constexpr const char* kNoMemory = "none";  // SRAM alone

// Of a chip of which only a data sheet is known nothing but its dies counts: one core each.
long cores_needed(const ChipSpec& chip, const SiliconSpec& silicon) {
    return chip.cores ? chip.cores->matrix.value : silicon.compute_dies;
}

long cores_built(const ChipSpec& chip, const SiliconSpec& silicon) {
    return cores_needed(chip, silicon) + (silicon.spare_cores ? silicon.spare_cores->value : 0);
}

// A matrix unit that takes several formats is one array: the format with the most area decides.
double matrix_mm2(const ChipSpec& chip, const ProcessSpec& process, Band band) {
    double most = 0;
    for (const auto& [dtype, macs] : chip.cores->macs_per_cycle) {
        const auto area = process.area.mac_mm2.find(dtype);
        if (area == process.area.mac_mm2.end()) {
            throw std::invalid_argument(
                fmt::format("process {} has no area.mac_mm2 for {}, a format of {}", process.name,
                            to_string(dtype), chip.name));
        }
        most = std::max(most, static_cast<double>(macs.value) * dearer(area->second, band));
    }
    return most * static_cast<double>(chip.cores->matrix.value);
}

}  // namespace

DieArea die_area(const ChipSpec& chip, const SiliconSpec& silicon, const ProcessSpec& process,
                 Band band) {
    DieArea area;
    area.dies = silicon.compute_dies;
    const long built = cores_built(chip, silicon);
    const double sram = dearer(process.area.sram_mm2, band);
    const double uncore = dearer(process.area.uncore, band);
    if (silicon.die_mm2) {
        // What the parts would take says nothing here: of a published die the cores are what is
        // neither uncore nor an interface.
        area.published = true;
        area.die_mm2 = dearer(*silicon.die_mm2, band);
        const double interfaces = static_cast<double>(silicon.hbm_stacks) *
                                  process.area.hbm_phy_mm2.value / static_cast<double>(area.dies);
        const double in_cores =
            std::max(0.0, area.die_mm2 * (1 - process.area.uncore.value) - interfaces);
        area.core_mm2 = in_cores * static_cast<double>(area.dies) / static_cast<double>(built);
    } else if (!chip.cores) {
        throw std::invalid_argument(
            fmt::format("the area of a die of {} follows from nothing: neither silicon.die_mm2 nor "
                        "cores is there",
                        chip.name));
    } else {
        const CoresSpec& cores = *chip.cores;
        const auto count = static_cast<double>(cores.matrix.value);
        const double spare = static_cast<double>(built) / count;
        // Two FLOPs a cycle and lane.
        const double lanes = chip.peak_vector.value / (Flops(2.0) * cores.clock.value);
        const double accumulators = count * cores.accumulator.value.value() / kMiB;
        const double matrix = matrix_mm2(chip, process, band) * spare;
        const double vector = lanes * dearer(process.area.vector_mm2, band) * spare;
        const double in_cores = accumulators * sram * spare;
        const double cache = cores.l2.value.value() / kMiB * sram;
        const double memory =
            static_cast<double>(silicon.hbm_stacks) * dearer(process.area.hbm_phy_mm2, band);
        const double links =
            silicon.links ? silicon.links->value.value() / 1e9 * dearer(process.area.link_mm2, band)
                          : 0.0;
        const double sum = matrix + vector + in_cores + cache + memory + links;
        // Dies that are one chip have links between them and what each must have for itself.
        const double of_one = sum / (1 - uncore);
        const double split = of_one / (1 - dearer(process.area.die_to_die, band));
        area.dies = std::max(area.dies,
                             of_one <= process.reticle_mm2.value
                                 ? 1L
                                 : static_cast<long>(std::ceil(split / process.reticle_mm2.value)));
        const double whole = area.dies > 1 ? split : of_one;
        area.parts = {{"matrix units", matrix},
                      {"vector units", vector},
                      {"core buffers", in_cores},
                      {"last-level cache", cache},
                      {"memory interfaces", memory},
                      {"links", links},
                      {"network, control, margins", of_one - sum},
                      {"between dies", whole - of_one}};
        area.die_mm2 = whole / static_cast<double>(area.dies);
        area.core_mm2 = (matrix + vector + in_cores) / static_cast<double>(built);
    }
    return area;
}

double dies_per_wafer(double wafer_mm, double die_mm2) {
    const double whole = std::numbers::pi * wafer_mm * wafer_mm / (4 * die_mm2) -
                         std::numbers::pi * wafer_mm / std::sqrt(2 * die_mm2);
    return std::max(0.0, std::floor(whole));
}

double area_yield(double mm2, double defects_per_cm2, double clustering) {
    return std::pow(1 + mm2 / 100 * defects_per_cm2 / clustering, -clustering);
}

double spares_yield(long built, long needed, double whole) {
    if (needed <= 0 || whole >= 1) return 1;
    if (whole <= 0) return 0;
    // Terms of the binomial distribution from all whole downwards, by their logarithms.
    double sum = 0, log_choose = 0;
    for (long broken = 0; broken <= built - needed; ++broken) {
        if (broken > 0) {
            log_choose += std::log(static_cast<double>(built - broken + 1)) -
                          std::log(static_cast<double>(broken));
        }
        sum += std::exp(log_choose + static_cast<double>(built - broken) * std::log(whole) +
                        static_cast<double>(broken) * std::log1p(-whole));
    }
    return std::min(1.0, sum);
}

double die_yield(const DieArea& area, long cores_built, long cores_needed, double defects_per_cm2,
                 double clustering) {
    if (cores_built <= cores_needed) return area_yield(area.die_mm2, defects_per_cm2, clustering);
    const double cores = area.core_mm2 * static_cast<double>(cores_built);
    const double rest = std::max(0.0, area.die_mm2 - cores);
    const double whole = area_yield(area.core_mm2, defects_per_cm2, clustering);
    const double spared = area_yield(rest, defects_per_cm2, clustering) *
                          spares_yield(cores_built, cores_needed, whole);
    // Independent cores lose more than clustered defects do: a spare never makes it worse.
    return std::max(spared, area_yield(area.die_mm2, defects_per_cm2, clustering));
}

SiliconCost silicon_cost(const ChipSpec& chip, const SiliconSpec& silicon,
                         const ProcessSpec& process, const SiliconPrices& prices, Band band) {
    const auto memory = prices.hbm.find(silicon.hbm_generation);
    const bool has_memory = chip.hbm && silicon.hbm_generation != kNoMemory;
    if (has_memory && memory == prices.hbm.end()) {
        std::vector<std::string> known;
        for (const auto& [name, price] : prices.hbm) known.push_back(name);
        const std::string nearest = nearest_name(silicon.hbm_generation, known);
        throw std::invalid_argument(
            fmt::format("memory {} of {} has no price under silicon.hbm{}", silicon.hbm_generation,
                        chip.name, nearest.empty() ? "" : ": did you mean " + nearest + "?"));
    }
    const long built = cores_built(chip, silicon);

    SiliconCost cost;
    cost.area = die_area(chip, silicon, process, band);
    if (cost.area.die_mm2 > process.reticle_mm2.value * 1.001) {
        throw std::invalid_argument(
            fmt::format("a die of {:.0f} mm2 of {} is beyond the reticle of process {}, {:.0f} mm2",
                        cost.area.die_mm2, chip.name, process.name, process.reticle_mm2.value));
    }
    const auto dies = static_cast<double>(cost.area.dies);
    cost.dies_per_wafer = dies_per_wafer(process.wafer_mm.value, cost.area.die_mm2);
    if (!(cost.dies_per_wafer >= 1)) {
        throw std::invalid_argument(fmt::format("a wafer of {:.0f} mm holds no die of {:.0f} mm2",
                                                process.wafer_mm.value, cost.area.die_mm2));
    }
    // Spares of one die stand in for its own cores only.
    const long per_die = built / cost.area.dies;
    const long needed = (cores_needed(chip, silicon) + cost.area.dies - 1) / cost.area.dies;
    cost.yield = die_yield(cost.area, per_die, needed, dearer(process.defects_per_cm2, band),
                           dearer(process.clustering, band));
    const double other = silicon.other_mm2 ? dearer(*silicon.other_mm2, band) : 0.0;
    cost.dies = dearer(process.wafer, band) / (cost.dies_per_wafer * cost.yield) * dies +
                Usd(other * dearer(prices.other_die_usd_per_mm2, band));
    if (has_memory) cost.memory = chip.hbm->capacity.value * dearer(memory->second, band);
    const double stands = cost.area.die_mm2 * dies + other +
                          static_cast<double>(silicon.hbm_stacks) * dearer(prices.stack_mm2, band);
    const bool alone = silicon.hbm_stacks == 0 && cost.area.dies == 1 && !silicon.other_mm2;
    cost.package =
        Usd(stands * dearer(alone && prices.substrate_usd_per_mm2 ? *prices.substrate_usd_per_mm2
                                                                  : prices.interposer_usd_per_mm2,
                            band));
    const Usd assembled = cost.dies + cost.memory + cost.package;
    cost.assembly_loss = assembled / cheaper(prices.assembly_yield, band) - assembled;
    cost.test_and_module = dearer(prices.test, band) + dearer(prices.module, band);
    cost.manufacturing = assembled + cost.assembly_loss + cost.test_and_module;
    const double volume = cheaper(silicon.volume.value_or(prices.volume), band);
    const double margin = dearer(silicon.gross_margin.value_or(prices.gross_margin), band);
    cost.design = dearer(process.design, band) / volume;
    cost.price = (cost.manufacturing + cost.design) / (1 - margin);
    cost.margin = cost.price - cost.manufacturing - cost.design;
    return cost;
}

}  // namespace podsim
