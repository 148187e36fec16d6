// What is still to be delivered, and what may be sent once something has been. A plain object that
// sources and sinks share; sources know their part of the traffic by the numbers it gives out.
#pragma once

#include <cstdint>
#include <vector>

#include "interconnect/packet/engine.hpp"
#include "interconnect/packet_traffic.hpp"

namespace podsim {

// Who sends messages.
class MessageSender {
  public:
    virtual void release(std::uint32_t message) = 0;

  protected:
    ~MessageSender() = default;
};

class MessageBoard final : public EventTarget {
  public:
    // Throws std::invalid_argument: an endpoint that is not there, a message to oneself, without
    // size, above 2^31 bytes, after one that is not there or in a circle.
    MessageBoard(PacketEngine& engine, const PacketTraffic& traffic, int endpoints,
                 Picoseconds handling, std::uint64_t seed);

    const PacketMessage& message(std::uint32_t number) const { return traffic_[number]; }
    std::uint32_t destination(std::uint32_t number) const { return states_[number].destination; }
    MessageClass message_class(std::uint32_t number) const { return states_[number].its_class; }
    std::uint32_t size(std::uint32_t number) const { return states_[number].size; }
    // Of its pair and piece: the same for all messages of them, as of the addresses in a header.
    std::uint32_t hash(std::uint32_t number) const { return states_[number].hash; }
    std::uint32_t collectives() const { return collectives_; }  // the greatest number, and one
    std::uint32_t messages() const { return static_cast<std::uint32_t>(states_.size()); }

    // One for each endpoint; before start().
    void set_senders(std::vector<MessageSender*> senders) { senders_ = std::move(senders); }
    void start();

    void delivered(std::uint32_t message, std::uint32_t payload);
    // Whether the receiver of `message` answers it.
    bool is_answered(std::uint32_t message) const { return states_[message].answered; }

    Picoseconds delivery(std::uint32_t message) const { return states_[message].delivered; }
    std::uint32_t undelivered() const { return undelivered_; }
    std::uint32_t remaining(std::uint32_t message) const { return states_[message].remaining; }

  private:
    struct State {
        std::uint32_t size = 0, remaining = 0, waits_for = 0;
        std::uint32_t destination = 0;  // from the traffic, nearer by
        std::uint32_t hash = 0;
        MessageClass its_class = MessageClass::request;
        bool answered = false;
        Picoseconds entry = 0, delivered = -1;
    };
    void on_event(std::uint64_t message) override;
    void require_no_circle() const;

    PacketEngine& engine_;
    const PacketTraffic& traffic_;
    const Picoseconds handling_;
    std::vector<State> states_;
    std::uint32_t collectives_ = 1;
    std::vector<std::vector<std::uint32_t>> waiting_;  // who waits for each; empty if nobody does
    std::vector<MessageSender*> senders_;
    std::uint32_t undelivered_ = 0;
};

}  // namespace podsim
