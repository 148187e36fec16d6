// How an experiment writes several collectives at once.
#pragma once

#include "sim/collective_jobs_spec.hpp"
#include "sim/single_forms.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, CollectiveJobSpec& job) {
    CollectiveForm collective;
    form.required("name", job.name, "of the collective");
    form.optional(
        "first_rank", job.first_rank,
        "rank of the pool that its first rank is; of several collectives only the ranks that are "
        "named move, none between them",
        Check{0, 1e8, false, "a rank of 0 to 100,000,000"});
    form.optional("start", job.start, "when its ranks enter",
                  Check{0, 1e6, false, "a time of 0 to 1,000,000 s"});
    describe(form, collective);
    if (!form.ok()) return;
    if (job.name.empty()) form.problem("name", "is empty");
    job.transfer = to_transfer(collective);
    job.transfer.name = job.name;
    if (collective.fused_work)
        form.problem("fused_work", "is of one collective by itself",
                     "remove it, or write collective: instead of a list");
    const double last =
        job.first_rank + (static_cast<double>(job.transfer.group_ranks) - 1) * job.transfer.stride;
    if (last > 1e8) form.problem("first_rank", "puts its last rank beyond 100,000,000");
}

}  // namespace podsim
