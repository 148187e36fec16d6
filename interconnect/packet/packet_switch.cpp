#include "interconnect/packet/packet_switch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/random.hpp"

namespace podsim {

PacketSwitch::PacketSwitch(const sc_core::sc_module_name& name, PacketEngine& engine,
                           const PacketRoutes& routes, const PacketSwitchSpec& spec, int node,
                           int inputs, const std::vector<int>& links, int channels)
    : sc_module(name),
      routes_(routes),
      spec_(spec),
      node_(node),
      channels_(channels),
      shared_(spec.queues == SwitchQueues::shared_memory),
      has_one_row_(shared_ && spec.arbitration == SwitchArbitration::oldest_first),
      free_inputs_(inputs),
      free_outputs_(static_cast<int>(links.size())),
      transit_(inputs),
      is_transit_(static_cast<std::size_t>(inputs)),
      mark_above_(static_cast<std::int64_t>(spec.mark_above.value())) {
    const auto outputs = static_cast<int>(links.size());
    const Picoseconds latency = to_picoseconds(spec.latency);
    for (int i = 0; i < inputs; ++i) {
        inputs_.push_back(
            std::make_unique<ReceivePort>(fmt::format("in{}", i), engine, *this, i, latency));
        inputs_.back()->set_buffer(static_cast<std::int64_t>(spec.input_buffer.value()), channels);
        free_inputs_.insert(i);
    }
    const auto living = [](int a, int b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); };
    first_link_ = -1;
    for (const int link : links) first_link_ = living(first_link_, link);
    for (int o = 0; o < outputs; ++o) {
        const int link = links[static_cast<std::size_t>(o)];
        ports_.push_back(
            link < 0 ? nullptr
                     : std::make_unique<TransmitPort>(fmt::format("port{}", o), engine, *this, o));
        if (link < 0) continue;
        const auto place = static_cast<std::size_t>(link - first_link_);
        if (place >= output_of_link_.size()) output_of_link_.resize(place + 1, -1);
        output_of_link_[place] = o;
        free_outputs_.insert(o);
    }
    outputs_.resize(links.size());
    for (Output& output : outputs_) {
        output.wanted_by.assign(static_cast<std::size_t>(channels), NumberSet(inputs));
        output.next_input.resize(static_cast<std::size_t>(channels));
        if (has_one_row_) output.oldest.resize(static_cast<std::size_t>(channels));
    }
    const bool plain = spec.queues == SwitchQueues::input_queued;
    const std::size_t by_input =
        static_cast<std::size_t>(inputs) * static_cast<std::size_t>(channels);
    rows_.resize(plain ? by_input : by_input * links.size());
    wants_.assign(static_cast<std::size_t>(inputs), NumberSet(outputs));
    wants_count_.resize(static_cast<std::size_t>(inputs) * links.size());
    next_output_.resize(static_cast<std::size_t>(inputs));
}

std::size_t PacketSwitch::row(int input, int channel, int output) const {
    const auto by_input = static_cast<std::size_t>(input) * static_cast<std::size_t>(channels_) +
                          static_cast<std::size_t>(channel);
    if (spec_.queues == SwitchQueues::input_queued) return by_input;
    return by_input * outputs_.size() + static_cast<std::size_t>(output);
}

int PacketSwitch::choose_output(const Packet& packet) {
    const PacketChoice& choice = routes_.next_links(node_, packet);
    const std::vector<int>& links = choice.links;
    const auto output_of = [&](std::size_t i) {
        return output_of_link_.at(static_cast<std::size_t>(links[i] - first_link_));
    };
    if (links.size() == 1) return output_of(0);
    if (spec_.path_choice == PathChoice::hash_message) {
        // Each node mixes for itself: the same choice everywhere would leave ways unused.
        const std::uint64_t hash =
            mix_bits(packet.hash ^ (static_cast<std::uint64_t>(node_) << 32));
        return output_of(choice.by_shares() ? choice.at(static_cast<std::uint32_t>(hash >> 32))
                                            : hash % links.size());
    }
    if (spec_.path_choice == PathChoice::round_robin || choice.by_shares()) {
        // One turn for all would keep step with senders that walk their destinations.
        if (packet.destination >= turns_.size()) turns_.resize(packet.destination + 1);
        const std::uint64_t begin =
            mix_bits(packet.destination | static_cast<std::uint64_t>(node_) << 32);
        std::uint32_t& turn = turns_[packet.destination];
        if (choice.by_shares())
            return output_of(choice.in_turn(static_cast<std::uint32_t>(begin >> 32), turn++));
        const int output = output_of((begin % links.size() + turn) % links.size());
        turn = static_cast<std::uint32_t>((turn + 1U) % links.size());
        return output;
    }
    const std::size_t first = turn_++ % links.size();
    int best = -1;
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (std::size_t i = 0; i < links.size(); ++i) {
        const int output = output_of((first + i) % links.size());
        const auto o = static_cast<std::size_t>(output);
        const std::int64_t waiting = 2 * outputs_[o].waiting + (ports_[o]->free() ? 0 : 1);
        if (waiting >= least) continue;
        least = waiting;
        best = output;
    }
    return best;
}

void PacketSwitch::want(int input, int channel, int output) {
    Output& out = outputs_[static_cast<std::size_t>(output)];
    out.wanted_by[static_cast<std::size_t>(channel)].insert(input);
    if (shared_) return;  // inputs are never taken
    const auto i = static_cast<std::size_t>(input);
    if (wants_count_[i * outputs_.size() + static_cast<std::size_t>(output)]++ == 0)
        wants_[i].insert(output);
}

void PacketSwitch::unwant(int input, int channel, int output) {
    Output& out = outputs_[static_cast<std::size_t>(output)];
    out.wanted_by[static_cast<std::size_t>(channel)].erase(input);
    if (shared_) return;
    const auto i = static_cast<std::size_t>(input);
    if (--wants_count_[i * outputs_.size() + static_cast<std::size_t>(output)] == 0)
        wants_[i].erase(output);
}

void PacketSwitch::packet_arrived(int input, Packet& packet) {
    const int output = choose_output(packet);
    Output& out = outputs_[static_cast<std::size_t>(output)];
    if (mark_above_ > 0 && out.waiting > mark_above_) packet.marked = true;
    out.waiting += packet.wire;
    out.deepest = std::max(out.deepest, out.waiting);
    packet.output = static_cast<std::uint16_t>(output);
    if (stands_in_one_row(output)) {
        packet.input = static_cast<std::uint16_t>(input);
        out.oldest[packet.channel].push(packet);
        try_output(output);
        return;
    }
    PacketRow& its = rows_[row(input, packet.channel, output)];
    const bool first = its.empty();
    its.push(packet);
    if (!first) return;
    want(input, packet.channel, output);
    if (free_inputs_.has(input)) try_output(output);
}

int PacketSwitch::choose_input(int output, int channel) const {
    const Output& out = outputs_[static_cast<std::size_t>(output)];
    const NumberSet& wanted = out.wanted_by[static_cast<std::size_t>(channel)];
    const int from = out.next_input[static_cast<std::size_t>(channel)];
    int first = -1;
    if (spec_.arbitration == SwitchArbitration::transit_first)
        first = NumberSet::next_in_both(wanted, transit_, from);
    if (first < 0) first = NumberSet::next_in_both(wanted, free_inputs_, from);
    if (first < 0 || spec_.arbitration != SwitchArbitration::oldest_first) return first;
    int oldest = first;
    Picoseconds since = std::numeric_limits<Picoseconds>::max();
    for (int at = first;;) {
        const Packet& packet = rows_[row(at, channel, output)].front();
        if (packet.arrived < since) {
            since = packet.arrived;
            oldest = at;
        }
        at = NumberSet::next_in_both(wanted, free_inputs_, at + 1);
        if (at == first) return oldest;
    }
}

// The first from `first` on whose packet has room behind the link; -1: none. Those of one channel
// may want different lanes there, and who waits for one must not hold up the other.
int PacketSwitch::with_credit(int output, int channel, int first) const {
    if (first < 0) return -1;
    const auto o = static_cast<std::size_t>(output);
    const auto has = [&](int input) {
        const Packet& packet = rows_[row(input, channel, output)].front();
        return ports_[o]->has_credit(packet.channel, packet.ring, packet.wire);
    };
    if (has(first)) return first;
    if (!ports_[o]->has_lanes()) return -1;
    const NumberSet& wanted = outputs_[o].wanted_by[static_cast<std::size_t>(channel)];
    for (int at = first;;) {
        at = NumberSet::next_in_both(wanted, free_inputs_, at + 1);
        if (at == first || at < 0) return -1;
        if (has(at)) return at;
    }
}

void PacketSwitch::try_output(int output) {
    const auto o = static_cast<std::size_t>(output);
    if (!ports_[o]->free()) return;
    Output& out = outputs_[o];
    const auto inputs = static_cast<int>(inputs_.size());
    const bool one_row = stands_in_one_row(output);
    for (int i = 0; i < channels_; ++i) {
        const int channel = (out.next_channel + i) % channels_;
        int& next = out.next_input[static_cast<std::size_t>(channel)];
        int input = -1;
        Packet* oldest = nullptr;
        if (!one_row) {
            input = with_credit(output, channel, choose_input(output, channel));
        } else if (PacketRow& row = out.oldest[static_cast<std::size_t>(channel)]; !row.empty()) {
            const auto turn = [&](const Packet& packet) {
                const int after = packet.input - next;
                return after < 0 ? after + inputs : after;
            };
            oldest = &row.pop_of_first(
                [&](const Packet& a, const Packet& b) { return turn(a) < turn(b); });
            input = oldest->input;
        }
        if (input < 0) continue;
        out.next_channel = (channel + 1) % channels_;
        next = (input + 1) % inputs;
        if (oldest != nullptr) {
            send(*oldest, channel, output);
        } else {
            forward(input, channel, output);
        }
        return;
    }
}

void PacketSwitch::forward(int input, int channel, int output) {
    PacketRow& its = rows_[row(input, channel, output)];
    Packet& packet = its.pop();
    if (its.empty()) {
        unwant(input, channel, output);
    } else if (its.front().output != output) {
        unwant(input, channel, output);
        want(input, channel, its.front().output);
    }
    if (!shared_) {
        free_inputs_.erase(input);
        transit_.erase(input);
        free_outputs_.erase(output);
        outputs_[static_cast<std::size_t>(output)].reading = input;
    }
    packet.input = static_cast<std::uint16_t>(input);
    send(packet, channel, output);
}

void PacketSwitch::send(Packet& packet, int channel, int output) {
    const auto o = static_cast<std::size_t>(output);
    outputs_[o].waiting -= packet.wire;
    const std::uint32_t wire = packet.wire;
    const std::size_t input = packet.input;
    const Picoseconds time = ports_[o]->send(packet);
    inputs_[input]->release(static_cast<std::uint8_t>(channel), wire, time);
}

void PacketSwitch::transmit_ready(int output, bool freed) {
    Output& out = outputs_[static_cast<std::size_t>(output)];
    int input = -1;
    if (freed && !shared_) {
        free_outputs_.insert(output);
        input = out.reading;
        out.reading = -1;
        if (input >= 0) {
            free_inputs_.insert(input);
            if (is_transit_[static_cast<std::size_t>(input)] != 0) transit_.insert(input);
        }
    }
    try_output(output);
    if (input >= 0) try_input(input);
}

// Each output once: one that is asked may send for another input, and one without credits stays.
void PacketSwitch::try_input(int input) {
    const auto i = static_cast<std::size_t>(input);
    const int outputs = static_cast<int>(outputs_.size());
    const int start = next_output_[i];
    int asked = -1;  // places after the first in turn
    while (free_inputs_.has(input)) {
        const int output = NumberSet::next_in_both(wants_[i], free_outputs_, next_output_[i]);
        const int place = (output - start + outputs) % outputs;
        if (output < 0 || place <= asked) return;
        asked = place;
        next_output_[i] = (output + 1) % outputs;
        try_output(output);
    }
}

bool PacketSwitch::empty() const {
    return std::all_of(outputs_.begin(), outputs_.end(),
                       [](const Output& output) { return output.waiting == 0; }) &&
           std::all_of(inputs_.begin(), inputs_.end(),
                       [](const auto& input) { return input->empty(); });
}

std::string PacketSwitch::what_waits() const {
    for (std::size_t o = 0; o < outputs_.size(); ++o) {
        for (int c = 0; c < channels_; ++c) {
            const NumberSet& wanted = outputs_[o].wanted_by[static_cast<std::size_t>(c)];
            const int input = NumberSet::next_in_both(wanted, wanted, 0);
            if (input < 0) continue;
            return fmt::format("{}.port{} waits for credits of channel {} for {}.in{}", name(), o,
                               c, name(), input);
        }
    }
    return {};
}

}  // namespace podsim
