#include "interconnect/packet/sink.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace podsim {

PacketSink::PacketSink(const sc_core::sc_module_name& name, const PacketContext& context, int ports)
    : sc_module(name), context_(context) {
    const auto buffer = static_cast<std::int64_t>(context.settings.endpoint.input_buffer.value());
    for (int i = 0; i < ports; ++i) {
        ports_.push_back(
            std::make_unique<ReceivePort>(fmt::format("port{}", i), context.engine, *this, i, 0));
        ports_.back()->set_buffer(buffer, context.channels());
    }
    held_.resize(static_cast<std::size_t>(ports) * static_cast<std::size_t>(context.channels()));
    delivered_.resize(static_cast<std::size_t>(context.classes()));
}

bool PacketSink::must_wait(const Packet& packet) const {
    const int limit = context_.settings.endpoint.response_limit;
    return limit > 0 && context_.board.is_answered(packet.message) && responses_waiting_ &&
           responses_waiting_() >= limit;
}

void PacketSink::packet_arrived(int port, Packet& packet) {
    PacketRow& held =
        held_[static_cast<std::size_t>(port) * static_cast<std::size_t>(context_.channels()) +
              packet.channel];
    if (!held.empty() || must_wait(packet)) {
        held.push(packet);
        return;
    }
    consume(port, packet);
}

void PacketSink::response_sent() {
    for (std::size_t i = 0; i < held_.size(); ++i) {
        while (!held_[i].empty() && !must_wait(held_[i].front()))
            consume(static_cast<int>(i) / context_.channels(), held_[i].pop());
    }
}

void PacketSink::consume(int port, Packet& packet) {
    ports_[static_cast<std::size_t>(port)]->release(packet.channel, packet.wire, 0);
    if (pool_ != nullptr) pool_->give_back(packet.wire);
    latency_.add(context_.engine.now() - packet.injected);
    ++delivered_[packet.channel / static_cast<std::size_t>(context_.lanes)];
    payload_ += packet.payload;
    if (packet.marked) {
        ++marked_;
        if (mark_) {
            const Picoseconds after =
                to_picoseconds(context_.settings.endpoint.congestion.acknowledge);
            context_.engine.at(context_.engine.now() + after, *this, packet.source);
        }
    }
    const std::uint32_t message = packet.message, payload = packet.payload;
    context_.packets.give_back(packet);
    context_.board.delivered(message, payload);
}

void PacketSink::on_event(std::uint64_t source) {
    mark_(static_cast<std::uint32_t>(source));
}

bool PacketSink::empty() const {
    const auto none = [](const auto& port) { return port->empty(); };
    return std::all_of(ports_.begin(), ports_.end(), none);
}

}  // namespace podsim
