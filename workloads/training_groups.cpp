#include "workloads/training_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

long ranks_of_group(const TrainingPlan& plan) {
    return static_cast<long>(plan.tensor_parallel) * plan.more.context_parallel;
}

long expert_ranks(const TrainingPlan& plan) {
    return static_cast<long>(plan.expert_parallel) * plan.more.expert_tensor_parallel;
}

// How groups and micro-batches fall out.
struct Cut {
    long block = 1;         // groups
    long rows = 0;          // micro-batches of a step
    long fewer = 0;         // that every group does
    long more = 0;          // groups that do one more
    long last = 0;          // groups of the last block, where it is smaller
    long of_last = 0;       // micro-batches that each of those does
    long last_experts = 0;  // ranks that share its experts
    long last_redundant = 0;
};

Cut cut_of(const TrainingJob& job, const TrainingPlan& plan, long block) {
    Cut cut;
    cut.block = block;
    cut.rows = job.global_batch / plan.micro_batch;
    cut.last = plan.data_parallel % block;
    const long told = cut.last > 0 ? plan.more.last_block_micro_batches : 0;
    const long sharing = told > 0 ? plan.data_parallel - cut.last : plan.data_parallel;
    const long shared = std::max(0L, cut.rows - told * cut.last);
    cut.fewer = sharing > 0 ? shared / sharing : 0;
    cut.more = sharing > 0 ? shared % sharing : 0;
    cut.of_last = told > 0 ? told : cut.fewer;
    if (cut.last == 0) return cut;
    cut.last_experts = cut.last * ranks_of_group(plan) / plan.more.expert_tensor_parallel;
    const long slots = job.model.routed_experts + job.experts.redundant;
    const long ranks = std::max(1L, cut.last_experts);
    cut.last_redundant = (slots + ranks - 1) / ranks * ranks - job.model.routed_experts;
    return cut;
}

}  // namespace

long groups_of_block(const TrainingJob& job, const TrainingPlan& plan) {
    if (!has_experts(job.model)) return 1;
    const long group = expert_ranks(plan), own = ranks_of_group(plan);
    return group / std::gcd(group, own);
}

std::vector<GroupPart> group_parts(const TrainingJob& job, const TrainingPlan& plan) {
    if (!plan.more.unequal_groups) return {{plan.data_parallel, plan, job.experts.redundant}};
    const Cut cut = cut_of(job, plan, groups_of_block(job, plan));
    std::vector<GroupPart> parts;
    const auto add = [&](long groups, long micro_batches) {
        if (groups == 0) return;
        GroupPart part{groups, plan, job.experts.redundant};
        part.plan.part.micro_batches = micro_batches;
        parts.push_back(std::move(part));
    };
    add(cut.more, cut.fewer + 1);
    add(plan.data_parallel - cut.more - cut.last, cut.fewer);
    if (cut.last == 0) return parts;
    add(cut.last, cut.of_last);
    GroupPart& last = parts.back();
    last.last_block = true;
    last.redundant = cut.last_redundant;
    last.plan.part.expert_replicas = plan.expert_replicas();
    last.plan.part.expert_stride = expert_ranks(plan);
    last.plan.expert_parallel = static_cast<int>(cut.last_experts);
    return parts;
}

std::vector<StepError> group_problems(const TrainingJob& job, const TrainingPlan& plan) {
    std::vector<StepError> found;
    const long groups = plan.data_parallel;
    if (job.global_batch % plan.micro_batch != 0) {
        found.emplace_back("global_batch", fmt::format("{} sequences are no micro-batches of {}",
                                                       job.global_batch, plan.micro_batch));
        return found;
    }
    const long group = expert_ranks(plan), own = ranks_of_group(plan);
    if (has_experts(job.model) && group % own != 0 && own % group != 0) {
        found.emplace_back(
            "mapping.expert_parallel",
            fmt::format("{} ranks of an expert group and {} of a data-parallel group cut across "
                        "each other; with unequal groups one has to divide the other",
                        group, own));
        return found;
    }
    const Cut cut = cut_of(job, plan, groups_of_block(job, plan));
    const long told = plan.more.last_block_micro_batches;
    if (told > 0 && (cut.last == 0 || cut.last == groups)) {
        found.emplace_back("mapping.last_block_micro_batches",
                           fmt::format("is {}, but {} data-parallel groups in blocks of {} leave "
                                       "{}; leave it away",
                                       told, groups, cut.block,
                                       cut.last == 0 ? "no last block" : "no other block"));
        return found;
    }
    if (told > 0 && told * cut.last >= cut.rows) {
        found.emplace_back(
            "mapping.last_block_micro_batches",
            fmt::format("{} for each of the last block's {} groups leave none of {} to the other "
                        "{}; {} is as many for all",
                        told, cut.last, cut.rows, groups - cut.last,
                        std::max(1L, cut.rows / groups)));
        return found;
    }
    if (cut.fewer == 0) {
        found.emplace_back("global_batch",
                           fmt::format("{} sequences are {} micro-batches, fewer than {} "
                                       "data-parallel groups",
                                       job.global_batch, cut.rows, groups));
        return found;
    }
    const long full = groups - cut.last;
    if (cut.more % cut.block != 0 || cut.more > full) {
        found.emplace_back(
            "global_batch",
            fmt::format("{} sequences are {} micro-batches more than {} for each of {} "
                        "data-parallel groups, which exchange tokens in blocks of {}",
                        job.global_batch, cut.more, cut.fewer, groups, cut.block));
    }
    if (cut.last > 0) {
        const long whole = groups - cut.last;
        const std::string would =
            whole > 0 ? fmt::format("; data_parallel {} leaves it away", whole) : "";
        const long ranks = cut.last * own;
        if (ranks % plan.more.expert_tensor_parallel != 0) {
            found.emplace_back(
                "mapping.data_parallel",
                fmt::format("{} leaves a last block of {} ranks, which expert_tensor_parallel {} "
                            "does not divide{}",
                            groups, ranks, plan.more.expert_tensor_parallel, would));
        } else if (job.experts.node_limited && cut.last_redundant > 0) {
            found.emplace_back(
                "experts.node_limited",
                fmt::format("keeps experts with their group, the last block's {} ranks share {} "
                            "with {} copies{}",
                            cut.last_experts, job.model.routed_experts, cut.last_redundant, would));
        } else if (cut.last_redundant > job.model.routed_experts) {
            found.emplace_back(
                "mapping.data_parallel",
                fmt::format("{} leaves a last block of {} ranks for {} experts{}", groups,
                            cut.last_experts, job.model.routed_experts, would));
        }
    }
    if (!found.empty()) return found;
    for (const GroupPart& part : group_parts(job, plan)) {
        if (const auto problem = schedule_problem(part.plan.request(job))) {
            found.emplace_back("schedule", *problem);
            return found;
        }
    }
    return found;
}

long groups_that_fit(const TrainingPlan& plan, long ranks, long ranks_per_chip) {
    const long each = ranks_of_group(plan) * plan.pipeline_parallel;
    long groups = ranks / each;
    while (groups > 0 && groups * each % ranks_per_chip != 0) --groups;
    return groups;
}

}  // namespace podsim
