#include "chips/npu/dma_engine.hpp"

namespace podsim::npu {

DmaEngine::DmaEngine(const sc_core::sc_module_name& name, Counters& counters, double outstanding,
                     double rate)
    : sc_module(name),
      out_("out"),
      counters_(counters),
      outstanding_limit_(outstanding),
      picoseconds_per_byte_(1e12 / rate),
      queue_(counters, wake_) {
    SC_HAS_PROCESS(DmaEngine);
    out_.register_nb_transport_bw(this, &DmaEngine::nb_transport_bw);
    SC_METHOD(step);
    sensitive << wake_;
    dont_initialize();
}

void DmaEngine::step() {
    retire();
    while (!request_open_) {
        const Instruction* head = queue_.ready();
        if (head == nullptr) return;
        const Transfer& transfer = head->transfer;
        const auto bytes = static_cast<double>(transfer.bytes);
        if (outstanding_ > 0 && outstanding_ + bytes > outstanding_limit_)
            return;  // retire() wakes
        const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
        if (now < next_issue_) {
            wake_.notify(to_sc_time(next_issue_ - now));
            return;
        }
        next_issue_ = now + static_cast<Picoseconds>(bytes * picoseconds_per_byte_);
        Burst burst{*head, nullptr, now, now + head->duration, true};
        queue_.pop();
        if (transfer.bytes > 0) {
            burst.payload = &pool_.take(transfer.address, transfer.bytes, transfer.write);
            auto* hints = burst.payload->get_extension<BurstHints>();
            hints->stays = transfer.stays;
            hints->shared = transfer.shared;
            burst.answered = false;
            outstanding_ += bytes;
            statistics_.bytes += bytes;
            statistics_.bursts += 1;
        }
        under_way_.push_back(burst);
        if (burst.payload == nullptr) {
            retire();
            continue;
        }
        tlm::tlm_phase phase = tlm::BEGIN_REQ;
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        request_open_ = true;
        const auto status = out_->nb_transport_fw(*burst.payload, phase, delay);
        if (status == tlm::TLM_UPDATED && phase == tlm::END_REQ) request_open_ = false;
        if (status == tlm::TLM_COMPLETED || phase == tlm::BEGIN_RESP) {
            request_open_ = false;
            under_way_.back().answered = true;
            under_way_.back().earliest =
                std::max(under_way_.back().earliest, now + to_picoseconds(delay));
            retire();
        }
    }
}

tlm::tlm_sync_enum DmaEngine::nb_transport_bw(tlm::tlm_generic_payload& payload,
                                              tlm::tlm_phase& phase, sc_core::sc_time& delay) {
    if (phase == tlm::END_REQ) {
        request_open_ = false;
        wake_.notify(sc_core::SC_ZERO_TIME);
        return tlm::TLM_ACCEPTED;
    }
    const Picoseconds arrival = to_picoseconds(sc_core::sc_time_stamp() + delay);
    for (Burst& burst : under_way_) {
        if (burst.payload != &payload) continue;
        burst.answered = true;
        burst.earliest = std::max(burst.earliest, arrival);
        break;
    }
    request_open_ = false;  // a response says that the request was taken, too
    wake_.notify(sc_core::SC_ZERO_TIME);
    return tlm::TLM_COMPLETED;
}

void DmaEngine::retire() {
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    while (!under_way_.empty() && under_way_.front().answered) {
        Burst& burst = under_way_.front();
        if (burst.earliest > now) {
            wake_.notify(to_sc_time(burst.earliest - now));
            return;
        }
        for (const int signal : burst.instruction.signals) {
            if (signal >= 0) counters_.signal(signal);
        }
        if (burst.payload != nullptr) {
            outstanding_ -= static_cast<double>(burst.instruction.transfer.bytes);
            statistics_.under_way += now - burst.begun;
            burst.payload->release();
        }
        finished_ = now;
        under_way_.pop_front();
        wake_.notify(sc_core::SC_ZERO_TIME);
    }
}

DmaStatistics DmaEngine::statistics() const {
    DmaStatistics statistics = statistics_;
    statistics.stalled = queue_.waited();
    return statistics;
}

}  // namespace podsim::npu
