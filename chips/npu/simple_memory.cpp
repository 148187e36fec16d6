#include "chips/npu/simple_memory.hpp"

#include <cmath>

namespace podsim::npu {

SimpleMemory::SimpleMemory(const sc_core::sc_module_name& name, double bytes_per_second,
                           double latency)
    : sc_module(name),
      in_("in"),
      picoseconds_per_byte_(1e12 / bytes_per_second),
      latency_(to_picoseconds(Seconds(latency))),
      due_(due_event_) {
    SC_HAS_PROCESS(SimpleMemory);
    in_.register_nb_transport_fw(this, &SimpleMemory::nb_transport_fw);
    SC_METHOD(serve);
    sensitive << serve_event_;
    dont_initialize();
    SC_METHOD(answer);
    sensitive << due_event_;
    dont_initialize();
}

tlm::tlm_sync_enum SimpleMemory::nb_transport_fw(tlm::tlm_generic_payload& payload,
                                                 tlm::tlm_phase& phase, sc_core::sc_time& delay) {
    if (phase != tlm::BEGIN_REQ) return tlm::TLM_COMPLETED;
    payload.acquire();
    (payload.is_write() ? writes_ : reads_).push_back(&payload);
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    const Picoseconds start = std::max(free_at_, now + to_picoseconds(delay));
    serve_event_.notify(to_sc_time(start - now));
    phase = tlm::END_REQ;
    return tlm::TLM_UPDATED;
}

void SimpleMemory::serve() {
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    if (reads_.empty() && writes_.empty()) return;
    if (now < free_at_) {
        serve_event_.notify(to_sc_time(free_at_ - now));
        return;
    }
    const bool write = reads_.empty() || (writes_next_ && !writes_.empty());
    auto& queue = write ? writes_ : reads_;
    tlm::tlm_generic_payload* payload = queue.front();
    queue.pop_front();
    writes_next_ = !write;
    const double bytes = payload->get_data_length();
    const auto takes = static_cast<Picoseconds>(std::llround(bytes * picoseconds_per_byte_));
    (write ? statistics_.written : statistics_.read) += bytes;
    statistics_.busy += takes;
    free_at_ = now + takes;
    due_.add(free_at_ + latency_, payload);
    if (!reads_.empty() || !writes_.empty()) serve_event_.notify(to_sc_time(takes));
}

void SimpleMemory::answer() {
    tlm::tlm_generic_payload* payload = nullptr;
    while (due_.take(payload)) {
        payload->set_response_status(tlm::TLM_OK_RESPONSE);
        tlm::tlm_phase phase = tlm::BEGIN_RESP;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        in_->nb_transport_bw(*payload, phase, delay);
        payload->release();
    }
}

}  // namespace podsim::npu
