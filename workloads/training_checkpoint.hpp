// How long a checkpoint takes, from its bytes: weights, master weights and moments, each once,
// which the ranks that hold the same write a part of each (as sharded checkpoints of PyTorch and
// Megatron do).
//
//   storage   all bytes at the storage's rate, or a rank's over its host link if that takes longer
//   host      a rank's bytes over its host link; copies in other ranks' memory then go on to a rank
//             of another node over its scale-out port
//   pool      a rank's bytes over its way to what the scale-up domain pools
//
// Asynchronous: the job stands still for the copy to the host's memory alone, and the checkpoint
// can be used once it has been written from there. Back: the same bytes the same way.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/form.hpp"
#include "workloads/training_run.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

enum class CheckpointTarget { storage, host, pool };
const std::vector<std::pair<const char*, CheckpointTarget>>& names_of(const CheckpointTarget*);

struct CheckpointForm : CheckpointSpec {
    std::optional<CheckpointTarget> to;  // absent: times are as given
    BytesPerSecond bandwidth{0.0};       // of the target, for all ranks together; 0: no limit
    bool asynchronous = false;
    bool stall_given = false, until_usable_given = false, restore_given = false;
};

template <class Form>
void describe(Form& form, CheckpointForm& checkpoint) {
    form.optional("interval", checkpoint.interval, "of work between two; the best one if absent",
                  positive());
    form.optional("to", checkpoint.to,
                  "where it goes: times that are not given follow from its bytes");
    form.optional("bandwidth", checkpoint.bandwidth, "of where it goes, for all ranks together",
                  positive());
    form.optional("asynchronous", checkpoint.asynchronous,
                  "the job stands still for the copy to the host's memory alone");
    form.optional("stall", checkpoint.stall, "time that the job stands still", non_negative());
    form.optional("until_usable", checkpoint.until_usable,
                  "time from the stall until it can be restarted from", non_negative());
    form.optional("restore", checkpoint.restore, "time to read it back", non_negative());
    if (!form.ok()) return;
    checkpoint.stall_given = form.has("stall");
    checkpoint.until_usable_given = form.has("until_usable");
    checkpoint.restore_given = form.has("restore");
    if (!checkpoint.to) {
        for (const char* key : {"bandwidth", "asynchronous"}) {
            if (form.has(key))
                form.problem(key, "is of a checkpoint whose times follow from its bytes",
                             "to: storage, host or pool says where it goes");
        }
    } else if (*checkpoint.to == CheckpointTarget::storage && !form.has("bandwidth")) {
        form.problem("to", "is storage of no known bandwidth",
                     "bandwidth: 1 TB/s, of all ranks together");
    } else if (*checkpoint.to == CheckpointTarget::host && checkpoint.asynchronous) {
        form.problem("asynchronous", "says nothing of a copy to the host's memory itself",
                     "leave it away");
    }
}

struct CheckpointBytes {
    Bytes all{0.0}, rank{0.0};  // rank: of one that writes most
};
CheckpointBytes checkpoint_bytes(const TrainingJob& job, const TrainingPlan& plan);

// A rank's ways out; 0: none.
struct CheckpointWays {
    BytesPerSecond host{0.0}, scale_out{0.0}, pool{0.0};
};

// With the times that are not given filled in; `copies`: in other ranks' memory. Throws RunProblem
// (key "to") where there is no way.
CheckpointSpec checkpoint_times(const CheckpointForm& form, const CheckpointBytes& bytes,
                                const CheckpointWays& ways, bool copies);

}  // namespace podsim
