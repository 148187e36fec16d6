#include "chips/hbm/access_stream.hpp"

#include <cmath>
#include <stdexcept>

#include "base/random.hpp"

namespace podsim {

namespace {

// A stream walks on for so many bytes, then somewhere else: rows of two streams that meet in a bank
// would go on meeting there for as long as both walk in step.
constexpr std::uint64_t kWalk = 8192;
constexpr std::uint64_t kRow = 1024;

}  // namespace

AccessStream::AccessStream(const AccessPattern& pattern) : pattern_(pattern) {
    if (pattern.request < 1 || pattern.requests < 1)
        throw std::invalid_argument("a pattern needs requests of at least one byte");
    if (pattern.order == AccessOrder::random) {
        if (pattern.chunk < pattern.request || pattern.chunk % pattern.request != 0)
            throw std::invalid_argument("a chunk is a whole number of requests");
        per_chunk_ = static_cast<std::uint64_t>(pattern.chunk / pattern.request);
    }
    if (pattern.order == AccessOrder::streams && pattern.streams < 1)
        throw std::invalid_argument("a pattern of streams needs one");
    if (pattern.order == AccessOrder::strided && pattern.stride < 1)
        throw std::invalid_argument("a stride is at least one byte");
    if (!(pattern.write_share >= 0 && pattern.write_share <= 1))
        throw std::invalid_argument("a share of writes lies between 0 and 1");
    if (!(pattern.load >= 0)) throw std::invalid_argument("a load is not negative");
    if (pattern.footprint < static_cast<std::uint64_t>(pattern.chunk + pattern.request))
        throw std::invalid_argument("the footprint holds no chunk");
}

AccessRequest AccessStream::next() {
    const std::uint64_t n = count_++;
    const auto request = static_cast<std::uint64_t>(pattern_.request);
    const auto writes = [&](std::uint64_t which) {
        return pattern_.write_share > 0 && uniform(pattern_.seed, 1, which) < pattern_.write_share;
    };
    switch (pattern_.order) {
        case AccessOrder::sequential:
            return {n * request % pattern_.footprint, writes(n)};
        case AccessOrder::strided:
            return {n * static_cast<std::uint64_t>(pattern_.stride) % pattern_.footprint,
                    writes(n)};
        case AccessOrder::streams: {
            const auto streams = static_cast<std::uint64_t>(pattern_.streams);
            const std::uint64_t stream = n % streams;
            // They begin in different parts of a walk, so that they do not all jump at once.
            const std::uint64_t at = n / streams * request + random_bits(pattern_.seed, 5, stream) %
                                                                 kWalk / request * request;
            const std::uint64_t rows = pattern_.footprint / kRow;
            const std::uint64_t row = random_bits(pattern_.seed, 4, stream, at / kWalk) % rows;
            const std::uint64_t address = row * kRow + at % kWalk;
            if (pattern_.mixed) return {address, writes(n)};
            // Streams that write lie among those that read, in the share asked for.
            const double before = std::floor(static_cast<double>(stream) * pattern_.write_share);
            const double after = std::floor(static_cast<double>(stream + 1) * pattern_.write_share);
            return {address, after > before};
        }
        case AccessOrder::random: {
            const std::uint64_t within = n % per_chunk_;
            if (within == 0 && n > 0) ++chunk_;
            const std::uint64_t places =
                pattern_.footprint / static_cast<std::uint64_t>(pattern_.chunk);
            const std::uint64_t place = random_bits(pattern_.seed, 2, chunk_) % places;
            return {place * static_cast<std::uint64_t>(pattern_.chunk) + within * request,
                    writes(chunk_)};
        }
    }
    return {};
}

double AccessStream::gap(double mean) {
    return pattern_.even ? mean : -mean * std::log(uniform(pattern_.seed, 3, gaps_++));
}

}  // namespace podsim
