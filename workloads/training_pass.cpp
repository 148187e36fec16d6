#include "workloads/training_pass.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/at.hpp"
#include "models/sizes.hpp"
#include "workloads/routed_loads.hpp"
#include "workloads/step_parts.hpp"
#include "workloads/task_chain.hpp"
#include "workloads/training_blocks.hpp"
#include "workloads/training_need.hpp"
#include "workloads/training_transfers.hpp"

namespace podsim {

namespace {

// What two chains of tasks, a forward and a backward pass, are written into.
class PassBuilder {
  public:
    PassBuilder(const TrainingJob& job, const TrainingPlan& plan)
        : job_(job),
          plan_(plan),
          chain_(job.engine),
          transfers_(job, plan, chain_),
          blocks_(job, plan),
          loads_(job, plan) {
        const long stage = plan.stage_ranks();
        if (loads_.uneven()) {
            const int groups = static_cast<int>(stage / plan.expert_parallel);
            chain_.set_classes(
                {{"busiest rank", groups}, {"other ranks", groups * (plan.expert_parallel - 1)}});
        } else {
            chain_.set_classes({{"ranks", static_cast<int>(stage)}});
        }
    }

    Program build(const PassRequest& request) {
        loads_.ask_busiest(request.busiest);
        gathers_ = request.gathers;
        reduces_ = request.reduces;
        if (request.kind == PassKind::overlapped) {
            // Cores are parted between compute and the exchange for the whole pass.
            chain_.share_cores(1.0 - job_.engine.transfer_core_share);
            forward(request.position, request.receives);
            chain_.restart(1);
            // Put off, gradients of weights fill what the chains leave; not where the pass waits
            // for their sums, which then would begin at its end.
            weights_aside_ = !request.reduces;
            backward(request.backward, request.receives_gradient, true, true);
        } else if (request.kind == PassKind::forward) {
            forward(request.position, request.receives);
        } else {
            const bool input = request.kind != PassKind::weight_gradient;
            const bool weight = request.kind != PassKind::input_gradient;
            if (input) {
                backward(request.position, request.receives_gradient, input, weight);
            } else {
                weights_alone(request.position);
            }
        }
        return chain_.take();
    }

    const std::vector<GroupTransfer>& moved() const { return transfers_.moved(); }

  private:
    using Ids = TaskIds;

    int classes() const { return chain_.classes(); }

    // Weight gradients beside the chain, where nothing in it waits for them.
    void run_weights(const std::vector<Operator>& operators, int rank_class) {
        if (!weights_aside_) return chain_.run(operators, rank_class);
        if (operators.empty()) return;
        aside_.resize(chain_.front.size());
        const Ids ends = chain_.run_aside(operators, rank_class);
        Ids& waiting = at(aside_, rank_class);
        waiting.insert(waiting.end(), ends.begin(), ends.end());
    }

    double tokens() const { return static_cast<double>(plan_.tokens(job_)); }
    double hidden() const { return static_cast<double>(job_.model.hidden); }

    // Of a tensor-parallel group: what is brought together in front of divided work ...
    Ids gather_tensor(double bytes_of_token, bool aside) {
        return chain_.transfer(
            tensor_stream,
            transfers_.collective("tensor-parallel all-gather", TransferType::all_gather,
                                  RankGroup::tensor, tokens() * bytes_of_token),
            aside);
    }
    // ... and its sums, which every rank gets its part of, or all.
    Ids reduce_tensor(double bytes_of_token, bool aside) {
        const bool scatter = plan_.more.sequence_parallel;
        return chain_.transfer(
            tensor_stream,
            transfers_.collective(
                scatter ? "tensor-parallel reduce-scatter" : "tensor-parallel all-reduce",
                scatter ? TransferType::reduce_scatter : TransferType::all_reduce,
                RankGroup::tensor, tokens() * bytes_of_token),
            aside);
    }

    double gathered_bytes(const TrainingBlock& block) const {
        return block.gathered_elements * bytes_of(block.gathered_format);
    }

    // A block with its collectives, forward.
    void forward(const TrainingBlock& block) {
        chain_.run(block.before);
        forward_divided(block);
    }
    // From what its norm made on.
    void forward_divided(const TrainingBlock& block) {
        if (plan_.more.sequence_parallel) gather_tensor(gathered_bytes(block), false);
        chain_.run(block.divided);
        reduce_tensor(hidden() * kWide, false);
    }

    void run_gradients(const OperatorGradients& gradients, bool input, bool weight) {
        for (int c = 0; c < classes(); ++c) {
            if (input) chain_.run(gradients.input, c);
            if (weight) run_weights(gradients.weight, c);
        }
    }

    // And backward. The last pair of gradients is that of the product that reads what was gathered.
    void backward(const TrainingBlock& block, bool input, bool weight) {
        const bool scatters = plan_.more.sequence_parallel;
        const bool together = input && weight;
        // Without sequence parallelism every rank has the whole gradient already.
        if (scatters && input) gather_tensor(hidden() * kWide, false);
        if (input) {
            chain_.run(block.before_again);
            chain_.run(block.divided_again);
        }
        Ids operand;
        if (scatters && weight && plan_.tensor_parallel > 1)
            operand = gather_tensor(gathered_bytes(block), true);
        const auto& divided = block.divided_gradients;
        for (std::size_t i = 0; i < divided.size(); ++i) {
            const bool last = i + 1 == divided.size();
            if (!last || plan_.tensor_parallel == 1) {
                run_gradients(divided[i], input, weight);
                continue;
            }
            if (input) run_gradients(divided[i], true, false);
            const double summed = block.gathered_elements * kWide;
            Ids sums;
            const bool aside = together && job_.habits().overlap_tensor;
            if (input) sums = reduce_tensor(summed, aside);
            if (weight) {
                chain_.wait_for(operand);
                run_gradients(divided[i], false, true);
            }
            chain_.wait_for(sums);
        }
        for (const OperatorGradients& one : block.before_gradients)
            run_gradients(one, input, weight);
    }

    // Keys and values of ranks that share sequences, in front of attention or beside it; backward
    // twice as much, gradients too.
    struct ContextMove {
        Transfer transfer;
        bool beside = false;
    };
    ContextMove context_move(const LayerKind& kind, bool backward) {
        const int ranks = plan_.more.context_parallel;
        if (ranks == 1) return {};
        const AttentionSpec& attention =
            job_.model.attentions.at(static_cast<std::size_t>(kind.attention));
        const double elements = layer_cache(attention, 1, plan_.tensor_parallel).kv * tokens();
        const double times = backward ? 2 : 1;
        ContextMove move;
        switch (plan_.more.context_exchange) {
            case ContextExchange::ring:
            case ContextExchange::all_gather:
                move.transfer =
                    transfers_.collective("context all-gather", TransferType::all_gather,
                                          RankGroup::context, times * ranks * elements * kWide);
                move.beside = plan_.more.context_exchange == ContextExchange::ring;
                if (move.beside) move.transfer.name = "context ring";
                break;
            case ContextExchange::all_to_all: {
                // Queries and outputs too, each as kWide as the heads of a rank.
                const double queries = hidden() / plan_.tensor_parallel * tokens();
                move.transfer = transfers_.collective("context all-to-all",
                                                      TransferType::all_to_all, RankGroup::context,
                                                      times * (elements + 2 * queries) * kWide);
                break;
            }
        }
        return move;
    }

    // A block of attention, `work`, with what ranks that share sequences tell each other.
    template <class Work>
    void with_context(const LayerKind& kind, bool backward, const Work& work) {
        const ContextMove move = context_move(kind, backward);
        const Ids moved = chain_.transfer(exchange_stream, move.transfer, move.beside);
        work();
        chain_.wait_for(moved);
    }

    Transfer strided(Transfer transfer, const char* name, TransferType type) {
        transfer.name = name;
        transfer.type = type;
        transfer.stride = plan_.expert_parallel > 1 ? group_stride(plan_, RankGroup::expert) : 1;
        transfers_.note({RankGroup::expert, type, transfer.size.value()});
        transfer.domain_limit = routed_domains(job_, plan_);
        return transfer;
    }

    // Ranks that share each expert's width bring their tokens together, and take the sums apart.
    void expert_tensor(TransferType type, const ExpertLoad& load) {
        const int ranks = plan_.more.expert_tensor_parallel;
        const double rows = static_cast<double>(load.here.rows()) * ranks;
        chain_.transfer(
            tensor_stream,
            transfers_.collective(type == TransferType::all_gather ? "expert-tensor all-gather"
                                                                   : "expert-tensor reduce-scatter",
                                  type, RankGroup::expert_tensor, rows * hidden() * kWide),
            false);
    }

    // Choice of experts: what follows the norm.
    static std::vector<Operator> choice(const TrainingBlock& router) {
        const auto gate = std::find_if(router.before.begin(), router.before.end(),
                                       [](const Operator& op) { return op.name == "router_gate"; });
        return {gate, router.before.end()};
    }

    void forward_experts(long layer, const LayerKind& kind, bool again = false) {
        const TrainingBlock& router = blocks_.router(kind);
        chain_.run(again ? choice(router) : router.before);
        const ExpertLoad load = loads_.of(layer, false);
        const std::vector<Ids> routed = chain_.front;
        chain_.exchange(strided(load.dispatch, "dispatch", TransferType::dispatch));
        expert_tensor(TransferType::all_gather, load);
        const std::vector<Ids> arrived = chain_.front;
        std::vector<Ids> shared(chain_.front.size());
        if (job_.model.shared_intermediate > 0) {
            chain_.front = routed;
            forward(blocks_.shared_expert());
            shared = chain_.front;
        }
        chain_.front = arrived;
        for (int c = 0; c < classes(); ++c)
            chain_.run(blocks_.experts(loads_.rows(load, c)).divided, c);
        expert_tensor(TransferType::reduce_scatter, load);
        chain_.exchange(strided(load.combine, "combine", TransferType::combine));
        for (std::size_t c = 0; c < chain_.front.size(); ++c)
            chain_.front[c].insert(chain_.front[c].end(), shared[c].begin(), shared[c].end());
        chain_.run(blocks_.combine().before);
    }

    void backward_experts(long layer, const LayerKind& kind, bool input, bool weight) {
        const ExpertLoad load = loads_.of(layer, true);
        std::vector<const TrainingBlock*> experts;
        for (int c = 0; c < classes(); ++c)
            experts.push_back(&blocks_.experts(loads_.rows(load, c)));
        const TrainingBlock& sum = blocks_.combine();
        const TrainingBlock& router = blocks_.router(kind);
        const Recompute& again = plan_.recompute.parts();
        const bool all_again = input && again.experts && !again.layer;
        if (input) {
            if (all_again) {
                chain_.run(router.before_again);
                forward_experts(layer, kind, true);
            }
            for (const auto& one : sum.before_gradients) run_gradients(one, true, false);
            if (!all_again) chain_.run(router.before_again);
        }
        const std::vector<Ids> began = chain_.front;
        std::vector<Ids> shared(chain_.front.size());
        if (input)
            chain_.exchange(strided(load.dispatch, "combine's gradient", TransferType::dispatch));
        if (input) expert_tensor(TransferType::all_gather, load);
        const std::vector<Ids> arrived = chain_.front;
        if (job_.model.shared_intermediate > 0) {
            chain_.front = began;
            if (input && again.shared_experts && !all_again && !again.layer)
                forward_divided(blocks_.shared_expert());
            backward(blocks_.shared_expert(), input, weight);
            shared = chain_.front;
        }
        chain_.front = arrived;
        for (int c = 0; c < classes(); ++c) {
            const TrainingBlock& of = *at(experts, c);
            if (input) chain_.run(of.divided_again, c);
            for (const OperatorGradients& one : of.divided_gradients) {
                if (input) chain_.run(one.input, c);
                if (weight && !input) chain_.run(one.weight, c);
            }
        }
        // The way back of the gradients starts before the experts' weights are done.
        std::vector<Ids> returned = chain_.front;
        if (input) {
            const std::vector<Ids> done = chain_.front;
            expert_tensor(TransferType::reduce_scatter, load);
            chain_.exchange(strided(load.combine, "dispatch's gradient", TransferType::combine));
            returned = chain_.front;
            if (weight) {
                chain_.front = done;
                for (int c = 0; c < classes(); ++c) {
                    for (const OperatorGradients& one : at(experts, c)->divided_gradients)
                        run_weights(one.weight, c);
                }
                if (!weights_aside_) {
                    for (std::size_t c = 0; c < chain_.front.size(); ++c)
                        returned[c].insert(returned[c].end(), chain_.front[c].begin(),
                                           chain_.front[c].end());
                }
            }
        }
        chain_.front = returned;
        for (std::size_t c = 0; c < chain_.front.size(); ++c)
            chain_.front[c].insert(chain_.front[c].end(), shared[c].begin(), shared[c].end());
        for (const auto& one : router.before_gradients) run_gradients(one, input, weight);
    }

    bool offloads() const { return plan_.offload.activations > 0; }
    double offloaded_bytes(const TrainingPosition& position, long layer) const {
        return plan_.offload.activations *
               layer_activations(job_, plan_, kind_of(layer), position.makes_again(layer)).value();
    }
    std::vector<Ids> at_once() const { return std::vector<Ids>(chain_.front.size()); }

    void offload_layer(const TrainingPosition& of, long layer, const std::vector<Ids>& after) {
        chain_.run_beside("to the host",
                          host_copy("host_link_activations_out", offloaded_bytes(of, layer)),
                          after);
    }
    Ids fetch_layer(const TrainingPosition& of, long layer, const std::vector<Ids>& after) {
        return chain_.run_beside("from the host",
                                 host_copy("host_link_activations_in", offloaded_bytes(of, layer)),
                                 after);
    }

    void forward_layer(long layer, const LayerKind& kind) {
        chain_.layer = static_cast<int>(layer);
        if (kind.engram) chain_.run(engram_block(job_.model, plan_.tokens(job_)));
        with_context(kind, false, [&] { forward(blocks_.attention(kind)); });
        if (kind.experts) {
            forward_experts(layer, kind);
        } else {
            forward(blocks_.dense());
        }
    }

    void backward_layer(long layer, const LayerKind& kind, bool input, bool weight) {
        chain_.layer = static_cast<int>(layer);
        if (kind.experts) {
            backward_experts(layer, kind, input, weight);
        } else {
            const Recompute& again = plan_.recompute.parts();
            if (input && again.dense_ffn && !again.layer) forward_divided(blocks_.dense());
            backward(blocks_.dense(), input, weight);
        }
        const TrainingBlock& attention = blocks_.attention(kind);
        if (input) {
            with_context(kind, true, [&] { backward(attention, input, weight); });
        } else {
            backward(attention, input, weight);
        }
    }

    const LayerKind& kind_of(long layer) const {
        return job_.model.layers.at(static_cast<std::size_t>(layer));
    }

    // Parameters of a layer, of one rank.
    Shared layer_parameters(long layer) const {
        const HeldParameters held = held_by(job_, plan_, {layer, layer + 1});
        return {held.total() - held.experts, held.experts};
    }
    Shared end_parameters(const TrainingPosition& position, bool embedding, bool head) const {
        const HeldParameters held =
            held_by(job_, plan_,
                    {position.begin, position.begin, embedding, head, head && position.drafts});
        return {held.total() - held.experts, held.experts};
    }

    // Parameters come from the beginning of the pass on, layer after layer.
    Ids gathered(const Shared& held, Ids& before) {
        if (!gathers_ || plan_.replicas() < 2) return {};
        const std::vector<Ids> kept = chain_.front;
        for (std::size_t c = 0; c < chain_.front.size(); ++c)
            chain_.front[c] = before.empty() ? Ids{} : Ids{before[c]};
        Ids ids = transfers_.gather(held, true);
        chain_.front = kept;
        if (!ids.empty()) before = ids;
        return ids;
    }

    void forward(const TrainingPosition& position, bool receives) {
        Ids before;
        if (receives && !plan_.more.sequence_parallel && job_.habits().scatters_sends)
            gather_tensor(hidden() * kWide, false);
        if (position.embedding) {
            chain_.layer = -1;
            chain_.wait_for(gathered(end_parameters(position, true, false), before));
            chain_.run(embedding_training(job_, plan_).divided);
            reduce_tensor(hidden() * kWide, false);
        }
        // The last layer's copy runs beside the next pass; that of the pass before beside this one.
        if (offloads() && position.end > position.begin)
            offload_layer(position, position.end - 1, at_once());
        for (long layer = position.begin; layer < position.end; ++layer) {
            chain_.wait_for(gathered(layer_parameters(layer), before));
            forward_layer(layer, kind_of(layer));
            if (offloads() && layer + 1 < position.end)
                offload_layer(position, layer, chain_.front);
        }
        chain_.layer = -1;
        if (!position.head) return;
        chain_.wait_for(gathered(end_parameters(position, false, true), before));
        forward_head();
        if (!position.drafts) return;
        for (long draft = 0; draft < job_.model.draft_layers; ++draft) {
            chain_.run(draft_training(job_, plan_).before);
            forward_layer(layer_count(job_.model), job_.model.draft_layer);
            chain_.layer = -1;
            forward_head();
        }
    }

    void forward_head() {
        const TrainingBlock head = head_training(job_, plan_);
        chain_.run(head.before);
        if (plan_.more.sequence_parallel) gather_tensor(hidden() * kWide, false);
        chain_.run(head.divided);
    }

    void backward_head(bool input, bool weight) {
        TrainingBlock head = head_training(job_, plan_);
        // Nothing is gathered in front of it: the loss is here.
        const bool scatters = plan_.more.sequence_parallel;
        Ids operand;
        if (scatters && weight) operand = gather_tensor(hidden() * kWide, true);
        for (const auto& one : head.divided_gradients) run_gradients(one, input, false);
        Ids sums;
        if (input) sums = reduce_tensor(hidden() * kWide, weight && job_.habits().overlap_tensor);
        chain_.wait_for(operand);
        for (const auto& one : head.divided_gradients) run_gradients(one, false, weight);
        chain_.wait_for(sums);
        for (const auto& one : head.before_gradients) run_gradients(one, input, weight);
    }

    bool whole_again() const { return plan_.recompute.parts().layer; }

    // Once the gradients are there, also those that are made beside the chain; which then waits
    // where the engine hides no reduction.
    void reduced(const Shared& held) {
        if (!reduces_ || plan_.replicas() < 2) return;
        const std::vector<Ids> chain = chain_.front;
        for (std::size_t c = 0; c < aside_.size(); ++c)
            chain_.front[c].insert(chain_.front[c].end(), aside_[c].begin(), aside_[c].end());
        const bool hidden = job_.habits().overlap_gradients;
        transfers_.reduce(held, hidden);
        if (hidden) chain_.front = chain;
        aside_.clear();
    }

    void backward(const TrainingPosition& position, bool receives, bool input, bool weight) {
        Ids before;
        if (receives && !plan_.more.sequence_parallel && job_.habits().scatters_sends)
            gather_tensor(hidden() * kWide, false);
        chain_.layer = -1;
        if (position.head) {
            if (position.drafts) {
                for (long draft = 0; draft < job_.model.draft_layers; ++draft) {
                    backward_head(input, weight);
                    const long layer = layer_count(job_.model);
                    if (whole_again() && position.makes_drafts_again())
                        forward_layer(layer, job_.model.draft_layer);
                    backward_layer(layer, job_.model.draft_layer, input, weight);
                    chain_.layer = -1;
                    for (const auto& one : draft_training(job_, plan_).before_gradients)
                        run_gradients(one, input, weight);
                }
            }
            chain_.wait_for(gathered(
                plan_.zero_stage == 3 ? end_parameters(position, false, true) : Shared{}, before));
            backward_head(input, weight);
            if (weight) reduced(end_parameters(position, false, true));
        }
        Ids fetched;
        for (long layer = position.end; layer-- > position.begin;) {
            const LayerKind& kind = kind_of(layer);
            chain_.wait_for(gathered(layer_parameters(layer), before));
            chain_.wait_for(fetched);
            // One ahead; beside the last one the next pass's first.
            if (offloads() && input)
                fetched = fetch_layer(
                    position, layer > position.begin ? layer - 1 : position.end - 1, chain_.front);
            if (whole_again() && input && position.makes_again(layer)) forward_layer(layer, kind);
            backward_layer(layer, kind, input, weight);
            if (weight) reduced(layer_parameters(layer));
        }
        chain_.layer = -1;
        if (!position.embedding) return;
        if (plan_.more.sequence_parallel) gather_tensor(hidden() * kWide, false);
        for (const auto& one : embedding_training(job_, plan_).divided_gradients)
            run_gradients(one, input, weight);
        if (weight) reduced(end_parameters(position, true, false));
    }

    void weights_alone(const TrainingPosition& position) {
        const bool gathers = gathers_;
        gathers_ = false;
        backward(position, false, false, true);
        gathers_ = gathers;
    }

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    TaskChain chain_;
    RankTransfers transfers_;
    TrainingBlocks blocks_;
    RoutedLoads loads_;
    std::vector<Ids> aside_;  // by class: weight gradients beside the chain, not yet reduced
    bool weights_aside_ = false, gathers_ = false, reduces_ = false;
};

}  // namespace

std::string pass_key(const TrainingJob& job, const PassRequest& request) {
    std::string key = fmt::format("{}|{}|{}{}{}{}", static_cast<int>(request.kind),
                                  work_of(job, request.position), request.receives ? "r" : "",
                                  request.receives_gradient ? "g" : "", request.gathers ? "p" : "",
                                  request.reduces ? "d" : "");
    if (request.kind == PassKind::overlapped) key += "|" + work_of(job, request.backward);
    if (request.busiest > 0) key += fmt::format("|{}", request.busiest);
    // Counted experts differ from layer to layer.
    if (job.experts.popularity == Popularity::histogram)
        key += fmt::format("@{}", request.position.begin);
    return key;
}

std::string plan_key(const TrainingPlan& plan) {
    return fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}", plan.micro_batch, plan.tensor_parallel,
        plan.more.context_parallel, plan.more.sequence_parallel ? 1 : 0, plan.expert_parallel,
        plan.more.expert_tensor_parallel, static_cast<int>(plan.more.context_exchange),
        plan.recompute.name(), plan.zero_stage, plan.data_parallel, plan.pipeline_parallel,
        plan.offload.activations, plan.offload.optimizer, plan.offload.host_memory.value(),
        plan.part.expert_replicas);
}

Program build_pass(const TrainingJob& job, const TrainingPlan& plan, const PassRequest& request) {
    return PassBuilder(job, plan).build(request);
}

namespace {

// Share of the layers that run again as recompute says.
double share_made_again(const TrainingJob& job, const TrainingPlan& plan) {
    if (plan.recompute.layers() == 0) return 1;
    double again = 0;
    for (const TrainingPosition& one : positions_of(job, plan))
        again += static_cast<double>(one.keeps_from() - one.begin);
    return again / static_cast<double>(layer_count(job.model));
}

}  // namespace

std::vector<GroupTransfer> traffic_of(const TrainingJob& job, const TrainingPlan& plan) {
    const auto kinds = layer_kinds(job.model);
    const auto most = std::max_element(
        kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.count < b.count; });
    const auto first = std::find(job.model.layers.begin(), job.model.layers.end(), most->kind);
    const long layer = first - job.model.layers.begin();
    const double layers =
        static_cast<double>(layer_count(job.model)) / static_cast<double>(plan.pipeline_parallel);
    const auto passes = static_cast<double>(plan.micro_batches(job));
    std::vector<GroupTransfer> traffic;
    const auto add = [&](const std::vector<GroupTransfer>& list, double times) {
        for (GroupTransfer one : list) {
            one.times = times;
            traffic.push_back(one);
        }
    };
    PassRequest request;
    request.position = {layer, layer + 1};
    const auto add_pass = [&](PassKind kind, double share) {
        request.kind = kind;
        PassBuilder builder(job, plan);
        (void)builder.build(request);
        add(builder.moved(), share * layers * passes);
    };
    add_pass(PassKind::forward, 1);
    const double again = share_made_again(job, plan);
    if (again > 0) add_pass(PassKind::backward, again);
    request.position.again = 0;
    if (again < 1) add_pass(PassKind::backward, 1 - again);
    // Gradients once or after each micro-batch; parameters once, with ZeRO 3 in each pass.
    const HeldParameters held = held_by(job, plan, request.position);
    const double dense = held.total() - held.experts, element = bytes_of(job.gradient_reduction);
    add({{RankGroup::replicas, TransferType::reduce_scatter, dense * element},
         {RankGroup::expert_replicas, TransferType::reduce_scatter, held.experts * element}},
        layers * (reduces_each(plan) ? passes : 1));
    add({{RankGroup::replicas, TransferType::all_gather, dense * kWide},
         {RankGroup::expert_replicas, TransferType::all_gather, held.experts * kWide}},
        layers * (plan.zero_stage == 3 ? 2 * passes : 1));
    const auto parts = static_cast<double>(plan.request(job).positions_per_stage);
    add({{RankGroup::stages, TransferType::send_recv, stage_send(job, plan).size.value()}},
        2 * parts * passes);
    return traffic;
}

Transfer stage_send(const TrainingJob& job, const TrainingPlan& plan) {
    Transfer transfer;
    transfer.name = "stage send";
    transfer.type = TransferType::send_recv;
    transfer.group_ranks = 2;
    transfer.stride = group_stride(plan, RankGroup::stages);
    const bool part = plan.more.sequence_parallel || job.habits().scatters_sends;
    const double divisor = part ? plan.tensor_parallel : 1;
    const auto streams = static_cast<double>(job.model.streams * job.model.hidden);
    transfer.size = Bytes(static_cast<double>(plan.tokens(job)) * streams * kWide / divisor);
    return transfer;
}

}  // namespace podsim
