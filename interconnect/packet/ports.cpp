#include "interconnect/packet/ports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace podsim {

namespace {

constexpr std::uint64_t kFreed = 0;  // else a credit: (bytes << 8) + channel + 1

}  // namespace

TransmitPort::TransmitPort(const std::string& name, PacketEngine& engine, PortOwner& owner,
                           int port)
    : engine_(engine), owner_(owner), port_(port), socket(name.c_str()) {
    socket.bind(*this);
}

Picoseconds TransmitPort::send(Packet& packet) {
    packet.channel = channel_after(packet.channel, packet.ring);
    packet.ring = ring_;
    if (!credits_.empty()) credits_[packet.channel] -= packet.wire;
    busy_ = true;
    PacketPhase phase = PacketPhase::send;
    sc_core::sc_time time;
    if (behind_ == nullptr) behind_ = socket.operator->();
    if (behind_->nb_transport_fw(packet, phase, time) != tlm::TLM_UPDATED)
        throw std::logic_error(fmt::format("{}: no link behind it", socket.name()));
    const Picoseconds until_free = to_picoseconds(time);
    engine_.at(engine_.now() + until_free, *this, kFreed, behind_);
    return until_free;
}

tlm::tlm_sync_enum TransmitPort::nb_transport_bw(Packet& packet, PacketPhase& phase,
                                                 sc_core::sc_time& time) {
    if (phase != PacketPhase::credit || credits_.empty())
        throw std::logic_error(fmt::format("{}: credits that nobody counts", socket.name()));
    engine_.at(engine_.now() + to_picoseconds(time), *this,
               (static_cast<std::uint64_t>(packet.wire) << 8) + packet.channel + 1U);
    return tlm::TLM_ACCEPTED;
}

void TransmitPort::on_event(std::uint64_t what) {
    if (what == kFreed) {
        busy_ = false;
    } else {
        const std::uint64_t bytes = (what - 1) >> 8;
        credits_[(what - 1) & 255U] += static_cast<std::int64_t>(bytes);
        returned_ += static_cast<std::int64_t>(bytes);
    }
    owner_.transmit_ready(port_, what == kFreed);
}

ReceivePort::ReceivePort(const std::string& name, PacketEngine& engine, PortOwner& owner, int port,
                         Picoseconds latency)
    : engine_(engine), owner_(owner), port_(port), latency_(latency), socket(name.c_str()) {
    socket.bind(*this);
}

tlm::tlm_sync_enum ReceivePort::nb_transport_fw(Packet& packet, PacketPhase& phase,
                                                sc_core::sc_time& time) {
    if (phase != PacketPhase::send)
        throw std::logic_error(fmt::format("{}: an unknown phase", socket.name()));
    packet.arrived = engine_.now() + to_picoseconds(time) + latency_;
    packet.whole = packet.arrived + packet.trail;
    // A link delivers in order, so one event for the first of the row is enough.
    if (coming_.empty()) engine_.at(packet.arrived, *this, 0, &packet);
    coming_.push(packet);
    return tlm::TLM_ACCEPTED;
}

void ReceivePort::on_event(std::uint64_t) {
    Packet& packet = coming_.pop();
    ++packet.hop;
    if (!coming_.empty()) engine_.at(coming_.front().arrived, *this, 0, &coming_.front());
    if (buffer_ > 0) {
        std::int64_t& held = held_[packet.channel];
        held += packet.wire;
        deepest_ = std::max(deepest_, held);
        if (held > buffer_) {
            throw std::logic_error(
                fmt::format("{}: {} bytes in a buffer of {}", socket.name(), held, buffer_));
        }
    }
    owner_.packet_arrived(port_, packet);
}

void ReceivePort::release(std::uint8_t channel, std::uint32_t wire, Picoseconds time) {
    if (buffer_ == 0) return;
    held_[channel] -= wire;
    credit_.channel = channel;
    credit_.wire = wire;
    PacketPhase phase = PacketPhase::credit;
    sc_core::sc_time after = to_sc_time(time);
    socket->nb_transport_bw(credit_, phase, after);
}

bool ReceivePort::empty() const {
    return coming_.empty() &&
           std::all_of(held_.begin(), held_.end(), [](std::int64_t held) { return held == 0; });
}

}  // namespace podsim
