#include "sim/training_parts.hpp"

#include <algorithm>

namespace podsim {

TrainingJob job_of_part(const TrainingJob& job, const GroupPart& part) {
    TrainingJob own = job;
    own.experts.redundant = static_cast<int>(part.redundant);
    return own;
}

TrainingStep LastBlocks::step(GroupPart& part) {
    Known& known =
        known_.try_emplace(part.redundant, job_of_part(job_, part), machine_, cache_, detail_)
            .first->second;
    known.job.global_batch = job_.global_batch;
    part.plan.routed = routed_load(known.job, part.plan);
    return known.training.step(part.plan);
}

std::vector<PartStep> part_steps(TrainingCase& training, LastBlocks& blocks, const TrainingJob& job,
                                 const TrainingPlan& plan) {
    std::vector<PartStep> steps;
    for (GroupPart& part : group_parts(job, plan)) {
        TrainingStep step = part.last_block ? blocks.step(part) : training.step(part.plan);
        steps.push_back({std::move(part), std::move(step)});
    }
    return steps;
}

std::vector<PartStep> part_steps(TrainingCase& training, const TrainingJob& job,
                                 const TrainingMachine& machine, CostCache& cache,
                                 const TrainingPlan& plan) {
    LastBlocks blocks(job, machine, cache);
    return part_steps(training, blocks, job, plan);
}

const PartStep& slowest(const std::vector<PartStep>& parts) {
    return *std::max_element(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
        return a.step.total < b.step.total;
    });
}

namespace {

constexpr const char* last_block = "last block, ";

void add_uses(const std::vector<PassUse>& more, double weight, std::vector<PassUse>& uses) {
    for (const PassUse& use : more) {
        const auto known = std::find_if(uses.begin(), uses.end(),
                                        [&](const PassUse& one) { return one.pass == use.pass; });
        if (known == uses.end()) {
            uses.push_back({use.pass, weight * use.times, use.part});
        } else {
            known->times += weight * use.times;
        }
    }
}

}  // namespace

std::vector<StageKind> stage_kinds(const std::vector<PartStep>& parts, const TrainingPlan& plan) {
    std::vector<StageKind> kinds;
    for (const bool last : {false, true}) {
        StageKind alike;
        double share = 0;
        for (const PartStep& one : parts) {
            if (one.part.last_block != last) continue;
            alike.steps.push_back(&one.step);
            share += one.part.share(plan);
        }
        if (alike.steps.empty()) continue;
        alike.groups = last ? last_block : "";
        alike.share = share;
        const auto& needs = alike.steps.front()->needs;
        for (alike.kind = 0; alike.kind < needs.size(); ++alike.kind) {
            StageKind one = alike;
            one.need = &needs[alike.kind];
            for (const PartStep& part : parts) {
                if (part.part.last_block == last)
                    add_uses(uses_of_kind(part.step, one.kind), part.part.share(plan) / share,
                             one.uses);
            }
            kinds.push_back(std::move(one));
        }
    }
    return kinds;
}

std::vector<StageNeed> part_memory(const TrainingJob& job, const TrainingMachine& machine,
                                   CostCache& cache, const TrainingPlan& plan) {
    std::vector<StageNeed> all = TrainingCase(job, machine, cache).memory(plan);
    for (GroupPart& part : group_parts(job, plan)) {
        if (!part.last_block) continue;
        const TrainingJob own = job_of_part(job, part);
        part.plan.routed = routed_load(own, part.plan);
        for (StageNeed& need : TrainingCase(own, machine, cache).memory(part.plan)) {
            need.need.rank_class = last_block + need.need.rank_class;
            all.push_back(std::move(need));
        }
    }
    return all;
}

}  // namespace podsim
