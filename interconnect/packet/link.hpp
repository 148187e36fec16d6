// A directed link: serialisation, latency, bit errors with replay.
//
// Ports: `in` (from a TransmitPort), `out` (to a ReceivePort); credits pass from out to in after
// the link's latency.
//
//   a packet that starts at t ends at t + wire / bandwidth and is there at t + wire / bandwidth +
//   latency; its header, where the node behind cuts through, at t + header / bandwidth + latency.
//   It does not end before its own last byte has come from the link before.
//
// Bit errors: a packet of `wire` bytes is spoilt with 1 - (1 - rate)^(8 wire). Whoever receives
// says so (NAK) and drops all that follows until it has come whole: go back N. The NAK is there
// two latencies after the spoilt packet ended; then it and all sent since go again, in order,
// and each may be spoilt again. Packets wait for their last byte on such a link. NAKs are not
// lost, acknowledgements cost nothing.
//
// Parameters: LinkParameters. Statistics: packets, payload, wire, replayed (bytes), retries.
#pragma once

#include <cstdint>
#include <vector>

#include "base/systemc.hpp"
#include "interconnect/packet/engine.hpp"
#include "interconnect/packet/protocol.hpp"

namespace podsim {

struct LinkParameters {
    double bytes_per_picosecond = 0;
    Picoseconds latency = 0;
    double bit_error_rate = 0;
    std::uint32_t cut_through_header = 0;  // bytes after which the node behind may act; 0: all
    // Of the fastest link behind that node: one that is faster than this waits for as much of a
    // packet as lets it send the rest without a gap. 0: none is.
    double onward_bytes_per_picosecond = 0;
    std::uint64_t seed = 1, number = 0;  // name the draws of bit errors
};

struct LinkStatistics {
    std::uint64_t packets = 0, payload = 0, wire = 0, replayed = 0, retries = 0;
};

class Link final : public sc_core::sc_module,
                   public PacketForward,
                   public PacketBackward,
                   public EventTarget {
  public:
    Link(const sc_core::sc_module_name& name, PacketEngine& engine,
         const LinkParameters& parameters);

    const LinkStatistics& statistics() const { return statistics_; }
    bool replaying() const { return !lost_.empty(); }

  private:
    tlm::tlm_sync_enum nb_transport_fw(Packet& packet, PacketPhase& phase,
                                       sc_core::sc_time& time) override;
    tlm::tlm_sync_enum nb_transport_bw(Packet& packet, PacketPhase& phase,
                                       sc_core::sc_time& time) override;
    void on_event(std::uint64_t what) override;
    void transmit(Packet& packet);
    Picoseconds onward_time(std::uint32_t wire) const;
    bool spoilt(std::uint32_t wire);
    Picoseconds serialisation(std::uint32_t wire);

    PacketEngine& engine_;
    const LinkParameters parameters_;
    const double picoseconds_per_byte_;
    Picoseconds free_at_ = 0, header_time_ = 0;
    double remainder_ = 0;  // of a picosecond, so that rounding does not add up
    std::uint64_t draws_ = 0;
    std::vector<Packet*> lost_;  // sent, and to be sent again
    LinkStatistics statistics_;
    tlm::tlm_fw_transport_if<PacketProtocol>* behind_ = nullptr;  // `out`, once it is bound

  public:
    PacketTargetSocket in;  // last: see ports.hpp
    PacketInitiatorSocket out;
};

}  // namespace podsim
