// How an experiment says which trace is replayed, and what of it is kept.
#pragma once

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "program/dtype.hpp"
#include "sim/form_variants.hpp"

namespace podsim {

// recorded: nodes take the time that the trace says, and those without one what the chip needs.
// chip: nodes with FLOP or bytes take what the chip needs, the others what the trace says.
enum class ReplayCompute { recorded, chip };
const std::vector<std::pair<const char*, ReplayCompute>>& names_of(const ReplayCompute*);

// One of several jobs that share the pool: rank i of its trace is rank first_rank + i x stride.
struct ReplayJobSpec {
    std::string name, trace;
    int ranks = 0;        // 0: as many as the trace has
    int first_rank = -1;  // -1: behind the job before
    int stride = 1;
    Seconds start{0.0};  // when it begins
};

struct ReplaySpec {
    std::string trace;                // or jobs
    std::vector<ReplayJobSpec> jobs;  // with a trace each
    int ranks = 0;                    // 0: as many as the trace has
    ReplayCompute compute = ReplayCompute::recorded;
    double compute_scale = 1, host_scale = 1;
    DType format = DType::bf16;  // of FLOP that the chip does
};

template <class Form>
void describe(Form& form, ReplayJobSpec& job) {
    const Check rank{0, 1e8, false, "a rank of 0 to 100,000,000"};
    form.required("name", job.name, "of the job");
    form.required("trace", job.trace, "the file of its trace, or the folder of its ranks' files");
    form.optional("ranks", job.ranks, "ranks that do as the one of its trace", count());
    form.optional("first_rank", job.first_rank,
                  "rank of the pool that its rank 0 is; the one behind the job before if left out",
                  rank);
    form.optional("stride", job.stride, "its rank i is first_rank + i x stride",
                  Check{1, 1e8, false, "a whole number of 1 to 100,000,000"});
    form.optional("start", job.start, "when it begins",
                  Check{0, 1e6, false, "a time of 0 to 1,000,000 s"});
}

template <class Form>
void require_jobs(Form& form, const ReplaySpec& spec) {
    if (spec.jobs.empty()) form.problem("jobs", "is empty", "a name and a trace each");
    if (form.has("ranks")) form.problem("ranks", "is of one trace", "jobs say their own ranks");
    std::set<std::string> seen;
    for (const ReplayJobSpec& job : spec.jobs)
        if (!seen.insert(job.name).second)
            form.problem("jobs", fmt::format("two are called {}", job.name));
}

template <class Form>
void describe_replay(Form& form, bool replay, ReplaySpec& spec) {
    optional_of_variant(form, replay, "trace", spec.trace,
                        "replay: the file of a trace, or the folder of its ranks' files");
    optional_of_variant(form, replay, "jobs", spec.jobs,
                        "replay: instead of trace, jobs that share the fabric, each with its own");
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
    if (!replay || !form.ok()) return;
    if (form.has("trace") == form.has("jobs")) {
        form.problem("trace",
                     form.has("trace") ? "is beside jobs, which have traces of their own"
                                       : "is missing: what is replayed",
                     "either trace, or jobs: [{name: a, trace: a}, {name: b, trace: b}]");
    } else if (form.has("jobs")) {
        require_jobs(form, spec);
    }
}

}  // namespace podsim
