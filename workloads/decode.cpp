// The layer of one micro-batch on one rank (stages in parentheses only where they apply):
//
//   attention block -> (reduce-scatter) -> router block -> dispatch -> experts -> combine
//        \-> shared expert, beside dispatch ---------------------------------------/
//   -> combine sum into the residual -> (all-gather) -> next layer
//
// Dense layers: attention block -> (all-reduce) -> dense block -> (all-reduce). Under speculation
// each sequence brings 1 + n query tokens; the head checks them all; then n passes of the draft
// module, the first over the same 1 + n tokens, the others over one token a sequence. The host's
// part of a step comes last and is not hidden.
#include "workloads/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "workloads/decode_parts.hpp"

namespace podsim {

namespace {

class DecodeBuilder {
  public:
    explicit DecodeBuilder(const DecodeSpec& spec) : spec_(spec), layout_(expert_layout(spec)) {}

    DecodeStep build() {
        step_.sequences_per_group = spec_.sequences_per_rank * spec_.mapping.tensor_parallel;
        step_.tokens_per_step = spec_.speculation.tokens_per_step();
        make_classes_and_streams();
        const int parts = spec_.mapping.micro_batches;
        std::vector<std::vector<int>> ends(step_.program.classes.size());
        for (int part = 0; part < parts; ++part) {
            // As even as whole sequences allow: the first parts hold one more.
            const long sequences = step_.sequences_per_group / parts +
                                   (part < step_.sequences_per_group % parts ? 1 : 0);
            begin_part(part, sequences);
            run_part();
            for (std::size_t c = 0; c < ends.size(); ++c) ends[c].push_back(here_[c]);
        }
        for (std::size_t c = 0; c < ends.size(); ++c) {
            Task host;
            host.kind = TaskKind::host;
            host.rank_class = static_cast<int>(c);
            host.stream = host_stream_;
            host.name = "host step";
            host.host_time = spec_.engine.host_step.value;
            host.after = ends[c];
            step_.program.tasks.push_back(host);
        }
        step_.program.kernel_gap = spec_.engine.kernel_gap.value;
        step_.program.rank_skew = spec_.engine.rank_skew.value;
        step_.memory = decode_memory(spec_, layout_);
        const bool has_moe = spec_.model.dense_layers < spec_.model.layers;
        step_.stack_begin_layer = static_cast<int>(has_moe ? spec_.model.dense_layers : 0);
        step_.stack_end_layer = static_cast<int>(spec_.model.layers);
        require_valid(step_.program);
        return std::move(step_);
    }

  private:
    void make_classes_and_streams() {
        Program& program = step_.program;
        const int ranks = spec_.mapping.ranks();
        if (layout_.shared_ranks > 0) {
            program.classes = {{"routed-expert ranks", layout_.groups * layout_.routed_ranks},
                               {"shared-expert ranks", layout_.groups * layout_.shared_ranks}};
        } else {
            program.classes = {{"ranks", ranks}};
        }
        if (spec_.mapping.micro_batches > 1 && spec_.engine.overlap == Overlap::partitioned) {
            program.streams = {{"attention", spec_.engine.attention_core_share},
                               {"experts", spec_.engine.expert_core_share},
                               {"host", 1.0}};
            attention_stream_ = 0;
            expert_stream_ = transfer_stream_ = 1;
        } else {
            // Transfers leave the cores alone (RDMA, DMA engines): those of one micro-batch and
            // of the other run side by side and share the ports.
            program.streams = {{"compute", 1.0}};
            for (int part = 0; part < spec_.mapping.micro_batches; ++part) {
                program.streams.push_back({fmt::format("transfers {}", part), 1.0});
            }
            program.streams.push_back({"host", 1.0});
            attention_stream_ = expert_stream_ = 0;
            transfer_stream_ = 1;
            transfer_stream_per_part_ = true;
        }
        host_stream_ = static_cast<int>(program.streams.size()) - 1;
    }

    void begin_part(int part, long sequences) {
        part_ = part;
        sequences_ = sequences;
        here_.assign(step_.program.classes.size(), -1);
    }

    void run_part() {
        const long query = 1 + spec_.speculation.draft_tokens;
        const ModelSpec& model = spec_.model;
        const Precision& precision = spec_.precision;
        const long tokens = sequences_ * query;
        layer_ = -1;
        chain(attention_stream_, embedding_block(model, precision, tokens));
        for (long layer = 0; layer < model.layers; ++layer) {
            layer_ = static_cast<int>(layer);
            run_layer(query, layer < model.dense_layers);
        }
        layer_ = -1;
        chain(attention_stream_,
              head_block(model, precision, tokens, spec_.mapping.tensor_parallel));
        for (int pass = 0; pass < spec_.speculation.draft_tokens; ++pass) {
            const long pass_query = pass == 0 ? query : 1;
            chain(attention_stream_, embedding_block(model, precision, sequences_ * pass_query));
            chain(attention_stream_, draft_block(model, precision, sequences_ * pass_query));
            run_layer(pass_query, false);
            chain(attention_stream_,
                  head_block(model, precision, sequences_, spec_.mapping.tensor_parallel));
        }
    }

    void run_layer(long query, bool dense) {
        const int tensor = spec_.mapping.tensor_parallel;
        const StepShape shape{Phase::decode, sequences_, query, spec_.context, tensor};
        const long tokens = shape.tokens();
        const Bytes hidden_bytes(static_cast<double>(tokens * spec_.model.hidden) *
                                 bytes_of(DType::bf16));
        chain(attention_stream_, attention_block(spec_.model, spec_.precision, shape), true);
        if (dense) {
            if (tensor > 1)
                join("attention all-reduce", TransferType::all_reduce, tensor, hidden_bytes);
            chain(expert_stream_, dense_ffn_block(spec_.model, spec_.precision, tokens, tensor));
            if (tensor > 1)
                join("dense all-reduce", TransferType::all_reduce, tensor, hidden_bytes);
            return;
        }
        // Within a tensor-parallel group each rank takes its part of the tokens to the experts.
        const long own = (tokens + tensor - 1) / tensor;
        if (tensor > 1)
            join("attention reduce-scatter", TransferType::reduce_scatter, tensor, hidden_bytes);
        chain(expert_stream_, router_block(spec_.model, spec_.precision, own));
        run_experts(own);
        if (tensor > 1) join("hidden all-gather", TransferType::all_gather, tensor, hidden_bytes);
    }

    void run_experts(long tokens) {
        const ExpertLoad load = expert_load(spec_, layout_, tokens);
        const std::vector<int> routed_here = here_;
        std::vector<int> shared_end(here_.size(), -1);
        if (layout_.shared_ranks == 0 && spec_.model.shared_experts > 0) {
            chain(expert_stream_,
                  expert_block(spec_.model, spec_.precision, 1, tokens, "shared_expert"));
            shared_end = here_;
            here_ = routed_here;
        }
        exchange("dispatch", TransferType::dispatch, load.dispatch);
        priority_ = spec_.engine.experts_first ? 1 : 0;
        for (std::size_t c = 0; c < here_.size(); ++c) {
            const bool holds_shared = c == 1;
            chain_on(static_cast<int>(c), expert_stream_,
                     holds_shared ? expert_block(spec_.model, spec_.precision, 1,
                                                 load.tokens_per_shared_rank, "shared_expert")
                                  : expert_block(spec_.model, spec_.precision, load.active_experts,
                                                 load.tokens_per_expert, "expert"),
                     false);
        }
        exchange("combine", TransferType::combine, load.combine);
        priority_ = 0;
        const auto sum = combine_block(
            spec_.model, spec_.precision, tokens,
            layout_.copies_per_token +
                (layout_.shared_ranks == 0 && spec_.model.shared_experts > 0 ? 1 : 0));
        for (std::size_t c = 0; c < here_.size(); ++c) {
            extra_dependency_ = shared_end[c];
            chain_on(static_cast<int>(c), expert_stream_, sum, false);
            extra_dependency_ = -1;
        }
    }

    void chain(int stream, const std::vector<Operator>& operators, bool is_attention = false) {
        for (std::size_t c = 0; c < here_.size(); ++c)
            chain_on(static_cast<int>(c), stream, operators, is_attention);
    }

    int transfer_stream() const {
        return transfer_stream_ + (transfer_stream_per_part_ ? part_ : 0);
    }

    void chain_on(int rank_class, int stream, const std::vector<Operator>& operators,
                  bool is_attention) {
        for (const auto& kernel :
             kernels_of(step_.program, operators, spec_.engine, is_attention)) {
            Task task;
            task.kind = kernel.pipeline ? TaskKind::pipeline : TaskKind::compute;
            task.body = kernel.body;
            push(task, rank_class, stream);
        }
    }

    void push(Task task, int rank_class, int stream) {
        auto& here = here_[static_cast<std::size_t>(rank_class)];
        task.rank_class = rank_class;
        task.stream = stream;
        task.layer = layer_;
        task.micro_batch = part_;
        task.priority = priority_;
        if (here >= 0) task.after.push_back(here);
        if (extra_dependency_ >= 0) {
            task.after.push_back(extra_dependency_);
            extra_dependency_ = -1;
        }
        here = static_cast<int>(step_.program.tasks.size());
        step_.program.tasks.push_back(std::move(task));
    }

    // A collective within each tensor-parallel group: every class runs its own.
    void join(const std::string& name, TransferType type, int group, Bytes size) {
        Transfer transfer;
        transfer.name = name;
        transfer.type = type;
        transfer.group_ranks = group;
        transfer.size = size;
        const int id = transfer_index(transfer);
        for (std::size_t c = 0; c < here_.size(); ++c) {
            Task task;
            task.kind = TaskKind::transfer;
            task.body = static_cast<int>(step_.program.instances.size());
            push(task, static_cast<int>(c), transfer_stream());
            step_.program.instances.push_back({id, {here_[c]}});
        }
    }

    // Dispatch or combine over an expert group: all classes take part in one.
    void exchange(const std::string& name, TransferType type, const Transfer& pattern) {
        if (pattern.group_ranks <= 1) return;
        Transfer transfer = pattern;
        transfer.name = name;
        transfer.type = type;
        TransferInstance instance{transfer_index(transfer), {}};
        for (std::size_t c = 0; c < here_.size(); ++c) {
            Task task;
            task.kind = TaskKind::transfer;
            task.body = static_cast<int>(step_.program.instances.size());
            push(task, static_cast<int>(c), transfer_stream());
            instance.tasks.push_back(here_[c]);
        }
        step_.program.instances.push_back(std::move(instance));
    }

    int transfer_index(const Transfer& transfer) {
        auto& known = step_.program.transfers;
        for (std::size_t i = 0; i < known.size(); ++i) {
            if (same_transfer(known[i], transfer)) return static_cast<int>(i);
        }
        known.push_back(transfer);
        return static_cast<int>(known.size()) - 1;
    }

    const DecodeSpec& spec_;
    ExpertLayout layout_;
    DecodeStep step_;
    int attention_stream_ = 0, expert_stream_ = 0, transfer_stream_ = 1, host_stream_ = 2;
    int part_ = 0, layer_ = -1, priority_ = 0, extra_dependency_ = -1;
    bool transfer_stream_per_part_ = false;
    long sequences_ = 0;
    std::vector<int> here_;  // by class: the task the next one follows
};

}  // namespace

DecodeStep build_decode_step(const DecodeSpec& spec) {
    require_consistent(spec);
    return DecodeBuilder(spec).build();
}

}  // namespace podsim
