#include "workloads/training_placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "workloads/training_pass.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

namespace {

long degree_of(const TrainingPlan& plan, RankDimension dimension) {
    switch (dimension) {
        case RankDimension::tensor:
            return plan.tensor_parallel;
        case RankDimension::context:
            return plan.more.context_parallel;
        case RankDimension::data:
            return plan.data_parallel;
        case RankDimension::pipeline:
            return plan.pipeline_parallel;
    }
    return 1;
}

long inside(const TrainingPlan& plan, RankDimension dimension) {
    long product = 1;
    for (const RankDimension one : plan.order) {
        if (one == dimension) break;
        product *= degree_of(plan, one);
    }
    return product;
}

// Of `members` ranks of a stage, every step-th in the order that leaves pp out: with step = a q + b
// rank(i step) = a q P i + b i, as long as b i stays below q.
std::optional<long> stride_in_stage(const TrainingPlan& plan, long members, long step) {
    const long inner = inside(plan, RankDimension::pipeline), stages = plan.pipeline_parallel;
    const long over = step % inner;
    if (members < 2) return 1;
    if (stages > 1 && (members - 1) * over >= inner) return std::nullopt;
    return (step - over) * stages + over;
}

std::optional<long> replica_stride(const TrainingPlan& plan) {
    const long context = plan.more.context_parallel, data = plan.data_parallel;
    const long by_context = inside(plan, RankDimension::context),
               by_data = inside(plan, RankDimension::data);
    if (context == 1) return by_data;
    if (data == 1) return by_context;
    const bool context_first = by_context < by_data;
    const long inner = context_first ? context : data;
    const long near = std::min(by_context, by_data), far = std::max(by_context, by_data);
    return far == inner * near ? std::optional<long>(near) : std::nullopt;
}

}  // namespace

std::optional<long> stride_of(const TrainingPlan& plan, RankGroup group) {
    const long width = plan.more.expert_tensor_parallel;
    const auto members = [&](long step) {
        return stride_in_stage(plan, group_ranks(plan, group), step);
    };
    switch (group) {
        case RankGroup::tensor:
            return inside(plan, RankDimension::tensor);
        case RankGroup::context:
            return inside(plan, RankDimension::context);
        case RankGroup::stages:
            return inside(plan, RankDimension::pipeline);
        case RankGroup::replicas:
            return replica_stride(plan);
        case RankGroup::expert_tensor:
            return members(1);
        case RankGroup::expert:
            return members(width);
        case RankGroup::expert_replicas:
            return members(plan.part.expert_stride > 0 ? plan.part.expert_stride
                                                       : width * plan.expert_parallel);
    }
    return std::nullopt;
}

int group_stride(const TrainingPlan& plan, RankGroup group) {
    const auto stride = stride_of(plan, group);
    if (!stride) throw std::logic_error("ranks of a group are not equally far apart");
    return static_cast<int>(*stride);
}

long group_ranks(const TrainingPlan& plan, RankGroup group) {
    switch (group) {
        case RankGroup::tensor:
            return plan.tensor_parallel;
        case RankGroup::context:
            return plan.more.context_parallel;
        case RankGroup::stages:
            return plan.pipeline_parallel;
        case RankGroup::replicas:
            return plan.replicas();
        case RankGroup::expert_tensor:
            return plan.more.expert_tensor_parallel;
        case RankGroup::expert:
            return plan.expert_parallel;
        case RankGroup::expert_replicas:
            return plan.expert_replicas();
    }
    return 1;
}

namespace {

constexpr RankGroup kGroups[] = {
    RankGroup::tensor,   RankGroup::context,         RankGroup::expert, RankGroup::expert_tensor,
    RankGroup::replicas, RankGroup::expert_replicas, RankGroup::stages};

bool possible(const TrainingPlan& plan) {
    return std::all_of(std::begin(kGroups), std::end(kGroups), [&](RankGroup group) {
        return group_ranks(plan, group) < 2 || stride_of(plan, group);
    });
}

double passes_of(TransferType type) {
    return type == TransferType::all_reduce ? 2 : 1;
}

}  // namespace

std::string placement_key(const TrainingPlan& plan) {
    std::string key;
    for (const RankGroup group : kGroups) {
        // What a pass sends to another stage is no part of it.
        if (group == RankGroup::stages) continue;
        const auto stride = group_ranks(plan, group) > 1 ? stride_of(plan, group) : 1;
        key += fmt::format("{}.", stride.value_or(0));
    }
    return key;
}

double share_beyond(TransferType type, long ranks, long stride, long domain_ranks) {
    if (ranks < 2 || domain_ranks < 1) return 0;
    const double members = static_cast<double>(ranks);
    const double here =
        static_cast<double>(std::clamp((domain_ranks + stride - 1) / stride, 1L, ranks));
    switch (type) {
        case TransferType::dispatch:
        case TransferType::combine:
        case TransferType::all_to_all:
            return (members - here) / members;
        case TransferType::send_recv:
            return here < members ? 1 / here : 0;
        default:
            return passes_of(type) * (members - here) / members / here;
    }
}

ChosenOrder chosen_order(const TrainingJob& job, const TrainingPlan& plan) {
    const TrainingPlacement& asked = plan.more.placement;
    ChosenOrder chosen{kFlatOrder};
    if (asked.kind == PlacementKind::given) chosen.order = asked.order;
    // With one domain for all, or nothing but tensor and data parallelism, orders do not differ.
    const bool alike = plan.ranks() <= job.domain_ranks || job.domain_ranks == 0 ||
                       (plan.pipeline_parallel == 1 && plan.more.context_parallel == 1);
    if (asked.kind != PlacementKind::topology || alike) return chosen;
    TrainingPlan ordered = plan;
    ordered.order = kFlatOrder;
    std::vector<GroupTransfer> traffic;
    try {
        traffic = traffic_of(job, ordered);
    } catch (const std::invalid_argument&) {
        return chosen;  // a model that cannot be cut so, which is refused where it is run
    }
    const auto beyond = [&] {
        double sum = 0;
        for (const GroupTransfer& one : traffic) {
            const long ranks = group_ranks(ordered, one.group);
            sum +=
                one.bytes * one.times *
                share_beyond(one.type, ranks, group_stride(ordered, one.group), job.domain_ranks);
        }
        return sum;
    };
    chosen.beyond = chosen.beyond_flat = beyond();
    RankOrder order = kFlatOrder;
    std::sort(order.begin() + 1, order.end());
    do {
        ordered.order = order;
        if (!possible(ordered)) continue;
        const double sum = beyond();
        // Less by more than what counting may be off.
        if (sum < 0.99 * chosen.beyond) {
            chosen.order = order;
            chosen.beyond = sum;
        }
    } while (std::next_permutation(order.begin() + 1, order.end()));
    return chosen;
}

}  // namespace podsim
