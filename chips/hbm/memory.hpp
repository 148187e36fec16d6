// The memory of a package as SystemC modules: stacks of channels behind TLM-2.0 target sockets.
//
// Socket convention: generic payloads of any length, base protocol, non-blocking. BEGIN_REQ is
// answered by END_REQ at once, or later where a channel's entry is full (back-pressure; until then
// the socket sends no other request). BEGIN_RESP says that the last byte is there: read, or in the
// row buffer; the initiator answers TLM_COMPLETED. Data are not kept, the data pointer is not
// looked at. A delay annotated to BEGIN_REQ counts: the request comes then. A blocking b_transport
// works too (the socket turns it into these phases).
//
//   responses on_time    BEGIN_RESP is called at the very time, delay zero: for every initiator
//   responses annotated  BEGIN_RESP is called as soon as the time is known, that time as its delay;
//                        exact too, provided that the initiator honours it and does not act before.
//                        One process activation then serves a column command's latency of work.
//
// Why the second is exact: at an activation all decisions up to now are made. What they complete is
// at least the shortest latency L of a column command away; so the next activation may wait L, and
// whoever acts on a response does so no earlier than that.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/systemc.hpp"
#include "chips/address_map.hpp"
#include "chips/hbm/pseudo_channel.hpp"
#include "chips/memory_device.hpp"

namespace podsim {

enum class Responses { on_time, annotated };

struct HbmMemorySpec {
    MemoryDevice device;
    long stacks = 1;
    BytesPerSecond pin_rate{0.0};  // 0: the device's own
    int sockets = 1;
    Responses responses = Responses::on_time;
};

// The rate of all pins, and the geometry that addresses are split by.
BytesPerSecond peak_bandwidth(const HbmMemorySpec& spec);
AddressShape address_shape(const HbmMemorySpec& spec);

// One channel: pseudo-channels that share a command clock and nothing else. No process of its own.
class HbmChannel : public sc_core::sc_module {
  public:
    HbmChannel(const sc_core::sc_module_name& name, const BankTiming& timing,
               const MemoryDevice& device);

    std::vector<PseudoChannel> pseudo_channels;
};

class HbmStack : public sc_core::sc_module {
  public:
    HbmStack(const sc_core::sc_module_name& name, const BankTiming& timing,
             const MemoryDevice& device);

    std::vector<std::unique_ptr<HbmChannel>> channels;
};

struct HbmStatistics {
    PseudoChannelStatistics commands;                              // sums over all pseudo-channels
    std::uint64_t transactions = 0, responses = 0, held_back = 0;  // held back: END_REQ came later
    Bytes bytes{0.0};                                              // asked for
    Bytes moved{0.0};                                              // in whole column commands
    Joules energy{0.0};                                            // of those moved
};

class HbmMemory : public sc_core::sc_module {
  public:
    using Socket = tlm_utils::simple_target_socket_tagged<HbmMemory>;

    SC_HAS_PROCESS(HbmMemory);
    HbmMemory(const sc_core::sc_module_name& name, const HbmMemorySpec& spec);

    std::vector<std::unique_ptr<Socket>> sockets;

    HbmStatistics statistics() const;
    std::size_t outstanding() const { return pending_.size() - free_.size(); }
    PseudoChannel& pseudo_channel(int index) { return *flat_[static_cast<std::size_t>(index)]; }
    int pseudo_channels() const { return static_cast<int>(flat_.size()); }
    const AddressMap& addresses() const { return map_; }
    const BankTiming& timing() const { return timing_; }

  private:
    struct Pending {
        tlm::tlm_generic_payload* payload = nullptr;
        int socket = 0;
        std::uint32_t left = 0;  // accesses
        Cycle last = 0;
    };
    struct Due {
        Picoseconds time;
        std::uint64_t order;
        std::uint32_t id;
        bool operator>(const Due& o) const {
            return time > o.time || (time == o.time && order > o.order);
        }
    };

    tlm::tlm_sync_enum nb_transport_fw(int socket, tlm::tlm_generic_payload& payload,
                                       tlm::tlm_phase& phase, sc_core::sc_time& delay);
    void begin(int socket, tlm::tlm_generic_payload& payload, Picoseconds arrival);
    void wake();
    void wake_at(Picoseconds time);
    void go_on(Picoseconds now);
    void respond(std::uint32_t id, Picoseconds delay);
    void release_senders();
    bool is_full(int channel) const;
    Cycle cycle_from(Picoseconds time) const;  // the first one not before
    Picoseconds time_of(Cycle cycle) const;

    HbmMemorySpec spec_;
    BankTiming timing_;
    AddressMap map_;
    long access_, burst_;
    std::vector<std::unique_ptr<HbmStack>> stacks_;
    std::vector<PseudoChannel*> flat_;
    std::vector<int> busy_;  // pseudo-channels with something to do, and whether one is among them
    std::vector<char> is_busy_;
    std::vector<Pending> pending_;
    std::vector<std::uint32_t> free_;
    std::vector<std::vector<int>> held_;  // per socket: full channels that its END_REQ waits for
    std::vector<tlm::tlm_generic_payload*> held_payload_;
    std::vector<int> touched_;
    std::vector<MemoryCompletion> completed_;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;  // on_time
    std::uint64_t order_ = 0;
    Picoseconds latency_ = 0;  // of the quickest column command
    Picoseconds waking_ = -1;  // when wake() is called next, -1: never
    sc_core::sc_event event_;
    HbmStatistics statistics_;
};

}  // namespace podsim
