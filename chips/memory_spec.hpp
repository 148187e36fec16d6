// Which memory devices a chip carries, and whether that agrees with what its data sheet says.
#pragma once

#include <optional>
#include <string>

#include "base/diagnostic.hpp"
#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/memory_device.hpp"

namespace podsim {

struct ChipSpec;

struct MemorySpec {
    std::string device;  // of configs/memories
    Sourced<long> stacks;
    Sourced<BytesPerSecond> pin_rate;
    std::optional<Sourced<Bytes>> stack_capacity;  // where it is not one of the device's
};

template <class Form>
void describe(Form& form, MemorySpec& memory);

// Stacks that contradict hbm.bandwidth by more than 2 %, or hbm.capacity: by more than 2 % with a
// stated stack_capacity; without one, no size of the device's stacks explains the package, of which
// up to 8 % may be kept back (an H200 sells 141 of 144 GB); or other stacks than
// silicon.hbm_stacks. One diagnostic each, with the sum.
std::vector<Diagnostic> contradictions(const MemorySpec& memory, const ChipSpec& chip,
                                       const MemoryDevice& device, const Node& chip_document);

// The same for what a chip's file says: refused with InputError. A variant, which changed something
// of another chip (`variant_of`), is warned about instead: a what-if in bandwidth alone is meant.
std::vector<Diagnostic> check_memory(const ChipSpec& chip, const MemoryDevice& device,
                                     const Node& chip_document);

}  // namespace podsim
