#include "interconnect/packet/link.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "base/random.hpp"

namespace podsim {

Link::Link(const sc_core::sc_module_name& name, PacketEngine& engine,
           const LinkParameters& parameters)
    : sc_module(name),
      engine_(engine),
      parameters_(parameters),
      picoseconds_per_byte_(1.0 / parameters.bytes_per_picosecond),
      in("in"),
      out("out") {
    if (!(parameters.bytes_per_picosecond > 0) || parameters.latency < 0 ||
        !(parameters.bit_error_rate >= 0 && parameters.bit_error_rate < 1)) {
        throw std::invalid_argument(std::string(this->name()) +
                                    ": a link wants a bandwidth above 0, a latency of 0 or more "
                                    "and a bit error rate below 1");
    }
    header_time_ = static_cast<Picoseconds>(
        std::llround(parameters.cut_through_header * picoseconds_per_byte_));
    in.bind(*this);
    out.bind(*this);
}

Picoseconds Link::serialisation(std::uint32_t wire) {
    const double exact = wire * picoseconds_per_byte_ + remainder_;
    const auto whole = static_cast<Picoseconds>(exact);
    remainder_ = exact - static_cast<double>(whole);
    return whole;
}

// Which the next link takes at least.
Picoseconds Link::onward_time(std::uint32_t wire) const {
    const double rate = parameters_.onward_bytes_per_picosecond;
    return rate > 0 ? static_cast<Picoseconds>(wire / rate)
                    : std::numeric_limits<Picoseconds>::max() / 2;
}

bool Link::spoilt(std::uint32_t wire) {
    if (parameters_.bit_error_rate <= 0) return false;
    const double chance = -std::expm1(8.0 * wire * std::log1p(-parameters_.bit_error_rate));
    return uniform(parameters_.seed, parameters_.number, draws_++) < chance;
}

void Link::transmit(Packet& packet) {
    const Picoseconds start = std::max(engine_.now(), free_at_);
    const Picoseconds end = std::max(start + serialisation(packet.wire), packet.whole);
    free_at_ = end;
    const bool bad = spoilt(packet.wire);
    if (bad && lost_.empty()) engine_.at(end + 2 * parameters_.latency, *this);
    if (bad || !lost_.empty()) {
        lost_.push_back(&packet);
        return;
    }
    const bool cut_through = parameters_.cut_through_header > 0 && parameters_.bit_error_rate <= 0;
    const Picoseconds announced =
        cut_through ? std::min(end, std::max(start + header_time_, end - onward_time(packet.wire)))
                    : end;
    packet.trail = end - announced;
    ++statistics_.packets;
    statistics_.payload += packet.payload;
    statistics_.wire += packet.wire;
    PacketPhase phase = PacketPhase::send;
    sc_core::sc_time time = to_sc_time(announced + parameters_.latency - engine_.now());
    if (behind_ == nullptr) behind_ = out.operator->();
    behind_->nb_transport_fw(packet, phase, time);
}

tlm::tlm_sync_enum Link::nb_transport_fw(Packet& packet, PacketPhase&, sc_core::sc_time& time) {
    transmit(packet);
    time = to_sc_time(free_at_ - engine_.now());
    return tlm::TLM_UPDATED;
}

tlm::tlm_sync_enum Link::nb_transport_bw(Packet& packet, PacketPhase& phase,
                                         sc_core::sc_time& time) {
    time += to_sc_time(parameters_.latency);
    return in->nb_transport_bw(packet, phase, time);
}

// The NAK is here.
void Link::on_event(std::uint64_t) {
    ++statistics_.retries;
    const std::vector<Packet*> again = std::exchange(lost_, {});
    for (Packet* packet : again) {
        statistics_.replayed += packet->wire;
        transmit(*packet);
    }
}

}  // namespace podsim
