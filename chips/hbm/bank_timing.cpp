#include "chips/hbm/bank_timing.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

BankTiming bank_timing(const MemoryDevice& device, BytesPerSecond pin_rate) {
    const MemoryOrganisation& o = device.organisation;
    const MemoryTiming& t = device.timing;
    const double bits_per_second = pin_rate.value() * 8;
    const double period = static_cast<double>(o.beats_per_cycle.value) / bits_per_second;
    const auto cycles = [&](const Sourced<Seconds>& time) {
        return std::max(Cycle{0},
                        static_cast<Cycle>(std::ceil(time.value.value() / period - 0.02)));
    };
    // tCCD is the interface's: the same cycles at any pin rate.
    const double own =
        static_cast<double>(o.beats_per_cycle.value) / (device.pin_rate.value.value() * 8);
    const auto interface_cycles = [&](const Sourced<Seconds>& time) {
        return static_cast<Cycle>(std::ceil(time.value.value() / own - 0.02));
    };
    BankTiming timing;
    timing.period_ps = period * 1e12;
    timing.burst = std::max<Cycle>(
        1, (o.burst_length.value + o.beats_per_cycle.value - 1) / o.beats_per_cycle.value);
    timing.rcd_read = cycles(t.tRCD_read);
    timing.rcd_write = cycles(t.tRCD_write);
    timing.rp = cycles(t.tRP);
    timing.ras = cycles(t.tRAS);
    timing.rc = std::max(cycles(t.tRC), timing.ras + timing.rp);
    timing.ccd_s = std::max(interface_cycles(t.tCCD_S), timing.burst);
    timing.ccd_l = std::max(interface_cycles(t.tCCD_L), timing.ccd_s);
    timing.ccd_r = std::max(interface_cycles(t.tCCD_R), timing.burst);
    timing.rrd_s = std::max<Cycle>(1, cycles(t.tRRD_S));
    timing.rrd_l = std::max(cycles(t.tRRD_L), timing.rrd_s);
    timing.faw = cycles(t.tFAW);
    timing.write_recovery = cycles(t.tWR);
    timing.read_to_precharge = cycles(t.tRTP);
    timing.wtr_s = cycles(t.tWTR_S);
    timing.wtr_l = std::max(cycles(t.tWTR_L), timing.wtr_s);
    timing.rtw = std::max(cycles(t.tRTW), timing.ccd_s);
    timing.cl = cycles(t.tCL);
    timing.cwl = cycles(t.tCWL);
    timing.refresh_interval = t.tREFI.value.value() / period;
    timing.refresh_all = cycles(t.tRFC);
    timing.refresh_bank = cycles(t.tRFC_bank);
    return timing;
}

}  // namespace podsim
