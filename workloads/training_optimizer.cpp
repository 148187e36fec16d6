// What follows the last pass of a step: the optimiser, with what is exchanged around it and what of
// its states lies in the host's memory.
#include <algorithm>

#include "workloads/task_chain.hpp"
#include "workloads/training_muon.hpp"
#include "workloads/training_need.hpp"
#include "workloads/training_pass.hpp"
#include "workloads/training_transfers.hpp"

namespace podsim {

namespace {

class OptimizerBuilder {
  public:
    OptimizerBuilder(const TrainingJob& job, const TrainingPlan& plan)
        : job_(job), plan_(plan), chain_(job.engine), transfers_(job, plan, chain_) {
        chain_.set_classes({{"ranks", static_cast<int>(plan.stage_ranks())}});
    }

    Program reduce(const std::vector<TrainingPosition>& positions) {
        const HeldParameters held = held_of(positions);
        if (reduces_each(plan_)) {
            transfers_.sum_directions(shared(held), false);
        } else if (!job_.habits().overlap_gradients) {
            transfers_.reduce(shared(held), false);
        }
        const double own = own_of(held);
        const double read = bytes_of(job_.optimizer.gradients) * own;
        chain_.run({{"gradient_norm", VectorWork{"square_sum", own, 2, read, 0}}});
        return chain_.take();
    }

    Program build(const std::vector<TrainingPosition>& positions) {
        const HeldParameters held = held_of(positions);
        if (job_.optimizer.optimizer == Optimizer::muon) orthogonalize(positions);
        step(held);
        clear(held);
        if (plan_.zero_stage >= 1 && plan_.zero_stage < 3 && !job_.habits().overlap_parameters)
            transfers_.gather(shared(held), false);
        narrow(held);
        return chain_.take();
    }

  private:
    using Ids = TaskIds;

    HeldParameters held_of(const std::vector<TrainingPosition>& positions) const {
        HeldParameters sum;
        for (const TrainingPosition& p : positions) {
            const HeldParameters one = held_by(job_, plan_, p);
            sum.matrices += one.matrices;
            sum.vectors += one.vectors;
            sum.tables += one.tables;
            sum.experts += one.experts;
        }
        return sum;
    }

    static Shared shared(const HeldParameters& held) {
        return {held.total() - held.experts, held.experts};
    }

    // What data-parallel ranks divide among them.
    bool divides() const { return plan_.zero_stage >= 1; }
    double ranks_of_dense() const { return divides() ? static_cast<double>(plan_.replicas()) : 1; }
    double ranks_of_experts() const {
        return divides() ? static_cast<double>(plan_.expert_replicas()) : 1;
    }
    double own_of(const HeldParameters& held) const {
        return (held.total() - held.experts) / ranks_of_dense() + held.experts / ranks_of_experts();
    }

    // Sums that micro-batches add to; where they are divided, of a rank's part of them alone.
    void clear(const HeldParameters& held) {
        const double sums = plan_.zero_stage >= 2 ? own_of(held) : held.total();
        const double bytes = bytes_of(job_.optimizer.gradients) * sums;
        chain_.run({{"gradients_to_zero", VectorWork{"fill", sums, 0, 0, bytes}}});
    }

    // Weights of matrices that products read narrower than they are gathered, in both orders.
    void narrow(const HeldParameters& held) {
        const double to = bytes_of(job_.precision.weights);
        if (to > 1 || plan_.zero_stage == 3) return;
        const double weights = held.matrices + held.experts;
        chain_.run({{"weight_conversion",
                     VectorWork{"quantise", weights, 4, kWide * weights, 2 * to * weights}}});
    }

    // Of so many parameters of one rank, its share of the optimiser's step.
    void step(const HeldParameters& held) {
        const double own = own_of(held);
        const OptimizerFormats& formats = job_.optimizer;
        const double gradient = bytes_of(formats.gradients), master = bytes_of(formats.master),
                     moment = bytes_of(formats.moments), weight = bytes_of(job_.precision.weights);
        const bool muon = formats.optimizer == Optimizer::muon;
        const double moments = (muon ? 1 : 2) * moment;
        const auto stepped = [&](double parameters) {
            return Operator{
                muon ? "muon_step" : "adam_step",
                VectorWork{"optimizer", parameters, 12, (gradient + master + moments) * parameters,
                           (master + moments + weight) * parameters}};
        };
        const double away = plan_.offload.optimizer * own;
        if (away > 0) {
            if (plan_.offload.host_memory > BytesPerSecond(0.0)) {
                const double touched = gradient + 2 * (master + moments) + weight;
                step_on_host(away, gradient, touched, weight);
            } else {
                step_on_chip(away, master + moments, stepped);
            }
        }
        if (own > away) chain_.run({stepped(own - away)});
        chain_.wait_for(returned_);
    }

    // States come and go, a part's way beside another part's step.
    template <class Stepped>
    void step_on_chip(double parameters, double bytes, const Stepped& stepped) {
        const double part = parameters / kOffloadChunks;
        const std::vector<Ids> begin = chain_.front;
        for (int i = 0; i < kOffloadChunks; ++i) {
            // At most two parts are here at a time: the next comes in when one has left.
            const std::vector<Ids> after = i < 2 ? begin : of_classes(left_[i - 2]);
            const Ids here = chain_.run_beside(
                "from the host", host_copy("host_link_states_in", part * bytes), after);
            chain_.wait_for(here);
            chain_.run({stepped(part)});
            left_.push_back(chain_.run_beside(
                "to the host", host_copy("host_link_states_out", part * bytes), chain_.front));
        }
        returned_ = left_.back();
    }

    // Gradients go up and weights come down while the host's processors step what is between.
    void step_on_host(double parameters, double gradient, double touched, double weight) {
        const double part = parameters / kOffloadChunks;
        const Seconds each = Bytes(part * touched) / plan_.offload.host_memory;
        const std::vector<Ids> begin = chain_.front;
        for (int i = 0; i < kOffloadChunks; ++i) {
            const Ids up = chain_.run_beside(
                "to the host", host_copy("host_link_gradients", part * gradient), begin);
            const Ids done = chain_.host_beside("optimizer step of the host", each, of_classes(up));
            returned_ = chain_.run_beside(
                "from the host", host_copy("host_link_weights", part * weight), of_classes(done));
        }
    }

    static std::vector<Ids> of_classes(const Ids& ids) {
        std::vector<Ids> lists;
        for (const int id : ids) lists.push_back({id});
        return lists;
    }

    // Matrices that a rank has a part of come together first, in BF16: over replicas that divide
    // them by their elements, then over ranks that have each matrix in parts.
    void orthogonalize(const std::vector<TrainingPosition>& positions) {
        const MuonWork work = muon_work(job_, plan_, positions);
        const long of_dense = divides() ? plan_.replicas() : 1,
                   of_experts = divides() ? plan_.expert_replicas() : 1;
        const double parts = plan_.tensor_parallel,
                     parts_of_expert = plan_.more.expert_tensor_parallel;
        const auto gather = [&](ChainStream stream, RankGroup group, double bytes) {
            chain_.transfer(
                stream,
                transfers_.collective("matrices of Muon", TransferType::all_gather, group, bytes),
                false);
        };
        // A collective's size is what all of its ranks have in the end.
        const auto of_group = [&](const std::vector<MuonMatrices>& list, long ranks) {
            return std::min(static_cast<double>(ranks) * lacked(list, ranks), elements_of(list));
        };
        gather(data_stream, RankGroup::replicas, kWide * of_group(work.dense, of_dense) / parts);
        gather(data_stream, RankGroup::expert_replicas,
               kWide * of_group(work.experts, of_experts) / parts_of_expert);
        const auto dense = touched(work.dense, of_dense);
        const auto experts = touched(work.experts, of_experts);
        gather(tensor_stream, RankGroup::tensor, kWide * elements_of(dense));
        gather(tensor_stream, RankGroup::expert_tensor, kWide * elements_of(experts));
        chain_.run(newton_schulz(dense));
        chain_.run(newton_schulz(experts));
    }

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    TaskChain chain_;
    RankTransfers transfers_;
    Ids returned_;           // what an offloaded step ends with
    std::vector<Ids> left_;  // parts of the states on their way back
};

}  // namespace

Program build_reduction(const TrainingJob& job, const TrainingPlan& plan,
                        const std::vector<TrainingPosition>& positions) {
    return OptimizerBuilder(job, plan).reduce(positions);
}

Program build_optimizer(const TrainingJob& job, const TrainingPlan& plan,
                        const std::vector<TrainingPosition>& positions) {
    return OptimizerBuilder(job, plan).build(positions);
}

Transfer norm_sum(const TrainingPlan& plan) {
    Transfer transfer;
    transfer.name = "gradient norm";
    transfer.type = TransferType::all_reduce;
    transfer.group_ranks = plan.pipeline_parallel;
    transfer.stride = group_stride(plan, RankGroup::stages);
    transfer.size = Bytes(bytes_of(DType::fp32));
    return transfer;
}

}  // namespace podsim
