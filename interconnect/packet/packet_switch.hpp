// A switch: input buffers, a crossbar, an arbiter for each output.
//
// Ports: in0, in1... (from links), port0, port1... (to links). Parameters: PacketSwitchSpec.
// Statistics: deepest row of each output (bytes), packets marked.
//
// A packet that is here (its header, where the switch cuts through) and has waited the switch's
// latency asks for one output. An output that is free, and whose link has credits for it, takes
// one: channels in turn, of a channel's inputs the next in turn after the last (one pass of iSLIP,
// McKeown, IEEE/ACM ToN 7(2), 1999, each output for itself as it becomes free) or the one whose
// packet has been here longest. An input gives one packet at a time, at the speed of the output's
// link, unless memory is shared; when it is free again, outputs that it wants are asked in turn.
// Its buffer's credits go back when the packet's last byte has left.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "interconnect/packet/number_set.hpp"
#include "interconnect/packet/parts.hpp"
#include "interconnect/packet/ports.hpp"
#include "interconnect/packet/routes.hpp"

namespace podsim {

class PacketSwitch final : public sc_core::sc_module, public PortOwner {
  public:
    // `links[i]`: the network's number of the link of output i, -1 where it is dead; `node`: its
    // own number there.
    PacketSwitch(const sc_core::sc_module_name& name, PacketEngine& engine,
                 const PacketRoutes& routes, const PacketSwitchSpec& spec, int node, int inputs,
                 const std::vector<int>& links, int channels);

    TransmitPort& port(int output) { return *ports_[static_cast<std::size_t>(output)]; }
    ReceivePort& input(int index) { return *inputs_[static_cast<std::size_t>(index)]; }

    // Where arbitration asks: packets of this input come from another switch. Before the start.
    void set_transit(int index) {
        is_transit_[static_cast<std::size_t>(index)] = 1;
        transit_.insert(index);
    }

    std::int64_t deepest(int output) const {
        return outputs_[static_cast<std::size_t>(output)].deepest;
    }
    bool empty() const;
    // What stands still, for people: empty when nothing does.
    std::string what_waits() const;

  private:
    struct Output {
        std::vector<NumberSet> wanted_by;  // [channel]: inputs whose first packet wants it
        std::vector<PacketRow> oldest;     // [channel]: its packets, where they stand in one row
        std::vector<int> next_input;       // [channel]: whose turn it is
        int next_channel = 0;
        int reading = -1;  // the input that gives its packet now
        std::int64_t waiting = 0, deepest = 0;
    };
    void transmit_ready(int output, bool freed) override;
    void packet_arrived(int input, Packet& packet) override;

    // Of a memory that all share the oldest packet is the first of all that came for an output,
    // where none of them waits for credits.
    bool stands_in_one_row(int output) const {
        return has_one_row_ && !ports_[static_cast<std::size_t>(output)]->counts_credits();
    }
    int choose_output(const Packet& packet);
    void want(int input, int channel, int output);
    void unwant(int input, int channel, int output);
    void try_output(int output);
    void try_input(int input);
    int choose_input(int output, int channel) const;
    int with_credit(int output, int channel, int first) const;
    void forward(int input, int channel, int output);
    void send(Packet& packet, int channel, int output);
    std::size_t row(int input, int channel, int output) const;

    const PacketRoutes& routes_;
    const PacketSwitchSpec spec_;
    const int node_, channels_;
    const bool shared_, has_one_row_;
    Parts<ReceivePort> inputs_;
    Parts<TransmitPort> ports_;
    std::vector<int> output_of_link_;  // [link of the network - first]: output
    int first_link_ = 0;
    std::vector<Output> outputs_;
    std::vector<PacketRow> rows_;
    NumberSet free_inputs_, free_outputs_;
    NumberSet transit_;  // free inputs whose packets go first
    std::vector<char> is_transit_;
    std::vector<NumberSet> wants_;           // [input]: outputs that any of its first packets want
    std::vector<std::uint8_t> wants_count_;  // [input x outputs + output]: by how many channels
    std::vector<int> next_output_;           // [input]: which is asked first when it is free
    std::uint64_t turn_ = 0;                 // of packets over several ways
    std::vector<std::uint32_t> turns_;       // [destination]: the same, each for itself
    std::int64_t mark_above_ = 0;
};

}  // namespace podsim
