#include "chips/address_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

#include "base/random.hpp"

namespace podsim {

namespace {

constexpr std::array<const char*, 5> kParts = {"column", "channel", "group", "bank", "stack"};

struct Item {
    int part = -1;   // into kParts, -1: unknown
    long count = 0;  // 0: what is left
    bool sound = true;
};

Item read_item(const std::string& text) {
    Item item;
    const auto colon = text.find(':');
    const std::string name = text.substr(0, colon);
    for (std::size_t i = 0; i < kParts.size(); ++i) {
        if (name == kParts[i]) item.part = static_cast<int>(i);
    }
    if (colon == std::string::npos) return item;
    const std::string digits = text.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), item.count);
    item.sound = error == std::errc() && end == digits.data() + digits.size() && item.count > 0;
    return item;
}

int shift_of(std::uint64_t count) {
    for (int shift = 0; shift < 63; ++shift) {
        if (count == std::uint64_t{1} << shift) return shift;
    }
    return -1;
}

}  // namespace

std::vector<std::string> problems_of_address(const std::vector<std::string>& order) {
    std::vector<std::string> problems;
    std::array<int, kParts.size()> whole{};
    for (const std::string& text : order) {
        const Item item = read_item(text);
        if (item.part < 0) {
            problems.push_back(fmt::format("no part of an address is called {}", text));
        } else if (!item.sound) {
            problems.push_back(
                fmt::format("{} has no whole number above 0 behind the colon", text));
        } else if (item.count == 0) {
            ++whole[static_cast<std::size_t>(item.part)];
        }
    }
    for (std::size_t i = 0; i < kParts.size(); ++i) {
        if (whole[i] == 1) continue;
        problems.push_back(whole[i] == 0
                               ? fmt::format("{} is left out", kParts[i])
                               : fmt::format("{} without a count stands twice", kParts[i]));
    }
    return problems;
}

AddressMap::AddressMap(const std::vector<std::string>& order, const AddressShape& shape,
                       bool hash_banks, bool hash_channels)
    : shape_(shape),
      access_shift_(shift_of(static_cast<std::uint64_t>(shape.access))),
      hash_banks_(hash_banks),
      hash_channels_(hash_channels) {
    const std::array<long, 5> wholes = {shape.accesses_per_row, shape.channels, shape.groups,
                                        shape.banks, shape.stack_ids};
    std::array<long, 5> left = wholes;
    for (const std::string& text : order) {
        const Item item = read_item(text);
        if (item.part < 0 || !item.sound) throw std::invalid_argument("address: " + text);
        long& rest = left[static_cast<std::size_t>(item.part)];
        long count = item.count;
        if (item.part == 0 && count > 0) count = std::max(1L, count / shape.bursts_per_access);
        if (count == 0) count = rest;
        if (rest % count != 0) {
            throw std::invalid_argument(
                fmt::format("address: {} does not divide the {} that are left", text, rest));
        }
        const long weight = wholes[static_cast<std::size_t>(item.part)] / rest;
        rest /= count;
        if (count == 1) continue;
        digits_.push_back({static_cast<Part>(item.part), static_cast<std::uint64_t>(count),
                           shift_of(static_cast<std::uint64_t>(count)),
                           static_cast<std::uint64_t>(weight)});
    }
    for (const long rest : left) {
        if (rest != 1) throw std::invalid_argument("address: a part is left out");
    }
    power_of_two_banks_ = shift_of(static_cast<std::uint64_t>(shape.groups)) >= 0 &&
                          shift_of(static_cast<std::uint64_t>(shape.banks)) >= 0;
    long below = shape.access;
    for (const Digit& digit : digits_) {
        if (digit.part == Part::channel) break;
        below *= static_cast<long>(digit.count);
    }
    interleave_ = below;
}

MemoryPlace AddressMap::place(std::uint64_t address) const {
    std::uint64_t rest = access_shift_ >= 0 ? address >> access_shift_
                                            : address / static_cast<std::uint64_t>(shape_.access);
    std::array<std::uint64_t, 5> value{};
    std::uint64_t above_channel = 0;
    for (const Digit& digit : digits_) {
        const std::uint64_t next = digit.shift >= 0 ? rest >> digit.shift : rest / digit.count;
        const std::uint64_t part =
            rest - (digit.shift >= 0 ? next << digit.shift : next * digit.count);
        value[static_cast<std::size_t>(digit.part)] += part * digit.weight;
        rest = next;
        if (digit.part == Part::channel) above_channel = rest;
    }
    const auto channels = static_cast<std::uint64_t>(shape_.channels);
    if (hash_channels_ && channels > 1) value[1] = (value[1] + mix_bits(above_channel)) % channels;
    if (hash_banks_ && power_of_two_banks_) {
        // Permutation-based interleaving (Zhang, Zhu and Zhang, MICRO 2000): rows that would meet
        // in a bank spread over all of them.
        value[2] ^= rest & static_cast<std::uint64_t>(shape_.groups - 1);
        value[3] ^= (rest / static_cast<std::uint64_t>(shape_.groups)) &
                    static_cast<std::uint64_t>(shape_.banks - 1);
    }
    MemoryPlace place;
    place.channel = static_cast<int>(value[1]);
    place.stack_id = static_cast<int>(value[4]);
    place.group = static_cast<int>(value[4] * static_cast<std::uint64_t>(shape_.groups) + value[2]);
    place.bank = static_cast<int>(static_cast<std::uint64_t>(place.group) *
                                      static_cast<std::uint64_t>(shape_.banks) +
                                  value[3]);
    place.row = static_cast<std::int32_t>(rest & 0x7fffffff);
    return place;
}

}  // namespace podsim
