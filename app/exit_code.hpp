// How a run ends, as the shell sees it.
#pragma once

namespace podsim {

enum class ExitCode {
    ok = 0,
    check_failed = 1,   // a gate of a validation suite; a service of an inventory unmet
    bad_input = 2,      // nothing was written
    audit = 3,          // a law is broken: the result was written and is not to be believed
    internal = 4,       // a bug of podsim
    interrupted = 130,  // SIGINT or SIGTERM
};

}  // namespace podsim
