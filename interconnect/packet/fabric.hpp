// A network of modules from its plain description: chip0.source, chip0.sink, plane0.switch3,
// links.link7, bound to each other. Names with dots become levels of SystemC's hierarchy.
//
// Made inside a SystemcSession, before sc_start(), and gone before the session. finish() checks
// what must hold at the end.
#pragma once

#include <memory>
#include <vector>

#include "interconnect/packet/credit_pool.hpp"
#include "interconnect/packet/link.hpp"
#include "interconnect/packet/packet_switch.hpp"
#include "interconnect/packet/parts.hpp"
#include "interconnect/packet/sink.hpp"
#include "interconnect/packet/source.hpp"

namespace podsim {

class PacketFabric {
  public:
    // `network` and `traffic` outlive it.
    PacketFabric(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                 const PacketSettings& settings);
    PacketFabric(const PacketFabric&) = delete;
    PacketFabric& operator=(const PacketFabric&) = delete;
    ~PacketFabric();

    void start() { board_->start(); }
    PacketEngine& engine() { return *engine_; }

    // After the last event. Throws std::runtime_error: a standstill, a law broken.
    PacketResult finish() const;

  private:
    class Group;
    struct NodePlan;
    void require_delivered() const;
    void require_conserved() const;
    PacketLinkUse use_of(std::size_t link) const;

    const PacketNetworkSpec& network_;
    const PacketTraffic& traffic_;
    const PacketSettings settings_;
    PacketPool packets_;
    std::unique_ptr<PacketEngine> engine_;
    std::unique_ptr<PacketRoutes> routes_;
    std::unique_ptr<MessageBoard> board_;
    std::unique_ptr<PacketContext> context_;
    std::vector<std::unique_ptr<CreditPool>> pools_;
    std::vector<NodePlan> plans_;
    // The top of the hierarchy.
    Parts<sc_core::sc_module> top_;
    Parts<Group> groups_;
    std::vector<TransmitPort*> transmits_;
    std::vector<Link*> links_;            // by the network's number; dead ones null
    std::vector<PacketSource*> sources_;  // by endpoint
    std::vector<PacketSink*> sinks_;
    std::vector<PacketSwitch*> switches_;  // by node
};

}  // namespace podsim
