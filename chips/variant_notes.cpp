#include "chips/variant_notes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "chips/energy.hpp"
#include "chips/power.hpp"

namespace podsim {

namespace {

// Of a value that may say where it is from; nullptr where the path leads nowhere.
const Node* value_at(const Node& document, std::string_view path) {
    const Node* node = &document;
    while (!path.empty() && node != nullptr) {
        const std::size_t dot = path.find('.');
        node = node->find(path.substr(0, dot));
        path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
    if (node == nullptr) return nullptr;
    const Node* value = node->find("value");
    return value != nullptr ? value : node;
}

// Every value below `node`, as its dotted path.
void collect(const Node& node, const std::string& path,
             std::vector<std::pair<std::string, Place>>& leaves) {
    const Node* value = node.find("value");
    if (value != nullptr || node.kind == Node::Kind::scalar) {
        leaves.emplace_back(path, value != nullptr ? value->place : node.place);
        return;
    }
    for (const Node::Entry& entry : node.entries)
        collect(entry.value, path + "." + entry.key, leaves);
}

// How late a value was written: by --set last, by the variant's own file before that, by what it
// started from first. Where nothing but settings changed a document, its own file is that.
class Layers {
  public:
    Layers(const std::string& name, bool has_base)
        : own_(std::filesystem::path(name).stem().string()), has_base_(has_base) {}
    explicit Layers(const ChipSpec& chip) : Layers(chip.name, chip.variant_of != chip.name) {}

    int of(const Place& place) const {
        if (place.line == 0) return 2;
        return has_base_ && std::filesystem::path(place.file).stem().string() == own_ ? 1 : 0;
    }

  private:
    std::string own_;
    bool has_base_;
};

// What of these was changed, "a, b", and where the first of it stands.
struct Changed {
    std::string paths;
    Place place;
};
Changed changed_of(const std::vector<std::pair<std::string, Place>>& leaves, const Layers& layers) {
    Changed changed;
    for (const auto& [path, place] : leaves) {
        if (layers.of(place) == 0) continue;
        if (changed.paths.empty()) changed.place = place;
        changed.paths += (changed.paths.empty() ? "" : ", ") + path;
    }
    return changed;
}

}  // namespace

std::vector<Diagnostic> stale_peaks(const ChipSpec& chip, const Node& document) {
    std::vector<Diagnostic> found;
    if (chip.variant_of.empty()) return found;
    const Layers layers(chip);
    std::string formats, changed;
    Place place;
    for (const auto& [dtype, peak] : chip.peak_published) {
        const std::string name = to_string(dtype);
        const Node* published = value_at(document, "peak_published." + name);
        if (published == nullptr || chip.peak_matrix.count(dtype) == 0) continue;
        for (const std::string& part : {std::string("cores.matrix"), std::string("cores.clock"),
                                        "cores.macs_per_cycle." + name, "peak_matrix." + name}) {
            const Node* value = value_at(document, part);
            if (value == nullptr || layers.of(value->place) <= layers.of(published->place))
                continue;
            formats +=
                fmt::format("{}{} {}", formats.empty() ? "" : ", ", name, to_string(peak.value));
            if (changed.empty()) {
                changed = part;
                place = value->place;
            }
            break;
        }
    }
    if (formats.empty()) return found;
    found.push_back({place, "peak_published",
                     fmt::format("still that of {} ({}), though {} was changed: figures per peak "
                                 "FLOP rest on it, or on peak_matrix where that is larger",
                                 chip.variant_of, formats, changed),
                     "state peak_published anew"});
    return found;
}

std::vector<Diagnostic> stale_power(const ChipSpec& chip, const Node& document) {
    std::vector<Diagnostic> found;
    if (chip.variant_of.empty() || chip.peak_matrix.empty()) return found;
    const Layers layers(chip);
    const auto layer_of = [&](std::string_view path) {
        const Node* value = value_at(document, path);
        return value != nullptr ? layers.of(value->place) : 0;
    };
    // Of a chip that exists it is a fact, with whatever it draws.
    const auto changed = [&](const std::string& path, int beside) {
        return layer_of(path) > beside && value_at(document, path + ".source") == nullptr;
    };
    const Energies energies = energies_of(chip);
    const double best = energies.best_product.value;
    const double share = sustained_share(chip, energies);
    const int cap = std::max(layer_of("power"), layer_of("energy.cap"));
    const std::string memory = "hbm.bandwidth";
    if (share < 1 && changed(memory, cap)) {
        found.push_back(
            {value_at(document, memory)->place, memory,
             fmt::format("changed under a power cap that stayed at {}: at rest the package draws "
                         "{} of it, memory's stacks and interfaces included, and long products "
                         "keep {:.0f} % of the clock: faster memory can make them slower",
                         to_string(energies.cap.value), to_string(energies.static_power.value),
                         100 * share / best),
             "state the power that it is to have"});
    }
    const std::string clock = "cores.clock";
    const std::string energy = fmt::format("energy.matrix.{}", to_string(product_format(chip)));
    if (changed(clock, std::max(cap, layer_of(energy)))) {
        found.push_back({value_at(document, clock)->place, clock,
                         fmt::format("changed, and a FLOP draws what it draws at the clock and "
                                     "voltage of {}",
                                     chip.variant_of),
                         fmt::format("state {}: it goes with the square of the voltage", energy)});
    }
    return found;
}

std::vector<Diagnostic> contradicted_core(const ChipSpec& chip, const Node& document) {
    std::vector<Diagnostic> found;
    if (!chip.cores || !chip.core) return found;
    const CoresSpec& cores = *chip.cores;
    const L2PathSpec& l2 = chip.core->l2;
    constexpr double kRounding = 1.02;
    const auto place_of = [&](std::string_view path) {
        const Node* value = value_at(document, path);
        return value != nullptr ? value->place : Place{};
    };
    const BytesPerSecond port(*l2.read_bytes_per_cycle * cores.clock.value.value());
    const BytesPerSecond share = *l2.bandwidth / static_cast<double>(*cores.matrix);
    if (!chip.core->memory.resident && cores.feed.value > min(port, share) * kRounding) {
        found.push_back(
            {place_of("cores.feed"), "cores.feed",
             fmt::format("{} a core, where core.l2 lets {} through a core's port and has {} for "
                         "each of {} cores: kernel libraries that were fitted and the structure "
                         "would answer for two different caches",
                         to_string(cores.feed.value), to_string(port), to_string(share),
                         *cores.matrix),
             "state cores.feed anew, or core.l2.read_bytes_per_cycle and core.l2.bandwidth"});
    }
    if (cores.accumulator.value > chip.core->accumulator.size.value * kRounding) {
        found.push_back(
            {place_of("cores.accumulator"), "cores.accumulator",
             fmt::format("{} for the sums of a tile, where core.accumulator.size is {} in all",
                         to_string(cores.accumulator.value),
                         to_string(chip.core->accumulator.size.value)),
             "state both: the structure keeps two tiles of sums where they fit"});
    }
    // A multiply-add is one operation or two, and some units do several a lane.
    const double lanes = *chip.core->vector.operations_per_cycle *
                         static_cast<double>(*cores.vector) * cores.clock.value.value();
    const double each = chip.peak_vector.value.value() / lanes;
    constexpr double kLeast = 0.5, kMost = 5;
    if (each < kLeast || each > kMost) {
        found.push_back(
            {place_of("peak_vector"), "peak_vector",
             fmt::format("{} are {:.3g} FLOP for each of the {:.3g} operations a second "
                         "that core.vector has on {} vector cores",
                         to_string(chip.peak_vector.value), each, lanes, *cores.vector),
             "state peak_vector anew, or core.vector.operations_per_cycle"});
    }
    return found;
}

std::vector<Diagnostic> doubtful_values(const ChipSpec& chip, const Node& document) {
    std::vector<Diagnostic> found = stale_peaks(chip, document);
    for (auto& notes : {stale_power(chip, document), contradicted_core(chip, document)})
        found.insert(found.end(), notes.begin(), notes.end());
    return found;
}

std::vector<Diagnostic> unseen_changes(const ChipSpec& chip, const Node& document,
                                       const KernelLibrarySpec& library) {
    const Node* core = document.find("core");
    if (chip.variant_of.empty() || core == nullptr || library.kind == KernelKind::structural)
        return {};
    std::vector<std::pair<std::string, Place>> leaves;
    collect(*core, "core", leaves);
    const Layers layers(chip);
    const Changed changed = changed_of(leaves, layers);
    if (changed.paths.empty()) return {};
    // Whoever changed it and named the library with it knows.
    const Node* named = document.find("kernels");
    if (named != nullptr && layers.of(named->place) >= layers.of(changed.place)) return {};
    return {{changed.place, "core",
             fmt::format("{} changed, which kernel library {} does not look at: its habits stand "
                         "for the core's insides, and answers at tile stay as they are",
                         changed.paths, library.name),
             "kernels: structural, or --fidelity cycle, answers from the structure"}};
}

std::vector<Diagnostic> unseen_changes(const Node& device, const ChipSpec& chip,
                                       const KernelLibrarySpec& library) {
    const bool by_banks = chip.core && chip.core->memory.fabric;
    if (!chip.memory || (by_banks && library.kind == KernelKind::structural)) return {};
    const std::string& name = chip.memory->device;
    std::vector<std::pair<std::string, Place>> leaves;
    for (const Node::Entry& entry : device.entries) collect(entry.value, entry.key, leaves);
    // Written in one file it is a device like any other; laid over another it is a what-if.
    std::set<std::string> files;
    for (const auto& [path, place] : leaves) {
        if (place.line > 0) files.insert(place.file);
    }
    const Changed changed = changed_of(leaves, Layers(name, files.size() > 1));
    if (changed.paths.empty()) return {};
    if (by_banks) {
        return {{changed.place, "memory.device",
                 fmt::format("{} of {} changed, which kernel library {} does not look at: its "
                             "habits stand for the banks, and answers at tile stay as they are",
                             changed.paths, name, library.name),
                 "kernels: structural, or --fidelity cycle, answers from the banks"}};
    }
    return {{changed.place, "memory.device",
             fmt::format("{} of {} changed, which no operator's time rests on: those go by the "
                         "chip's bandwidth and core.memory.efficiency",
                         changed.paths, name),
             "core.memory.fabric instead of efficiency goes by the banks; podsim characterize "
             "shows what they sustain"}};
}

}  // namespace podsim
