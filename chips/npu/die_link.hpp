// Between the caches of dies that share a program: a burst goes to the die where its address lies.
//
// Ports        in_[d]: target, what die d's cache sends away; out_[d]: initiator, into die d.
// Parameters   dies; bytes per second into one die; latency of a crossing.
// Statistics   bytes, busy of each direction.
// Written data crosses on the way there, read data on the way back; one latency either way.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "chips/npu/due_list.hpp"

namespace podsim::npu {

struct LinkStatistics {
    double bytes = 0;
    Picoseconds busy = 0;
};

class DieLink : public sc_core::sc_module {
  public:
    using In = tlm_utils::simple_target_socket_tagged<DieLink>;
    using Out = tlm_utils::simple_initiator_socket_tagged<DieLink>;
    std::vector<std::unique_ptr<In>> in_;
    std::vector<std::unique_ptr<Out>> out_;

    DieLink(const sc_core::sc_module_name& name, int dies, double bytes_per_second, double latency);

    const LinkStatistics& statistics() const { return statistics_; }

  private:
    struct Crossing {
        tlm::tlm_generic_payload* payload = nullptr;
        int to = 0;         // die
        bool back = false;  // an answer
    };

    tlm::tlm_sync_enum forward(int from, tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                               sc_core::sc_time& delay);
    tlm::tlm_sync_enum backward(int from, tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                sc_core::sc_time& delay);
    void cross(const Crossing& crossing, bool data);
    void arrive();

    double picoseconds_per_byte_;
    Picoseconds latency_;
    std::vector<Picoseconds> free_at_;
    std::unordered_map<const tlm::tlm_generic_payload*, int> home_;
    sc_core::sc_event due_event_;
    DueList<Crossing> due_;
    LinkStatistics statistics_;
};

}  // namespace podsim::npu
