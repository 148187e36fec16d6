#include "interconnect/packet/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
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
    queues_of_port_.resize(links.size());
    turn_.resize(links.size());
    injected_.resize(static_cast<std::size_t>(context.classes()));
    served_.resize(context.board.collectives());
    for (Served& served : served_) served.payload.resize(links.size());
}

void PacketSource::set_rates(const RateControl& rates) {
    rates_ = rates;
}

// A row for messages that any of these links may take, made when it is first asked for.
std::size_t PacketSource::row_for(const std::vector<int>& links) {
    const auto [known, is_new] = known_rows_.try_emplace(links, ports_of_row_.size());
    if (!is_new) return known->second;
    const PacketEndpointSpec& its = context_.settings.endpoint;
    const std::size_t first = queues_.size(), of_row = injected_.size() * served_.size();
    queues_.resize(first + of_row, SourceQueue(its.queues, its.lookahead));
    due_.resize(queues_.size(), queues_.back().due());
    std::vector<int>& ports = ports_of_row_.emplace_back();
    for (const int link : links) {
        const auto found = std::find(links_.begin(), links_.end(), link);
        if (found == links_.end())
            throw std::invalid_argument(fmt::format("{}: link {} is not here", name(), link));
        ports.push_back(static_cast<int>(found - links_.begin()));
        for (std::size_t c = 0; c < of_row; ++c)
            queues_of_port_[static_cast<std::size_t>(ports.back())].push_back(
                static_cast<std::uint32_t>(first + c));
    }
    return known->second;
}

void PacketSource::release(std::uint32_t number) {
    const PacketMessage& message = context_.board.message(number);
    const PacketChoice ways = context_.routes.first_links(endpoint_, message.destination);
    const std::vector<int>& links = ways.links;
    if (links.empty()) {
        throw std::invalid_argument(
            fmt::format("message {}: no route from endpoint {} to endpoint {} at {}", number,
                        endpoint_, message.destination, name()));
    }
    if (message.message_class == MessageClass::response) ++responses_waiting_;
    const std::uint32_t size = context_.board.size(number);
    const PathChoice choice = context_.settings.endpoint.path_choice;
    if (links.size() == 1 || (choice == PathChoice::least_queued && !ways.by_shares())) {
        put(row_for(links), number, size);
    } else if (choice == PathChoice::hash_message) {
        const std::uint32_t hash = context_.board.hash(number);
        put(row_for({links[ways.by_shares() ? ways.at(hash) : hash % links.size()]}), number, size);
    } else if (ways.by_shares()) {
        put_by_shares(ways, number, size);
    } else {
        // Packets in turn: of `packets` the port that is next gets every links.size()-th.
        const std::uint32_t packets = (size + full_ - 1) / full_;
        const std::uint64_t first = packets_in_turn_;
        packets_in_turn_ += packets;
        const auto turns = static_cast<std::uint32_t>(links.size());
        for (std::uint32_t way = 0; way < std::min(turns, packets); ++way) {
            const std::uint32_t count = (packets - way + turns - 1) / turns;
            const bool has_last = (packets - 1) % turns == way;
            const std::uint32_t bytes = count * full_ - (has_last ? packets * full_ - size : 0);
            put(row_for({links[(first + way) % turns]}), number, bytes);
        }
    }
}

// Packets in turn, so that each link gets its share of what goes to one destination.
void PacketSource::put_by_shares(const PacketChoice& choice, std::uint32_t number,
                                 std::uint32_t size) {
    std::uint32_t& turn = turns_by_share_[context_.board.destination(number)];
    std::vector<std::uint32_t> bytes(choice.links.size(), 0);
    for (std::uint32_t left = size; left > 0;) {
        const std::uint32_t payload = std::min(left, full_);
        bytes[choice.in_turn(context_.board.hash(number), turn++)] += payload;
        left -= payload;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i)
        if (bytes[i] > 0) put(row_for({choice.links[i]}), number, bytes[i]);
}

void PacketSource::put(std::size_t row, std::uint32_t message, std::uint32_t bytes) {
    const PacketMessage& its = context_.board.message(message);
    const std::size_t place =
        context_.channel_of(its.message_class) / static_cast<std::size_t>(context_.lanes);
    const std::uint64_t line =
        static_cast<std::uint64_t>(its.piece) << 32 | static_cast<std::uint32_t>(its.destination);
    const std::size_t queue =
        (row * served_.size() + static_cast<std::size_t>(its.collective)) * injected_.size() +
        place;
    Served& served = served_of(queue);
    for (std::size_t port = 0; served.waiting == 0 && port < links_.size(); ++port) {
        double least = std::numeric_limits<double>::infinity();
        for (const Served& other : served_)
            if (other.waiting > 0) least = std::min(least, other.payload[port]);
        if (std::isfinite(least)) served.payload[port] = std::max(served.payload[port], least);
    }
    ++served.waiting;
    queues_[queue].put(line, message, bytes, now_);
    due_[queue] = queues_[queue].due();
    for (const int port : ports_of_row_[row]) try_port(port);
}

void PacketSource::try_port(int index) {
    const auto p = static_cast<std::size_t>(index);
    TransmitPort& port = *ports_[p];
    if (!port.free()) return;
    const std::vector<std::uint32_t>& queues = queues_of_port_[p];
    constexpr double kNever = std::numeric_limits<double>::infinity();
    for (tried_.clear();;) {
        // Of the collective that has had least the one that is due first, of several the first in
        // turn.
        double least = kNever, had = kNever;
        std::size_t next = queues.size();
        for (std::size_t i = 0, at = turn_[p]; i < queues.size();
             ++i, at = at + 1 < queues.size() ? at + 1 : 0) {
            const double due = due_[queues[at]];
            if (due == kNever) continue;
            const double its = served_.size() > 1 ? served_of(queues[at]).payload[p] : 0;
            if (its > had || (its == had && due >= least)) continue;
            if (std::find(tried_.begin(), tried_.end(), at) != tried_.end()) continue;
            least = due;
            had = its;
            next = at;
        }
        if (next == queues.size()) return;
        if (try_queue(index, queues[next])) {
            turn_[p] = (next + 1) % queues.size();
            return;
        }
        tried_.push_back(next);
    }
}

bool PacketSource::try_queue(int port, std::size_t queue) {
    std::uint32_t message = 0, payload = 0;
    const auto goes = [&](std::uint32_t number, std::uint32_t bytes) {
        return may_go(port, number, bytes);
    };
    const std::uint64_t before = queues_[queue].messages();
    if (!queues_[queue].take(full_, goes, message, payload, now_)) return false;
    Served& served = served_of(queue);
    served.payload[static_cast<std::size_t>(port)] += payload;
    served.waiting -= before - queues_[queue].messages();
    due_[queue] = queues_[queue].due();
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
    for (const SourceQueue& queue : queues_) waiting += queue.messages();
    return waiting;
}

}  // namespace podsim
