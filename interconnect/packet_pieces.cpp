#include "interconnect/packet_pieces.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace podsim {

PacketTraffic in_pieces(const PacketTraffic& traffic, long pieces, Bytes most) {
    std::vector<std::pair<int, int>> made;  // first piece of each message, and how many
    PacketTraffic result;
    for (const PacketMessage& message : traffic) {
        long count = std::max(pieces, static_cast<long>(std::ceil(message.size / most)));
        count = std::clamp(count, 1L, std::max(1L, static_cast<long>(message.size.value())));
        PacketMessage piece = message;
        piece.size = message.size / static_cast<double>(count);
        piece.after.clear();
        for (const int before : message.after) {
            const auto& [first, number] = made.at(static_cast<std::size_t>(before));
            for (int i = 0; i < number; ++i) piece.after.push_back(first + i);
        }
        made.emplace_back(static_cast<int>(result.size()), static_cast<int>(count));
        for (long i = 0; i < count; ++i) {
            piece.piece = static_cast<int>(i % std::max(1L, pieces));
            result.push_back(piece);
        }
    }
    return result;
}

}  // namespace podsim
