// Drives a Calendar by the SystemC kernel: one module re-arms one event for the next due time.
// The only header that code outside base/ needs; SystemC itself stays in the .cpp.
#pragma once

#include "base/calendar.hpp"

namespace podsim {

// Runs the calendar to its end on the SystemC kernel, whose clock ends at calendar.now().
// Checks at the end that nothing is left (a lost notification would end a run early and
// silently). May be called many times in a process, one at a time, also after an exception.
// Throws what an action throws; std::runtime_error when SystemC reports an error.
void run_systemc(Calendar& calendar);

}  // namespace podsim
