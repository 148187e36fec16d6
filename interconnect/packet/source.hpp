// Sends an endpoint's messages as packets.
//
// Ports: port0, port1... (to links). Parameters: PacketSettings (packet and header bytes,
// lookahead, path choice, congestion control). Statistics: packets of each channel, longest row of
// messages.
//
// Messages wait in rows, one for each set of ports that leads to their destination and each class.
// A free port takes the next packet of the first message of a row (source_queue.hpp: of `lookahead`
// ones, or of all destinations in turn) that has credits (of the destination's pool, of the port's
// channel) and is within the rate that congestion control leaves it. Of rows and classes the one
// whose packet is due first is next, or they take turns. A hash, packets in turn, or shares settle
// the port of a message, or of each of its packets, when it is released.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "interconnect/packet/credit_pool.hpp"
#include "interconnect/packet/message_board.hpp"
#include "interconnect/packet/parts.hpp"
#include "interconnect/packet/ports.hpp"
#include "interconnect/packet/rate_control.hpp"
#include "interconnect/packet/routes.hpp"
#include "interconnect/packet/source_queue.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {

// What the parts of a network share.
struct PacketContext {
    PacketEngine& engine;
    PacketPool& packets;
    const PacketRoutes& routes;
    MessageBoard& board;
    const PacketSettings& settings;
    int lanes = 1;  // of each class: 2 where there are datelines

    int classes() const { return settings.separate_classes ? 2 : 1; }
    int channels() const { return classes() * lanes; }
    std::uint8_t channel_of(MessageClass c) const {
        const bool second = settings.separate_classes && c == MessageClass::response;
        return static_cast<std::uint8_t>(second ? lanes : 0);
    }
};

class PacketSource final : public sc_core::sc_module,
                           public PortOwner,
                           public MessageSender,
                           public CreditUser,
                           public EventTarget {
  public:
    // `links[i]`: the network's number of the link of port i; -1 where it is dead.
    PacketSource(const sc_core::sc_module_name& name, const PacketContext& context, int endpoint,
                 const std::vector<int>& links);

    TransmitPort& port(int index) { return *ports_[static_cast<std::size_t>(index)]; }
    int ports() const { return static_cast<int>(ports_.size()); }

    // Of all destinations, by number; none: no pools. Before the start.
    void set_pools(const std::vector<std::unique_ptr<CreditPool>>* pools) { pools_ = pools; }
    void set_rates(const RateControl& rates);
    // Told when a response has left.
    void on_response_sent(std::function<void()> act) { response_sent_ = std::move(act); }

    void release(std::uint32_t number) override;
    void marked(std::uint32_t destination);
    int responses_waiting() const { return responses_waiting_; }
    const std::vector<std::uint64_t>& injected() const { return injected_; }
    std::uint64_t messages_waiting() const;

  private:
    // Several collectives have equal shares of a port: the one with the least payload goes first;
    // one that had nothing to send begins with the least of those that have.
    struct Served {
        std::vector<double> payload;  // [port]
        std::uint64_t waiting = 0;    // messages
    };

    void transmit_ready(int port, bool freed) override;
    void packet_arrived(int, Packet&) override {}
    void pool_ready() override;
    void on_event(std::uint64_t what) override;

    std::size_t row_for(const std::vector<int>& links);
    void put(std::size_t row, std::uint32_t message, std::uint32_t bytes);
    void put_by_shares(const PacketChoice& choice, std::uint32_t message, std::uint32_t size);
    void try_all();
    void try_port(int index);
    bool try_queue(int port, std::size_t queue);
    bool may_go(int port, std::uint32_t message, std::uint32_t payload);
    void send(int port, std::uint32_t number, std::uint32_t payload);
    Served& served_of(std::size_t queue) {
        return served_[queue / injected_.size() % served_.size()];
    }
    void response_part_sent(std::uint32_t number, std::uint32_t payload);

    const PacketContext context_;
    const int endpoint_;
    const std::uint32_t full_, header_;  // bytes of a packet's payload, of its header
    const std::vector<int> links_;
    Parts<TransmitPort> ports_;
    std::map<std::vector<int>, std::size_t> known_rows_;
    std::vector<SourceQueue> queues_;  // [(row x collectives + collective) x classes + class]
    std::vector<double> due_;          // [queue]
    double now_ = 0;                   // the queues' time
    std::vector<std::vector<int>> ports_of_row_;
    std::vector<std::vector<std::uint32_t>> queues_of_port_;
    std::vector<std::size_t> turn_;                          // [port]: of its queues
    std::vector<Served> served_;                             // [collective]
    std::vector<std::size_t> tried_;                         // places of its queues that may not go
    std::map<std::uint32_t, std::uint32_t> turns_by_share_;  // packets to each destination
    std::vector<std::uint64_t> injected_;
    const std::vector<std::unique_ptr<CreditPool>>* pools_ = nullptr;
    std::function<void()> response_sent_;
    int responses_waiting_ = 0;
    std::map<std::uint32_t, std::uint32_t> responses_sent_;  // bytes, of those under way
    std::uint64_t packets_ = 0, packets_in_turn_ = 0;
    RateControl rates_;
    Picoseconds wake_at_ = -1;
};

}  // namespace podsim
