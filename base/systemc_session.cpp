#include <fmt/format.h>

#include <stdexcept>

#include "base/systemc.hpp"

// The library's own main wants it; ours are elsewhere and never call it. It stands in an OBJECT
// library, from which a linker takes it without being asked.
extern "C" int sc_main(int, char*[]) {
    return 0;
}

namespace podsim {
namespace {

void throw_report(const sc_core::sc_report& report, const sc_core::sc_actions&) {
    if (report.get_severity() == sc_core::SC_INFO) return;
    throw std::runtime_error(
        fmt::format("SystemC: {}: {}", report.get_msg_type(), report.get_msg()));
}

void refuse_second() {
    if (sc_core::sc_is_running()) {
        throw std::logic_error("a simulation is already running in this process");
    }
}

}  // namespace

SystemcSession::SystemcSession()
    : handler_((refuse_second(), sc_core::sc_report_handler::set_handler(throw_report))) {
    // Before any time is made. A picosecond is the default, and the calendar depends on it.
    sc_core::sc_set_time_resolution(1, sc_core::SC_PS);
}

SystemcSession::~SystemcSession() {
    sc_core::sc_get_curr_simcontext()->reset();
    sc_core::sc_report_handler::set_handler(handler_);
}

}  // namespace podsim
