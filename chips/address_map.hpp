// Which channel, bank and row an address falls into: a mixed-radix number whose digits are named
// from the lowest up, so that counts need not be powers of two (five stacks, twelve).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace podsim {

// `channel` counts pseudo-channels of all stacks; `bank` all banks behind one, those of a group
// side by side, groups of a stack id side by side.
struct MemoryPlace {
    int channel = 0, bank = 0, group = 0, stack_id = 0;
    std::int32_t row = 0;
};

struct AddressShape {
    long access = 64;  // bytes that stay together
    long accesses_per_row = 16;
    long channels = 1, groups = 4, banks = 4, stack_ids = 1;
    long bursts_per_access = 2;  // what a count of `column` is divided by
};

// What is wrong with the names of an order: unknown ones, parts left out or said twice.
std::vector<std::string> problems_of_address(const std::vector<std::string>& order);

class AddressMap {
  public:
    // Throws std::invalid_argument where a count does not divide what there is.
    AddressMap(const std::vector<std::string>& order, const AddressShape& shape, bool hash_banks,
               bool hash_channels);

    MemoryPlace place(std::uint64_t address) const;

    // Bytes that lie side by side in one pseudo-channel before the next one's turn.
    long interleave() const { return interleave_; }

  private:
    enum class Part { column, channel, group, bank, stack };
    struct Digit {
        Part part;
        std::uint64_t count;
        int shift;             // of a power of two, else -1
        std::uint64_t weight;  // of a column's digit, in accesses
    };
    std::vector<Digit> digits_;
    AddressShape shape_;
    int access_shift_;
    bool hash_banks_, hash_channels_, power_of_two_banks_;
    long interleave_ = 0;
};

}  // namespace podsim
