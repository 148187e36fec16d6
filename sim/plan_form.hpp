// The section `plan` of a training experiment: over what `podsim plan` searches. A degree that is
// absent is what `mapping` says, and where that is silent all that divide; other keys that are
// absent are as `workload` says, recompute and ZeRO apart, of which all are tried.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/form.hpp"
#include "models/training.hpp"
#include "workloads/schedule.hpp"
#include "workloads/training_mapping.hpp"
#include "workloads/training_offload.hpp"

namespace podsim {

// exact: steps of workload.global_batch. at_most: the largest batch up to it that divides.
enum class PlanBatch { exact, at_most };
const std::vector<std::pair<const char*, PlanBatch>>& names_of(const PlanBatch*);

// What a mapping is best at.
enum class PlanObjective { throughput, cost, communication, failures };
const std::vector<std::pair<const char*, PlanObjective>>& names_of(const PlanObjective*);

struct PlanForm {
    std::vector<int> chips, tensor_parallel, context_parallel, pipeline_parallel, expert_parallel,
        expert_tensor_parallel, positions_per_stage;
    std::vector<long> micro_batch;
    std::vector<ScheduleKind> schedule;
    std::vector<RecomputePolicy> recompute;
    std::vector<RecomputeModules> recompute_modules;
    std::vector<long> recompute_layers;
    std::vector<RecomputeChoice> again;  // of these; filled_form() makes it
    std::vector<int> zero_stage;
    std::vector<OffloadPolicy> offload;
    std::vector<TrainingPlacement> placement;  // empty: the mapping's
    PlanBatch batch = PlanBatch::exact;
    double idle = 0;    // share of the ranks that may stand by
    double memory = 1;  // share of it that may be filled
    double within = 0.05;
    int top = 5;
    PlanObjective objective = PlanObjective::throughput;
};

template <class Form>
void describe(Form& form, PlanForm& plan) {
    const auto list = [&](const char* key, auto& values, const char* help, const auto&... checks) {
        form.optional(key, values, help, checks...);
        if (form.ok() && form.has(key) && values.empty())
            form.problem(key, "is an empty list", "leave the key away, or name at least one");
    };
    list("chips", plan.chips, "packages to plan for; those of the alternative if absent",
         at_least(1));
    list("tensor_parallel", plan.tensor_parallel, "degrees to try; all that divide if absent",
         at_least(1));
    list("context_parallel", plan.context_parallel, "degrees to try; 1 if absent", at_least(1));
    list("pipeline_parallel", plan.pipeline_parallel, "degrees to try; all that divide if absent",
         at_least(1));
    list("expert_parallel", plan.expert_parallel, "degrees to try; all that divide if absent",
         at_least(1));
    list("expert_tensor_parallel", plan.expert_tensor_parallel, "degrees to try; 1 if absent",
         at_least(1));
    list("positions_per_stage", plan.positions_per_stage,
         "parts of the model that a stage of an interleaved schedule holds; 2 if absent",
         at_least(1));
    list("micro_batch", plan.micro_batch, "sequences; the workload's if absent", at_least(1));
    list("schedule", plan.schedule, "orders of passes; the workload's if absent");
    list("recompute", plan.recompute,
         "policies, full of as many layers as the workload says; all of them and some modules if "
         "this, recompute_modules and recompute_layers are absent");
    list("recompute_modules", plan.recompute_modules,
         "lists of modules to try beside the policies, each as under workload");
    list("recompute_layers", plan.recompute_layers,
         "numbers of layers of each part of the model to try beside the policies, each as under "
         "workload",
         at_least(1));
    list("zero_stage", plan.zero_stage, "stages; 1 and 2, and 3 without a pipeline, if absent",
         Check{0, 3, false, "a whole number of 0 to 3"});
    list("offload", plan.offload,
         "what goes to the host's memory, whole or by the workload's share: none, optimizer, "
         "activations, both; as the workload says if absent");
    std::vector<std::string> orders;
    list("placement", orders,
         "which ranks lie side by side: topology, flat, or orders such as tp-cp-pp-dp; the "
         "mapping's if absent");
    for (const std::string& order : orders) {
        if (const auto read = placement_from(order)) {
            plan.placement.push_back(*read);
        } else {
            form.problem("placement", "has '" + order + "', no order of tp, cp, dp and pp",
                         "topology, flat, or one such as tp-cp-dp-pp or tp-cp-ep-pp-dp");
        }
    }
    form.optional("batch", plan.batch,
                  "exact: the workload's global batch; at-most: the largest up to it that divides");
    form.optional("idle", plan.idle,
                  "share of the ranks that a mapping may leave standing by, as spares of a run",
                  share());
    form.optional("memory", plan.memory, "share of a rank's memory that may be filled",
                  share_above_zero());
    form.optional("within", plan.within,
                  "mappings are timed whose throughput may come so near the best", share());
    form.optional("top", plan.top, "mappings that are shown", at_least(1));
    form.optional("objective", plan.objective, "whose best mapping is written as an experiment");
}

}  // namespace podsim
