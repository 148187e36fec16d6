#include "sim/characterize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/plain_bytes.hpp"
#include "chips/cost.hpp"
#include "chips/structural_cost.hpp"
#include "sim/kept_file.hpp"
#include "sim/memory_shares.hpp"

namespace podsim {

namespace {

constexpr std::uint64_t kPlaces = 64;
constexpr std::size_t kLargestFile = std::size_t{64} << 10;

const std::vector<long> kRows = {1, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
const std::vector<std::pair<long, long>> kSides = {{2048, 7168}, {8192, 8192}};  // n, k

MemorySurface surface_of(const ChipSpec& chip, const MemoryDevice& device,
                         const std::string& folder, bool& from_disk) {
    const long stacks = chip.memory->stacks.value;
    const BytesPerSecond pin_rate = chip.memory->pin_rate.value;
    const std::string setting = surface_setting(device, stacks, pin_rate);
    const std::string path =
        folder.empty() ? ""
                       : fmt::format("{}/memory-{:02x}", folder, fingerprint(setting) % kPlaces);
    if (!path.empty()) {
        if (auto stored = stored_surface(kept_content(path, kLargestFile), setting)) {
            from_disk = true;
            return *stored;
        }
    }
    MemorySurface surface = measure_surface(device, stacks, pin_rate);
    if (!path.empty()) keep_content(path, surface_file(setting, surface));
    return surface;
}

void add_memory(ChipCharacter& character, const MemorySurface& surface) {
    const auto add = [&](std::string use, double chunk, double streams) {
        MemoryRow row{std::move(use), chunk, streams, {}};
        for (const double writes : characterized_writes())
            row.shares.push_back(sustained_share(surface, {chunk, writes, streams}));
        character.memory_rows.push_back(std::move(row));
    };
    for (const double chunk : {64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 65536.0})
        add(fmt::format("random chunks of {:g} B", chunk), chunk, 0);
    for (const double streams : {1.0, 8.0, 32.0})
        add(fmt::format("{:g} stream{} a pseudo-channel", streams, streams > 1 ? "s" : ""), 0,
            streams);
    for (std::size_t i = 0; i < surface.loads.size(); ++i) {
        character.latency.push_back(
            {surface.loads[i], Seconds(surface.latency_mean[i]), Seconds(surface.latency_p99[i])});
    }
}

// What the chip's own cores find, where its structure goes by the banks.
void add_cores(ChipCharacter& character, const ChipSpec& chip) {
    if (chip.sustained_shares.shares.empty()) return;
    const long cores = chip.cores->matrix.value;
    MemoryRow row{fmt::format("{} core{} side by side", cores, cores > 1 ? "s" : ""),
                  0,
                  static_cast<double>(cores),
                  {}};
    for (const double writes : characterized_writes())
        row.shares.push_back(share_at(chip.sustained_shares, writes));
    character.memory_rows.push_back(std::move(row));
}

double efficiency(const RankHardware& hardware, const Gemm& gemm, Seconds time) {
    const Flops work(2.0 * static_cast<double>(gemm.m) * static_cast<double>(gemm.n) *
                     static_cast<double>(gemm.k));
    return work / time / peak_for(hardware, gemm.a);
}

void add_gemms(ChipCharacter& character, const RankHardware& hardware,
               const KernelLibrarySpec& library) {
    const std::vector<ModelLevel> levels = model_levels(hardware, library);
    for (const ModelLevel& level : levels) character.levels.push_back(level.name);
    std::vector<std::vector<double>> times;
    for (const auto& [format, peak] : hardware.peak_matrix) {
        if (library.kind != KernelKind::structural && library.gemm.count(format) == 0) continue;
        for (const auto& [n, k] : kSides) {
            for (const long m : kRows) {
                const Gemm gemm{m, n, k, 1, format, format};
                // Of a chip without DRAM what its SRAM holds.
                if (hardware.core && hardware.core->path.resident &&
                    compulsory_bytes_of(gemm) > Bytes(hardware.core->path.l2_bytes))
                    continue;
                GemmRow row{gemm, 0, {}};
                row.bound = efficiency(hardware, gemm, roofline_bound(gemm, hardware));
                times.emplace_back();
                for (const ModelLevel& level : levels) {
                    const Seconds time = level.time(gemm);
                    times.back().push_back(time.value());
                    row.efficiency.push_back(efficiency(hardware, gemm, time));
                }
                character.gemms.push_back(std::move(row));
            }
        }
    }
    for (std::size_t level = 1; level < levels.size() && !times.empty(); ++level) {
        LevelGap gap{levels[level - 1].name, levels[level].name, 0, 0, ""};
        for (std::size_t i = 0; i < times.size(); ++i) {
            const double part = times[i][level] / times[i][level - 1] - 1;
            gap.mean += part / static_cast<double>(times.size());
            if (gap.worst_shape.empty() || std::abs(part) > std::abs(gap.worst)) {
                gap.worst = part;
                gap.worst_shape = shape_text(character.gemms[i].gemm);
            }
        }
        character.gaps.push_back(std::move(gap));
    }
}

}  // namespace

const std::vector<double>& characterized_writes() {
    static const std::vector<double> writes = {0, 0.1, 0.25, 0.5};
    return writes;
}

std::string shape_text(const Gemm& gemm) {
    return fmt::format("{} {} x {} x {}", to_string(gemm.a), gemm.m, gemm.n, gemm.k);
}

std::vector<ModelLevel> model_levels(const RankHardware& hardware,
                                     const KernelLibrarySpec& library) {
    std::vector<ModelLevel> levels;
    for (const Fidelity fidelity : {Fidelity::analytic, Fidelity::tile}) {
        // Of a chip of which only a data sheet is known there is no core to tile for.
        if (fidelity == Fidelity::tile && hardware.accumulator == Bytes(0.0)) continue;
        levels.push_back({to_string(fidelity), [=](const Gemm& gemm) {
                              return operator_cost(gemm, hardware, library, fidelity, 1.0).time;
                          }});
    }
    if (!hardware.core) return levels;
    if (library.kind != KernelKind::structural) {
        levels.push_back(
            {"structure", [=](const Gemm& gemm) {
                 return structural_cost(gemm, hardware, library, Fidelity::tile, 1.0).time;
             }});
    }
    levels.push_back({"cycle", [=](const Gemm& gemm) {
                          return operator_cost(gemm, hardware, library, Fidelity::cycle, 1.0).time;
                      }});
    return levels;
}

ChipCharacter characterize(ChipSpec chip, const KernelLibrarySpec& library,
                           const std::optional<MemoryDevice>& device,
                           const std::string& cache_folder) {
    MemoryShares(cache_folder).fill_in(chip, device);
    const RankHardware hardware = rank_hardware(chip);
    ChipCharacter character;
    character.chip = chip.name;
    character.library = library.name;
    character.ranks = chip.ranks;
    character.bandwidth = hardware.hbm_bandwidth;
    character.sram_only = hardware.sram_only;
    for (const auto& [format, peak] : hardware.peak_matrix) {
        character.roofline.push_back({format, peak, peak.value() / hardware.hbm_bandwidth.value()});
    }
    if (device && chip.memory) {
        character.memory = device->name;
        add_memory(character, surface_of(chip, *device, cache_folder, character.surface_from_disk));
        add_cores(character, chip);
    }
    add_gemms(character, hardware, library);
    return character;
}

}  // namespace podsim
