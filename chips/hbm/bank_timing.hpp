// A device's timing table in cycles of its command clock, at the pin rate it runs at.
#pragma once

#include <cstdint>

#include "chips/memory_device.hpp"

namespace podsim {

using Cycle = std::int64_t;

struct BankTiming {
    double period_ps = 0;  // of the command clock
    Cycle burst = 0;       // data of one column command
    Cycle rcd_read = 0, rcd_write = 0, rp = 0, ras = 0, rc = 0;
    Cycle ccd_s = 0, ccd_l = 0, ccd_r = 0, rrd_s = 0, rrd_l = 0, faw = 0;
    Cycle write_recovery = 0, read_to_precharge = 0;
    Cycle wtr_s = 0, wtr_l = 0, rtw = 0, cl = 0, cwl = 0;
    double refresh_interval = 0;  // in cycles, not rounded; 0: none
    Cycle refresh_all = 0, refresh_bank = 0;
};

// Each time is rounded up to whole cycles; a fiftieth of one is forgiven, which is what tables in
// nanoseconds with two digits are off. tCCD follows the pins: its cycles at the device's own rate
// hold at any. A column command never follows sooner than its data.
BankTiming bank_timing(const MemoryDevice& device, BytesPerSecond pin_rate);

}  // namespace podsim
