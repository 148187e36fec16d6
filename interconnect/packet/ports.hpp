// The two ends of a link, as parts of whatever has ports: a source, a sink, a switch.
//
// TransmitPort: socket; credits of each virtual channel of the buffer behind the link. It sends
// when the link is free and the channel has credits for the packet whole (virtual cut-through's
// rule, Kermani and Kleinrock, 1979), and tells its owner when either may have changed.
// Sockets stand last: what every packet touches is then side by side, and a large network is as
// fast as its caches are. ReceivePort: socket; announced packets in their row until they are there;
// the buffer's bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "interconnect/packet/engine.hpp"
#include "interconnect/packet/protocol.hpp"

namespace podsim {

class PortOwner {
  public:
    // The link took what was sent (`freed`) or credits came back.
    virtual void transmit_ready(int port, bool freed) = 0;
    virtual void packet_arrived(int port, Packet& packet) = 0;

  protected:
    ~PortOwner() = default;
};

class TransmitPort final : public PacketBackward, public EventTarget {
  public:
    TransmitPort(const std::string& name, PacketEngine& engine, PortOwner& owner, int port);

    // As many bytes for each channel; none: without end.
    void set_credits(const std::vector<std::int64_t>& bytes) { credits_ = full_ = bytes; }
    // Of the link: packets of another ring begin in the first of their class's `lanes`; all change
    // to the second at a dateline.
    void set_ring(int lanes, int ring, bool dateline) {
        lanes_ = static_cast<std::uint8_t>(lanes);
        ring_ = static_cast<std::uint8_t>(ring);
        dateline_ = dateline;
    }

    bool has_lanes() const { return lanes_ > 1; }
    bool free() const { return !busy_; }
    bool counts_credits() const { return !credits_.empty(); }
    bool has_credit(std::uint8_t channel, std::uint8_t ring, std::uint32_t wire) const {
        return credits_.empty() || credits_[channel_after(channel, ring)] >= wire;
    }
    // Wants free() and has_credit(). Returns the time until the link is free.
    Picoseconds send(Packet& packet);

    std::int64_t credits_returned() const { return returned_; }
    bool credits_complete() const { return credits_ == full_; }

  private:
    std::uint8_t channel_after(std::uint8_t channel, std::uint8_t ring) const {
        if (lanes_ < 2 || (!dateline_ && ring == ring_)) return channel;
        return static_cast<std::uint8_t>(channel / lanes_ * lanes_ + (dateline_ ? 1 : 0));
    }
    tlm::tlm_sync_enum nb_transport_bw(Packet& packet, PacketPhase& phase,
                                       sc_core::sc_time& time) override;
    void on_event(std::uint64_t what) override;

    PacketEngine& engine_;
    PortOwner& owner_;
    const int port_;
    std::uint8_t lanes_ = 1, ring_ = 0;
    bool dateline_ = false;
    bool busy_ = false;
    tlm::tlm_fw_transport_if<PacketProtocol>* behind_ = nullptr;  // the socket, once it is bound
    std::vector<std::int64_t> credits_, full_;
    std::int64_t returned_ = 0;

  public:
    PacketInitiatorSocket socket;
};

class ReceivePort final : public PacketForward, public EventTarget {
  public:
    // `latency`: from arrival to what the owner does with it.
    ReceivePort(const std::string& name, PacketEngine& engine, PortOwner& owner, int port,
                Picoseconds latency);

    // Bytes of each channel; 0: without end, and no credits go back.
    void set_buffer(std::int64_t bytes, int channels) {
        buffer_ = bytes;
        held_.assign(static_cast<std::size_t>(channels), 0);
    }

    // The packet's bytes leave the buffer, its last one after `time`.
    void release(std::uint8_t channel, std::uint32_t wire, Picoseconds time);

    std::int64_t deepest() const { return deepest_; }
    bool empty() const;

  private:
    tlm::tlm_sync_enum nb_transport_fw(Packet& packet, PacketPhase& phase,
                                       sc_core::sc_time& time) override;
    void on_event(std::uint64_t what) override;

    PacketEngine& engine_;
    PortOwner& owner_;
    const int port_;
    const Picoseconds latency_;
    PacketRow coming_;
    std::int64_t buffer_ = 0, deepest_ = 0;
    std::vector<std::int64_t> held_;
    Packet credit_;

  public:
    PacketTargetSocket socket;
};

}  // namespace podsim
