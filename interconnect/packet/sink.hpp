// Takes an endpoint's packets and returns what they held.
//
// Ports: port0, port1... (from links). Parameters: input buffer, response limit, acknowledgement
// time. Statistics: packets of each class, their latencies, the time of the last.
//
// A packet that is here gives its buffer back at once and its pool's credits after the pool's
// time. Where as many responses as allowed wait to leave, a request that wants another waits in
// its buffer, and all behind it on its channel.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "interconnect/packet/latency_histogram.hpp"
#include "interconnect/packet/parts.hpp"
#include "interconnect/packet/source.hpp"

namespace podsim {

class PacketSink final : public sc_core::sc_module, public PortOwner, public EventTarget {
  public:
    PacketSink(const sc_core::sc_module_name& name, const PacketContext& context, int ports);

    ReceivePort& port(int index) { return *ports_[static_cast<std::size_t>(index)]; }

    void set_pool(CreditPool* pool) { pool_ = pool; }
    // How many responses wait to leave this endpoint.
    void set_responses_waiting(std::function<int()> ask) { responses_waiting_ = std::move(ask); }
    // Told of a marked packet, so much later as acknowledgements take.
    void on_mark(std::function<void(std::uint32_t source)> act) { mark_ = std::move(act); }
    void response_sent();

    const std::vector<std::uint64_t>& delivered() const { return delivered_; }
    std::uint64_t payload() const { return payload_; }
    std::uint64_t marked() const { return marked_; }
    const LatencyHistogram& latency() const { return latency_; }
    bool empty() const;

  private:
    void transmit_ready(int, bool) override {}
    void packet_arrived(int port, Packet& packet) override;
    void on_event(std::uint64_t source) override;
    bool must_wait(const Packet& packet) const;
    void consume(int port, Packet& packet);

    const PacketContext context_;
    Parts<ReceivePort> ports_;
    std::vector<PacketRow> held_;  // [port x channels + channel]
    CreditPool* pool_ = nullptr;
    std::function<int()> responses_waiting_;
    std::function<void(std::uint32_t)> mark_;
    std::vector<std::uint64_t> delivered_;
    std::uint64_t payload_ = 0, marked_ = 0;
    LatencyHistogram latency_;
};

}  // namespace podsim
