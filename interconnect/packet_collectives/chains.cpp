#include "interconnect/packet_collectives/chains.hpp"

#include <algorithm>
#include <utility>

namespace podsim::packet_collectives {

namespace {

using CameLast = std::vector<std::vector<std::vector<int>>>;  // [chain][rank]: messages

// What came in one chain has come in all.
void join(CameLast& last) {
    for (std::size_t rank = 0; !last.empty() && rank < last.front().size(); ++rank) {
        std::vector<int> all;
        for (const auto& chain : last)
            all.insert(all.end(), chain[rank].begin(), chain[rank].end());
        std::sort(all.begin(), all.end());
        all.erase(std::unique(all.begin(), all.end()), all.end());
        for (auto& chain : last) chain[rank] = all;
    }
}

}  // namespace

PacketTraffic messages_of(const std::vector<Chain>& chains, const Pipeline& pipeline, int ranks,
                          int collective) {
    PacketTraffic traffic;
    std::vector<std::size_t> start(chains.size(), 0), source(chains.size(), 0);
    std::size_t rounds = 0;
    for (std::size_t c = 0; c < chains.size(); ++c) {
        if (!pipeline.forks.empty()) {
            source[c] = pipeline.forks[c].from;
            if (pipeline.forks[c].steps > 0) start[c] = start[source[c]] + pipeline.forks[c].steps;
        } else if (pipeline.behind > 0 && c >= pipeline.behind) {
            source[c] = c - pipeline.behind;
            start[c] = start[source[c]] + pipeline.steps;
        }
        rounds = std::max(rounds, start[c] + chains[c].size());
    }
    struct Came {
        std::size_t chain;
        int rank, message;
    };
    CameLast last(chains.size(), std::vector<std::vector<int>>(static_cast<std::size_t>(ranks)));
    for (std::size_t round = 0; round < rounds; ++round) {
        if (std::find(pipeline.joins.begin(), pipeline.joins.end(), round) != pipeline.joins.end())
            join(last);
        std::vector<Came> came;
        for (std::size_t c = 0; c < chains.size(); ++c) {
            if (round < start[c] || round >= start[c] + chains[c].size()) continue;
            if (round == start[c] && start[c] > 0) last[c] = last[source[c]];
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
