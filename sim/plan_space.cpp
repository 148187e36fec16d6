#include "sim/plan_space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>

#include "workloads/step_parts.hpp"
#include "workloads/training_groups.hpp"
#include "workloads/training_pass.hpp"

namespace podsim {

namespace {

std::vector<int> divisors(long of, long most) {
    std::vector<int> list;
    for (long value = 1; value <= std::min(of, most); ++value) {
        if (of % value == 0) list.push_back(static_cast<int>(value));
    }
    return list;
}

// What is wrong with a plan by itself, on as many ranks as it makes, at one of its keys.
std::optional<StepError> problem_at(const TrainingJob& job, TrainingPlan plan,
                                    const std::string& key) {
    plan.more.sequence_parallel = plan.tensor_parallel > 1;
    for (StepError& error : training_problems(job, plan, plan.ranks(), NearestValues::left_out)) {
        if (error.key == key) return error;
    }
    return {};
}

// One degree alone, everything else 1.
TrainingPlan alone(const PlanGround& ground) {
    TrainingPlan plan;
    plan.more.context_exchange = ground.start.more.context_exchange;
    return plan;
}

std::optional<StepError> tensor_problem(const PlanGround& ground, int degree) {
    TrainingPlan plan = alone(ground);
    plan.tensor_parallel = degree;
    return problem_at(ground.job, plan, "mapping.tensor_parallel");
}

std::optional<StepError> sharing_problem(const PlanGround& ground, int degree) {
    TrainingPlan plan = alone(ground);
    plan.more.context_parallel = degree;
    return problem_at(ground.job, plan, "mapping.context_parallel");
}

std::optional<StepError> pipeline_problem(const PlanGround& ground, int degree) {
    TrainingPlan plan = alone(ground);
    plan.pipeline_parallel = degree;
    return problem_at(ground.job, plan, "mapping.pipeline_parallel");
}

std::optional<StepError> expert_problem(const PlanGround& ground, int degree) {
    if (has_experts(ground.job.model) && ground.job.model.routed_experts % degree != 0) {
        const long experts = ground.job.model.routed_experts;
        long nearest = degree;
        for (long by = 1; experts % nearest != 0; ++by)
            nearest = experts % (degree - by) == 0 ? degree - by : degree + by;
        return StepError("mapping.expert_parallel",
                         fmt::format("{} does not divide {} routed experts; {} would", degree,
                                     experts, nearest));
    }
    TrainingPlan plan = alone(ground);
    plan.expert_parallel = plan.data_parallel = degree;
    return problem_at(ground.job, plan, "mapping.expert_parallel");
}

template <class Problem>
std::vector<int> that_divide(const PlanGround& ground, std::vector<int> values, Problem problem) {
    std::erase_if(values, [&](int value) { return problem(ground, value).has_value(); });
    return values;
}

}  // namespace

std::string mapping_key(const PlanCandidate& of) {
    TrainingPlan plan = of.plan;
    plan.zero_stage = 0;
    return fmt::format("{}|{}|{}|{}|{}|{}|{}", plan_key(plan), placement_key(plan),
                       plan.pipeline_parallel > 1 ? group_stride(plan, RankGroup::stages) : 0,
                       static_cast<int>(plan.schedule), plan.more.positions_per_stage,
                       of.global_batch, of.chips_there);
}

namespace {

// Micro-batches of a data-parallel group, the most up to `most` that the schedule can run.
long runnable(ScheduleRequest request, long most) {
    const long far = 2L * request.stages * request.positions_per_stage;
    for (long count = most; count >= 1 && count >= most - far; --count) {
        request.micro_batches = count;
        if (!schedule_problem(request)) return count;
    }
    return 0;
}

class Cutter {
  public:
    Cutter(const PlanGround& ground, const PlanForm& form) : ground_(ground), form_(form) {}

    PlanSpace cut() {
        for (const int chips : form_.chips) {
            for (const int tensor : form_.tensor_parallel) {
                for (const int context : form_.context_parallel) {
                    for (const int pipeline : form_.pipeline_parallel)
                        degrees(chips, tensor, context, pipeline);
                }
            }
        }
        return std::move(space_);
    }

  private:
    void degrees(int chips, int tensor, int context, int pipeline) {
        TrainingPlan plan = ground_.start;
        plan.tensor_parallel = tensor;
        plan.more.context_parallel = context;
        plan.more.sequence_parallel = tensor > 1;
        plan.pipeline_parallel = pipeline;
        plan.more.layers.clear();
        for (const int expert : form_.expert_parallel) {
            for (const int width : form_.expert_tensor_parallel) {
                plan.expert_parallel = expert;
                plan.more.expert_tensor_parallel = width;
                for (const long micro_batch : form_.micro_batch) {
                    plan.micro_batch = micro_batch;
                    for (const ScheduleKind schedule : form_.schedule)
                        schedules(chips, plan, schedule);
                }
            }
        }
    }

    void schedules(int chips, TrainingPlan plan, ScheduleKind schedule) {
        plan.schedule = schedule;
        const bool interleaves = schedule == ScheduleKind::interleaved;
        const std::vector<int> parts =
            interleaves ? form_.positions_per_stage : std::vector<int>{0};
        const std::vector<TrainingPlacement> placements =
            form_.placement.empty() ? std::vector{usual()} : form_.placement;
        for (const int positions : parts) {
            std::vector<std::string> seen;
            for (const TrainingPlacement& placement : placements) {
                plan.more.placement = placement;
                positioned(chips, plan, schedule, positions, parts, seen);
            }
        }
    }

    void positioned(int chips, TrainingPlan plan, ScheduleKind schedule, int positions,
                    const std::vector<int>& parts, std::vector<std::string>& seen) {
        plan.more.positions_per_stage = positions;
        // Whatever number of layers: add() has no more than there are.
        const RecomputeChoice& first = form_.again.front();
        plan.recompute = first.layers() > 0 ? RecomputeChoice(RecomputePolicy::full) : first;
        plan.zero_stage = 0;
        const auto variants = static_cast<long>(form_.again.size() * form_.zero_stage.size()) *
                              std::max(1L, static_cast<long>(form_.offload.size()));
        space_.combinations += variants;
        // Without stages all schedules are one: forward, backward.
        if (plan.pipeline_parallel == 1) {
            if (schedule != form_.schedule.front() || positions != parts.front()) return;
            plan.schedule = ScheduleKind::one_forward_one_backward;
            plan.more.positions_per_stage = 0;
        }
        if (plan.overlap_passes && runs_without_overlap_alone(plan)) {
            plan.overlap_passes = false;
            space_.without_overlap += variants;
            auto& named = space_.do_not_overlap;
            if (std::find(named.begin(), named.end(), plan.schedule) == named.end())
                named.push_back(plan.schedule);
        }
        if (plan.more.unequal_groups) {
            if (const auto found = fill_all(chips, plan)) {
                space_.combinations += variants;
                add(*found, seen);
            }
        }
        parts_a_group_ = false;
        const auto found = fill(chips, plan, 0);
        if (!found && parts_a_group_) space_.parted += variants;
        if (!found) return;
        add(*found, seen);
        // The most groups that fit may leave no chip to take a failed one's place.
        if (!ground_.standing_by) return;
        const double reserve = ground_.standing_by(found->chips);
        if (chips - found->chips >= reserve) return;
        if (const auto fewer = fill(chips, plan, reserve)) {
            space_.combinations += variants;
            add(*fewer, seen);
        }
    }

    // Whatever the micro-batches are.
    bool runs_without_overlap_alone(const TrainingPlan& plan) const {
        ScheduleRequest request = plan.request(ground_.job);
        request.micro_batches = 4L * request.stages * request.positions_per_stage;
        request.overlaps = true;
        if (!schedule_problem(request)) return false;
        request.overlaps = false;
        return !schedule_problem(request);
    }

    void add(const PlanCandidate& found, std::vector<std::string>& seen) {
        const TrainingPlan& plan = found.plan;
        // Orders may differ in dimensions of degree 1 alone.
        const std::string lies = mapping_key(found);
        if (std::find(seen.begin(), seen.end(), lies) != seen.end()) return;
        seen.push_back(lies);
        long most = 1;
        for (const TrainingPosition& one : positions_of(job_, plan))
            most = std::max(most, one.end - one.begin);
        const auto& list = form_.again;
        const RecomputeChoice full(RecomputePolicy::full);
        const bool has_full = std::find(list.begin(), list.end(), full) != list.end();
        for (const RecomputeChoice& asked : list) {
            // Of parts with fewer layers than that all run again.
            const bool all = asked.layers() > most;
            if (all && has_full) continue;
            const RecomputeChoice& recompute = all ? full : asked;
            for (const int zero : form_.zero_stage) {
                if (zero == 3 && plan.pipeline_parallel > 1) continue;
                PlanCandidate one = found;
                one.plan.recompute = recompute;
                one.plan.zero_stage = zero;
                if (form_.offload.empty()) space_.candidates.push_back(one);
                for (const OffloadPolicy policy : form_.offload) {
                    one.plan.offload = offloaded(policy, ground_.start.offload);
                    space_.candidates.push_back(one);
                }
            }
        }
    }

    // Every group that there is room for, where that leaves a last block of expert groups smaller
    // than the others (workloads/training_groups.hpp).
    std::optional<PlanCandidate> fill_all(int chips, TrainingPlan plan) {
        const long ranks = static_cast<long>(chips) * ground_.ranks_per_chip;
        const long groups = groups_that_fit(plan, ranks, ground_.ranks_per_chip);
        const long block = groups_of_block(ground_.job, plan);
        if (groups < block || groups % block == 0) return {};
        plan.data_parallel = static_cast<int>(groups);
        return with_batch(chips, plan);
    }

    // The plan with a batch that it can run, and nothing else wrong.
    std::optional<PlanCandidate> with_batch(int chips, const TrainingPlan& plan) {
        PlanCandidate one{plan, ground_.job.global_batch,
                          static_cast<int>(plan.ranks() / ground_.ranks_per_chip), chips};
        if (form_.batch == PlanBatch::at_most) {
            const long sequences = plan.micro_batch * plan.data_parallel;
            one.global_batch = sequences * runnable(plan.request(ground_.job),
                                                    ground_.job.global_batch / sequences);
            if (one.global_batch == 0) return {};
        }
        job_.global_batch = one.global_batch;
        if (!problems_of(one.plan).empty()) return {};
        place(one);
        return one;
    }

    std::vector<StepError> problems_of(const TrainingPlan& plan) const {
        return training_problems(job_, plan, plan.ranks(), NearestValues::left_out);
    }

    void place(PlanCandidate& one) {
        one.plan.routed = routed(one.plan);
        one.plan.order = order(one.plan);
        one.plan.more.placement = {
            one.plan.order == kFlatOrder ? PlacementKind::flat : PlacementKind::given,
            one.plan.order};
    }

    // The most data parallelism that the ranks carry beside `reserve` chips, and the batch.
    std::optional<PlanCandidate> fill(int chips, TrainingPlan plan, double reserve) {
        const long ranks = static_cast<long>(chips) * ground_.ranks_per_chip;
        const long unit = static_cast<long>(plan.tensor_parallel) * plan.more.context_parallel;
        const long most = ranks / (unit * plan.pipeline_parallel);
        const long group =
            static_cast<long>(plan.expert_parallel) * plan.more.expert_tensor_parallel;
        const long step = group / std::gcd(group, unit);
        const double least = static_cast<double>(ranks) * (1 - form_.idle) - 1e-6;
        for (long data = most / step * step; data > 0; data -= step) {
            const long used = data * unit * plan.pipeline_parallel;
            if (static_cast<double>(used) < least) break;
            if (used % ground_.ranks_per_chip != 0) continue;
            const long standing_by = chips - used / ground_.ranks_per_chip;
            if (static_cast<double>(standing_by) < reserve) continue;
            plan.data_parallel = static_cast<int>(data);
            PlanCandidate one{plan, ground_.job.global_batch,
                              static_cast<int>(used / ground_.ranks_per_chip), chips};
            if (form_.batch == PlanBatch::at_most) {
                const long sequences = plan.micro_batch * data;
                one.global_batch = sequences * runnable(plan.request(ground_.job),
                                                        ground_.job.global_batch / sequences);
                if (one.global_batch == 0) continue;
            } else if (ground_.job.global_batch % (plan.micro_batch * data) != 0 &&
                       !plan.more.unequal_groups) {
                note(plan);
                continue;
            }
            job_.global_batch = one.global_batch;
            const auto problems = problems_of(one.plan);
            if (!problems.empty() && problems.front().key == "mapping.placement") {
                parts_a_group_ = true;
                if (space_.parted_by.empty()) space_.parted_by = problems.front().reason;
            }
            if (problems.empty()) {
                place(one);
                return one;
            }
            if (space_.first_problem.empty())
                space_.first_problem = training_problems(job_, one.plan, one.plan.ranks());
            // A batch that this many groups cannot run may do for fewer; the rest stays wrong.
            if (problems.front().key != "schedule" && problems.front().key != "global_batch")
                return {};
        }
        if (space_.first_problem.empty() && reserve == 0) {
            const long product = unit * plan.pipeline_parallel * step;
            space_.first_problem.emplace_back(
                "idle",
                fmt::format("no data_parallel puts tensor_parallel {} x context_parallel {} x "
                            "pipeline_parallel {} with groups of {} ranks for experts on {} ranks; "
                            "multiples of {} would",
                            plan.tensor_parallel, plan.more.context_parallel,
                            plan.pipeline_parallel, group, ranks, product));
        }
        return {};
    }

    // Of all mappings that take as many tokens to as many ranks.
    RoutedLoad routed(const TrainingPlan& plan) {
        const auto key = std::make_tuple(plan.own_tokens(job_), plan.expert_parallel,
                                         plan.more.expert_tensor_parallel);
        const auto [it, fresh] = routed_.try_emplace(key);
        if (fresh) it->second = routed_load(job_, plan);
        return it->second;
    }

    // What the mapping gives, else flat: to weigh orders takes longer than to bound a step.
    TrainingPlacement usual() const {
        TrainingPlacement placement = ground_.start.more.placement;
        if (placement.kind == PlacementKind::topology) placement.kind = PlacementKind::flat;
        return placement;
    }

    RankOrder order(const TrainingPlan& plan) {
        std::string key = plan_key(plan) + to_string(plan.more.placement);
        key +=
            fmt::format("|{},{}", plan.request(job_).positions_per_stage, plan.micro_batches(job_));
        const auto [it, fresh] = orders_.try_emplace(key);
        if (fresh) it->second = chosen_order(job_, plan).order;
        return it->second;
    }

    void note(const TrainingPlan& plan) {
        if (space_.first_problem.empty())
            space_.first_problem = training_problems(ground_.job, plan, plan.ranks());
    }

    const PlanGround& ground_;
    const PlanForm& form_;
    TrainingJob job_ = ground_.job;
    bool parts_a_group_ = false;  // the mapping last looked at does
    std::map<std::tuple<long, int, int>, RoutedLoad> routed_;
    std::map<std::string, RankOrder> orders_;
    PlanSpace space_;
};

}  // namespace

namespace {

// What is searched: as asked, else every policy (up-projections alone are between the others, and
// the start's where it has them) and, between those and whole layers, feed-forward blocks alone.
std::vector<RecomputeChoice> choices_of(const PlanGround& ground, const PlanForm& form) {
    std::vector<RecomputeChoice> choices;
    const auto add = [&](const RecomputeChoice& one) {
        if (std::find(choices.begin(), choices.end(), one) == choices.end()) choices.push_back(one);
    };
    const RecomputeChoice& start = ground.start.recompute;
    // Whole layers are as many as the workload says, where the search does not.
    const bool as_workload = start.layers() > 0 && form.recompute_layers.empty();
    for (const RecomputePolicy policy : form.recompute)
        add(policy == RecomputePolicy::full && as_workload ? start : policy);
    for (const RecomputeModules& modules : form.recompute_modules) add(RecomputeChoice(modules));
    for (const long layers : form.recompute_layers) add(RecomputeChoice::of_layers(layers));
    if (!choices.empty()) return choices;
    for (const auto& [name, policy] : names_of(static_cast<const RecomputePolicy*>(nullptr))) {
        if (policy == RecomputePolicy::up_projections && !(start == policy)) continue;
        if (policy == RecomputePolicy::full) {
            const bool experts = has_experts(ground.job.model);
            add(RecomputeChoice(experts ? RecomputeModules{RecomputeModule::moe_act}
                                        : RecomputeModules{RecomputeModule::mlp}));
        }
        add(policy);
    }
    add(start);
    return choices;
}

}  // namespace

PlanForm filled_form(const PlanGround& ground, const PlanForm& form, const GivenDegrees& given) {
    PlanForm full = form;
    const TrainingPlan& start = ground.start;
    if (full.chips.empty()) full.chips = {ground.chips};
    const long ranks = static_cast<long>(*std::max_element(full.chips.begin(), full.chips.end())) *
                       ground.ranks_per_chip;
    const auto fill = [](std::vector<int>& list, bool kept, int value, const auto& all) {
        if (list.empty()) list = kept ? std::vector<int>{value} : all();
    };
    const auto ones = [] { return std::vector<int>{1}; };
    fill(full.tensor_parallel, given.tensor, start.tensor_parallel,
         [&] { return that_divide(ground, divisors(ranks, ground.domain_ranks), tensor_problem); });
    fill(full.context_parallel, given.context, start.more.context_parallel, ones);
    fill(full.pipeline_parallel, given.pipeline, start.pipeline_parallel, [&] {
        return that_divide(ground, divisors(ranks, layer_count(ground.job.model) + 2),
                           pipeline_problem);
    });
    fill(full.expert_tensor_parallel, given.expert_tensor, start.more.expert_tensor_parallel, ones);
    fill(full.expert_parallel, given.expert, start.expert_parallel, [&] {
        if (!has_experts(ground.job.model)) return ones();
        return divisors(ground.job.model.routed_experts, ranks);
    });
    fill(full.positions_per_stage, given.positions && start.more.positions_per_stage > 0,
         start.more.positions_per_stage, [] { return std::vector<int>{2}; });
    if (full.micro_batch.empty()) full.micro_batch = {start.micro_batch};
    if (full.schedule.empty()) full.schedule = {start.schedule};
    full.again = choices_of(ground, full);
    if (full.zero_stage.empty()) full.zero_stage = {1, 2, 3};
    return full;
}

std::vector<StepError> value_problems(const PlanGround& ground, const PlanForm& form) {
    std::vector<StepError> found;
    const auto look = [&](const std::vector<int>& values, const char* key, auto problem) {
        for (const int value : values) {
            if (const auto error = problem(ground, value)) found.emplace_back(key, error->reason);
        }
    };
    look(form.tensor_parallel, "tensor_parallel", tensor_problem);
    look(form.context_parallel, "context_parallel", sharing_problem);
    look(form.pipeline_parallel, "pipeline_parallel", pipeline_problem);
    look(form.expert_parallel, "expert_parallel", expert_problem);
    for (const long value : form.micro_batch) {
        if (value > ground.job.global_batch) {
            found.emplace_back("micro_batch",
                               fmt::format("{} is more than the {} sequences of a step", value,
                                           ground.job.global_batch));
        }
    }
    return found;
}

PlanSpace plan_space(const PlanGround& ground, const PlanForm& form) {
    return Cutter(ground, form).cut();
}

}  // namespace podsim
