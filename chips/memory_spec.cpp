#include "chips/memory_spec.hpp"

#include <fmt/format.h>

#include <cmath>

#include "base/form.hpp"
#include "chips/chip.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, MemorySpec& memory) {
    form.required("device", memory.device, "of configs/memories");
    form.required("stacks", memory.stacks, "stacks, packages or devices on the chip's package",
                  at_least(1));
    form.required("pin_rate", memory.pin_rate, "of one data pin", positive());
    form.optional("stack_capacity", memory.stack_capacity,
                  "usable bytes of one, where that is no size of the device's", positive());
}

template void describe(ReadForm&, MemorySpec&);
template void describe(SchemaForm&, MemorySpec&);

namespace {

constexpr double kTolerance = 0.02;
constexpr double kKeptBack = 0.08;

bool agrees(double stated, double of_stacks, double below = kTolerance) {
    return stated <= of_stacks * (1 + kTolerance) && stated >= of_stacks * (1 - below);
}

// Pins are spoken of in bits.
std::string pin_text(BytesPerSecond rate) {
    return fmt::format("{:.4g} Gb/s", rate.value() * 8e-9);
}

Place place_of(const Node& document, const char* section) {
    const Node* node = document.find(section);
    return node != nullptr ? node->place : document.place;
}

}  // namespace

std::vector<Diagnostic> contradictions(const MemorySpec& memory, const ChipSpec& chip,
                                       const MemoryDevice& device, const Node& chip_document) {
    std::vector<Diagnostic> found;
    const Place place = place_of(chip_document, "memory");
    const MainMemory stated = main_memory(chip);
    const auto stacks = static_cast<double>(memory.stacks.value);
    const MemoryOrganisation& o = device.organisation;
    const long pins = o.channels.value * o.pseudo_channels.value * o.width.value;
    const BytesPerSecond bandwidth = stacks * static_cast<double>(pins) * memory.pin_rate.value;
    if (!agrees(stated.bandwidth.value / bandwidth, 1)) {
        found.push_back(
            {place, "memory.pin_rate",
             fmt::format("{} stacks x {} pins x {} give {}, hbm.bandwidth is {}",
                         memory.stacks.value, pins, pin_text(memory.pin_rate.value),
                         to_string(bandwidth), to_string(stated.bandwidth.value)),
             fmt::format("correct one of them; they may differ by 2 %, {} would agree",
                         pin_text(memory.pin_rate.value * (stated.bandwidth.value / bandwidth)))});
    }
    // Memory on the board is 0 stacks of the package's silicon, whatever it is.
    const long priced = chip.silicon ? chip.silicon->hbm_stacks : 0;
    if (priced > 0 && priced != memory.stacks.value) {
        found.push_back(
            {place_of(chip_document, "silicon"), "silicon.hbm_stacks",
             fmt::format("{} stacks, memory.stacks says {}", priced, memory.stacks.value),
             "correct one of them; the price of the chip rests on this one"});
    }
    const double capacity = stated.capacity.value.value();
    if (memory.stack_capacity) {
        const double sum = stacks * memory.stack_capacity->value.value();
        if (agrees(capacity, sum)) return found;
        found.push_back({place, "memory.stack_capacity",
                         fmt::format("{} stacks x {} give {}, hbm.capacity is {}",
                                     memory.stacks.value, to_string(memory.stack_capacity->value),
                                     to_string(Bytes(sum)), to_string(stated.capacity.value)),
                         "correct one of them; they may differ by 2 %"});
        return found;
    }
    std::string sums;
    for (const Sourced<Bytes>& size : o.capacities) {
        if (agrees(capacity, stacks * size.value.value(), kKeptBack)) return found;
        sums += (sums.empty() ? "" : ", ") +
                fmt::format("x {} = {}", to_string(size.value), to_string(stacks * size.value));
    }
    found.push_back(
        {place, "memory.stacks",
         fmt::format("{} stacks of {} ({}) do not make the {} of hbm.capacity", memory.stacks.value,
                     device.name, sums, to_string(stated.capacity.value)),
         "correct one of them, or state stack_capacity"});
    return found;
}

std::vector<Diagnostic> check_memory(const ChipSpec& chip, const MemoryDevice& device,
                                     const Node& chip_document) {
    if (!chip.memory) return {};
    std::vector<Diagnostic> found = contradictions(*chip.memory, chip, device, chip_document);
    place_in_variant(chip_document, found);
    if (found.empty() || !chip.variant_of.empty()) return found;
    throw InputError(std::move(found));
}

}  // namespace podsim
