#include "sim/routed_collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "sim/resolve.hpp"
#include "workloads/expert_balance.hpp"

namespace podsim {

namespace {

// Of the first layer that was counted.
std::vector<double> popularity_of(const ExpertsSpec& experts, long logical) {
    if (experts.popularity == Popularity::zipf) return zipf_shares(logical, experts.zipf_exponent);
    if (experts.popularity == Popularity::uniform) return zipf_shares(logical, 0);
    std::vector<double> shares = experts.counts.front().counts;
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    for (double& share : shares) share /= sum;
    return shares;
}

}  // namespace

bool is_routed(const ExpertsSpec& experts) {
    return experts.popularity != Popularity::balanced;
}

void check_routed(const WorkloadSpec& workload, const PoolSpec& pool,
                  std::vector<Diagnostic>& problems) {
    const Transfer& transfer = *workload.collective;
    if (transfer.experts == 0) {
        problems.push_back({workload.places.of("collective"), "workload.collective.experts",
                            "missing: how many experts there are, of which some are more popular",
                            "experts in all, redundant ones included"});
        return;
    }
    const long logical = transfer.experts - pool.experts.redundant;
    if (pool.experts.popularity == Popularity::histogram) {
        const auto& counted = pool.experts.counts;
        const std::size_t have = counted.empty() ? 0 : counted.front().counts.size();
        if (have != static_cast<std::size_t>(std::max(0L, logical))) {
            problems.push_back(
                at_key(pool, "experts.histogram",
                       fmt::format("counts {} experts, the collective has {}", have, logical),
                       "collective.experts less experts.redundant"));
            return;
        }
    }
    try {
        (void)routed_shares(transfer, pool.experts);
    } catch (const std::invalid_argument& error) {
        problems.push_back(at_key(pool, "experts", error.what(), ""));
    }
}

std::vector<TransferShare> routed_shares(const Transfer& transfer, const ExpertsSpec& experts) {
    const int ranks = transfer.group_ranks;
    const std::vector<double> popular =
        popularity_of(experts, transfer.experts - experts.redundant);
    const SlotChances slots =
        slot_chances(expert_chances(popular, transfer.copies),
                     place_experts(popular, transfer.experts, ranks, experts.placement), ranks);
    const double all = transfer.messages_per_rank * ranks;
    const double busiest =
        group_load(slots, all / static_cast<double>(transfer.copies)).busiest.tokens;
    const Bytes message = transfer.size / transfer.messages_per_rank;
    const Bytes most = busiest * message, rest = (all - busiest) / (ranks - 1) * message;
    const Bytes even = transfer.size;
    if (transfer.type == TransferType::dispatch) return {{1, even, most}, {ranks - 1, even, rest}};
    return {{1, most, even}, {ranks - 1, rest, even}};
}

Program routed_program(Transfer transfer, const std::optional<Operator>& fused_work,
                       const ExpertsSpec& experts) {
    const bool dispatch = transfer.type == TransferType::dispatch;
    transfer.shares = routed_shares(transfer, experts);
    Program program;
    program.streams = {{"stream", 1.0}};
    program.classes = {{"busiest rank", 1}, {"other ranks", transfer.group_ranks - 1}};
    TransferInstance instance{intern(program, transfer), {}};
    std::vector<int> last(program.classes.size(), -1);
    const auto add = [&](TaskKind kind, int body) {
        for (std::size_t c = 0; c < last.size(); ++c) {
            Task task;
            task.kind = kind;
            task.body = body;
            task.rank_class = static_cast<int>(c);
            if (last[c] >= 0) task.after = {last[c]};
            last[c] = static_cast<int>(program.tasks.size());
            program.tasks.push_back(task);
            if (kind == TaskKind::transfer) instance.tasks.push_back(last[c]);
        }
    };
    const int work = fused_work ? intern(program, *fused_work) : -1;
    if (work >= 0 && dispatch) add(TaskKind::compute, work);
    add(TaskKind::transfer, 0);
    if (work >= 0 && !dispatch) add(TaskKind::compute, work);
    program.instances = {instance};
    return program;
}

}  // namespace podsim
