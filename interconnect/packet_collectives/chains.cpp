#include "interconnect/packet_collectives/chains.hpp"

#include <algorithm>
#include <utility>

namespace podsim::packet_collectives {

PacketTraffic messages_of(const std::vector<Chain>& chains, const Pipeline& pipeline, int ranks,
                          int collective) {
    PacketTraffic traffic;
    std::vector<std::size_t> start(chains.size(), 0);
    std::size_t rounds = 0;
    for (std::size_t c = 0; c < chains.size(); ++c) {
        if (pipeline.behind > 0 && c >= pipeline.behind)
            start[c] = start[c - pipeline.behind] + pipeline.steps;
        rounds = std::max(rounds, start[c] + chains[c].size());
    }
    struct Came {
        std::size_t chain;
        int rank, message;
    };
    std::vector<std::vector<std::vector<int>>> last(  // [chain][rank]: came in its last step
        chains.size(), std::vector<std::vector<int>>(static_cast<std::size_t>(ranks)));
    for (std::size_t round = 0; round < rounds; ++round) {
        std::vector<Came> came;
        for (std::size_t c = 0; c < chains.size(); ++c) {
            if (round < start[c] || round >= start[c] + chains[c].size()) continue;
            if (round == start[c] && start[c] > 0) last[c] = last[c - pipeline.behind];
            for (const Send& send : chains[c][round - start[c]]) {
                if (send.from == send.to || !(send.bytes > 0)) continue;
                PacketMessage message;
                message.source = send.from;
                message.destination = send.to;
                message.size = Bytes(send.bytes);
                message.collective = collective;
                message.after = last[c][static_cast<std::size_t>(send.from)];
                came.push_back({c, send.to, static_cast<int>(traffic.size())});
                if (send.is_waited_for)
                    came.push_back({c, send.from, static_cast<int>(traffic.size())});
                traffic.push_back(std::move(message));
            }
        }
        for (const Came& one : came) last[one.chain][static_cast<std::size_t>(one.rank)].clear();
        for (const Came& one : came)
            last[one.chain][static_cast<std::size_t>(one.rank)].push_back(one.message);
    }
    return traffic;
}

}  // namespace podsim::packet_collectives
