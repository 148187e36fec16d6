#include "interconnect/packet/message_board.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/random.hpp"

namespace podsim {

namespace {

[[noreturn]] void refuse(std::size_t message, const char* what) {
    throw std::invalid_argument(fmt::format("message {}: {}", message, what));
}

}  // namespace

MessageBoard::MessageBoard(PacketEngine& engine, const PacketTraffic& traffic, int endpoints,
                           Picoseconds handling, std::uint64_t seed)
    : engine_(engine), traffic_(traffic), handling_(handling) {
    states_.resize(traffic.size());
    for (std::size_t m = 0; m < traffic.size(); ++m) {
        const PacketMessage& message = traffic[m];
        for (const int end : {message.source, message.destination})
            if (end < 0 || end >= endpoints) refuse(m, "an endpoint that is not there");
        if (message.source == message.destination) refuse(m, "from an endpoint to itself");
        const double size = std::ceil(message.size.value());
        if (!(size >= 1 && size < 2147483648.0)) refuse(m, "a size outside 1 B to 2 GiB");
        if (message.collective < 0) refuse(m, "a collective below 0");
        collectives_ = std::max(collectives_, static_cast<std::uint32_t>(message.collective) + 1);
        State& state = states_[m];
        state.size = state.remaining = static_cast<std::uint32_t>(size);
        state.destination = static_cast<std::uint32_t>(message.destination);
        state.hash = static_cast<std::uint32_t>(
            random_bits(seed, message.source, message.destination, message.piece));
        state.its_class = message.message_class;
        state.entry = to_picoseconds(message.entry);
        for (const int before : message.after) {
            if (before < 0 || static_cast<std::size_t>(before) >= traffic.size())
                refuse(m, "after a message that is not there");
            if (waiting_.empty()) waiting_.resize(traffic.size());
            waiting_[static_cast<std::size_t>(before)].push_back(static_cast<std::uint32_t>(m));
            ++state.waits_for;
            if (message.message_class == MessageClass::response &&
                traffic[static_cast<std::size_t>(before)].destination == message.source) {
                states_[static_cast<std::size_t>(before)].answered = true;
            }
        }
    }
    undelivered_ = messages();
    if (!waiting_.empty()) require_no_circle();
}

void MessageBoard::require_no_circle() const {
    std::vector<std::uint32_t> left(states_.size()), row;
    for (std::uint32_t m = 0; m < messages(); ++m) {
        left[m] = states_[m].waits_for;
        if (left[m] == 0) row.push_back(m);
    }
    for (std::size_t head = 0; head < row.size(); ++head)
        for (const std::uint32_t next : waiting_[row[head]])
            if (--left[next] == 0) row.push_back(next);
    for (std::uint32_t m = 0; m < messages(); ++m)
        if (left[m] > 0) refuse(m, "waits for itself by way of others");
}

void MessageBoard::start() {
    for (std::uint32_t m = 0; m < messages(); ++m) {
        if (states_[m].waits_for == 0)
            engine_.at(std::max(engine_.now(), states_[m].entry), *this, m);
    }
}

void MessageBoard::on_event(std::uint64_t message) {
    senders_[static_cast<std::size_t>(traffic_[message].source)]->release(
        static_cast<std::uint32_t>(message));
}

void MessageBoard::delivered(std::uint32_t message, std::uint32_t payload) {
    State& state = states_[message];
    if (payload > state.remaining) refuse(message, "more arrives than was sent");
    state.remaining -= payload;
    if (state.remaining > 0) return;
    state.delivered = engine_.now();
    --undelivered_;
    if (waiting_.empty()) return;
    for (const std::uint32_t next : waiting_[message]) {
        if (--states_[next].waits_for > 0) continue;
        engine_.at(std::max(engine_.now() + handling_, states_[next].entry), *this, next);
    }
}

}  // namespace podsim
