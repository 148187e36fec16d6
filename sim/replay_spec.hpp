// How an experiment says which trace is replayed, and what of it is kept.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "program/dtype.hpp"
#include "sim/form_variants.hpp"

namespace podsim {

// recorded: nodes take the time that the trace says, and those without one what the chip needs.
// chip: nodes with FLOP or bytes take what the chip needs, the others what the trace says.
enum class ReplayCompute { recorded, chip };
const std::vector<std::pair<const char*, ReplayCompute>>& names_of(const ReplayCompute*);

struct ReplaySpec {
    std::string trace;
    int ranks = 0;  // 0: as many as the trace has
    ReplayCompute compute = ReplayCompute::recorded;
    double compute_scale = 1, host_scale = 1;
    DType format = DType::bf16;  // of FLOP that the chip does
};

template <class Form>
void describe_replay(Form& form, bool replay, ReplaySpec& spec) {
    of_variant(form, replay, "trace", spec.trace,
               "replay: the file of a trace, or the folder of its ranks' files");
    optional_of_variant(form, replay, "ranks", spec.ranks,
                        "replay: ranks that do as the one of the trace", count());
    optional_of_variant(form, replay, "compute", spec.compute,
                        "replay: recorded (times of the trace), or chip (FLOP and bytes of the "
                        "trace on this chip)");
    optional_of_variant(form, replay, "compute_scale", spec.compute_scale,
                        "replay: multiplies recorded times of devices",
                        Check{0, 1e6, false, "a value of 0 to 1,000,000"});
    optional_of_variant(form, replay, "host_scale", spec.host_scale,
                        "replay: multiplies recorded times of hosts; 0: hosts cost nothing",
                        Check{0, 1e6, false, "a value of 0 to 1,000,000"});
    optional_of_variant(form, replay, "format", spec.format,
                        "replay, compute chip: number format of the trace's FLOP");
}

}  // namespace podsim
