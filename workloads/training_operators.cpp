// Attention without a fused kernel (Megatron-LM before FlashAttention; Korthikanti et al., arXiv
// 2205.05198, figure 3): scores Q K^T of the whole square, scale, mask and softmax in one kernel,
// dropout, product with V. Backward dV, dP, the two element-wise kernels the other way round, dQ,
// dK. E = batch x heads x s x s elements: softmax reads and writes 2 E bytes, dropout reads 2 E and
// writes 3 E (a byte of mask), backward 3 E and 2 E, 4 E and 2 E.
//
// Dropout around a block (the same, section 4.1): bias, dropout and residual are one kernel that
// reads 2 x 2 bytes and writes 2 + 1; the norm is another.
//
// Ranks that share sequences (context parallel c): each has s / c queries of a causal mask, cut so
// that all have as many pairs, s^2 / (2 c): queries that see s / 2 + s / (2 c) keys at the end.
#include "workloads/training_operators.hpp"

#include <algorithm>
#include <variant>

#include "models/training.hpp"

namespace podsim {

namespace {

using Operators = std::vector<Operator>;

constexpr double wide = 2, mask = 1;  // bytes of an element

double elements_of(const Attention& a) {
    return static_cast<double>(a.batch * a.heads) * static_cast<double>(a.query) *
           static_cast<double>(a.context);
}

bool is_whole(const Attention& a) {
    return a.form == AttentionForm::gqa && a.compression == 1 && a.selected == 0 && a.window == 0;
}

Operators through_memory(const Attention& a, bool dropout) {
    const double all = elements_of(a);
    const long groups = a.batch * a.heads;
    const DType format = a.compute;
    const auto product = [&](const char* name, long m, long n, long k) {
        return Operator{name, Gemm{m, n, k, groups, format, format, format}};
    };
    Operators ops = {product("attention_scores", a.query, a.context, a.head_dim_qk),
                     {"attention_softmax", VectorWork{"softmax", all, 5, wide * all, wide * all}}};
    if (dropout) {
        ops.push_back(
            {"attention_dropout", VectorWork{"dropout", all, 2, wide * all, (wide + mask) * all}});
    }
    ops.push_back(product("attention_values", a.query, a.head_dim_v, a.context));
    return ops;
}

Operators through_memory_backward(const Attention& a, bool dropout) {
    const double all = elements_of(a);
    const long groups = a.batch * a.heads;
    const DType format = a.compute;
    const auto product = [&](const char* name, long m, long n, long k) {
        return Operator{name, Gemm{m, n, k, groups, format, format, format}};
    };
    Operators ops = {product("attention_scores_gradient", a.query, a.context, a.head_dim_v),
                     product("attention_value_gradient", a.context, a.head_dim_v, a.query)};
    if (dropout) {
        ops.push_back({"attention_dropout_backward",
                       VectorWork{"dropout_backward", all, 2, (wide + mask) * all, wide * all}});
    }
    ops.push_back({"attention_softmax_backward",
                   VectorWork{"softmax_backward", all, 4, 2 * wide * all, wide * all}});
    ops.push_back(product("attention_query_gradient", a.query, a.head_dim_qk, a.context));
    ops.push_back(product("attention_key_gradient", a.context, a.head_dim_qk, a.query));
    return ops;
}

// The part of an operator that one of `ranks` ranks does on its own tokens.
Operator of_own_tokens(Operator op, long ranks) {
    if (ranks == 1) return op;
    const auto part = [&](long whole) { return std::max(1L, (whole + ranks - 1) / ranks); };
    if (auto* gemm = std::get_if<Gemm>(&op.body)) {
        gemm->m = part(gemm->m);
    } else if (auto* work = std::get_if<VectorWork>(&op.body)) {
        const auto divisor = static_cast<double>(ranks);
        work->elements /= divisor;
        work->read /= divisor;
        work->write /= divisor;
        work->rows = work->rows > 0 ? part(work->rows) : 0;
    } else if (auto* mix = std::get_if<StreamMix>(&op.body)) {
        mix->tokens = part(mix->tokens);
    }
    return op;
}

// Where the work of a block begins to be divided over heads or width: at its first product, of
// latents at the one that leads up from them, whose operand is converted right in front of it.
std::size_t first_divided(const Operators& ops, bool latents) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
        if (!std::holds_alternative<Gemm>(ops[i].body)) continue;
        const bool up = ops[i].name.find("up_projection") != std::string::npos ||
                        ops[i].name == "query_projection";
        if (!latents || up) return i;
    }
    return ops.size();
}

class BlockMaker {
  public:
    BlockMaker(const TrainingJob& job, const TrainingPlan& plan) : job_(job), plan_(plan) {}

    // `divided`: index of the first operator on all tokens of the group.
    // `whole_again`: the pass runs it again with its transfers, what stands in front of its norm
    // apart.
    TrainingBlock make(const Operators& block, std::size_t divided, bool recomputes,
                       bool whole_again = false) const {
        const Operators forward = training_forward(block, job_.scaling);
        Operators again = recomputes ? recomputed(forward, parts(whole_again)) : Operators{};
        TrainingBlock made;
        const long ranks = plan_.more.sequence_parallel ? plan_.tensor_parallel : 1;
        for (std::size_t i = 0; i < forward.size(); ++i) {
            const bool own = i < divided;
            const Operator op = own ? of_own_tokens(forward[i], ranks) : forward[i];
            append(own ? made.before : made.divided, op);
        }
        for (std::size_t i = forward.size(); i-- > 0;) {
            const bool own = i < divided;
            const Operator op = own ? of_own_tokens(forward[i], ranks) : forward[i];
            OperatorGradients gradients = gradients_of(op, forward);
            if (own && is_residual_norm(op) && job_.dropout) add_dropout(op, gradients);
            (own ? made.before_gradients : made.divided_gradients).push_back(std::move(gradients));
        }
        for (const Operator& op : again) {
            const auto found =
                std::find_if(forward.begin(), forward.end(),
                             [&](const Operator& one) { return one.name == op.name; });
            const bool own = static_cast<std::size_t>(found - forward.begin()) < divided;
            append_plain(own ? made.before_again : made.divided_again,
                         own ? of_own_tokens(op, ranks) : op);
        }
        return made;
    }

    Recompute parts(bool whole_again) const {
        Recompute parts = plan_.recompute.parts();
        parts.layer = false;  // a whole layer runs again with its transfers
        if (whole_again) parts.activations = parts.expert_activations = false;
        return parts;
    }

  private:
    static bool is_residual_norm(const Operator& op) {
        const auto* work = std::get_if<VectorWork>(&op.body);
        return work != nullptr && work->op == "residual_rms_norm";
    }

    void append(Operators& list, const Operator& op) const {
        if (is_residual_norm(op) && job_.dropout) {
            const auto& work = std::get<VectorWork>(op.body);
            const double n = work.elements;
            list.push_back({op.name + "_dropout_add",
                            VectorWork{"dropout_add", n, 3, 2 * wide * n, (wide + mask) * n}});
            list.push_back({op.name, VectorWork{"rms_norm", n, work.flops_per_element - 1, wide * n,
                                                wide * n}});
            return;
        }
        append_plain(list, op);
    }

    void append_plain(Operators& list, const Operator& op) const {
        const auto* attention = std::get_if<Attention>(&op.body);
        if (attention == nullptr || job_.habits().flash_attention || !is_whole(*attention)) {
            list.push_back(op);
            return;
        }
        for (Operator& one : through_memory(*attention, job_.dropout))
            list.push_back(std::move(one));
    }

    // Sums over rows, of a product's gradient for its bias, of a norm's input and gradient for its
    // weights.
    void read_again(const Operator& op, Operators& weight) const {
        const auto* gemm = std::get_if<Gemm>(&op.body);
        const auto* work = std::get_if<VectorWork>(&op.body);
        const auto* query = std::get_if<GroupedQueryAttention>(&job_.model.attentions.front());
        const bool of_attention = op.name.find("projection") != std::string::npos;
        const bool biased = of_attention ? query != nullptr && query->biases
                                         : job_.model.ffn_biases && op.name != "head_projection";
        if (gemm != nullptr && biased) {
            const double n =
                static_cast<double>(gemm->m * gemm->groups) * static_cast<double>(gemm->n);
            weight.push_back(
                {op.name + "_bias_gradient", VectorWork{"row_sum", n, 1, wide * n, 0}});
        } else if (work != nullptr && (work->op == "residual_rms_norm" || work->op == "rms_norm")) {
            const double n = work->elements;
            weight.push_back(
                {op.name + "_weight_gradient", VectorWork{"row_sum", n, 3, 2 * wide * n, 0}});
        }
    }

    static void add_dropout(const Operator& op, OperatorGradients& gradients) {
        const double n = std::get<VectorWork>(op.body).elements;
        gradients.input.push_back(
            {op.name + "_dropout_backward",
             VectorWork{"dropout_backward", n, 2, (wide + mask) * n, wide * n}});
    }

    OperatorGradients gradients_of(const Operator& op, const Operators& block) const {
        const auto* attention = std::get_if<Attention>(&op.body);
        if (attention != nullptr && !job_.habits().flash_attention && is_whole(*attention))
            return {through_memory_backward(*attention, job_.dropout), {}};
        Operators alone = {op};
        // Gradients of index scores are of the entries that attention chose.
        if (std::holds_alternative<IndexScores>(op.body)) {
            for (const Operator& other : block) {
                const auto* chooser = std::get_if<Attention>(&other.body);
                if (chooser != nullptr && chooser->selected > 0) alone.push_back(other);
            }
        }
        Backward both = backward_of(job_.model, alone, job_.scaling);
        if (alone.size() > 1) both.input.erase(both.input.begin(), both.input.end() - 1);
        if (job_.habits().reads_rows_again) read_again(op, both.weight);
        return {std::move(both.input), std::move(both.weight)};
    }

    const TrainingJob& job_;
    const TrainingPlan& plan_;
};

bool has_latents(const AttentionSpec& kind) {
    return std::holds_alternative<LatentAttention>(kind) ||
           std::holds_alternative<CompressedAttention>(kind);
}

// What a tensor-parallel group gathers of each token in front of the heads' work.
double gathered_by(const AttentionSpec& kind, long hidden) {
    if (const auto* latent = std::get_if<LatentAttention>(&kind))
        return static_cast<double>(latent->query_rank + latent->kv_rank + latent->rope_head_dim);
    if (const auto* entry = std::get_if<CompressedAttention>(&kind))
        return static_cast<double>(entry->query_rank + entry->head_dim);
    return static_cast<double>(hidden);
}

bool narrow(DType format) {
    return bytes_of(format) <= 1.0;
}

}  // namespace

TrainingBlock attention_training(const TrainingJob& job, const TrainingPlan& plan,
                                 const LayerKind& kind) {
    const long query = job.sequence / plan.more.context_parallel;
    const StepShape shape{Phase::prefill, plan.micro_batch,     query,
                          query,          plan.tensor_parallel, AttentionSplit::heads};
    Operators block = attention_block(job.model, job.precision, shape, kind);
    const long context = (job.sequence + query) / 2;
    for (Operator& op : block) {
        if (auto* attention = std::get_if<Attention>(&op.body)) attention->context = context;
        if (auto* scores = std::get_if<IndexScores>(&op.body)) scores->context = context;
    }
    const AttentionSpec& attention =
        job.model.attentions.at(static_cast<std::size_t>(kind.attention));
    const bool latents = has_latents(attention);
    TrainingBlock made = BlockMaker(job, plan).make(block, first_divided(block, latents), true);
    made.gathered_elements = gathered_by(attention, job.model.hidden);
    if (!latents && narrow(job.precision.activations))
        made.gathered_format = job.precision.activations;
    return made;
}

TrainingBlock dense_training(const TrainingJob& job, const TrainingPlan& plan) {
    const Operators block =
        dense_ffn_block(job.model, job.precision, plan.tokens(job), plan.tensor_parallel);
    TrainingBlock made = BlockMaker(job, plan).make(block, first_divided(block, false), true,
                                                    plan.recompute.parts().dense_ffn);
    made.gathered_elements = static_cast<double>(job.model.hidden);
    if (narrow(job.precision.activations)) made.gathered_format = job.precision.activations;
    return made;
}

TrainingBlock router_training(const TrainingJob& job, const TrainingPlan& plan,
                              const LayerKind& kind) {
    const Operators block =
        router_block(job.model, job.precision, plan.tokens(job), kind.hash_routed);
    return BlockMaker(job, plan).make(block, block.size(), true);
}

TrainingBlock shared_expert_training(const TrainingJob& job, const TrainingPlan& plan) {
    const Operators block = expert_block(job.model, job.precision, {1, plan.tokens(job), 0},
                                         "shared_expert", plan.tensor_parallel);
    const Recompute& again = plan.recompute.parts();
    TrainingBlock made =
        BlockMaker(job, plan).make(block, 0, true, again.experts || again.shared_experts);
    made.gathered_elements = static_cast<double>(job.model.hidden);
    return made;
}

TrainingBlock expert_training(const TrainingJob& job, const TrainingPlan& plan,
                              const ExpertRows& rows) {
    Operators block;
    const bool sorts = job.engine.sorts_tokens && rows.rows() > 0;
    if (sorts) block = expert_permute_block(job.model, job.precision, rows.rows());
    for (Operator& op :
         expert_block(job.model, job.precision, rows, "expert", plan.more.expert_tensor_parallel))
        block.push_back(std::move(op));
    if (sorts) {
        for (Operator& op : expert_unpermute_block(job.model, job.precision, rows.rows()))
            block.push_back(std::move(op));
    }
    return BlockMaker(job, plan).make(block, 0, true, plan.recompute.parts().experts);
}

TrainingBlock combine_training(const TrainingJob& job, const TrainingPlan& plan) {
    const long copies = job.model.experts_per_token + (job.model.shared_intermediate > 0 ? 1 : 0);
    const Operators block = combine_block(job.model, job.precision, plan.tokens(job), copies);
    return BlockMaker(job, plan).make(block, block.size(), false);
}

TrainingBlock embedding_training(const TrainingJob& job, const TrainingPlan& plan) {
    return BlockMaker(job, plan).make(embedding_block(job.model, job.precision, plan.tokens(job)),
                                      0, false);
}

TrainingBlock head_training(const TrainingJob& job, const TrainingPlan& plan) {
    const Operators block =
        head_block(job.model, job.precision, plan.tokens(job), plan.tensor_parallel);
    TrainingBlock made = BlockMaker(job, plan).make(block, first_divided(block, false), false);
    made.gathered_elements = static_cast<double>(job.model.hidden);
    return made;
}

TrainingBlock draft_training(const TrainingJob& job, const TrainingPlan& plan) {
    const Operators block = draft_block(job.model, job.precision, plan.tokens(job));
    return BlockMaker(job, plan).make(block, block.size(), false);
}

}  // namespace podsim
