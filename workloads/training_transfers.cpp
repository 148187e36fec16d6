#include "workloads/training_transfers.hpp"

#include <algorithm>

namespace podsim {

Transfer RankTransfers::collective(const char* name, TransferType type, RankGroup group,
                                   double bytes) {
    Transfer transfer;
    transfer.name = name;
    transfer.type = type;
    transfer.group_ranks = static_cast<int>(group_ranks(plan_, group));
    // Experts of a model without any lie nowhere.
    transfer.stride = transfer.group_ranks > 1 && bytes > 0 ? group_stride(plan_, group) : 1;
    transfer.size = Bytes(bytes);
    moved_.push_back({group, type, bytes});
    return transfer;
}

// Between data-parallel ranks, which hold the same dense parameters or experts.
TaskIds RankTransfers::between_replicas(const Shared& held, const char* name, TransferType type,
                                        double element, bool aside) {
    TaskIds first = chain_.transfer(
        data_stream, collective(name, type, RankGroup::replicas, held.dense * element), aside);
    TaskIds last = chain_.transfer(
        data_stream, collective(name, type, RankGroup::expert_replicas, held.experts * element),
        aside);
    return last.empty() ? first : last;
}

TaskIds RankTransfers::gather(const Shared& held, bool aside) {
    return between_replicas(held, "parameters", TransferType::all_gather, kWide, aside);
}
// Copies of an expert bring their gradients together, two and two, before replicas do.
void RankTransfers::reduce_copies(const Shared& held, bool aside) {
    if (job_.experts.redundant == 0 || plan_.expert_parallel < 2) return;
    const auto redundant = static_cast<double>(job_.experts.redundant);
    const double share =
        2 * redundant / (redundant + static_cast<double>(job_.model.routed_experts));
    Transfer twins =
        collective("gradients of copies", TransferType::all_reduce, RankGroup::expert,
                   std::min(1.0, share) * held.experts * bytes_of(job_.gradient_reduction));
    twins.stride *= plan_.expert_parallel / 2;
    twins.group_ranks = 2;
    chain_.transfer(data_stream, twins, aside);
}
// DualPipe keeps each layer on two stages, which see a half of the micro-batches each (DeepSeek-V3,
// arXiv 2412.19437, section 3.2.1): what a rank has of their gradients after its own replicas'
// reduction is summed with what the rank in its place on the other stage has. Stages lie from 1 to
// P - 1 apart, here as the mean of them does.
void RankTransfers::sum_directions(const Shared& held, bool aside) {
    if (!two_directions(plan_)) return;
    const bool divides = plan_.zero_stage >= 1;
    const double own = divides ? held.dense / static_cast<double>(plan_.replicas()) +
                                     held.experts / static_cast<double>(plan_.expert_replicas())
                               : held.dense + held.experts;
    Transfer pair = collective("gradients of the other direction", TransferType::all_reduce,
                               RankGroup::stages, own * bytes_of(job_.gradient_reduction));
    pair.group_ranks = 2;
    pair.stride *= plan_.pipeline_parallel / 2;
    chain_.transfer(data_stream, pair, aside);
}

void RankTransfers::reduce(const Shared& held, bool aside) {
    const bool scatter = plan_.zero_stage >= 1;
    reduce_copies(held, aside);
    between_replicas(held, "gradients",
                     scatter ? TransferType::reduce_scatter : TransferType::all_reduce,
                     bytes_of(job_.gradient_reduction), aside);
    // Parts that a rank keeps meet those of the other direction at the end of the step.
    if (!reduces_each(plan_)) sum_directions(held, aside);
}

bool reduces_each(const TrainingPlan& plan) {
    return plan.zero_stage >= 2;
}

bool two_directions(const TrainingPlan& plan) {
    return plan.schedule == ScheduleKind::dual_pipe && plan.pipeline_parallel > 1;
}

Operator host_copy(const char* name, double bytes) {
    constexpr double page = 4096;
    return {name, TableRead{TablePlace::host, bytes / page, page}};
}

}  // namespace podsim
