// A set of small numbers in which the next after a given one is found 64 at a time: who of the
// inputs wants an output.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace podsim {

class NumberSet {
  public:
    explicit NumberSet(int size = 0) : words_((static_cast<std::size_t>(size) + 63) / 64) {}

    void insert(int number) { word(number) |= bit(number); }
    void erase(int number) { word(number) &= ~bit(number); }
    bool has(int number) const {
        return (words_[static_cast<std::size_t>(number) / 64] & bit(number)) != 0;
    }

    // The first number from `from` on that is in both sets, around the end; -1: none.
    static int next_in_both(const NumberSet& a, const NumberSet& b, int from) {
        const std::size_t words = a.words_.size();
        if (words == 0) return -1;
        const std::size_t first = static_cast<std::size_t>(from) / 64 % words;
        const std::uint64_t high = ~std::uint64_t{0} << (from % 64);
        for (std::size_t i = 0; i <= words; ++i) {
            const std::size_t w = (first + i) % words;
            std::uint64_t common = a.words_[w] & b.words_[w];
            if (i == 0) common &= high;
            if (i == words) common &= ~high;
            if (common != 0) return static_cast<int>(w * 64) + std::countr_zero(common);
        }
        return -1;
    }

  private:
    static std::uint64_t bit(int number) { return std::uint64_t{1} << (number % 64); }
    std::uint64_t& word(int number) { return words_[static_cast<std::size_t>(number) / 64]; }
    std::vector<std::uint64_t> words_;
};

}  // namespace podsim
