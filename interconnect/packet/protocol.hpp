// What modules of a network say to each other: a TLM-2.0 protocol of its own (IEEE 1666-2011,
// 14: a traits class with its own transaction and phases), over tlm_initiator_socket and
// tlm_target_socket.
//
//   forward   send     the packet leaves its port now. The link answers TLM_UPDATED with the time
//                      until it takes the next; whoever stands behind it is told at once, with the
//                      time until the packet (its header, where it cuts through) is there.
//   backward  credit   `wire` bytes of buffer of `channel` are free again, after the given time.
//
// Times are relative to the engine's now().
#pragma once

#include <cstdint>
#include <deque>
#include <stdexcept>

#include "base/systemc.hpp"

namespace podsim {

struct Packet {
    Packet* next = nullptr;  // in whatever row it stands
    std::uint32_t message = 0, source = 0, destination = 0;
    std::uint32_t payload = 0, wire = 0;  // bytes; wire: with its header
    std::uint32_t hash = 0;               // of its pair and piece (PacketMessage::piece)
    std::int32_t path = -1;               // of those given whole; -1: by the tables
    std::uint16_t hop = 0;                // links behind it
    std::uint16_t output = 0, input = 0;  // of the switch in which it waits
    std::uint8_t channel = 0;
    std::uint8_t ring = 0;     // of the last link (PacketLink::ring)
    bool marked = false;       // met a long queue
    Picoseconds injected = 0;  // left its source
    Picoseconds arrived = 0;   // where it is now
    Picoseconds whole = 0;     // when its last byte is where it is now
    Picoseconds trail = 0;     // on a link: from what is announced to the last byte
};

enum class PacketPhase { send, credit };

struct PacketProtocol {
    using tlm_payload_type = Packet;
    using tlm_phase_type = PacketPhase;
};

using PacketInitiatorSocket = tlm::tlm_initiator_socket<32, PacketProtocol>;
using PacketTargetSocket = tlm::tlm_target_socket<32, PacketProtocol>;

// The parts of TLM's interfaces that packets do not have.
class PacketForward : public tlm::tlm_fw_transport_if<PacketProtocol> {
  public:
    void b_transport(Packet&, sc_core::sc_time&) override {
        throw std::logic_error("packets have no blocking transport");
    }
    bool get_direct_mem_ptr(Packet&, tlm::tlm_dmi&) override { return false; }
    unsigned int transport_dbg(Packet&) override { return 0; }
};
class PacketBackward : public tlm::tlm_bw_transport_if<PacketProtocol> {
  public:
    void invalidate_direct_mem_ptr(sc_dt::uint64, sc_dt::uint64) override {}
};

// A row of packets, first in first out: a ring that its last packet closes. One pointer, since a
// switch has a row for each pair of ports and meets most of them cold.
class PacketRow {
  public:
    bool empty() const { return last_ == nullptr; }
    Packet& front() const { return *last_->next; }
    void push(Packet& packet) {
        packet.next = last_ ? last_->next : &packet;
        if (last_) last_->next = &packet;
        last_ = &packet;
    }
    Packet& pop() {
        Packet& packet = *last_->next;
        if (&packet == last_) {
            last_ = nullptr;
        } else {
            last_->next = packet.next;
        }
        return packet;
    }
    // Of those that arrived when the first did, the one that `is_before` all others.
    template <class IsBefore>
    Packet& pop_of_first(const IsBefore& is_before) {
        Packet *at = last_->next, *best = at, *behind = last_;
        for (const Picoseconds first = at->arrived; at != last_ && at->next->arrived == first;
             at = at->next) {
            if (!is_before(*at->next, *best)) continue;
            best = at->next;
            behind = at;
        }
        behind->next = best->next;
        if (best == last_) last_ = best == behind ? nullptr : behind;
        return *best;
    }

  private:
    Packet* last_ = nullptr;
};

// Packets are made once and used again.
class PacketPool {
  public:
    Packet& take() {
        if (free_ == nullptr) return made_.emplace_back();
        Packet& packet = *free_;
        free_ = packet.next;
        packet = Packet{};
        return packet;
    }
    void give_back(Packet& packet) {
        packet.next = free_;
        free_ = &packet;
    }

  private:
    std::deque<Packet> made_;
    Packet* free_ = nullptr;  // the last given back first: it is still in the cache
};

}  // namespace podsim
