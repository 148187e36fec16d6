#include "sim/memory_shares.hpp"

#include <fmt/format.h>

#include "base/plain_bytes.hpp"
#include "sim/kept_file.hpp"
#include "sim/resolve.hpp"

namespace podsim {

namespace {

constexpr std::uint64_t kPlaces = 64;
constexpr std::size_t kLargestFile = std::size_t{64} << 10;

}  // namespace

SustainedShares MemoryShares::measured(const MemoryDevice& device, BytesPerSecond pin_rate,
                                       long cores) {
    const std::string setting = shares_setting(device, pin_rate, cores);
    const auto known = known_.find(setting);
    if (known != known_.end()) return known->second;
    const std::string path =
        folder_.empty() ? ""
                        : fmt::format("{}/shares-{:02x}", folder_, fingerprint(setting) % kPlaces);
    auto stored =
        path.empty() ? std::nullopt : stored_shares(kept_content(path, kLargestFile), setting);
    if (!stored) {
        stored = measure_shares(device, pin_rate, cores);
        if (!path.empty()) keep_content(path, shares_file(setting, *stored));
    }
    return known_.emplace(setting, *std::move(stored)).first->second;
}

void MemoryShares::fill_in(ChipSpec& chip, const std::optional<MemoryDevice>& device) {
    if (!device || !chip.memory || !chip.cores || !chip.core || !chip.core->memory.fabric) return;
    chip.sustained_shares =
        measured(*device, chip.memory->pin_rate.value, chip.cores->matrix.value);
}

void measure_memories(ResolvedExperiment& experiment, const std::string& folder,
                      std::optional<Fidelity> fidelity) {
    MemoryShares shares(folder);
    const auto measure = [&](ResolvedAlternative& of) {
        if (of.kernels.kind == KernelKind::structural || fidelity == Fidelity::cycle)
            shares.fill_in(of.chip, of.memory);
    };
    for (auto& alternative : experiment.alternatives) {
        measure(alternative);
        for (auto& pool : alternative.pools) measure(pool);
    }
}

}  // namespace podsim
