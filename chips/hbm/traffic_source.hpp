// A bench's source and sink: sends the requests of a pattern into a memory's socket and notes when
// each came back. It honours annotated delays, so that it is exact with either kind of responses.
#pragma once

#include <deque>
#include <vector>

#include "base/systemc.hpp"
#include "chips/hbm/access_stream.hpp"

namespace podsim {

struct TrafficRecord {
    Picoseconds arrival = 0, completion = 0;
};

class TrafficSource : public sc_core::sc_module {
  public:
    SC_HAS_PROCESS(TrafficSource);
    // `outstanding` requests at once where the pattern has no load, else `interval` between two on
    // average.
    TrafficSource(const sc_core::sc_module_name& name, const AccessPattern& pattern,
                  long outstanding, Picoseconds interval);

    tlm_utils::simple_initiator_socket<TrafficSource> socket;

    const std::vector<TrafficRecord>& records() const { return records_; }
    long completed() const { return completed_; }

  private:
    struct Slot {
        tlm::tlm_generic_payload payload;
        std::size_t record = 0;
    };

    tlm::tlm_sync_enum nb_transport_bw(tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                       sc_core::sc_time& delay);
    void start();
    void send_arrivals();
    bool has_next() const { return static_cast<long>(records_.size()) < pattern_.requests; }
    void send(Picoseconds arrival);
    void put(std::size_t record);

    AccessPattern pattern_;
    AccessStream stream_;
    long outstanding_;
    Picoseconds interval_;
    double next_arrival_ = 0;
    std::deque<Slot> slots_;  // payloads have to stay where they are
    std::vector<std::size_t> free_;
    std::vector<TrafficRecord> records_;
    std::deque<std::size_t> ready_;  // records whose requests wait for the socket to take them
    bool held_ = false;
    long completed_ = 0;
    sc_core::sc_event arrivals_;
};

}  // namespace podsim
