#include "chips/npu/compute_unit.hpp"

namespace podsim::npu {

ComputeUnit::ComputeUnit(const sc_core::sc_module_name& name, Counters& counters)
    : sc_module(name), counters_(counters), queue_(counters, wake_) {
    SC_HAS_PROCESS(ComputeUnit);
    SC_METHOD(step);
    sensitive << wake_;
    dont_initialize();
}

void ComputeUnit::step() {
    const Picoseconds now = to_picoseconds(sc_core::sc_time_stamp());
    if (busy_) {
        if (now < done_) {  // woken for another reason
            wake_.notify(to_sc_time(done_ - now));
            return;
        }
        busy_ = false;
        for (const int signal : current_.signals) {
            if (signal >= 0) counters_.signal(signal);
        }
    }
    const Instruction* head = queue_.ready();
    if (head == nullptr) return;
    current_ = *head;
    queue_.pop();
    const bool was_idle = done_ < now;
    const Picoseconds takes = current_.duration + (was_idle ? current_.start_up : 0);
    statistics_.busy += takes;
    statistics_.instructions += 1;
    statistics_.work += current_.work;
    done_ = now + takes;
    busy_ = true;
    wake_.notify(to_sc_time(takes));
}

ComputeStatistics ComputeUnit::statistics() const {
    ComputeStatistics statistics = statistics_;
    statistics.stalled = queue_.waited();
    return statistics;
}

}  // namespace podsim::npu
