#include "workloads/routed_loads.hpp"

#include "workloads/training_need.hpp"

namespace podsim {

RoutedLoads::RoutedLoads(const TrainingJob& job, const TrainingPlan& plan)
    : job_(job), plan_(plan) {
    if (!has_experts(job.model)) return;
    forward_ = expert_step(job, plan, false);
    backward_ = expert_step(job, plan, true);
    layout_ = expert_layout(forward_);
}

ExpertLoad RoutedLoads::of(long layer, bool backward) const {
    const StepSpec& step = backward ? backward_ : forward_;
    const std::size_t balance = layout_.balances.empty() ? 0 : layout_.balance_of(layer);
    ExpertLoad load =
        expert_load(step, layout_, static_cast<double>(plan_.own_tokens(job_)), balance);
    if (busiest_ > 0 && layout_.uneven()) take_busiest(load);
    return load;
}

void RoutedLoads::take_busiest(ExpertLoad& load) const {
    const double ranks = layout_.routed_ranks;
    const double mean = static_cast<double>(plan_.own_tokens(job_)) * layout_.group_ranks *
                        static_cast<double>(job_.model.experts_per_token) / ranks;
    const double before = load.imbalance * mean;
    const auto rest = [&](double busiest) { return (ranks * mean - busiest) / (ranks - 1); };
    const double here = busiest_ / before, elsewhere = rest(busiest_) / rest(before);
    load.here = whole_rows({busiest_, static_cast<double>(load.here.active_experts)});
    load.elsewhere =
        whole_rows({rest(busiest_), static_cast<double>(load.elsewhere.active_experts)});
    load.imbalance = busiest_ / mean;
    load.dispatch.shares[0].receive *= here;
    load.dispatch.shares[1].receive *= elsewhere;
    load.combine.shares[0].send *= here;
    load.combine.shares[1].send *= elsewhere;
}

ExpertRows RoutedLoads::rows(const ExpertLoad& load, int rank_class) const {
    ExpertRows rows = rank_class == 0 ? load.here : load.elsewhere;
    rows.tokens_per_expert *= plan_.more.expert_tensor_parallel;
    rows.longer_experts = plan_.more.expert_tensor_parallel > 1 ? 0 : rows.longer_experts;
    return rows;
}

}  // namespace podsim
