#include "chips/npu/die_link.hpp"

#include <cmath>
#include <string>

#include "chips/npu/l2_cache.hpp"

namespace podsim::npu {

DieLink::DieLink(const sc_core::sc_module_name& name, int dies, double bytes_per_second,
                 double latency)
    : sc_module(name),
      picoseconds_per_byte_(1e12 / bytes_per_second),
      latency_(to_picoseconds(Seconds(latency))),
      free_at_(static_cast<std::size_t>(dies)),
      due_(due_event_) {
    SC_HAS_PROCESS(DieLink);
    for (int die = 0; die < dies; ++die) {
        in_.push_back(std::make_unique<In>(("in" + std::to_string(die)).c_str()));
        in_.back()->register_nb_transport_fw(this, &DieLink::forward, die);
        out_.push_back(std::make_unique<Out>(("out" + std::to_string(die)).c_str()));
        out_.back()->register_nb_transport_bw(this, &DieLink::backward, die);
    }
    SC_METHOD(arrive);
    sensitive << due_event_;
    dont_initialize();
}

void DieLink::cross(const Crossing& crossing, bool data) {
    Picoseconds done = to_picoseconds(sc_core::sc_time_stamp());
    if (data) {
        const double bytes = crossing.payload->get_data_length();
        const auto takes = static_cast<Picoseconds>(std::llround(bytes * picoseconds_per_byte_));
        Picoseconds& free_at = free_at_[static_cast<std::size_t>(crossing.to)];
        free_at = std::max(free_at, done) + takes;
        done = free_at;
        statistics_.bytes += bytes;
        statistics_.busy += takes;
    }
    due_.add(done + (data ? latency_ : 0), crossing);
}

tlm::tlm_sync_enum DieLink::forward(int from, tlm::tlm_generic_payload& payload,
                                    tlm::tlm_phase& phase, sc_core::sc_time&) {
    if (phase != tlm::BEGIN_REQ) return tlm::TLM_COMPLETED;
    payload.acquire();
    home_[&payload] = from;
    const auto to = static_cast<int>(payload.get_address() / kInterleave % in_.size());
    cross({&payload, to, false}, payload.is_write());
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
}

tlm::tlm_sync_enum DieLink::backward(int, tlm::tlm_generic_payload& payload, tlm::tlm_phase& phase,
                                     sc_core::sc_time&) {
    if (phase == tlm::END_REQ) return tlm::TLM_ACCEPTED;
    const auto found = home_.find(&payload);
    const int home = found->second;
    home_.erase(found);
    cross({&payload, home, true}, payload.is_read());
    return tlm::TLM_COMPLETED;
}

void DieLink::arrive() {
    Crossing crossing;
    while (due_.take(crossing)) {
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        const auto die = static_cast<std::size_t>(crossing.to);
        if (crossing.back) {
            tlm::tlm_phase phase = tlm::BEGIN_RESP;
            (*in_[die])->nb_transport_bw(*crossing.payload, phase, delay);
            crossing.payload->release();
        } else {
            tlm::tlm_phase phase = tlm::BEGIN_REQ;
            (*out_[die])->nb_transport_fw(*crossing.payload, phase, delay);
        }
    }
}

}  // namespace podsim::npu
