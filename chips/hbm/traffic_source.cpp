#include "chips/hbm/traffic_source.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

// Requests of a load are sent this many at a time, ahead of their time.
constexpr int kBatch = 16;

}  // namespace

TrafficSource::TrafficSource(const sc_core::sc_module_name& name, const AccessPattern& pattern,
                             long outstanding, Picoseconds interval)
    : sc_module(name),
      socket("socket"),
      pattern_(pattern),
      stream_(pattern),
      outstanding_(outstanding),
      interval_(interval),
      arrivals_("arrivals") {
    socket.register_nb_transport_bw(this, &TrafficSource::nb_transport_bw);
    records_.reserve(static_cast<std::size_t>(pattern.requests));
    SC_METHOD(start);
    SC_METHOD(send_arrivals);
    sensitive << arrivals_;
    dont_initialize();
}

void TrafficSource::start() {
    if (pattern_.load > 0) {
        send_arrivals();
        return;
    }
    for (long i = 0; i < outstanding_ && has_next(); ++i) send(0);
}

// Requests at random times, in batches: the memory is told of each before its time has come.
void TrafficSource::send_arrivals() {
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    for (int i = 0; i < kBatch && has_next(); ++i) {
        next_arrival_ += stream_.gap(static_cast<double>(interval_));
        send(std::max(now, static_cast<Picoseconds>(std::llround(next_arrival_))));
    }
    const auto next = static_cast<Picoseconds>(std::llround(next_arrival_));
    if (has_next()) arrivals_.notify(to_sc_time(std::max(Picoseconds{1}, next - now)));
}

void TrafficSource::send(Picoseconds arrival) {
    records_.push_back({arrival, 0});
    if (held_) {
        ready_.push_back(records_.size() - 1);
    } else {
        put(records_.size() - 1);
    }
}

void TrafficSource::put(std::size_t record) {
    std::size_t at = 0;
    if (free_.empty()) {
        at = slots_.size();
        slots_.emplace_back();
        // The slot comes back with its payload.
        slots_[at].payload.set_streaming_width(static_cast<unsigned>(at));
    } else {
        at = free_.back();
        free_.pop_back();
    }
    Slot& slot = slots_[at];
    slot.record = record;
    const AccessRequest request = stream_.next();
    slot.payload.set_address(request.address);
    slot.payload.set_data_length(static_cast<unsigned>(pattern_.request));
    slot.payload.set_command(request.write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND);
    slot.payload.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    tlm::tlm_phase phase = tlm::BEGIN_REQ;
    sc_core::sc_time delay = to_sc_time(std::max(Picoseconds{0}, records_[record].arrival - now));
    held_ = socket->nb_transport_fw(slot.payload, phase, delay) == tlm::TLM_ACCEPTED;
}

tlm::tlm_sync_enum TrafficSource::nb_transport_bw(tlm::tlm_generic_payload& payload,
                                                  tlm::tlm_phase& phase, sc_core::sc_time& delay) {
    if (phase == tlm::END_REQ) {
        held_ = false;
        while (!held_ && !ready_.empty()) {
            const std::size_t record = ready_.front();
            ready_.pop_front();
            put(record);
        }
        return tlm::TLM_ACCEPTED;
    }
    const Picoseconds time = to_picoseconds(sc_core::sc_time_stamp()) + to_picoseconds(delay);
    const std::size_t at = payload.get_streaming_width();
    records_[slots_[at].record].completion = time;
    free_.push_back(at);
    ++completed_;
    if (pattern_.load <= 0 && has_next()) send(time);
    return tlm::TLM_COMPLETED;
}

}  // namespace podsim
