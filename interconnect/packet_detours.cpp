#include "interconnect/packet_detours.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.hpp"

namespace podsim {

namespace {

// Steps through 0 to n - 1 that leave no large gap wherever they end: of about the golden section.
std::uint64_t even_stride(int n) {
    auto stride = static_cast<std::uint64_t>(std::lround(0.618 * n));
    while (stride > 1 && std::gcd(stride, static_cast<std::uint64_t>(n)) != 1) --stride;
    return std::max<std::uint64_t>(1, stride);
}

}  // namespace

PacketTraffic over_thirds(const PacketTraffic& traffic, int endpoints, const DetourSpec& spec) {
    if (endpoints < 3 || !(spec.share > 0)) return traffic;
    const auto n = static_cast<std::uint64_t>(endpoints);
    const std::uint64_t stride = even_stride(endpoints);
    const double most =
        std::max(1.0, std::min(static_cast<double>(spec.most_pieces),
                               spec.most_messages / 2 / static_cast<double>(traffic.size())));
    std::vector<std::vector<int>> ends;  // of each message: what brings its parts
    PacketTraffic result;
    const auto add = [&](const PacketMessage& like, int from, int to, double bytes,
                         std::vector<int> after) {
        PacketMessage part = like;
        part.source = from;
        part.destination = to;
        part.size = Bytes(bytes);
        part.after = std::move(after);
        result.push_back(std::move(part));
        return static_cast<int>(result.size()) - 1;
    };
    for (std::size_t m = 0; m < traffic.size(); ++m) {
        const PacketMessage& message = traffic[m];
        std::vector<int> after;
        for (const int before : message.after) {
            const std::vector<int>& parts = ends.at(static_cast<std::size_t>(before));
            after.insert(after.end(), parts.begin(), parts.end());
        }
        std::vector<int>& here = ends.emplace_back();
        const double far = spec.share * message.size.value(), near = message.size.value() - far;
        if (near >= 1)
            here.push_back(add(message, message.source, message.destination, near, after));
        const auto pieces =
            static_cast<std::uint64_t>(std::clamp(far / spec.least_piece.value(), 1.0, most));
        const std::uint64_t first = random_bits(spec.seed, m);
        for (std::uint64_t i = 0; i < pieces && far >= 1; ++i) {
            const auto third = static_cast<int>((first % n + i * stride) % n);
            const double bytes = far / static_cast<double>(pieces);
            if (third == message.source || third == message.destination) {
                here.push_back(add(message, message.source, message.destination, bytes, after));
                continue;
            }
            const int half = add(message, message.source, third, bytes, after);
            here.push_back(add(message, third, message.destination, bytes, {half}));
        }
    }
    return result;
}

}  // namespace podsim
