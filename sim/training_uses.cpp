#include "sim/training_uses.hpp"

#include <algorithm>

#include "base/at.hpp"

namespace podsim {

namespace {

void add(std::vector<PassUse>& uses, const TrainingPassPtr& pass, double times,
         StagePart part = StagePart::pass) {
    if (!pass || pass->record.end == 0) return;
    const auto known = std::find_if(uses.begin(), uses.end(),
                                    [&](const PassUse& use) { return use.pass == pass; });
    if (known != uses.end()) {
        known->times += times;
    } else {
        uses.push_back({pass, times, part});
    }
}

void add_stage(const TrainingStep& step, int stage, double weight, std::vector<PassUse>& uses) {
    for (const Pass& pass : at(step.schedule.programs, stage)) {
        const PositionPasses& of = at(step.passes, pass.cell.position);
        switch (pass.kind) {
            case PassKind::forward:
                add(uses, of.forward, weight);
                break;
            case PassKind::backward:
                add(uses, of.backward, weight);
                if (of.backward) break;
                add(uses, of.input_gradient, weight);
                add(uses, of.weight_gradient, weight);
                break;
            case PassKind::input_gradient:
                add(uses, of.input_gradient, weight);
                break;
            case PassKind::weight_gradient:
                add(uses, of.weight_gradient, weight);
                break;
            case PassKind::overlapped:
                add(uses, of.overlapped, weight / 2);
                add(uses, at(step.passes, pass.backward.position).overlapped, weight / 2);
                break;
        }
    }
    const std::size_t kind = at(step.kind_of_stage, stage);
    add(uses, step.norms[kind], weight, StagePart::optimizer);
    add(uses, step.optimizers[kind], weight, StagePart::optimizer);
}

void add_replicas(const TrainingStep& step, int stage, double weight, std::vector<PassUse>& uses) {
    for (const int p : positions_of_stage(step.schedule, stage)) {
        const PositionPasses& of = at(step.passes, p);
        if (of.gathering) {
            add(uses, of.gathering, weight);
            add(uses, of.forward, -weight);
        }
        if (of.reducing) {
            add(uses, of.reducing, weight);
            add(uses, of.backward ? of.backward : of.weight_gradient, -weight);
        }
    }
}

}  // namespace

std::vector<PassUse> uses_of_stage(const TrainingStep& step, int stage) {
    std::vector<PassUse> uses;
    add_stage(step, stage, 1, uses);
    return uses;
}

std::vector<PassUse> uses_of_all_stages(const TrainingStep& step) {
    std::vector<PassUse> uses;
    for (int stage = 0; stage < step.schedule.stages; ++stage)
        add_stage(step, stage, 1.0 / step.schedule.stages, uses);
    return uses;
}

std::vector<PassUse> uses_of_kind(const TrainingStep& step, std::size_t kind) {
    std::vector<PassUse> uses;
    const auto& stages = step.needs[kind].stages;
    const double weight = 1.0 / static_cast<double>(stages.size());
    for (const int stage : stages) {
        add_stage(step, stage, weight, uses);
        add_replicas(step, stage, weight, uses);
    }
    return uses;
}

Seconds exposed_communication(const TrainingStep& step) {
    double sum =
        step.gather.value() + step.reductions[at(step.kind_of_stage, step.critical_stage)].value();
    for (const PassUse& use : uses_of_stage(step, step.critical_stage))
        sum += use.times * use.pass->transfers.value();
    return Seconds(sum);
}

}  // namespace podsim
