// Random numbers that belong to a place and not to an order: the draw of (seed, rank, layer,
// step) is the same whoever asks first, so that folding, caching and parallel runs change no
// result. A counter-based generator (Salmon and others, "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011) on the mixing function of splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
#pragma once

#include <cstdint>
#include <type_traits>

namespace podsim {

// A bijection of 64 bits in which every bit of the input changes half the bits of the output.
constexpr std::uint64_t mix_bits(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// 64 random bits of a seed and any number of whole numbers that name the draw, whose order and
// number count: (1, 2), (2, 1), (1) and (1, 0) are four draws.
template <class... Id>
constexpr std::uint64_t random_bits(std::uint64_t seed, Id... ids) {
    static_assert((std::is_integral_v<Id> && ...), "a draw is named by whole numbers");
    std::uint64_t state = mix_bits(seed);
    // The factor keeps a seed and an id from trading places.
    ((state = mix_bits(3 * state ^ mix_bits(static_cast<std::uint64_t>(ids)))), ...);
    return mix_bits(state ^ sizeof...(Id));
}

// A random number above 0 and below 1, so that its logarithm is finite: the middle of one of
// 2^52 equal parts.
template <class... Id>
constexpr double uniform(std::uint64_t seed, Id... ids) {
    return (static_cast<double>(random_bits(seed, ids...) >> 12) + 0.5) * 0x1p-52;
}

}  // namespace podsim
