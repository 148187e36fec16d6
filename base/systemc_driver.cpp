// Keeps to what SystemC 2.3.4 does well: one module, one method process, one event re-armed
// for the next due time (a cancelled or superseded notification costs memory until its old due
// time). sc_start() without a time runs events at every time; sc_start(t) leaves out those at
// exactly t. The module is gone before the context is reset, which makes room for the next run.
#include "base/systemc_driver.hpp"

#include <fmt/format.h>

#include <exception>
#include <stdexcept>
#include <systemc>

// The library's own main wants it; ours are elsewhere and never call it. It stands in an OBJECT
// library, from which a linker takes it without being asked.
extern "C" int sc_main(int, char*[]) {
    return 0;
}

namespace podsim {
namespace {

sc_core::sc_time to_sc_time(Picoseconds time) {
    return sc_core::sc_time::from_value(static_cast<sc_dt::uint64>(time));
}

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
            calendar_.run_at(static_cast<Picoseconds>(sc_core::sc_time_stamp().value()));
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

// Nothing of SystemC's goes to stdout: what matters is thrown, the rest dropped.
void throw_report(const sc_core::sc_report& report, const sc_core::sc_actions&) {
    if (report.get_severity() == sc_core::SC_INFO) return;
    throw std::runtime_error(
        fmt::format("SystemC: {}: {}", report.get_msg_type(), report.get_msg()));
}

// SystemC's one context, taken for a run and left as new.
class Context {
  public:
    Context() : handler_(sc_core::sc_report_handler::set_handler(throw_report)) {}
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() {
        sc_core::sc_get_curr_simcontext()->reset();
        sc_core::sc_report_handler::set_handler(handler_);
    }

  private:
    sc_core::sc_report_handler_proc handler_;
};

}  // namespace

void run_systemc(Calendar& calendar) {
    if (calendar.empty()) return;
    if (sc_core::sc_is_running()) {
        throw std::logic_error("a simulation is already running in this process");
    }
    const Context context;
    // Before any time is made. A picosecond is the default, and the calendar depends on it.
    sc_core::sc_set_time_resolution(1, sc_core::SC_PS);
    CalendarDriver driver("calendar", calendar);
    sc_core::sc_start();
    if (driver.error) std::rethrow_exception(driver.error);
    const auto stopped = static_cast<Picoseconds>(sc_core::sc_time_stamp().value());
    if (!calendar.empty() || stopped != calendar.now()) {
        throw std::runtime_error(
            fmt::format("SystemC stopped at {} ps, the calendar at {} ps with {}", stopped,
                        calendar.now(), calendar.empty() ? "nothing left" : "events left"));
    }
}

}  // namespace podsim
