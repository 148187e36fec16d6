// One training step under any plan: what it needs of memory, how long it takes and why.
//
// Each distinct pass (workloads/training_pass.hpp) runs once on the machine; the schedule's order
// and these times give when every pass of every stage runs; then
//
//   step = gather + max over stages (end of its last pass + reduction + norm) + sum of the norm
//          + max over stages (optimiser) + host
//
//   reduction  what reducing gradients adds to the last backward pass of a stage,
//   norm       of a stage's gradients, with reductions that no pass hides: gradients are clipped by
//              the norm over all stages, so that no stage steps before the last one has its sums,
//   gather     what gathering parameters adds to the first forward pass of the first stages, as far
//              as they do not wait for their first micro-batch anyway.
//
// Nothing is counted per rank or per micro-batch but the schedule's own entries.
//
// For a search over plans (podsim plan): one TrainingCase for a job on a machine, then for each
// plan
//   1. training_problems(job, plan, ranks)   degrees, divisibility, the schedule;
//   2. least_need(...)                       states alone, a few microseconds;
//   3. memory(plan)                          exact for schedules of fixed order; nothing runs;
//   4. time(plan)                            passes are remembered by what they depend on
//                                            (micro-batch, tensor, context, expert parallel,
//                                            layers) over all plans of the case;
//   5. step(plan), result of the few that are shown.
// Names are resolved once, in ResolvedAlternative.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/machine.hpp"
#include "workloads/schedule_timing.hpp"
#include "workloads/task_chain.hpp"
#include "workloads/training_need.hpp"
#include "workloads/training_pass.hpp"

namespace podsim {

// A pass as it ran, on ranks of one stage. A search over plans keeps its times alone.
struct TrainingPass {
    Program program;
    ProgramCosts costs;
    RunRecord record;
    // What keeps each of a class's streams (workloads/task_chain.hpp) at work, of the class that
    // has most of it: the cores, and each kind of transfer less its waits for the slowest rank.
    std::array<Seconds, kChainStreams> streams = {};
    Seconds transfers{0.0};  // on the chain that it is as long as
    // Dispatch and combine of the busiest class, less waits for the slowest rank; of it beside
    // kernels of the same ranks.
    Seconds exchange{0.0}, exchange_hidden{0.0};
    Seconds time() const { return to_seconds(record.end); }
};
using TrainingPassPtr = std::shared_ptr<const TrainingPass>;

// Passes of one position; those that its schedule does not have are empty.
struct PositionPasses {
    TrainingPassPtr forward, backward, input_gradient, weight_gradient, overlapped;
    TrainingPassPtr gathering;  // the forward pass that gathers parameters
    TrainingPassPtr reducing;   // the last pass backwards, which reduces gradients
};

struct TrainingStep {
    std::vector<TrainingPosition> positions;
    std::vector<PositionPasses> passes;  // [position]
    PipelineTimes times;
    Schedule schedule;
    ScheduleTiming timing;
    std::vector<StageNeed> needs;             // by kind of stage
    std::vector<std::size_t> kind_of_stage;   // index into needs
    std::vector<TrainingPassPtr> norms;       // by kind of stage
    std::vector<TrainingPassPtr> optimizers;  // by kind of stage
    std::vector<Seconds> reductions;          // by kind of stage
    Seconds norm_known{0.0};  // from the first pass of all until all stages know the norm
    Seconds optimizer{0.0};   // the longest of the stages'
    Seconds gather{0.0}, host{0.0}, total{0.0};
    int critical_stage = 0;  // its part of the norm is known last
    const StageNeed& fullest() const;
    Seconds own_norm(int stage) const;  // when a stage's own part of the norm is known
    // Of the stage whose norm is known last: how long it waits for the others, and all that follows
    // its last pass but for reductions beside passes.
    Seconds wait_for_others() const;
    Seconds optimizer_time() const;
};

// What a job runs on. All of it must outlive the case.
struct TrainingMachine {
    const RankHardware& hardware;
    const RankFabric& fabric;
    const CollectiveLibrarySpec& collectives;
    long ranks = 0;
    Driver driver = Driver::plain;
    double operator_time = 1;  // all operators take so many times as long (sim/band.hpp)
};

enum class PassDetail { all, times };

class TrainingCase {
  public:
    TrainingCase(const TrainingJob& job, const TrainingMachine& machine, CostCache& cache,
                 PassDetail detail = PassDetail::all)
        : job_(job), machine_(machine), cache_(cache), detail_(detail) {}

    // By kind of stage; nothing runs. Of automatic schedules with passes of equal length.
    std::vector<StageNeed> memory(const TrainingPlan& plan) const;

    // A plan that training_problems() has nothing to say about. Throws std::invalid_argument for a
    // format or a collective without a cost.
    TrainingStep step(const TrainingPlan& plan);
    Seconds time(const TrainingPlan& plan) { return step(plan).total; }

    // Any part of the model by itself: layers, the embedding, the head. With `reduces` its
    // gradients are reduced beside it.
    TrainingPassPtr part(const TrainingPlan& plan, const TrainingPosition& part, PassKind kind,
                         bool reduces = false);

    // Of a micro-batch from stage to stage.
    Seconds send_time(const TrainingPlan& plan) const;

    // What follows the last pass on a stage that holds these positions, less waits for others.
    Seconds after_passes(const TrainingPlan& plan, const std::vector<TrainingPosition>& held);

    // The same with so many assignments for the busiest rank of each expert group.
    TrainingPassPtr loaded(const TrainingPlan& plan, const TrainingPosition& part, PassKind kind,
                           double busiest);

    // Where a plan does not fit: the smallest single change that does, in words; "" where none.
    std::string help_for_memory(const TrainingPlan& plan) const;

    long events() const { return events_; }

  private:
    TrainingPassPtr pass(const TrainingPlan& plan, const PassRequest& request);
    using PassMaker = Program (*)(const TrainingJob&, const TrainingPlan&,
                                  const std::vector<TrainingPosition>&);
    TrainingPassPtr after_pass(const char* name, PassMaker make, const TrainingPlan& plan,
                               const std::vector<TrainingPosition>& positions);
    Seconds stages_time(const TrainingPlan& plan, const Transfer& transfer) const;
    void finish(const TrainingPlan& plan, TrainingStep& step);
    TrainingPassPtr run(Program program);
    PositionPasses passes_of(const TrainingPlan& plan, const std::vector<TrainingPosition>& all,
                             std::size_t position);
    bool fits(const TrainingPlan& plan) const;

    const TrainingJob& job_;
    TrainingMachine machine_;
    CostCache& cache_;
    PassDetail detail_;
    std::map<std::string, TrainingPassPtr> known_;
    long events_ = 0;
};

}  // namespace podsim
