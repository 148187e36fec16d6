#include <exception>

#include "interconnect/packet/fabric.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {

PacketResult run_packets(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                         const PacketSettings& settings) {
    const SystemcSession session;
    PacketFabric fabric(network, traffic, settings);
    fabric.start();
    sc_core::sc_start();
    if (const std::exception_ptr error = fabric.engine().error()) std::rethrow_exception(error);
    return fabric.finish();
}

}  // namespace podsim
