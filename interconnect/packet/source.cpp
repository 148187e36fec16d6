#include "interconnect/packet/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace podsim {

PacketSource::PacketSource(const sc_core::sc_module_name& name, const PacketContext& context,
                           int endpoint, const std::vector<int>& links)
    : sc_module(name),
      context_(context),
      endpoint_(endpoint),
      full_(static_cast<std::uint32_t>(context.settings.packet_payload.value())),
      header_(static_cast<std::uint32_t>(context.settings.packet_header.value())),
      links_(links) {
    for (std::size_t i = 0; i < links.size(); ++i) {
        ports_.push_back(links[i] < 0 ? nullptr
                                      : std::make_unique<TransmitPort>(fmt::format("port{}", i),
                                                                       context.engine, *this,
                                                                       static_cast<int>(i)));
    }
    rows_of_port_.resize(links.size());
    turn_.resize(links.size());
    injected_.resize(static_cast<std::size_t>(context.classes()));
}

void PacketSource::set_rates(const RateControl& rates) {
    rates_ = rates;
}

// A row for messages that any of these links may take, made when it is first asked for.
std::size_t PacketSource::row_for(const std::vector<int>& links) {
    const auto [known, is_new] = known_rows_.try_emplace(links, rows_.size());
    if (!is_new) return known->second;
    Row& row = rows_.emplace_back();
    const PacketEndpointSpec& its = context_.settings.endpoint;
    row.classes.assign(static_cast<std::size_t>(context_.classes()),
                       SourceQueue(its.queues, its.lookahead));
    std::vector<int>& ports = ports_of_row_.emplace_back();
    for (const int link : links) {
        const auto found = std::find(links_.begin(), links_.end(), link);
        if (found == links_.end())
            throw std::invalid_argument(fmt::format("{}: link {} is not here", name(), link));
        ports.push_back(static_cast<int>(found - links_.begin()));
        rows_of_port_[static_cast<std::size_t>(ports.back())].push_back(known->second);
    }
    return known->second;
}

void PacketSource::release(std::uint32_t number) {
    const PacketMessage& message = context_.board.message(number);
    const std::vector<int> links = context_.routes.first_links(endpoint_, message.destination);
    if (links.empty()) {
        throw std::invalid_argument(
            fmt::format("message {}: no route from endpoint {} to endpoint {} at {}", number,
                        endpoint_, message.destination, name()));
    }
    if (message.message_class == MessageClass::response) ++responses_waiting_;
    const std::uint32_t size = context_.board.size(number);
    const PathChoice choice = context_.settings.endpoint.path_choice;
    if (links.size() == 1 || choice == PathChoice::least_queued) {
        put(row_for(links), number, size);
    } else if (choice == PathChoice::hash_message) {
        put(row_for({links[context_.board.hash(number) % links.size()]}), number, size);
    } else {
        // Packets in turn: of `packets` the port that is next gets every links.size()-th.
        const std::uint32_t packets = (size + full_ - 1) / full_;
        const std::uint64_t first = packets_in_turn_;
        packets_in_turn_ += packets;
        const auto ways = static_cast<std::uint32_t>(links.size());
        for (std::uint32_t way = 0; way < std::min(ways, packets); ++way) {
            const std::uint32_t count = (packets - way + ways - 1) / ways;
            const bool has_last = (packets - 1) % ways == way;
            const std::uint32_t bytes = count * full_ - (has_last ? packets * full_ - size : 0);
            put(row_for({links[(first + way) % ways]}), number, bytes);
        }
    }
}

void PacketSource::put(std::size_t row, std::uint32_t message, std::uint32_t bytes) {
    const PacketMessage& its = context_.board.message(message);
    const std::size_t place =
        context_.channel_of(its.message_class) / static_cast<std::size_t>(context_.lanes);
    const std::uint64_t line =
        static_cast<std::uint64_t>(its.piece) << 32 | static_cast<std::uint32_t>(its.destination);
    rows_[row].classes[place].put(line, message, bytes);
    for (const int port : ports_of_row_[row]) try_port(port);
}

void PacketSource::try_port(int index) {
    const auto p = static_cast<std::size_t>(index);
    TransmitPort& port = *ports_[p];
    if (!port.free()) return;
    const std::size_t classes = injected_.size();
    const std::size_t turns = rows_of_port_[p].size() * classes;
    for (std::size_t i = 0; i < turns; ++i) {
        const std::size_t at = (turn_[p] + i) % turns;
        auto& queue = rows_[rows_of_port_[p][at / classes]].classes[at % classes];
        if (queue.empty() || !try_queue(index, queue)) continue;
        turn_[p] = (at + 1) % turns;
        return;
    }
}

bool PacketSource::try_queue(int port, SourceQueue& queue) {
    std::uint32_t message = 0, payload = 0;
    const auto goes = [&](std::uint32_t number, std::uint32_t bytes) {
        return may_go(port, number, bytes);
    };
    if (!queue.take(full_, goes, message, payload)) return false;
    send(port, message, payload);
    return true;
}

bool PacketSource::may_go(int port, std::uint32_t message, std::uint32_t payload) {
    const std::uint32_t destination = context_.board.destination(message);
    const std::uint32_t wire = payload + header_;
    const std::uint8_t channel = context_.channel_of(context_.board.message_class(message));
    if (!ports_[static_cast<std::size_t>(port)]->has_credit(channel, 0, wire)) return false;
    if (rates_.on() && rates_.next_time(destination) > context_.engine.now()) {
        const Picoseconds next = rates_.next_time(destination);
        if (wake_at_ < 0 || next < wake_at_) {
            wake_at_ = next;
            context_.engine.at(next, *this);
        }
        return false;
    }
    return pools_ == nullptr || (*pools_)[destination]->take(endpoint_, wire);
}

void PacketSource::send(int port, std::uint32_t number, std::uint32_t payload) {
    const MessageClass its = context_.board.message_class(number);
    Packet& packet = context_.packets.take();
    packet.message = number;
    packet.source = static_cast<std::uint32_t>(endpoint_);
    packet.destination = context_.board.destination(number);
    packet.payload = payload;
    packet.wire = payload + header_;
    packet.hash = context_.board.hash(number);
    packet.channel = context_.channel_of(its);
    packet.injected = packet.arrived = packet.whole = context_.engine.now();
    context_.routes.assign_path(packet, links_[static_cast<std::size_t>(port)], packets_++);
    ++injected_[packet.channel / static_cast<std::size_t>(context_.lanes)];
    if (rates_.on()) rates_.sent(packet.destination, packet.wire, context_.engine.now());
    ports_[static_cast<std::size_t>(port)]->send(packet);
    if (its == MessageClass::response) response_part_sent(number, payload);
}

// A response has left when all its bytes have.
void PacketSource::response_part_sent(std::uint32_t number, std::uint32_t payload) {
    std::uint32_t& sent = responses_sent_[number];
    sent += payload;
    if (sent < context_.board.size(number)) return;
    responses_sent_.erase(number);
    --responses_waiting_;
    if (response_sent_) response_sent_();
}

void PacketSource::marked(std::uint32_t destination) {
    if (rates_.on()) rates_.marked(destination, context_.engine.now());
}

void PacketSource::try_all() {
    for (int port = 0; port < ports(); ++port)
        if (ports_[static_cast<std::size_t>(port)]) try_port(port);
}

void PacketSource::transmit_ready(int port, bool) {
    try_port(port);
}

void PacketSource::pool_ready() {
    try_all();
}

void PacketSource::on_event(std::uint64_t) {
    wake_at_ = -1;
    try_all();
}

std::uint64_t PacketSource::messages_waiting() const {
    std::uint64_t waiting = 0;
    for (const Row& row : rows_)
        for (const SourceQueue& queue : row.classes) waiting += queue.messages();
    return waiting;
}

}  // namespace podsim
