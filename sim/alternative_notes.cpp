#include "sim/alternative_notes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/names.hpp"
#include "chips/energy.hpp"
#include "chips/variant_notes.hpp"

namespace podsim {

void mark_carried_over(ResolvedAlternative& alternative) {
    const auto weaken = [](FitRecord& record) {
        if (record.basis == Confidence::measured) record.basis = Confidence::derived;
    };
    const ChipSpec& chip = alternative.chip;
    const KernelLibrarySpec& kernels = alternative.kernels;
    const bool elsewhere = kernels.chip != chip.name;
    if (!is_fitted(kernels)) {
        if (elsewhere) {
            alternative.warnings.push_back(fmt::format(
                "kernel library {} was fitted on no chip: its habits are assumed", kernels.name));
        }
    } else if (elsewhere || !chip.variant_of.empty()) {
        alternative.warnings.push_back(
            !elsewhere
                ? fmt::format("{} was changed: the habits of kernel library {} are carried over",
                              chip.name, kernels.name)
                : fmt::format("kernel library {} was fitted on {}, not on {}: its habits are "
                              "carried over",
                              kernels.name, kernels.chip, chip.name));
        for (FitRecord* record : records_of(alternative.kernels)) weaken(*record);
    }
    const SystemSpec& system = alternative.system;
    const CollectiveLibrarySpec& collectives = alternative.collectives;
    const bool other_system = !collectives.system.empty() && collectives.system != system.name;
    if (other_system || !system.variant_of.empty()) {
        alternative.warnings.push_back(
            other_system ? fmt::format("collective library {} was measured on {}, not on {}: its "
                                       "habits are carried over",
                                       collectives.name, collectives.system, system.name)
                         : fmt::format("{} was changed: the habits of collective library {} are "
                                       "carried over",
                                       system.name, collectives.name));
        for (auto& [type, habits] : alternative.collectives.transfers) weaken(habits.record);
    }
}

void mark_other_phase(ResolvedAlternative& alternative, WorkloadKind kind) {
    EngineSpec& engine = *alternative.engine;
    const Phase here = kind == WorkloadKind::prefill ? Phase::prefill : Phase::decode;
    if (!engine.phase || *engine.phase == here) return;
    alternative.warnings.push_back(
        fmt::format("engine {} is one of {}, this is a {}: its habits are carried over",
                    engine.name, name_of(*engine.phase), name_of(here)));
    const auto weaken = [](auto& habit) {
        habit.confidence = std::max(habit.confidence, Confidence::derived);
    };
    weaken(engine.kernel_gap);
    weaken(engine.host_step);
    weaken(engine.rank_skew);
    engine.record.basis = std::max(engine.record.basis, Confidence::derived);
}

void note_variant(ResolvedAlternative& result, const Node& document, const Node& memory) {
    for (const Diagnostic& odd : unseen_changes(memory, result.chip, result.kernels))
        result.warnings.push_back(fmt::format("{} ({})", odd.what, odd.hint));
    std::vector<Diagnostic> odd = doubtful_values(result.chip, document);
    for (Diagnostic& one : unseen_changes(result.chip, document, result.kernels))
        odd.push_back(std::move(one));
    for (const Diagnostic& one : odd) {
        result.warnings.push_back(
            fmt::format("chip {}: {}: {} ({})", result.chip.name, one.path, one.what, one.hint));
    }
    const Energies energies = energies_of(result.chip);
    if (energies.static_power.value >= energies.cap.value) {
        result.warnings.push_back(fmt::format(
            "chip {}: its power cap of {} is less than it draws at rest, {}: it crawls at a tenth "
            "of its clock and draws more than the cap",
            result.chip.name, to_string(energies.cap.value),
            to_string(energies.static_power.value)));
    }
}

void note_libraries(std::vector<ResolvedAlternative>& alternatives) {
    const auto root = [](const ResolvedAlternative& of) {
        return of.chip.variant_of.empty() ? of.chip.name : of.chip.variant_of;
    };
    const auto structural = [](const ResolvedAlternative& of) {
        return of.kernels.kind == KernelKind::structural;
    };
    for (ResolvedAlternative& one : alternatives) {
        if (!structural(one)) continue;
        const auto fitted = std::find_if(
            alternatives.begin(), alternatives.end(), [&](const ResolvedAlternative& other) {
                return !structural(other) && root(other) == root(one) && !root(one).empty();
            });
        if (fitted == alternatives.end()) continue;
        one.warnings.push_back(fmt::format(
            "answered from the structure of {}, and \"{}\" by kernel library {}: part of the "
            "difference is the libraries' (kernels: {} for both tells them apart)",
            root(one), fitted->name, fitted->kernels.name, one.kernels.name));
    }
}

}  // namespace podsim
