#include "sim/expert_exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "models/blocks.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

// Everything that the two ways have in common.
struct Layer {
    ModelSpec model;
    Precision precision;
    std::vector<MoeClass> classes;
    double tokens = 0, copies = 0;  // of each rank; of a token
    Bytes there{0.0}, back{0.0};    // of one copy of a token
};

Layer layer_of(const MoeLayer& asked) {
    const MoeForm& form = asked.form;
    if (form.tokens % form.ranks != 0) {
        throw std::invalid_argument(
            fmt::format("{} tokens do not divide over {} ranks", form.tokens, form.ranks));
    }
    Layer layer{moe_model(form), moe_precision(asked.dtypes), moe_classes(form), 0, 0, {}, {}};
    const long tokens = form.tokens / form.ranks;
    layer.tokens = static_cast<double>(tokens);
    layer.copies = static_cast<double>(form.top_k);
    const auto row = [&](DType format) {
        return Bytes(activation_bytes(layer.model, format, form.hidden));
    };
    layer.there = row(layer.precision.dispatch);
    layer.back = row(layer.precision.combine);
    return layer;
}

// Every rank sends as many copies; how many arrive differs. Results go the other way.
Transfer transfer_of(const MoeForm& form, const Layer& layer, TransferType type) {
    const bool there = type == TransferType::dispatch;
    const Bytes row = there ? layer.there : layer.back;
    Transfer transfer;
    transfer.name = to_string(type);
    transfer.type = type;
    transfer.group_ranks = static_cast<int>(form.ranks);
    transfer.size = expert_payload(layer.tokens, layer.copies, row);
    transfer.messages_per_rank = layer.tokens * layer.copies;
    transfer.copies = form.top_k;
    transfer.experts = form.experts;
    if (layer.classes.size() == 1) return transfer;
    for (const MoeClass& one : layer.classes) {
        const Bytes own = transfer.size, others = one.arriving * row;
        transfer.shares.push_back({one.ranks, there ? own : others, there ? others : own});
    }
    return transfer;
}

// What products hand on within the kernel: a result that the vector work behind it reads.
double on_chip(const std::vector<Operator>& operators) {
    double bytes = 0;
    for (std::size_t i = 0; i + 1 < operators.size(); ++i) {
        const auto* product = std::get_if<Gemm>(&operators[i].body);
        const auto* next = std::get_if<VectorWork>(&operators[i + 1].body);
        if (product == nullptr || next == nullptr) continue;
        const double rows =
            static_cast<double>(product->m * product->groups + product->longer_groups);
        const double result = rows * static_cast<double>(product->n) * bytes_of(product->c);
        bytes += 2 * std::min(result, next->read);
    }
    return bytes;
}

std::vector<Operator> experts_of(const Layer& layer, const MoeClass& one) {
    return expert_block(layer.model, layer.precision, one.rows, "expert");
}

std::vector<Operator> sum_of(const Layer& layer) {
    return combine_block(layer.model, layer.precision, static_cast<long>(layer.tokens),
                         static_cast<long>(layer.copies));
}

void add_fused(Program& program, const Layer& layer, const MoeForm& form) {
    FusedExchange fused;
    fused.name = "fused_experts";
    fused.dispatch = intern(program, transfer_of(form, layer, TransferType::dispatch));
    fused.combine = intern(program, transfer_of(form, layer, TransferType::combine));
    for (std::size_t c = 0; c < layer.classes.size(); ++c) {
        const std::vector<Operator> experts = experts_of(layer, layer.classes[c]);
        FusedPart part;
        part.on_chip = on_chip(experts);
        part.row_deviation = moe_row_deviation(form);
        for (const Operator& op : experts) part.operators.push_back(intern(program, op));
        for (const Operator& op : sum_of(layer)) {
            part.operators.push_back(intern(program, op));
            part.closes = true;
        }
        fused.parts.push_back(std::move(part));
        Task task;
        task.kind = TaskKind::fused;
        task.rank_class = static_cast<int>(c);
        fused.tasks.push_back(static_cast<int>(program.tasks.size()));
        program.tasks.push_back(task);
    }
    program.fused.push_back(std::move(fused));
}

// One step of all classes, after the one before.
class Sequence {
  public:
    explicit Sequence(Program& program) : program_(program), last_(program.classes.size(), -1) {}

    void add(std::size_t rank_class, Task task) {
        task.rank_class = static_cast<int>(rank_class);
        if (last_[rank_class] >= 0) task.after = {last_[rank_class]};
        last_[rank_class] = static_cast<int>(program_.tasks.size());
        program_.tasks.push_back(std::move(task));
    }
    void add(std::size_t rank_class, const std::vector<Operator>& operators) {
        for (const Operator& op : operators) {
            Task task;
            task.body = intern(program_, op);
            add(rank_class, task);
        }
    }
    void add(const Transfer& transfer) {
        TransferInstance instance{intern(program_, transfer), {}};
        Task task;
        task.kind = TaskKind::transfer;
        task.body = static_cast<int>(program_.instances.size());
        for (std::size_t c = 0; c < last_.size(); ++c) {
            instance.tasks.push_back(static_cast<int>(program_.tasks.size()));
            add(c, task);
        }
        program_.instances.push_back(std::move(instance));
    }

  private:
    Program& program_;
    std::vector<int> last_;  // by class
};

}  // namespace

Program exchange_program(const MoeLayer& asked, ExpertExchange exchange) {
    const Layer layer = layer_of(asked);
    Program program;
    program.streams = {{"stream", 1.0}};
    for (const MoeClass& one : layer.classes) program.classes.push_back({one.name, one.ranks});
    if (exchange == ExpertExchange::fused) {
        add_fused(program, layer, asked.form);
        return program;
    }
    Sequence sequence(program);
    sequence.add(transfer_of(asked.form, layer, TransferType::dispatch));
    for (std::size_t c = 0; c < layer.classes.size(); ++c)
        sequence.add(c, experts_of(layer, layer.classes[c]));
    sequence.add(transfer_of(asked.form, layer, TransferType::combine));
    for (std::size_t c = 0; c < layer.classes.size(); ++c) sequence.add(c, sum_of(layer));
    return program;
}

ExchangeBytes exchange_bytes(const MoeLayer& asked) {
    const Layer layer = layer_of(asked);
    const MoeForm& form = asked.form;
    // A stretch of weights of one expert: gate, up and down.
    const double weights = 3.0 * static_cast<double>(form.hidden) *
                           static_cast<double>(form.inter) * bytes_of(layer.precision.experts);
    const double rows = layer.tokens * layer.copies;
    // Tokens in, activations out and in again, results out: the last as the products leave them.
    const double act = bytes_of(layer.precision.activations);
    const double row = static_cast<double>(form.hidden) * (act + bytes_of(DType::bf16)) +
                       2 * static_cast<double>(form.inter) * act;
    return {Bytes(moe_active_experts(form) * weights + rows * row),
            rows * (layer.there + layer.back)};
}

}  // namespace podsim
