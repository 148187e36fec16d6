// The tasks of a decode step, their order, and what they wait for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/workloads/step_specs.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

const Task& task(const ServingStep& step, int id) {
    return step.program.tasks[static_cast<std::size_t>(id)];
}

// Names of one layer of one class and micro-batch, in program order.
std::vector<std::string> layer_of(const ServingStep& step, int layer, int rank_class) {
    std::vector<std::string> result;
    for (const Task& t : step.program.tasks) {
        if (t.layer == layer && t.rank_class == rank_class && t.micro_batch == 0)
            result.push_back(name_of(step.program, t));
    }
    return result;
}

// Batches that the attention kernels of a step work on, by micro-batch.
std::vector<long> attention_batches(const ServingStep& step, int micro_batch) {
    std::vector<long> result;
    for (const Task& t : step.program.tasks) {
        if (t.kind != TaskKind::compute || t.micro_batch != micro_batch || t.rank_class != 0)
            continue;
        const auto& body = step.program.operators[static_cast<std::size_t>(t.body)].body;
        if (const auto* attention = std::get_if<Attention>(&body))
            result.push_back(attention->batch);
    }
    return result;
}

TEST(ServingStep, ALayerIsAttentionRouterDispatchExpertsCombine) {
    const ServingStep step = build_step(ep320());
    const auto routed = layer_of(step, 3, 0), shared = layer_of(step, 3, 1);
    const auto index = [](const std::vector<std::string>& names, const std::string& name) {
        return std::find(names.begin(), names.end(), name) - names.begin();
    };
    const auto count = static_cast<long>(routed.size());
    EXPECT_LT(index(routed, "latent_attention"), index(routed, "router_gate"));
    EXPECT_LT(index(routed, "router_gate"), index(routed, "dispatch"));
    EXPECT_LT(index(routed, "dispatch"), index(routed, "expert_gate_up"));
    EXPECT_LT(index(routed, "expert_down"), index(routed, "combine"));
    EXPECT_LT(index(routed, "combine"), count);
    EXPECT_EQ(routed.back(), "combine_sum");
    EXPECT_THAT(shared, Contains("shared_expert_gate_up"));
    EXPECT_THAT(shared, ::testing::Not(Contains("expert_gate_up")));
    EXPECT_THAT(routed, ::testing::Not(Contains("shared_expert_gate_up")));
    EXPECT_EQ(step.stack_begin_layer, 3);
    EXPECT_EQ(step.stack_end_layer, 61);
}

// 288 and 32 ranks take part in each dispatch by one task each.
TEST(ServingStep, ATransferJoinsBothClasses) {
    const ServingStep step = build_step(ep320());
    ASSERT_EQ(step.program.classes.size(), 2u);
    EXPECT_EQ(step.program.classes[0].count, 288);
    EXPECT_EQ(step.program.classes[1].count, 32);
    // 58 layers and a draft's, two micro-batches, dispatch and combine
    EXPECT_EQ(step.program.instances.size(), 59u * 2 * 2);
    for (const TransferInstance& instance : step.program.instances) {
        ASSERT_EQ(instance.tasks.size(), 2u);
        EXPECT_EQ(task(step, instance.tasks[0]).rank_class, 0);
        EXPECT_EQ(task(step, instance.tasks[1]).rank_class, 1);
    }
}

TEST(ServingStep, TheSharedExpertRunsBesideDispatch) {
    const ServingStep step = build_step(plain_step(128));
    const int dispatch = tasks_named(step.program, "dispatch").front();
    const int shared = tasks_named(step.program, "shared_expert_gate_up").front();
    const int combine = tasks_named(step.program, "combine").front();
    const int sum = tasks_named(step.program, "combine_sum").front();
    int begin = shared;  // of the shared expert's kernels
    while (task(step, begin - 1).kind == TaskKind::compute &&
           name_of(step.program, task(step, begin - 1)).rfind("shared_expert", 0) == 0)
        --begin;
    EXPECT_EQ(task(step, dispatch).after, task(step, begin).after);
    const int shared_end = dispatch - 1;
    EXPECT_THAT(name_of(step.program, task(step, shared_end)), HasSubstr("shared_expert"));
    EXPECT_THAT(task(step, sum).after, UnorderedElementsAre(combine, shared_end));
}

TEST(ServingStep, OneRankHasNothingToExchange) {
    const ServingStep step = build_step(plain_step(1));
    EXPECT_TRUE(step.program.instances.empty());
    const int sum = tasks_named(step.program, "combine_sum").front();
    EXPECT_EQ(task(step, sum).after.size(), 2u);  // routed and shared experts
}

TEST(ServingStep, TheHostComesLastAndOnce) {
    StepSpec spec = ep320();
    spec.engine.host_step.value = Seconds(1e-3);
    const ServingStep step = build_step(spec);
    const auto hosts = tasks_named(step.program, "host step");
    ASSERT_EQ(hosts.size(), 2u);  // one a class
    for (const int id : hosts) {
        EXPECT_EQ(task(step, id).host_time.value(), 1e-3);
        ASSERT_EQ(task(step, id).after.size(), 2u);  // both micro-batches
        EXPECT_EQ(task(step, task(step, id).after[0]).micro_batch, 0);
        EXPECT_EQ(task(step, task(step, id).after[1]).micro_batch, 1);
    }
}

TEST(ServingStep, MicroBatchesAreAsEvenAsWholeSequencesAllow) {
    StepSpec spec = ep320();
    spec.sequences_per_group = 49;
    const ServingStep step = build_step(spec);
    EXPECT_EQ(step.sequences_per_group, 49);
    // 61 layers, and the draft module's one
    EXPECT_EQ(attention_batches(step, 0), std::vector<long>(62, 25));
    EXPECT_EQ(attention_batches(step, 1), std::vector<long>(62, 24));
}

// Of three drafts the first pass takes all four tokens of a sequence, the others one each.
TEST(ServingStep, DraftPassesFollowTheHead) {
    StepSpec spec = plain_step(128);
    spec.speculation = {3, 0.5};
    const ServingStep step = build_step(spec);
    EXPECT_DOUBLE_EQ(step.tokens_per_step, 1.875);
    std::vector<long> queries;
    for (const int id : tasks_named(step.program, "latent_attention")) {
        const auto body = static_cast<std::size_t>(task(step, id).body);
        queries.push_back(std::get<Attention>(step.program.operators[body].body).query);
    }
    ASSERT_EQ(queries.size(), 64u);
    EXPECT_EQ(std::count(queries.begin(), queries.end(), 4), 62);
    EXPECT_EQ(queries[62], 1);
    EXPECT_EQ(queries[63], 1);
    // The main head checks 4 x 48 tokens, the drafts' heads draw 48 each.
    std::vector<long> rows;
    for (const int id : tasks_named(step.program, "head_projection")) {
        const auto body = static_cast<std::size_t>(task(step, id).body);
        rows.push_back(std::get<Gemm>(step.program.operators[body].body).m);
    }
    EXPECT_THAT(rows, ElementsAre(192, 48, 48, 48));
    // Tasks of drafts belong to no layer of the stack.
    EXPECT_EQ(task(step, tasks_named(step.program, "latent_attention").back()).layer, -1);
}

// A dense model of 2 layers beside it: the draft module is not run. Its first pass takes the four
// tokens of each sequence, the others one; each has a head of its own vocabulary.
TEST(ServingStep, AModelOfItsOwnDrafts) {
    StepSpec spec = plain_step(128);
    ModelSpec small = llama_8b();
    small.layers = dense_then_experts(2, 2);
    small.hidden = 256;
    small.vocabulary = 1000;
    small.attentions = {grouped_query(8, 8, 32)};
    small.dense_intermediate = 512;
    spec.speculation = {3, 0.5, {}, "small", DType::bf16, std::make_shared<const ModelSpec>(small)};
    const ServingStep step = build_step(spec);
    EXPECT_EQ(tasks_named(step.program, "latent_attention").size(), 61u);
    std::vector<long> queries;
    for (const int id : tasks_named(step.program, "grouped_query_attention")) {
        const auto body = static_cast<std::size_t>(task(step, id).body);
        queries.push_back(std::get<Attention>(step.program.operators[body].body).query);
    }
    EXPECT_THAT(queries, ElementsAre(4, 4, 1, 1, 1, 1));
    std::vector<std::pair<long, long>> heads;
    for (const int id : tasks_named(step.program, "head_projection")) {
        const auto body = static_cast<std::size_t>(task(step, id).body);
        const Gemm& gemm = std::get<Gemm>(step.program.operators[body].body);
        heads.emplace_back(gemm.m, gemm.n);
    }
    const long own = small.vocabulary;
    EXPECT_THAT(heads, ElementsAre(std::pair(192L, spec.model.vocabulary), std::pair(48L, own),
                                   std::pair(48L, own), std::pair(48L, own)));
    // Its weights: 2 layers of 4 x 256^2 + 3 x 256 x 512 = 655,360, two tables of 1,000 x 256, in
    // 2 B each. Its cache: 2 layers x 2 x 256 elements x 2 B = 2,048 B a token.
    StepSpec without = spec;
    without.speculation = {};
    const auto part = [](const ServingStep& of, const std::string& name) {
        for (const auto& [what, size] : of.memory.front().parts)
            if (what == name) return size.value();
        return 0.0;
    };
    EXPECT_GE(part(step, "draft model"), 2.0 * (2 * 655360 + 2 * 256000));
    EXPECT_LE(part(step, "draft model"), 1.01 * 2.0 * (2 * 655360 + 2 * 256000));
    EXPECT_DOUBLE_EQ(part(step, "KV cache") - part(build_step(without), "KV cache"),
                     48.0 * static_cast<double>(spec.context) * 2048);
}

// Groups of 4 ranks with 48 sequences: 48 tokens of 14,336 B reduced in dense layers; in MoE
// layers scattered, 12 tokens to each rank's experts, and gathered.
TEST(ServingStep, TensorParallelGroupsReduce) {
    StepSpec spec = plain_step(64);
    spec.mapping = {16, 4, 64, 1, 1};
    spec.sequences_per_group = 48;
    const ServingStep step = build_step(spec);
    EXPECT_EQ(step.sequences_per_group, 48);
    const auto expect = [&](const char* name, TransferType type, std::size_t times) {
        const auto ids = tasks_named(step.program, name);
        EXPECT_EQ(ids.size(), times) << name;
        const auto instance = static_cast<std::size_t>(task(step, ids.front()).body);
        const auto& transfer =
            step.program
                .transfers[static_cast<std::size_t>(step.program.instances[instance].transfer)];
        EXPECT_EQ(transfer.type, type) << name;
        EXPECT_EQ(transfer.group_ranks, 4) << name;
        EXPECT_DOUBLE_EQ(transfer.size.value(), 48.0 * 14336) << name;
    };
    expect("attention all-reduce", TransferType::all_reduce, 3);
    expect("dense all-reduce", TransferType::all_reduce, 3);
    expect("attention reduce-scatter", TransferType::reduce_scatter, 58);
    expect("hidden all-gather", TransferType::all_gather, 58);
    const auto router =
        static_cast<std::size_t>(task(step, tasks_named(step.program, "router_gate").front()).body);
    EXPECT_EQ(std::get<Gemm>(step.program.operators[router].body).m, 12);
    for (const auto& transfer : step.program.transfers) {
        if (transfer.type != TransferType::dispatch) continue;
        EXPECT_DOUBLE_EQ(transfer.size.value(), 12 * 8 * 7172.0);
    }
}

std::vector<std::string> stream_names(const ServingStep& step) {
    std::vector<std::string> result;
    for (const Stream& stream : step.program.streams) result.push_back(stream.name);
    return result;
}

TEST(ServingStep, TwoBatchesTakeTurnsOnTheCoresAndTransferSideBySide) {
    const ServingStep step = build_step(ep320());
    EXPECT_THAT(stream_names(step), ElementsAre("compute", "transfers 0", "transfers 1", "host"));
    const auto dispatches = tasks_named(step.program, "dispatch");
    EXPECT_EQ(task(step, dispatches.front()).stream, 1);
    EXPECT_EQ(task(step, dispatches.back()).stream, 2);
}

TEST(ServingStep, APartitionedEngineSplitsTheCores) {
    StepSpec spec = ep320();
    spec.engine.overlap = Overlap::partitioned;
    spec.engine.attention_core_share = 0.6;
    spec.engine.expert_core_share = 0.4;
    const ServingStep step = build_step(spec);
    EXPECT_THAT(stream_names(step), ElementsAre("attention", "experts", "host"));
    EXPECT_EQ(step.program.streams[0].core_share, 0.6);
    EXPECT_EQ(step.program.streams[1].core_share, 0.4);
    EXPECT_EQ(task(step, tasks_named(step.program, "latent_attention").front()).stream, 0);
    for (const char* name : {"router_gate", "dispatch", "expert_gate_up", "combine"})
        EXPECT_EQ(task(step, tasks_named(step.program, name).front()).stream, 1) << name;

    // With one micro-batch there is nothing to run beside: the cores stay together.
    spec.mapping.micro_batches = 1;
    const ServingStep one = build_step(spec);
    EXPECT_EQ(one.program.streams.front().core_share, 1.0);
    EXPECT_THAT(stream_names(one), ElementsAre("compute", "transfers 0", "host"));
}

const Transfer& transfer_of(const ServingStep& step, const char* name) {
    const Program& program = step.program;
    const int instance = task(step, tasks_named(program, name).front()).body;
    return program.transfers[static_cast<std::size_t>(
        program.instances[static_cast<std::size_t>(instance)].transfer)];
}

Gemm gemm_of(const ServingStep& step, const char* name) {
    const int body = task(step, tasks_named(step.program, name).front()).body;
    return std::get<Gemm>(step.program.operators[static_cast<std::size_t>(body)].body);
}

// 8 ranks of 48 tokens: each has all 384, of 7,168 INT8 elements and one scale (7,172 bytes), and
// its 32 experts take 384 x 8 / 8 = 384 assignments, 12 each. The sums go back in BF16.
TEST(ServingStep, TokensGatherUnderDataParallelism) {
    StepSpec spec = plain_step(8);
    spec.experts.exchange = ExpertExchange::gather;
    const ServingStep step = build_step(spec);
    EXPECT_TRUE(tasks_named(step.program, "dispatch").empty());
    EXPECT_TRUE(tasks_named(step.program, "combine").empty());
    const Transfer& gathered = transfer_of(step, "token all-gather");
    EXPECT_EQ(gathered.type, TransferType::all_gather);
    EXPECT_EQ(gathered.group_ranks, 8);
    EXPECT_EQ(gathered.size, Bytes(384.0 * 7172));
    const Transfer& summed = transfer_of(step, "expert sum");
    EXPECT_EQ(summed.type, TransferType::reduce_scatter);
    EXPECT_EQ(summed.size, Bytes(384.0 * 14336));
    EXPECT_EQ(gemm_of(step, "expert_gate_up").m, 12);
    EXPECT_EQ(gemm_of(step, "expert_gate_up").groups, 32);
    EXPECT_EQ(gemm_of(step, "router_gate").m, 48);
    EXPECT_EQ(gemm_of(step, "shared_expert_gate_up").n, 4096);
    // A rank's own sums before the reduce-scatter, the shared expert's row after it.
    const std::vector<std::string> layer = layer_of(step, 10, 0);
    const auto sum = std::find(layer.begin(), layer.end(), "expert sum");
    EXPECT_EQ(*(sum - 1), "combine_sum");
    EXPECT_EQ(*(sum + 1), "combine_sum");
}

// One sequence with three drafts on 8 ranks: all route all 4 tokens, 32 assignments are 4 a rank,
// the shared expert is 2,048 / 8 = 256 wide on each, and all-reduces add up.
TEST(ServingStep, InATensorParallelGroupTokensAreThereAlready) {
    StepSpec spec = plain_step(8);
    spec.mapping = {1, 8, 8, 1, 1};
    spec.experts.exchange = ExpertExchange::gather;
    spec.speculation = {3, 0.77};
    spec.sequences_per_group = 1;
    const ServingStep step = build_step(spec);
    for (const char* name : {"dispatch", "token all-gather", "attention reduce-scatter",
                             "hidden all-gather", "combine"}) {
        EXPECT_TRUE(tasks_named(step.program, name).empty()) << name;
    }
    for (const char* name : {"attention all-reduce", "expert sum"}) {
        EXPECT_EQ(transfer_of(step, name).type, TransferType::all_reduce) << name;
        EXPECT_EQ(transfer_of(step, name).size, Bytes(4.0 * 14336)) << name;
    }
    EXPECT_EQ(gemm_of(step, "router_gate").m, 4);
    EXPECT_EQ(gemm_of(step, "expert_gate_up").groups, 4);
    EXPECT_EQ(gemm_of(step, "shared_expert_gate_up").n, 512);
    const std::vector<std::string> layer = layer_of(step, 10, 0);
    EXPECT_EQ(layer.back(), "expert sum");
    EXPECT_EQ(layer[layer.size() - 2], "combine_sum");
}

TEST(ServingStep, ExpertsGoFirstWhereTheEngineSaysSo) {
    StepSpec spec = ep320();
    for (const bool first : {false, true}) {
        spec.engine.experts_first = first;
        const ServingStep step = build_step(spec);
        const auto priority = [&](const char* name) {
            return task(step, tasks_named(step.program, name).front()).priority;
        };
        EXPECT_EQ(priority("expert_gate_up"), first ? 1 : 0);
        EXPECT_EQ(priority("expert_down"), first ? 1 : 0);
        EXPECT_EQ(priority("latent_attention"), 0);
        EXPECT_EQ(priority("router_gate"), 0);
        EXPECT_EQ(priority("combine_sum"), 0);
    }
}

TEST(ServingStep, CarriesTheEnginesHabits) {
    StepSpec spec = ep320();
    spec.engine.kernel_gap.value = Seconds(1e-6);
    spec.engine.rank_skew.value = 0.05;
    const Program& program = build_step(spec).program;
    EXPECT_EQ(program.kernel_gap.value(), 1e-6);
    EXPECT_EQ(program.rank_skew, 0.05);
}

TEST(ServingStep, ADenseModelNeedsNoExperts) {
    StepSpec spec = plain_step(8);
    make_dense(spec.model);
    spec.model.draft_layers = 0;
    const ServingStep step = build_step(spec);
    EXPECT_TRUE(tasks_named(step.program, "dispatch").empty());
    EXPECT_TRUE(tasks_named(step.program, "router_gate").empty());
    EXPECT_EQ(step.stack_begin_layer, 0);
}

// All layers dense, but for that of the draft module.
TEST(ServingStep, ADraftModuleHasExpertsOfItsOwn) {
    StepSpec spec = plain_step(128);
    make_dense(spec.model);
    spec.speculation = {1, 0.5};
    const ServingStep step = build_step(spec);
    ASSERT_EQ(tasks_named(step.program, "dispatch").size(), 1u);
    const auto& dispatch = step.program.transfers.front();
    EXPECT_DOUBLE_EQ(dispatch.size.value(), 96 * 8 * 7172.0);
}

StepSpec changed(void (*change)(StepSpec&)) {
    StepSpec spec = ep320();
    change(spec);
    return spec;
}

TEST(ServingStep, SaysWhatDoesNotAddUp) {
    const auto expect = [](void (*change)(StepSpec&), const char* key, const char* text) {
        const Refusal refusal = refusal_of(changed(change));
        EXPECT_EQ(refusal.key, key);
        EXPECT_THAT(refusal.text, HasSubstr(text));
    };
    expect([](StepSpec& s) { s.mapping.data_parallel = 0; }, "mapping.data_parallel",
           "is 0, expected at least 1");
    expect([](StepSpec& s) { s.mapping.tensor_parallel = 0; }, "mapping.tensor_parallel",
           "is 0, expected at least 1");
    expect([](StepSpec& s) { s.mapping.expert_parallel = 0; }, "mapping.expert_parallel",
           "is 0, expected at least 1");
    expect([](StepSpec& s) { s.mapping.micro_batches = 0; }, "mapping.micro_batches",
           "is 0, expected at least 1");
    expect([](StepSpec& s) { s.mapping.pipeline_parallel = 0; }, "mapping.pipeline_parallel",
           "is 0, expected at least 1");
    expect([](StepSpec& s) { s.mapping.pipeline_parallel = 62; }, "mapping.pipeline_parallel",
           "is 62: deepseek-r1 has 61 layers and each stage needs one, expected at most 61");
    expect([](StepSpec& s) { s.mapping.pipeline_parallel = 2; }, "mapping.micro_batches",
           "is 2: pipeline_parallel 2 already cuts the step into batches, one for each stage; "
           "expected 1");
    expect(
        [](StepSpec& s) {
            s.mapping = {320, 1, 320, 49, 1};
        },
        "mapping.pipeline_parallel",
        "is 49 with 48 sequences a group: each stage works on a batch of its own, expected at most "
        "48, or a batch of 49 sequences a group");
    expect(
        [](StepSpec& s) {
            s.mapping = {160, 1, 320, 2, 1};
        },
        "mapping.expert_parallel",
        "320 does not divide the 160 ranks of data_parallel 160 x tensor_parallel 1, which are a "
        "pipeline stage");
    expect([](StepSpec& s) { s.mapping.expert_parallel = 300; }, "mapping.expert_parallel",
           "300 does not divide the 320 ranks of data_parallel 320 x tensor_parallel 1");
    expect(
        [](StepSpec& s) {
            s.mapping.tensor_parallel = 3;
            s.mapping.expert_parallel = 960;
        },
        "mapping.tensor_parallel", "3 does not divide the model's 128 heads");
    expect(
        [](StepSpec& s) {
            s.mapping = {40, 8, 320, 1, 2};
            s.experts.shared_ranks = 30;
        },
        "experts.shared_ranks", "expected a multiple of 8");
    expect(
        [](StepSpec& s) {
            s.mapping = {40, 8, 20, 1, 2};
            s.experts.shared_ranks = 16;
        },
        "mapping.expert_parallel", "a multiple of tensor_parallel 8 is expected");
    expect([](StepSpec& s) { s.experts.exchange = ExpertExchange::gather; }, "experts.shared_ranks",
           "is 32: with exchange gather every rank has all tokens");
    expect(
        [](StepSpec& s) {
            s.mapping = {32, 8, 256, 1, 2};
            s.experts = {0, 0, Popularity::balanced};
            s.experts.exchange = ExpertExchange::gather;
        },
        "experts.exchange", "with tensor_parallel 8 the experts are spread over just that group");
    expect(
        [](StepSpec& s) {
            s.mapping = {32, 8, 8, 1, 2, AttentionSplit::sp_tp_sp};
            s.experts = {0, 0, Popularity::balanced};
            s.experts.exchange = ExpertExchange::gather;
        },
        "experts.exchange", "attention sp-tp-sp divides the tokens of a group");
    expect([](StepSpec& s) { s.mapping.micro_batches = 3; }, "mapping.micro_batches",
           "engines cut a step into 1 or 2 parts");
    expect([](StepSpec& s) { s.sequences_per_group = 1; }, "mapping.micro_batches",
           "is 2 with 1 sequence a group: each part needs at least one");
    expect([](StepSpec& s) { s.context = 1; }, "context",
           "of 1 tokens is shorter than the 2 query tokens of a step");
    expect([](StepSpec& s) { s.model.draft_layers = 0; }, "speculation.draft_tokens",
           "is 1: deepseek-r1 has no draft (multi-token-prediction) module");
}

// 16 groups share the head: each has 129280 / 16 = 8080 rows of it for the 16 x 96 checked tokens
// of a step, whose hidden states (7,168 x 2 B) are gathered; back go a score and an index of 8 B
// from each part. The draft's pass does the same with one token a sequence.
TEST(ServingStep, SharedHeadsGatherTokens) {
    StepSpec spec = plain_step(64);
    spec.speculation = {1, 0.7};
    spec.mapping.head_parallel = 16;
    const ServingStep step = build_step(spec);
    std::vector<double> gathered, returned;
    for (const Transfer& t : step.program.transfers) {
        if (t.name == "head all-gather") gathered.push_back(t.size.value());
        if (t.name == "token all-gather") returned.push_back(t.size.value());
    }
    EXPECT_THAT(gathered, ElementsAre(16 * 96 * 7168 * 2, 16 * 48 * 7168 * 2));
    EXPECT_THAT(returned, ElementsAre(16 * 96 * 16 * 8, 16 * 48 * 16 * 8));
    std::vector<Gemm> heads;
    for (const Operator& op : step.program.operators) {
        if (op.name == "head_projection") heads.push_back(std::get<Gemm>(op.body));
    }
    ASSERT_EQ(heads.size(), 2u);
    EXPECT_EQ(heads[0].m, 16 * 96);
    EXPECT_EQ(heads[0].n, 8080);
    EXPECT_EQ(heads[1].m, 16 * 48);
    // Of the table of 129280 x 7168 x 2 B a rank holds a sixteenth; the final norm is whole.
    spec.mapping.head_parallel = 1;
    const ServingStep whole = build_step(spec);
    const auto tables = [](const ServingStep& one) {
        for (const auto& [name, size] : one.memory.front().parts) {
            if (name == "embedding and head") return size.value();
        }
        return 0.0;
    };
    EXPECT_DOUBLE_EQ(tables(whole) - tables(step), 129280.0 * 7168 * 2 * 15 / 16);
}

// Where transfers hold 20 of 132 cores the other micro-batch computes on the rest; uncut, nothing
// runs beside them.
TEST(ServingStep, TransfersHoldCoresWhileMicroBatchesOverlap) {
    StepSpec spec = plain_step(64);
    spec.engine.transfer_core_share = 20.0 / 132;
    EXPECT_DOUBLE_EQ(build_step(spec).program.streams.front().core_share, 1.0);
    spec.mapping.micro_batches = 2;
    EXPECT_DOUBLE_EQ(build_step(spec).program.streams.front().core_share, 112.0 / 132);
}

// 48 tokens x 64 ranks x 8 / 64 = 384 rows reach a rank: copied in INT8 (7,168 B and a 4-byte
// scale) to their experts and back in BF16, an index of 4 B read with each.
TEST(ServingStep, TokensAreSortedAroundTheExperts) {
    StepSpec spec = plain_step(64);
    const auto bodies = [&](const std::string& name) {
        std::vector<VectorWork> found;
        for (const Operator& op : build_step(spec).program.operators) {
            if (op.name == name) found.push_back(std::get<VectorWork>(op.body));
        }
        return found;
    };
    EXPECT_TRUE(bodies("expert_permute").empty());
    spec.engine.sorts_tokens = true;
    ASSERT_EQ(bodies("expert_permute").size(), 1u);
    EXPECT_DOUBLE_EQ(bodies("expert_permute")[0].read, 384.0 * (7172 + 4));
    EXPECT_DOUBLE_EQ(bodies("expert_permute")[0].write, 384.0 * 7172);
    ASSERT_EQ(bodies("expert_unpermute").size(), 1u);
    EXPECT_DOUBLE_EQ(bodies("expert_unpermute")[0].write, 384.0 * 14336);
}

// 256 experts on 32 ranks are 8 a rank, in 3 parts of 3, 3 and 2; a third of the bytes each. One
// kernel: the first dispatch, the first combine and the first product pay what a start costs, the
// rest goes on. A sum waits for all that was combined.
TEST(ServingStep, OneKernelForTheWholeExchangeWorksInParts) {
    StepSpec spec = plain_step(32);
    const ServingStep apart = build_step(spec);
    spec.engine.expert_parts = 3;
    const ServingStep step = build_step(spec);
    std::vector<std::string> paid, gone_on;
    std::vector<long> groups;
    double dispatched = 0;
    const Task* sum = nullptr;
    for (const Task& t : step.program.tasks) {
        if (t.layer != 10) continue;
        const std::string name = name_of(step.program, t);
        if (name.rfind("dispatch", 0) == 0 || name.rfind("combine", 0) == 0 ||
            name.rfind("expert_", 0) == 0)
            (t.continues ? gone_on : paid).push_back(name);
        if (name == "combine_sum") sum = &t;
        if (t.kind == TaskKind::transfer && name.rfind("dispatch", 0) == 0) {
            const int id = step.program.instances[static_cast<std::size_t>(t.body)].transfer;
            dispatched += step.program.transfers[static_cast<std::size_t>(id)].size.value();
        }
        if (name.rfind("expert_gate_up", 0) == 0) {
            const auto& body = step.program.operators[static_cast<std::size_t>(t.body)].body;
            groups.push_back(std::get<Gemm>(body).groups);
        }
    }
    EXPECT_THAT(paid, UnorderedElementsAre("dispatch_quantise", "dispatch", "expert_gate_up",
                                           "combine", "combine_sum"));
    EXPECT_EQ(gone_on.size(), 2u + 2 + 3 + 2 + 3);  // of each kind, gate-up's first one less
    EXPECT_THAT(groups, ElementsAre(3, 3, 2));
    EXPECT_DOUBLE_EQ(dispatched, 48.0 * 8 * 7172);
    ASSERT_NE(sum, nullptr);
    EXPECT_EQ(sum->after.size(), 3u + 1);  // three combined parts, and the shared expert
    EXPECT_DOUBLE_EQ(matrix_work(step), matrix_work(apart));
}

}  // namespace
}  // namespace podsim
