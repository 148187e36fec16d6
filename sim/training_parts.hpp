// Steps of data-parallel groups that are not alike (workloads/training_groups.hpp): each part as a
// plan of its own; the step is that of the slowest, for which all others wait with the gradients.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/training_uses.hpp"
#include "workloads/training_groups.hpp"

namespace podsim {

struct PartStep {
    GroupPart part;
    TrainingStep step;
};

// The job of a part: a last block holds copies of its own.
TrainingJob job_of_part(const TrainingJob& job, const GroupPart& part);

// Cases of last blocks, kept by what their jobs differ in: a search asks for many plans. All that
// is given must outlive it; the job may change its batch in between.
class LastBlocks {
  public:
    LastBlocks(const TrainingJob& job, const TrainingMachine& machine, CostCache& cache,
               PassDetail detail = PassDetail::all)
        : job_(job), machine_(machine), cache_(cache), detail_(detail) {}

    TrainingStep step(GroupPart& part);

  private:
    struct Known {
        TrainingJob job;
        TrainingCase training;
        Known(const TrainingJob& of, const TrainingMachine& machine, CostCache& cache,
              PassDetail detail)
            : job(of), training(job, machine, cache, detail) {}
    };

    const TrainingJob& job_;
    TrainingMachine machine_;
    CostCache& cache_;
    PassDetail detail_;
    std::map<long, Known> known_;  // by redundant experts
};

// One where all groups are alike. `training` is of `job`; a last block runs on `machine` by itself.
std::vector<PartStep> part_steps(TrainingCase& training, LastBlocks& blocks, const TrainingJob& job,
                                 const TrainingPlan& plan);
std::vector<PartStep> part_steps(TrainingCase& training, const TrainingJob& job,
                                 const TrainingMachine& machine, CostCache& cache,
                                 const TrainingPlan& plan);
const PartStep& slowest(const std::vector<PartStep>& parts);

// Stages that are alike, of groups that hold the same: those that differ in micro-batches alone are
// told of as one, with the mean of their passes.
struct StageKind {
    std::size_t kind = 0;  // of these steps' needs
    const StageNeed* need = nullptr;
    std::vector<const TrainingStep*> steps;
    std::string groups;  // in front of its name
    double share = 0;    // of the ranks of a stage
    std::vector<PassUse> uses;
    double stages() const { return static_cast<double>(need->stages.size()); }
};
std::vector<StageKind> stage_kinds(const std::vector<PartStep>& parts, const TrainingPlan& plan);

// By kind of stage, of every part that holds what others do not; nothing runs.
std::vector<StageNeed> part_memory(const TrainingJob& job, const TrainingMachine& machine,
                                   CostCache& cache, const TrainingPlan& plan);

}  // namespace podsim
