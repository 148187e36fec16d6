// The backward pass of each kind of operator.
#include "models/training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <variant>

#include "base/names.hpp"
#include "models/vector_operators.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double fp32_bytes = 4;

bool is_one_of(std::string_view op, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), op) != names.end();
}

bool is_conversion(const VectorWork& work) {
    return is_one_of(work.op, {"quantise", "dequantise", "maximum"});
}

// What an operand of so many bytes an element asks for before a product.
struct Casts {
    bool maximum = false;     // of the whole tensor, before anything is converted
    int orders = 1;           // written by the conversion
    bool turns = false;       // the other order is made later, from the narrow one
    int gradient_orders = 1;  // of what comes back
};

Casts casts_of(NarrowScaling scaling, double element_bytes) {
    switch (scaling) {
        case NarrowScaling::blocks:
            return {false, 1, true, 2};
        case NarrowScaling::tensor:
            return {true, 2, false, 2};
        case NarrowScaling::tensor_as_is:
            return {true, 1, false, 1};
        case NarrowScaling::micro:
            return {element_bytes < 0.75, 2, false, 2};
    }
    return {};
}

// The largest magnitude of a tensor in the stream's format.
Operator maximum(const std::string& name, double elements) {
    return {name, VectorWork{"maximum", elements, 2, elements * bytes_of(stream_format), 0}};
}

// What comes out of 16 bits for a product to read; not what is sent, nor what an indexer or the
// attention kernel reads.
bool feeds_products(const Operator& op, const VectorWork& work) {
    return work.op == "quantise" && work.read > 1.5 * work.elements &&
           op.name.rfind("index_", 0) != 0 &&
           !is_one_of(op.name,
                      {"attention_query_quantise", "dispatch_quantise", "expert_combine_quantise"});
}

void add_conversion(const Operator& op, double narrow_bytes, NarrowScaling scaling,
                    std::vector<Operator>& list) {
    const auto& work = std::get<VectorWork>(op.body);
    const Casts casts = casts_of(scaling, narrow_bytes / work.elements);
    if (casts.maximum) list.push_back(maximum(op.name + "_maximum", work.elements));
    VectorWork made{"quantise", work.elements, 4, work.elements * bytes_of(stream_format),
                    casts.orders * narrow_bytes};
    list.push_back({op.name, made});
}

// Gradients are BF16 where the forward pass is narrower.
DType gradient_format(DType forward) {
    return is_quantised(forward) ? stream_format : forward;
}

// Attention in FP8 goes back in FP8 too, as Transformer Engine's and cuDNN's do.
DType attention_gradient_format(DType forward) {
    return forward == DType::fp8 ? forward : gradient_format(forward);
}

double product(long a, long b, long c) {
    return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

// Of operators in forward order, taken from the last to the first.
class BackwardPass {
  public:
    BackwardPass(const ModelSpec& model, const std::vector<Operator>& forward,
                 NarrowScaling scaling)
        : model_(model), forward_(forward), scaling_(scaling) {}

    Backward run() {
        for (auto op = forward_.rbegin(); op != forward_.rend(); ++op) {
            std::visit([&](const auto& body) { add(op->name, body); }, op->body);
        }
        return std::move(result_);
    }

  private:
    void input(const std::string& name, OperatorBody body) {
        result_.input.push_back({name + "_input_gradient", std::move(body)});
    }
    void weight(const std::string& name, OperatorBody body) {
        result_.weight.push_back({name + "_weight_gradient", std::move(body)});
    }

    // The tables' gradients go back to where they are, outside of the chip.
    void add(const std::string&, const TableRead&) {}
    void add(const std::string& name, const Gemm& g) {
        const bool narrow = is_quantised(g.a);
        const long rows = g.m * g.groups;
        const Casts casts = casts_of(scaling_, bytes_of(g.a));
        if (narrow) {
            const std::string conversion = name + "_gradient_quantise";
            if (casts.maximum)
                result_.input.push_back(
                    maximum(conversion + "_maximum", product(g.m, g.groups, g.n)));
            const auto row = casts.gradient_orders * activation_bytes(model_, g.a, g.n);
            result_.input.push_back(quantise(conversion, rows, g.n, Bytes(row)));
        }
        // The indexer learns from a loss of its own.
        if (!name.starts_with("index_")) {
            Gemm dx = g;
            std::swap(dx.n, dx.k);
            dx.c = gradient_format(g.a);
            input(name, dx);
        }
        if (narrow && casts.turns) {
            const double bytes = static_cast<double>(rows) * activation_bytes(model_, g.a, g.k);
            const double elements = product(g.m, g.groups, g.k);
            result_.weight.push_back(
                {name + "_input_turn", VectorWork{"quantise", elements, 4, bytes, bytes}});
        }
        weight(name, Gemm{g.n, g.k, g.m, g.groups, g.a, g.a, DType::fp32, g.idle_groups});
        const double sums = product(g.n, g.k, g.groups);
        result_.weight.push_back(
            {name + "_weight_accumulate", VectorWork{"accumulate", sums, 1, sums * fp32_bytes, 0}});
    }

    void add(const std::string& name, const Attention& forward) {
        Attention a = forward;
        a.head_dim_qk = 3 * forward.head_dim_qk;
        a.head_dim_v = 2 * forward.head_dim_v;
        a.compute = attention_gradient_format(forward.compute);
        a.kv = attention_gradient_format(forward.kv);
        input(name, a);
    }

    // dQ and dK at the entries that attention reads: a pair costs 2 (head_dim + head_dim).
    void add(const std::string& name, const IndexScores& s) {
        const auto chooser = std::find_if(forward_.begin(), forward_.end(), [](const Operator& op) {
            const auto* attention = std::get_if<Attention>(&op.body);
            return attention != nullptr && attention->selected > 0;
        });
        Attention a{AttentionForm::mla_absorbed,
                    s.phase,
                    s.batch,
                    s.query,
                    s.context,
                    s.heads,
                    1,
                    s.head_dim,
                    s.head_dim,
                    gradient_format(s.compute),
                    gradient_format(s.keys)};
        a.compression = s.compression;
        if (chooser != forward_.end()) a.selected = std::get<Attention>(chooser->body).selected;
        input(name, a);
    }

    void add(const std::string& name, const DeltaRule& rule) {
        DeltaRule gradients = rule;
        gradients.key_heads *= 2;
        gradients.value_heads *= 2;
        result_.input.push_back({name + "_states", rule});
        input(name, gradients);
    }

    void add(const std::string& name, const StreamMix& mix) {
        StreamMix gradients = mix;
        gradients.tokens *= 2;
        input(name, gradients);
    }

    void add(const std::string& name, const VectorWork& forward) {
        if (is_conversion(forward) || name == "index_top_k") return;
        VectorWork back{forward.op + "_backward", forward.elements, 2 * forward.flops_per_element,
                        forward.read + forward.write, forward.read};
        if (is_one_of(forward.op, {"rotary", "copy_rows", "concatenate", "key_assembly"})) {
            back.flops_per_element = forward.flops_per_element;
            back.read = forward.write;
        } else if (forward.op == "residual_rms_norm") {
            // The sum, two gradients that meet in it, one that both of its terms get.
            const double rows = forward.write / 2;
            back.read = 3 * rows;
            back.write = rows;
        } else if (forward.op == "cross_entropy") {
            back.read = forward.read;
        } else if (is_one_of(forward.op, {"swiglu_quantise", "gelu_quantise"})) {
            // The gradient is not quantised, and neither is this half of the arithmetic.
            const VectorWork plain = plain_activation();
            back.op = plain.op + "_backward";
            back.flops_per_element = 2 * plain.flops_per_element;
            back.read = forward.read + forward.elements * bytes_of(stream_format);
        } else if (forward.op == "gather" && !name.starts_with("router_")) {
            const double sums = forward.elements * fp32_bytes;
            weight(name, VectorWork{"scatter_add", forward.elements, 1,
                                    sums + forward.elements * bytes_of(stream_format), sums});
            return;
        }
        input(name, back);
    }

    VectorWork plain_activation() const {
        return std::get<VectorWork>(activate(model_, "one", 1, 1, stream_format).body);
    }

    const ModelSpec& model_;
    const std::vector<Operator>& forward_;
    const NarrowScaling scaling_;
    Backward result_;
};

// Whether an operator runs again, given whether the one in front of it does.
bool runs_again(const Operator& op, const Recompute& parts, bool follows) {
    if (std::holds_alternative<Gemm>(op.body)) {
        return parts.up_projections &&
               is_one_of(op.name,
                         {"query_up_projection", "kv_up_projection", "absorbed_query_product"});
    }
    if (std::holds_alternative<Attention>(op.body) || std::holds_alternative<DeltaRule>(op.body)) {
        return parts.attention;
    }
    if (const auto* mix = std::get_if<StreamMix>(&op.body)) {
        return (parts.norms || parts.layer_norms) && mix->side == StreamSide::mix_in;
    }
    const auto* work = std::get_if<VectorWork>(&op.body);
    if (work == nullptr) return false;
    if (is_conversion(*work) || is_one_of(work->op, {"rotary", "key_assembly"})) return follows;
    if (is_one_of(work->op, {"rms_norm", "residual_rms_norm", "gated_rms_norm"})) {
        return parts.norms ||
               (parts.layer_norms &&
                is_one_of(op.name, {"attention_norm", "dense_ffn_norm", "router_norm"}));
    }
    const bool again =
        parts.activations || (parts.expert_activations && op.name.starts_with("expert_"));
    return again && is_one_of(work->op, {"swiglu", "swiglu_quantise", "gelu", "gelu_quantise"});
}

// The residual was added in the forward pass: only the norm of the sum is left.
Operator without_addition(Operator op) {
    auto* work = std::get_if<VectorWork>(&op.body);
    if (work == nullptr || work->op != "residual_rms_norm") return op;
    const double weights = work->read - work->write;
    *work = {"rms_norm", work->elements, work->flops_per_element - 1, work->write / 2 + weights,
             work->write / 2};
    return op;
}

double matrix_work(const std::vector<Operator>& operators) {
    double work = 0;
    for (const Operator& op : operators) {
        if (op.name != "router_gate") work += matrix_work_of(op.body).value();
    }
    return work;
}

double layer_work(const ModelSpec& model, const LayerKind& kind, long sequence) {
    const Precision precision;
    const StepShape shape{Phase::prefill, 1, sequence, sequence, 1, AttentionSplit::heads};
    double attention = matrix_work(attention_block(model, precision, shape, kind));
    if (kind.engram) attention += matrix_work(engram_block(model, sequence));
    if (!kind.experts)
        return attention + matrix_work(dense_ffn_block(model, precision, sequence, 1));
    return attention + matrix_work(router_block(model, precision, sequence, kind.hash_routed)) +
           matrix_work(
               expert_block(model, precision, {model.experts_per_token, sequence}, "expert")) +
           matrix_work(expert_block(model, precision, {1, sequence}, "shared_expert"));
}

// Of one sequence, forward.
double masked_work(const ModelSpec& model, const LayerKind& kind, long sequence) {
    const StepShape shape{Phase::prefill, 1, sequence, sequence, 1, AttentionSplit::heads};
    double masked = 0;
    for (const Operator& op : attention_block(model, Precision{}, shape, kind)) {
        const auto* a = std::get_if<Attention>(&op.body);
        if (a == nullptr || a->window > 0 || a->selected > 0 || a->compression > 1) continue;
        const auto pairs = static_cast<double>(a->batch * a->heads) *
                           static_cast<double>(a->query) * static_cast<double>(a->context);
        masked += 2.0 * static_cast<double>(a->head_dim_qk + a->head_dim_v) * pairs -
                  matrix_work_of(op.body).value();
    }
    return masked;
}

}  // namespace

const std::vector<std::pair<const char*, RecomputePolicy>>& names_of(const RecomputePolicy*) {
    static const std::vector<std::pair<const char*, RecomputePolicy>> names = {
        {"none", RecomputePolicy::none},
        {"selective", RecomputePolicy::selective},
        {"norms-and-activations", RecomputePolicy::norms_and_activations},
        {"up-projections", RecomputePolicy::up_projections},
        {"deepseek-v3", RecomputePolicy::deepseek_v3},
        {"full", RecomputePolicy::full}};
    return names;
}

Recompute parts_of(RecomputePolicy policy) {
    Recompute parts;
    const bool v3 = policy == RecomputePolicy::deepseek_v3;
    parts.layer = policy == RecomputePolicy::full;
    parts.attention = policy == RecomputePolicy::selective;
    parts.norms = parts.activations = v3 || policy == RecomputePolicy::norms_and_activations;
    parts.up_projections = v3 || policy == RecomputePolicy::up_projections;
    return parts;
}

const std::vector<std::pair<const char*, RecomputeModule>>& names_of(const RecomputeModule*) {
    static const std::vector<std::pair<const char*, RecomputeModule>> names = {
        {"core_attn", RecomputeModule::core_attn},
        {"layernorm", RecomputeModule::layernorm},
        {"mla_up_proj", RecomputeModule::mla_up_proj},
        {"moe_act", RecomputeModule::moe_act},
        {"mlp", RecomputeModule::mlp},
        {"moe", RecomputeModule::moe},
        {"shared_experts", RecomputeModule::shared_experts}};
    return names;
}

Recompute parts_of(const RecomputeModules& modules) {
    Recompute parts;
    for (const RecomputeModule module : modules) {
        switch (module) {
            case RecomputeModule::core_attn:
                parts.attention = true;
                break;
            case RecomputeModule::layernorm:
                parts.layer_norms = true;
                break;
            case RecomputeModule::mla_up_proj:
                parts.up_projections = true;
                break;
            case RecomputeModule::moe_act:
                parts.expert_activations = true;
                break;
            case RecomputeModule::mlp:
                parts.dense_ffn = true;
                break;
            case RecomputeModule::moe:
                parts.experts = true;
                break;
            case RecomputeModule::shared_experts:
                parts.shared_experts = true;
                break;
        }
    }
    return parts;
}

RecomputeModules modules_of(const ModelSpec& model) {
    const auto any = [&](const auto& is) {
        return std::any_of(model.layers.begin(), model.layers.end(), is);
    };
    const bool experts = any([](const LayerKind& kind) { return kind.experts; });
    const bool latents = any([&](const LayerKind& kind) {
        const AttentionSpec& of = model.attentions.at(static_cast<std::size_t>(kind.attention));
        return std::holds_alternative<LatentAttention>(of) ||
               std::holds_alternative<CompressedAttention>(of);
    });
    RecomputeModules modules = {RecomputeModule::core_attn, RecomputeModule::layernorm};
    if (latents) modules.push_back(RecomputeModule::mla_up_proj);
    if (experts) modules.push_back(RecomputeModule::moe_act);
    if (any([](const LayerKind& kind) { return !kind.experts; }))
        modules.push_back(RecomputeModule::mlp);
    if (experts) modules.push_back(RecomputeModule::moe);
    if (experts && model.shared_intermediate > 0)
        modules.push_back(RecomputeModule::shared_experts);
    return modules;
}

namespace {

// With what a part stands for: of all norms those of the layer's halves, and so on.
Recompute spread(Recompute parts) {
    if (parts.layer) {
        parts.attention = parts.norms = parts.activations = parts.up_projections = true;
        parts.dense_ffn = parts.experts = true;
    }
    parts.layer_norms = parts.layer_norms || parts.norms;
    parts.expert_activations = parts.expert_activations || parts.activations || parts.experts;
    parts.shared_experts = parts.shared_experts || parts.experts;
    return parts;
}

}  // namespace

bool makes_more_again(const Recompute& more, const Recompute& than) {
    const Recompute a = spread(more), b = spread(than);
    for (const auto part :
         {&Recompute::layer, &Recompute::attention, &Recompute::norms, &Recompute::activations,
          &Recompute::up_projections, &Recompute::layer_norms, &Recompute::expert_activations,
          &Recompute::dense_ffn, &Recompute::experts, &Recompute::shared_experts}) {
        if (a.*part && !(b.*part)) return true;
    }
    return false;
}

RecomputeChoice::RecomputeChoice(const RecomputeModules& modules)
    : modules_(modules), parts_(parts_of(modules)) {
    std::sort(modules_.begin(), modules_.end());
    modules_.erase(std::unique(modules_.begin(), modules_.end()), modules_.end());
}

RecomputeChoice RecomputeChoice::of_layers(long layers) {
    RecomputeChoice choice(RecomputePolicy::full);
    choice.layers_ = layers;
    return choice;
}

std::string RecomputeChoice::name() const {
    if (layers_ > 0)
        return fmt::format("{} of {} layer{}", name_of(policy_), layers_, layers_ > 1 ? "s" : "");
    if (modules_.empty()) return name_of(policy_);
    std::string text;
    for (const RecomputeModule module : modules_)
        text += (text.empty() ? "" : "+") + name_of(module);
    return text;
}

const std::vector<std::pair<const char*, NarrowScaling>>& names_of(const NarrowScaling*) {
    static const std::vector<std::pair<const char*, NarrowScaling>> names = {
        {"blocks", NarrowScaling::blocks},
        {"tensor", NarrowScaling::tensor},
        {"tensor-as-is", NarrowScaling::tensor_as_is},
        {"micro", NarrowScaling::micro}};
    return names;
}

std::vector<Operator> training_forward(const std::vector<Operator>& block, NarrowScaling scaling) {
    std::vector<Operator> forward;
    for (const Operator& op : block) {
        const auto* work = std::get_if<VectorWork>(&op.body);
        if (work != nullptr && work->op == "cache_append") continue;
        if (work != nullptr && scaling != NarrowScaling::blocks) {
            if (feeds_products(op, *work)) {
                add_conversion(op, work->write, scaling, forward);
                continue;
            }
            if (is_one_of(work->op, {"swiglu_quantise", "gelu_quantise"})) {
                const double wide = work->elements * bytes_of(stream_format);
                const std::string plain = work->op.substr(0, work->op.find('_'));
                forward.push_back(
                    {op.name, VectorWork{plain, work->elements, work->flops_per_element - 4,
                                         work->read, wide}});
                Operator conversion = op;
                conversion.name += "_quantise";
                add_conversion(conversion, work->write, scaling, forward);
                continue;
            }
        }
        forward.push_back(op);
        if (work == nullptr || work->op != "sampling") continue;
        forward.back().name = "cross_entropy";
        std::get<VectorWork>(forward.back().body).op = "cross_entropy";
    }
    return forward;
}

Backward backward_of(const ModelSpec& model, const std::vector<Operator>& forward,
                     NarrowScaling scaling) {
    return BackwardPass(model, forward, scaling).run();
}

std::vector<Operator> recomputed(const std::vector<Operator>& forward, const Recompute& parts) {
    if (parts.layer) return forward;
    std::vector<Operator> again;
    bool follows = false;
    for (const Operator& op : forward) {
        follows = runs_again(op, parts, follows);
        if (follows) again.push_back(without_addition(op));
    }
    return again;
}

Flops training_flops_per_token(const ModelSpec& model, long sequence, bool with_drafts) {
    require_at_least_one("sequence", sequence);
    const Precision precision;
    const double head = matrix_work(head_block(model, precision, sequence, 1));
    double forward = head;
    for (const LayerCount& alike : layer_kinds(model)) {
        forward += static_cast<double>(alike.count) * layer_work(model, alike.kind, sequence);
    }
    if (with_drafts && model.draft_layers > 0) {
        forward += static_cast<double>(model.draft_layers) *
                   (layer_work(model, model.draft_layer, sequence) + head +
                    matrix_work(draft_block(model, precision, sequence)));
    }
    // Gradients of inputs and of weights are as much work again, each.
    return Flops(3 * forward / static_cast<double>(sequence));
}

Flops training_flops_per_token(const ModelSpec& model, long sequence, bool with_drafts,
                               double dropped) {
    const Flops all = training_flops_per_token(model, sequence, with_drafts);
    if (dropped == 0) return all;
    // Work grows by the same with every expert that a token takes.
    ModelSpec more = model;
    ++more.experts_per_token;
    const Flops each = training_flops_per_token(more, sequence, with_drafts) - all;
    return all - dropped * static_cast<double>(model.experts_per_token) * each;
}

Flops masked_flops_per_token(const ModelSpec& model, long sequence, bool with_drafts) {
    require_at_least_one("sequence", sequence);
    double forward = 0;
    for (const LayerCount& alike : layer_kinds(model))
        forward += static_cast<double>(alike.count) * masked_work(model, alike.kind, sequence);
    if (with_drafts && model.draft_layers > 0)
        forward += static_cast<double>(model.draft_layers) *
                   masked_work(model, model.draft_layer, sequence);
    return Flops(3 * forward / static_cast<double>(sequence));
}

}  // namespace podsim
