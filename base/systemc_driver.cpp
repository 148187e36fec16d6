// Keeps to what SystemC 2.3.4 does well: one module, one method process, one event re-armed
// for the next due time (a cancelled or superseded notification costs memory until its old due
// time). sc_start() without a time runs events at every time; sc_start(t) leaves out those at
// exactly t. The module is gone before the context is reset, which makes room for the next run.
#include "base/systemc_driver.hpp"

#include <fmt/format.h>

#include <exception>
#include <stdexcept>

#include "base/systemc.hpp"

namespace podsim {
namespace {

class CalendarDriver : public sc_core::sc_module {
  public:
    SC_HAS_PROCESS(CalendarDriver);
    CalendarDriver(const sc_core::sc_module_name& name, Calendar& calendar)
        : sc_module(name), calendar_(calendar), due_("due") {
        SC_METHOD(run_due);
        sensitive << due_;
        dont_initialize();
        due_.notify(to_sc_time(calendar_.next_time()));
    }

    // What an action threw. Kept from SystemC, which would turn it into a report of its own.
    std::exception_ptr error;

  private:
    void run_due() {
        try {
            calendar_.run_at(to_picoseconds(sc_core::sc_time_stamp()));
            if (!calendar_.empty()) {
                due_.notify(to_sc_time(calendar_.next_time() - calendar_.now()));
            }
        } catch (...) {
            error = std::current_exception();
        }
    }

    Calendar& calendar_;
    sc_core::sc_event due_;
};

}  // namespace

void run_systemc(Calendar& calendar) {
    if (calendar.empty()) return;
    const SystemcSession session;
    CalendarDriver driver("calendar", calendar);
    sc_core::sc_start();
    if (driver.error) std::rethrow_exception(driver.error);
    const auto stopped = to_picoseconds(sc_core::sc_time_stamp());
    if (!calendar.empty() || stopped != calendar.now()) {
        throw std::runtime_error(
            fmt::format("SystemC stopped at {} ps, the calendar at {} ps with {}", stopped,
                        calendar.now(), calendar.empty() ? "nothing left" : "events left"));
    }
}

}  // namespace podsim
