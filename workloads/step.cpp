// The layer of one micro-batch on one rank (stages in parentheses only where they apply):
//
//   attention block -> (reduce-scatter) -> router block -> dispatch -> experts -> combine
//        \-> shared expert, beside dispatch ---------------------------------------/
//   -> combine sum into the residual -> (all-gather) -> next layer
//
// Dense layers: attention block -> (all-reduce) -> dense block -> (all-reduce). Attention that is
// split sp_tp_sp: project -> all-gather of latents -> attend -> all-to-all of the heads' outputs ->
// output; each rank then has its own tokens. Ranks that share sequences (context parallel) have
// their own tokens throughout, of a prompt a part of it, in decode a part of the sequences, and
// exchange around attention (models/context_split.cpp). Under speculation each sequence brings 1 +
// n query tokens; the head checks them all; then n passes of the draft module, the first over the
// same 1 + n tokens, the others over one token a sequence; or of a model beside it, which is
// divided over the same tensor-parallel group, has its own head, and reads prompts as well. Prefill
// goes through the layers once for each chunk, and through the head with the last token of each
// prompt. The host's part comes at the end of each pass and is not hidden.
//
// With S pipeline stages the program is one period of the steady state (workloads/pipeline.hpp):
// each stage takes every pipeline batch through its own layers once, and its makespan is the time
// between two tokens of a sequence, or a prompt's time to its first. At the end of a slot a stage
// hands the hidden states on, each rank of a tensor-parallel group its part of them, and the group
// gathers them before the next slot; the last stage hands the new tokens to the first, which
// decodes them in the next slot. What is handed on in the last slot is used in the next period, and
// nothing in slot 0 waits. Left out: filling and draining the pipeline, batches that overtake each
// other or wait for requests.
#include "workloads/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <stdexcept>
#include <utility>

#include "base/at.hpp"
#include "base/statistics.hpp"
#include "workloads/pipeline.hpp"
#include "workloads/stage_order.hpp"
#include "workloads/step_layer.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

class StepBuilder {
  public:
    explicit StepBuilder(const StepSpec& spec) : spec_(spec), layout_(expert_layout(spec)) {
        if (!spec.speculation.draft) return;
        draft_ = draft_spec(spec);
        draft_layout_ = expert_layout(draft_);
    }

    ServingStep build() {
        step_.sequences_per_group = spec_.sequences_per_group;
        step_.tokens_per_step =
            spec_.phase == Phase::prefill ? 1.0 : spec_.speculation.tokens_per_step();
        make_classes_and_streams();
        fetch_prefix();
        const std::vector<StepSpec::Pass> passes = spec_.passes();
        step_.passes = static_cast<int>(passes.size());
        const int slots = stages() * step_.passes;
        for (int slot = 0; slot < slots; ++slot) {
            for (stage_ = 0; stage_ < stages(); ++stage_) {
                const SlotWork work = slot_work(slot, stage_, stages(), step_.passes);
                embeds_images_ = work.pass == 0 && stage_ == 0 && spec_.images.has_value();
                run_slot(at(passes, work.pass), work.batch, work.pass + 1 == step_.passes);
            }
            if (stages() > 1) hand_on(slot, passes);
        }
        if (staged()) order_by_turn(step_.program, turns_, attention_stream_);
        step_.program.kernel_gap = spec_.engine.kernel_gap.value;
        step_.program.rank_skew = spec_.engine.rank_skew.value;
        step_.memory = step_memory(spec_, layout_);
        if (!layout_.balances.empty() && !imbalances_.empty())
            step_.expert_imbalance = mean(imbalances_);
        if (asked_experts_ > 0) {
            const auto of_rank = static_cast<double>(layout_.slots_per_rank);
            const long staying = resident_slots(spec_.experts.offload, layout_.slots_per_rank);
            step_.offloaded = {static_cast<double>(staying) / of_rank,
                               1 - missing_experts_ / asked_experts_,
                               fetched_experts_ * expert_bytes(spec_, layout_)};
        }
        const long layers = layer_count(spec_.model), first = first_expert_layer(spec_.model);
        step_.stack_begin_layer = static_cast<int>(first < layers ? first : 0);
        step_.stack_end_layer = static_cast<int>(layers);
        require_valid(step_.program);
        return std::move(step_);
    }

  private:
    void make_classes_and_streams() {
        Program& program = step_.program;
        program.classes = rank_classes(layout_);
        stage_classes_ = program.classes.size() / static_cast<std::size_t>(stages());
        hosts_.assign(static_cast<std::size_t>(stages()), std::vector<int>(stage_classes_, -1));
        ends_ = arrivals_ = hosts_;
        if (spec_.mapping.micro_batches > 1 && spec_.engine.overlap == Overlap::partitioned) {
            program.streams = {{"attention", spec_.engine.attention_core_share},
                               {"experts", spec_.engine.expert_core_share},
                               {"host", 1.0}};
            attention_stream_ = 0;
            expert_stream_ = 1;
            transfer_streams_.assign(static_cast<std::size_t>(spec_.mapping.micro_batches), 1);
        } else {
            // Transfers of one micro-batch and of the other run side by side and share the ports.
            // Where one computes while the other transfers, it has the cores that are left.
            const double left =
                spec_.mapping.micro_batches > 1 ? 1.0 - spec_.engine.transfer_core_share : 1.0;
            program.streams = {{"compute", left}};
            attention_stream_ = expert_stream_ = 0;
            for (int part = 0; part < spec_.mapping.micro_batches; ++part) {
                transfer_streams_.push_back(static_cast<int>(program.streams.size()));
                program.streams.push_back({fmt::format("transfers {}", part), 1.0});
            }
            if (stages() > 1) {
                // A stage is still at its own collectives when the stage before it hands on.
                transfer_streams_.assign(static_cast<std::size_t>(stages()), 1);
                send_stream_ = static_cast<int>(program.streams.size());
                program.streams.push_back({"stage sends", 1.0});
                program.streams.push_back({"stage receives", 1.0});
            }
            program.streams.push_back({"host", 1.0});
        }
        host_stream_ = static_cast<int>(program.streams.size()) - 1;
        const auto add_stream = [&](const char* name) {
            program.streams.push_back({name, 1.0});
            return static_cast<int>(program.streams.size()) - 1;
        };
        if (!spec_.model.engram.layers.empty()) look_up_stream_ = add_stream("table look-ups");
        if (!spec_.experts.offload.is_used()) return;
        fetch_stream_ = add_stream("host link");
        expert_host_stream_ = add_stream("experts of the host");
    }

    // The cache of a prefix comes from where the engine keeps it, for the whole batch, before any
    // of it is worked on: what a rank holds of it, at the rate that the engine's record says.
    void fetch_prefix() {
        const long cached = spec_.context - spec_.prompt;
        if (decodes() || cached <= 0 || !spec_.engine.prefix_fetch) return;
        for (stage_ = 0; stage_ < stages(); ++stage_) {
            const Bytes held = prefix_bytes(spec_, stage_);
            for (std::size_t c = 0; c < stage_classes_; ++c) {
                Task fetch;
                fetch.kind = TaskKind::host;
                fetch.rank_class = first_class(stage_) + static_cast<int>(c);
                fetch.stream = host_stream_;
                fetch.name = kPrefixFetch;
                fetch.host_time = held / spec_.engine.prefix_fetch->value;
                at(hosts_, stage_)[c] = static_cast<int>(step_.program.tasks.size());
                add(std::move(fetch));
            }
        }
        stage_ = 0;
        first_turn_ = last_turn_ + 1;
    }

    int stages() const { return spec_.mapping.pipeline_parallel; }

    // Whether two micro-batches run in a fixed order of stages.
    bool staged() const {
        return spec_.mapping.micro_batches > 1 && spec_.engine.overlap == Overlap::two_batch &&
               spec_.engine.order == KernelOrder::staged;
    }

    bool decodes() const { return spec_.phase == Phase::decode; }

    // The other micro-batch has its turn.
    void yield() { ++turn_stage_; }

    void add(Task task) {
        const StageTurns order{spec_.mapping.micro_batches, decodes() ? 2 : 0};
        turns_.push_back(first_turn_ + order.turn(turn_stage_, part_));
        last_turn_ = std::max(last_turn_, turns_.back());
        step_.program.tasks.push_back(std::move(task));
    }

    // A stage's classes begin with it.
    int first_class(int stage) const { return stage * static_cast<int>(stage_classes_); }

    // One pass of a pipeline batch through the stage's layers, all of its micro-batches, and the
    // host's tasks at its end, which the stage's next slot follows.
    void run_slot(const StepSpec::Pass& pass, int batch, bool is_last) {
        const int parts = spec_.mapping.micro_batches;
        first_turn_ = last_turn_ + 1;
        std::vector<std::vector<int>> ends(stage_classes_);
        for (int part = 0; part < parts; ++part) {
            part_ = stages() > 1 ? batch : part;
            sequences_ = even_part(step_.sequences_per_group, parts * stages(), part_);
            turn_stage_ = 0;
            here_ = at(hosts_, stage_);
            run_part(pass, is_last);
            for (std::size_t c = 0; c < ends.size(); ++c) ends[c].push_back(here_[c]);
        }
        at(ends_, stage_) = here_;
        first_turn_ = last_turn_ + 1;
        turn_stage_ = 0;
        std::vector<int>& hosts = at(hosts_, stage_);
        hosts.clear();
        for (std::size_t c = 0; c < ends.size(); ++c) {
            Task host;
            host.kind = TaskKind::host;
            host.rank_class = first_class(stage_) + static_cast<int>(c);
            host.stream = host_stream_;
            host.name = "host step";
            host.host_time = spec_.engine.host_step.value;
            host.after = ends[c];
            hosts.push_back(static_cast<int>(step_.program.tasks.size()));
            add(std::move(host));
        }
    }

    // Every stage to the next, and the last its new tokens to the first.
    void hand_on(int slot, const std::vector<StepSpec::Pass>& passes) {
        const double tensor = spec_.mapping.tensor_parallel, token_index = 4;
        const double sharing = spec_.mapping.context_parallel();
        const int stride = spec_.mapping.stage_ranks();
        for (int from = 0; from < stages(); ++from) {
            const SlotWork work = slot_work(slot, from, stages(), step_.passes);
            const long sequences = even_part(step_.sequences_per_group, stages(), work.batch);
            const auto tokens = static_cast<double>(sequences * at(passes, work.pass).query);
            if (from + 1 < stages()) {
                const double state = hidden_bytes(spec_, spec_.model.streams).value();
                hand_to(from, from + 1, stride, "stage send",
                        Bytes(tokens * state / tensor / sharing));
            } else if (spec_.phase == Phase::decode) {
                hand_to(from, 0, stride * from, "token send", Bytes(tokens * token_index));
            } else if (work.pass + 1 == step_.passes) {
                hand_to(from, 0, stride * from, "token send",
                        Bytes(static_cast<double>(sequences) * token_index));
                // The next prompts do not wait for the first tokens of these.
                arrivals_.front().assign(stage_classes_, -1);
            }
        }
    }

    void hand_to(int from, int to, int stride, const char* name, Bytes size) {
        Transfer transfer;
        transfer.name = name;
        transfer.type = TransferType::send_recv;
        transfer.group_ranks = 2;
        transfer.stride = stride;
        transfer.size = size;
        transfer.shares = {{1, size, Bytes(0.0)}, {1, Bytes(0.0), size}};
        const int id = intern(step_.program, transfer);
        for (std::size_t c = 0; c < stage_classes_; ++c) {
            const int instance = static_cast<int>(step_.program.instances.size());
            const auto part = [&](int stage, int stream) {
                Task task;
                task.kind = TaskKind::transfer;
                task.body = instance;
                task.rank_class = first_class(stage) + static_cast<int>(c);
                task.stream = stream;
                // Of no batch: from one rank to one other, so that nobody waits for a slowest.
                task.micro_batch = stages();
                add(std::move(task));
                return static_cast<int>(step_.program.tasks.size()) - 1;
            };
            const int sent = part(from, send_stream_), received = part(to, send_stream_ + 1);
            at(step_.program.tasks, sent).after = {at(ends_, from)[c]};
            at(arrivals_, to)[c] = received;
            step_.program.instances.push_back({id, {sent, received}});
        }
    }

    void run_part(const StepSpec::Pass& pass, bool is_last) {
        const ModelSpec& model = spec_.model;
        const Precision& precision = spec_.precision;
        const long tokens = group_tokens(spec_, sequences_, pass.query);
        layer_ = -1;
        routers_.clear();
        if (embeds_images_) run_tower(*spec_.images);
        if (stage_ == 0)
            chain(attention_stream_, kernels(embedding_block(model, precision, own_of(tokens))));
        StepLayers stack(spec_, layout_, step_.program, pass, sequences_);
        const std::vector<int> looked_up = look_up(tokens);
        if (stage_ > 0 && spec_.mapping.tensor_parallel > 1 && !splits_tokens(spec_)) {
            join("stage all-gather", TransferType::all_gather, spec_.mapping.tensor_parallel,
                 hidden_bytes(spec_, tokens * model.streams));
        }
        const LayerRange layers = stage_layers(layer_count(model), stages(), stage_);
        for (long layer = layers.begin; layer < layers.end; ++layer) {
            layer_ = static_cast<int>(layer);
            const LayerKind& kind = at(model.layers, layer_);
            if (kind.engram) run_engram(tokens, looked_up);
            run_layer(stack.of(kind, layout_.balance_of(layer)));
        }
        layer_ = -1;
        if (stage_ + 1 < stages()) return;
        if (spec_.phase == Phase::prefill) {
            if (is_last) run_head(spec_, last_tokens(spec_, sequences_));
            if (spec_.speculation.draft) run_draft_model(pass);
            return;
        }
        run_head(spec_, tokens);
        if (spec_.speculation.draft) {
            for (int draft = 0; draft < spec_.speculation.draft_tokens; ++draft) {
                run_draft_model({draft == 0 ? pass.query : 1, pass.context});
                run_head(draft_, group_tokens(draft_, sequences_, 1));
            }
            return;
        }
        for (int draft = 0; draft < spec_.speculation.draft_tokens; ++draft) {
            const StepSpec::Pass own{draft == 0 ? pass.query : 1, pass.context};
            const long draft_tokens = group_tokens(spec_, sequences_, own.query);
            chain(attention_stream_,
                  kernels(embedding_block(model, precision, own_of(draft_tokens))));
            chain(attention_stream_, kernels(draft_block(model, precision, own_of(draft_tokens))));
            const std::size_t balance = layout_.balance_of(layer_count(model));
            StepLayers of_draft(spec_, layout_, step_.program, own, sequences_);
            run_layer((draft == 0 ? stack : of_draft).of(model.draft_layer, balance));
            run_head(spec_, group_tokens(spec_, sequences_, 1));
        }
    }

    // One pass of the model that drafts, in front of its head. It reads prompts, too.
    void run_draft_model(const StepSpec::Pass& pass) {
        chain(attention_stream_,
              kernels(embedding_block(draft_.model, draft_.precision,
                                      group_tokens(draft_, sequences_, pass.query))));
        StepLayers stack(draft_, draft_layout_, step_.program, pass, sequences_);
        for (const LayerKind& kind : draft_.model.layers) run_layer(stack.of(kind, 0));
    }

    // Images are dealt out over the ranks of a tensor-parallel group, each of which has the whole
    // tower, and then their tokens gathered.
    void run_tower(const StepImages& images) {
        const int tensor = spec_.mapping.tensor_parallel;
        const long all = sequences_ * images.count, own = (all + tensor - 1) / tensor;
        const VisionOperators tower = vision_operators(images.tower, images.size, own);
        chain(attention_stream_, kernels(tower.enter));
        const Kernels layer = kernels(tower.layer);
        for (long i = 0; i < tower.layers; ++i) chain(attention_stream_, layer);
        chain(attention_stream_, kernels(tower.leave));
        if (tensor > 1) {
            join("image all-gather", TransferType::all_gather, tensor,
                 hidden_bytes(spec_, sequences_ * images.tokens()));
        }
    }

    // Conditional memory is asked for as soon as the tokens are known, all layers' rows in one go,
    // beside everything else. Returns the task of each class, -1 where there is none.
    std::vector<int> look_up(long tokens) {
        std::vector<int> reads(here_.size(), -1);
        const LayerRange own = stage_layers(layer_count(spec_.model), stages(), stage_);
        long layers = 0;
        for (long layer = own.begin; layer < own.end; ++layer)
            if (at(spec_.model.layers, static_cast<int>(layer)).engram) ++layers;
        if (layers == 0) return reads;
        const Kernels kernel =
            kernels({engram_read(spec_.model, tokens * layers, spec_.mapping.engram_tables)});
        for (std::size_t c = 0; c < here_.size(); ++c) {
            Task task;
            task.kind = TaskKind::compute;
            task.body = kernel.front().body;
            task.rank_class = first_class(stage_) + static_cast<int>(c);
            task.stream = look_up_stream_;
            task.micro_batch = part_;
            reads[c] = static_cast<int>(step_.program.tasks.size());
            add(std::move(task));
        }
        return reads;
    }

    void run_engram(long tokens, const std::vector<int>& looked_up) {
        const Kernels memory = kernels(engram_block(spec_.model, tokens));
        for (std::size_t c = 0; c < here_.size(); ++c)
            chain_on(static_cast<int>(c), attention_stream_, memory, {looked_up[c]});
    }

    // With a shared head the ranks gather each other's hidden states, and then the best token that
    // each found in its part of the vocabulary, with its score.
    void run_head(const StepSpec& spec, long outputs) {
        const ModelSpec& model = spec.model;
        const int shared = spec.mapping.head_parallel;
        const int ranks = spec.mapping.tensor_parallel * shared;
        const double all = static_cast<double>(outputs * shared);
        const double score_and_index = 8;
        if (shared > 1) {
            join("head all-gather", TransferType::all_gather, ranks,
                 Bytes(all * static_cast<double>(model.hidden) * bytes_of(DType::bf16)));
        }
        chain(attention_stream_,
              kernels(head_block(model, spec.precision, outputs * shared, ranks)));
        if (shared > 1) {
            join("token all-gather", TransferType::all_gather, ranks,
                 Bytes(all * ranks * score_and_index));
        }
    }

    // Of the group's tokens those that a rank embeds: its own where attention divides them.
    long own_of(long tokens) const {
        const int tensor = spec_.mapping.tensor_parallel;
        return splits_tokens(spec_) ? (tokens + tensor - 1) / tensor : tokens;
    }

    using Layer = StepLayer;

    Kernels kernels(const std::vector<Operator>& operators, bool is_attention = false) {
        return kernels_of(step_.program, operators, spec_.engine, is_attention);
    }

    void run_layer(const Layer& layer) {
        const bool dense = !layer.kind.experts;
        const int tensor = spec_.mapping.tensor_parallel;
        const auto within_group = [&](const char* name, TransferType type) {
            if (tensor > 1) join(name, type, tensor, layer.hidden);
        };
        chain_attention(layer, dense);
        if (shares_sequences(spec_)) run_shared_attention(layer);
        if (splits_tokens(spec_)) {
            run_split_attention(layer);
            if (!dense) return run_routed(layer);
            // The dense layers stay divided by columns: their tokens come together and part again.
            within_group("hidden all-gather", TransferType::all_gather);
            chain(expert_stream_, layer.dense);
            within_group("dense reduce-scatter", TransferType::reduce_scatter);
            return;
        }
        if (dense) {
            within_group("attention all-reduce", TransferType::all_reduce);
            chain(expert_stream_, layer.dense);
            within_group("dense all-reduce", TransferType::all_reduce);
            return;
        }
        if (sees_group(spec_)) {
            within_group("attention all-reduce", TransferType::all_reduce);
            return run_routed(layer);
        }
        within_group("attention reduce-scatter", TransferType::reduce_scatter);
        run_routed(layer);
        within_group("hidden all-gather", TransferType::all_gather);
    }

    // In decode the other micro-batch has its turn before attention itself.
    void chain_attention(const Layer& layer, bool dense) {
        auto core = layer.attention.begin();
        if (!dense && decodes()) {
            core = std::find_if(core, layer.attention.end(), [&](const Kernel& kernel) {
                return !kernel.pipeline && std::holds_alternative<Attention>(
                                               at(step_.program.operators, kernel.body).body);
            });
        }
        chain(attention_stream_, Kernels(layer.attention.begin(), core));
        if (!dense && decodes()) yield();
        chain(attention_stream_, Kernels(core, layer.attention.end()));
    }

    void run_split_attention(const Layer& layer) {
        const int tensor = spec_.mapping.tensor_parallel;
        join("latent all-gather", TransferType::all_gather, tensor, layer.latents);
        chain(attention_stream_, layer.attend);
        // Each rank holds its heads of every token and sends all but its own tokens' share.
        join("attention all-to-all", TransferType::all_to_all, tensor,
             layer.outputs / static_cast<double>(tensor));
        chain(attention_stream_, layer.output);
    }

    // Keys and values go round beside attention (ring) or come first; heads' queries go to the
    // ranks of the heads and their results back; or queries to all parts of the cache and results
    // back.
    void run_shared_attention(const Layer& layer) {
        const ContextExchanged& moved = layer.context;
        const bool ring =
            !decodes() && spec_.mapping.context.context_exchange == ContextExchange::ring;
        std::vector<int> beside(here_.size(), -1);
        if (ring) {
            const std::vector<int> projected = here_;
            share("context ring", TransferType::all_gather, moved.gathered);
            beside = std::exchange(here_, projected);
        } else {
            share("context all-gather", TransferType::all_gather, moved.gathered);
            share("context all-to-all", TransferType::all_to_all, moved.scattered);
        }
        chain(attention_stream_, layer.score);
        share("index all-gather", TransferType::all_gather, moved.proposed);
        chain(attention_stream_, layer.attend);
        share("output all-to-all", TransferType::all_to_all, moved.outputs);
        for (std::size_t c = 0; c < here_.size(); ++c) {
            const bool waits = ring && beside[c] >= 0;
            chain_on(static_cast<int>(c), attention_stream_, layer.output,
                     waits ? std::vector<int>{beside[c]} : std::vector<int>{});
        }
    }

    // Of ranks that share sequences, those with the same place in their tensor-parallel groups.
    void share(const char* name, TransferType type, Bytes size) {
        if (size > Bytes(0.0))
            join(name, type, spec_.mapping.context_parallel(), size, spec_.mapping.tensor_parallel);
    }

    void run_routed(const Layer& layer) {
        chain(expert_stream_, layer.router);
        run_experts(layer);
        imbalances_.push_back(layer.load.imbalance);
        if (layer.offloaded.empty()) return;
        const OffloadedExperts& first = layer.offloaded.front();
        asked_experts_ += static_cast<double>(layer.load.here.active_experts);
        missing_experts_ += first.fetched + first.at_host;
        fetched_experts_ += first.fetched;
    }

    void run_experts(const Layer& layer) {
        const std::vector<int> routed_here = here_;
        std::vector<int> shared_end;
        const auto run_shared = [&] {
            const std::vector<int> here = std::exchange(here_, routed_here);
            chain(expert_stream_, layer.shared);
            shared_end = std::exchange(here_, here);
        };
        // Staged, the dispatch is sent first; in a prefill the shared expert runs while results
        // come back.
        if (!staged()) run_shared();
        if (!layer.parts.empty()) return run_parts(layer, shared_end);
        if (decodes()) yield();
        const bool gathers = spec_.experts.exchange == ExpertExchange::gather;
        exchange(gathers ? "token all-gather" : "dispatch",
                 gathers ? layer.load.dispatch.type : TransferType::dispatch, layer.load.dispatch);
        if (staged()) {
            const int sent = turn_stage_;
            if (!decodes()) turn_stage_ += 2;
            run_shared();
            turn_stage_ = sent;
        }
        yield();
        priority_ = spec_.engine.experts_first ? 1 : 0;
        const auto beside = [&](std::size_t c) {
            return layer.shared.empty() ? std::vector<int>{} : std::vector<int>{shared_end[c]};
        };
        for (std::size_t c = 0; c < here_.size(); ++c) {
            const bool has_routed = c < layer.offloaded.size();
            std::vector<int> before = layer.sum.empty() ? beside(c) : std::vector<int>{};
            if (has_routed && !layer.fetch[c].empty())
                arrival(c) = fetch_experts(layer, c, routed_here[c]);
            const int asked = here_[c];
            chain_on(static_cast<int>(c), expert_stream_, layer.experts[c]);
            if (has_routed && !layer.to_host[c].empty()) arrival(c) = work_at_host(layer, c, asked);
            chain_on(static_cast<int>(c), expert_stream_, layer.own_sum, std::move(before));
        }
        routers_ = routed_here;
        exchange(gathers ? "expert sum" : "combine",
                 gathers ? layer.load.combine.type : TransferType::combine, layer.load.combine);
        yield();
        priority_ = 0;
        for (std::size_t c = 0; c < here_.size(); ++c)
            chain_on(static_cast<int>(c), expert_stream_, layer.sum, beside(c));
        if (decodes()) yield();
    }

    // What has come in for the chain of a class, which its next task waits for.
    int& arrival(std::size_t rank_class) { return at(arrivals_, stage_)[rank_class]; }

    // A task beside the chain, which does not wait for it.
    int push_beside(Task task, std::size_t rank_class, int stream, int after) {
        task.rank_class = first_class(stage_) + static_cast<int>(rank_class);
        task.stream = stream;
        task.layer = layer_;
        task.micro_batch = part_;
        if (after >= 0) task.after.push_back(after);
        add(std::move(task));
        return static_cast<int>(step_.program.tasks.size()) - 1;
    }

    int push_copy(const Kernels& kernel, std::size_t rank_class, int after) {
        Task task;
        task.kind = TaskKind::compute;
        task.body = kernel.front().body;
        return push_beside(std::move(task), rank_class, fetch_stream_, after);
    }

    // Once the router has said which experts a layer needs, or a layer ahead that of the layer
    // before: its weights then have that layer's products to come in beside.
    int fetch_experts(const Layer& layer, std::size_t rank_class, int router) {
        if (spec_.experts.offload.prefetch) router = routers_.empty() ? -1 : routers_[rank_class];
        return push_copy(layer.fetch[rank_class], rank_class, router);
    }

    // Rows go to the host's processors and their results come back, beside the chip's own experts.
    int work_at_host(const Layer& layer, std::size_t rank_class, int asked) {
        const int sent = push_copy(layer.to_host[rank_class], rank_class, asked);
        Task work;
        work.kind = TaskKind::host;
        work.name = kHostExperts;
        work.host_time = layer.host_time;
        const int done = push_beside(std::move(work), rank_class, expert_host_stream_, sent);
        return push_copy(layer.from_host[rank_class], rank_class, done);
    }

    // Every part is dispatched as soon as the ports let it; its experts follow it, its combine
    // them.
    void run_parts(const Layer& layer, const std::vector<int>& shared_end) {
        const std::vector<int> routed_here = here_;
        // What pays the latency and what does not are told apart.
        const auto part_name = [](const char* name, std::size_t part) {
            return part > 0 ? std::string(name) + kLaterPart : std::string(name);
        };
        std::vector<std::vector<int>> dispatched;
        for (std::size_t i = 0; i < layer.parts.size(); ++i) {
            here_ = routed_here;
            continues_ = i > 0;
            exchange(part_name("dispatch", i), TransferType::dispatch, layer.parts[i].dispatch);
            dispatched.push_back(here_);
        }
        priority_ = spec_.engine.experts_first ? 1 : 0;
        std::vector<std::vector<int>> before_sum(here_.size());
        for (std::size_t i = 0; i < layer.parts.size(); ++i) {
            const ExpertPart& part = layer.parts[i];
            here_ = dispatched[i];
            for (std::size_t c = 0; c < here_.size(); ++c) {
                for (std::size_t k = 0; k < part.experts[c].size(); ++k) {
                    continues_ = i > 0 || k > 0;
                    chain_on(static_cast<int>(c), expert_stream_, {part.experts[c][k]});
                }
            }
            continues_ = i > 0;
            exchange(part_name("combine", i), TransferType::combine, part.combine);
            for (std::size_t c = 0; c < here_.size(); ++c) before_sum[c].push_back(here_[c]);
        }
        continues_ = false;
        priority_ = 0;
        for (std::size_t c = 0; c < here_.size(); ++c) {
            before_sum[c].pop_back();  // the last is where the chain stands
            if (!layer.shared.empty()) before_sum[c].push_back(shared_end[c]);
            chain_on(static_cast<int>(c), expert_stream_, layer.sum, before_sum[c]);
        }
    }

    void chain(int stream, const Kernels& kernels) {
        for (std::size_t c = 0; c < here_.size(); ++c)
            chain_on(static_cast<int>(c), stream, kernels);
    }

    // The first kernel also waits for the tasks `beside`.
    void chain_on(int rank_class, int stream, const Kernels& kernels,
                  std::vector<int> beside = {}) {
        for (const Kernel& kernel : kernels) {
            Task task;
            task.kind = kernel.pipeline ? TaskKind::pipeline : TaskKind::compute;
            task.body = kernel.body;
            task.after = std::exchange(beside, {});
            push(std::move(task), rank_class, stream);
        }
    }

    int push(Task task, int rank_class, int stream) {
        int& here = at(here_, rank_class);
        task.rank_class = first_class(stage_) + rank_class;
        task.stream = stream;
        task.layer = layer_;
        task.micro_batch = part_;
        task.priority = priority_;
        task.continues = continues_;
        if (here >= 0) task.after.push_back(here);
        int& arrival = at(arrivals_, stage_)[static_cast<std::size_t>(rank_class)];
        if (arrival >= 0) task.after.push_back(std::exchange(arrival, -1));
        here = static_cast<int>(step_.program.tasks.size());
        add(std::move(task));
        return here;
    }

    // One execution of a transfer by the classes from `first` up to `last`.
    void execute(int transfer, int first, int last) {
        Task task;
        task.kind = TaskKind::transfer;
        task.body = static_cast<int>(step_.program.instances.size());
        TransferInstance instance{transfer, {}};
        for (int c = first; c < last; ++c)
            instance.tasks.push_back(push(task, c, at(transfer_streams_, part_)));
        step_.program.instances.push_back(std::move(instance));
    }

    int classes() const { return static_cast<int>(here_.size()); }

    // A collective within each tensor-parallel group: every class runs its own.
    void join(const std::string& name, TransferType type, int group, Bytes size, int stride = 1) {
        Transfer transfer;
        transfer.name = name;
        transfer.type = type;
        transfer.group_ranks = group;
        transfer.stride = stride;
        transfer.size = size;
        const int id = intern(step_.program, transfer);
        for (int c = 0; c < classes(); ++c) execute(id, c, c + 1);
    }

    // Dispatch or combine over an expert group: all classes take part in one.
    void exchange(const std::string& name, TransferType type, Transfer transfer) {
        if (transfer.group_ranks <= 1) return;
        transfer.name = name;
        transfer.type = type;
        execute(intern(step_.program, transfer), 0, classes());
    }

    const StepSpec& spec_;
    ExpertLayout layout_;
    StepSpec draft_;  // of a model that drafts
    ExpertLayout draft_layout_;
    ServingStep step_;
    int attention_stream_ = 0, expert_stream_ = 0, host_stream_ = 0;
    int look_up_stream_ = 0;                         // only with conditional memory
    int fetch_stream_ = 0, expert_host_stream_ = 0;  // only with experts that lie elsewhere
    int send_stream_ = 0;                // of a stage to another; the next one is of receives
    std::vector<int> transfer_streams_;  // by micro-batch, or pipeline batch
    std::size_t stage_classes_ = 0;      // classes of ranks in a stage
    int stage_ = 0, part_ = 0, layer_ = -1, priority_ = 0;
    // Of tasks, where micro-batches take turns: each one's, the first and the last of a slot's, and
    // the stage that is being built.
    std::vector<int> turns_;
    int first_turn_ = 0, last_turn_ = -1, turn_stage_ = 0;
    bool embeds_images_ = false;  // in the slot that is being built
    bool continues_ = false;      // tasks belong to a kernel that runs already
    long sequences_ = 0;
    std::vector<int> routers_;  // by class, of the MoE layer before; none before the first
    std::vector<int> here_;     // by class of the stage: the task the next one follows
    // By stage and class of it: the host's task and the last other one of its last slot, and what
    // has come in since, which its next task waits for. -1: nothing.
    std::vector<std::vector<int>> hosts_, ends_, arrivals_;
    std::vector<double> imbalances_;  // of the MoE layers run
    // Of the first class, over the MoE layers run: experts asked for, those not found, those whose
    // weights came.
    double asked_experts_ = 0, missing_experts_ = 0, fetched_experts_ = 0;
};

}  // namespace

std::vector<StepSpec::Pass> StepSpec::passes() const {
    if (phase == Phase::decode) return {{1 + speculation.draft_tokens, context}};
    std::vector<Pass> passes;
    const long cached = context - prompt;
    for (long done = 0; done < prompt;) {
        const long query = chunk > 0 ? std::min(chunk, prompt - done) : prompt;
        done += query;
        passes.push_back({query, cached + done});
    }
    return passes;
}

ServingStep build_step(const StepSpec& spec) {
    require_consistent(spec);
    return StepBuilder(spec).build();
}

}  // namespace podsim
