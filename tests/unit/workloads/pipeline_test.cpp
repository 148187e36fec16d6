// Pipeline stages: which layers, which sequences, which slot; and the period of a decode step that
// is laid over them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/pipeline.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;

const Task& task(const ServingStep& step, int id) {
    return step.program.tasks[static_cast<std::size_t>(id)];
}

const Transfer& transfer_named(const ServingStep& step, const std::string& name) {
    for (const Transfer& transfer : step.program.transfers) {
        if (transfer.name == name) return transfer;
    }
    throw std::out_of_range(name);
}

// Ids of the tasks of a name that a class runs.
std::vector<int> of_class(const ServingStep& step, const std::string& name, int rank_class) {
    std::vector<int> ids;
    for (const int id : tasks_named(step.program, name)) {
        if (task(step, id).rank_class == rank_class) ids.push_back(id);
    }
    return ids;
}

std::map<std::string, double> parts(const MemoryNeed& need) {
    std::map<std::string, double> result;
    for (const auto& [name, size] : need.parts) result[name] += size.value();
    return result;
}

// R1 on two stages of 32 ranks in four tensor-parallel groups of eight, 9 sequences a group.
StepSpec two_stages() {
    StepSpec spec = plain_step(32);
    spec.mapping = {4, 8, 32, 2, 1};
    spec.sequences_per_group = 9;
    return spec;
}

TEST(Pipeline, LayersAreCutAsEvenAsTheyAllow) {
    // 61 = 16 + 15 + 15 + 15
    std::vector<long> begins, counts;
    for (int stage = 0; stage < 4; ++stage) {
        begins.push_back(stage_layers(61, 4, stage).begin);
        counts.push_back(stage_layers(61, 4, stage).count());
    }
    EXPECT_THAT(begins, ElementsAre(0, 16, 31, 46));
    EXPECT_THAT(counts, ElementsAre(16, 15, 15, 15));
    EXPECT_EQ(stage_layers(61, 1, 0).end, 61);
}

TEST(Pipeline, InSlotKStageSHasBatchKLessS) {
    const auto batches = [](int stage) {
        std::vector<int> result;
        for (int slot = 0; slot < 3; ++slot) result.push_back(slot_work(slot, stage, 3, 1).batch);
        return result;
    };
    EXPECT_THAT(batches(0), ElementsAre(0, 1, 2));
    EXPECT_THAT(batches(1), ElementsAre(2, 0, 1));
    EXPECT_THAT(batches(2), ElementsAre(1, 2, 0));
    // Two passes of three batches: in slot 3 the first stage begins the second pass of batch 0, and
    // in slot 0 the second stage has the last pass of batch 2 from the period before.
    EXPECT_EQ(slot_work(3, 0, 3, 2).batch, 0);
    EXPECT_EQ(slot_work(3, 0, 3, 2).pass, 1);
    EXPECT_EQ(slot_work(0, 1, 3, 2).batch, 2);
    EXPECT_EQ(slot_work(0, 1, 3, 2).pass, 1);
}

TEST(PipelineStep, EachStageIsAClassOfItsOwn) {
    const ServingStep step = build_step(two_stages());
    ASSERT_EQ(step.program.classes.size(), 2u);
    EXPECT_EQ(step.program.classes[0].name, "stage 1 ranks");
    EXPECT_EQ(step.program.classes[1].name, "stage 2 ranks");
    EXPECT_EQ(step.program.classes[0].count, 32);
    EXPECT_EQ(step.program.classes[1].count, 32);
    EXPECT_EQ(step.memory[1].rank_class, "stage 2 ranks");

    StepSpec spec = ep320();
    spec.mapping = {320, 1, 320, 3, 1};
    std::vector<std::string> names;
    for (const RankClass& each : build_step(spec).program.classes) names.push_back(each.name);
    EXPECT_THAT(names, ElementsAre("stage 1 routed-expert ranks", "stage 1 shared-expert ranks",
                                   "stage 2 routed-expert ranks", "stage 2 shared-expert ranks",
                                   "stage 3 routed-expert ranks", "stage 3 shared-expert ranks"));
}

// 61 layers are 31 and 30, and each is met by both batches.
TEST(PipelineStep, EveryBatchPassesEveryLayerOnce) {
    const ServingStep step = build_step(two_stages());
    std::map<std::pair<int, int>, int> seen;  // by layer and batch
    for (const int id : tasks_named(step.program, "latent_attention")) {
        const Task& t = task(step, id);
        EXPECT_EQ(t.rank_class, t.layer < 31 ? 0 : 1);
        ++seen[{t.layer, t.micro_batch}];
    }
    EXPECT_EQ(seen.size(), 61u * 2);
    for (const auto& [where, times] : seen) EXPECT_EQ(times, 1);
    // A token embeds in the first stage and gets its logits in the last.
    EXPECT_EQ(of_class(step, "embedding", 0).size(), 2u);
    EXPECT_EQ(of_class(step, "embedding", 1).size(), 0u);
    EXPECT_EQ(of_class(step, "head_projection", 0).size(), 0u);
    EXPECT_EQ(of_class(step, "head_projection", 1).size(), 2u);
    // The host schedules each batch on each stage.
    EXPECT_EQ(tasks_named(step.program, "host step").size(), 4u);
}

// 9 sequences are 5 and 4; of a token each of eight ranks sends 7168 x 2 / 8 = 1792 B to the rank
// 32 further on, and the last stage 4 B for the new token.
TEST(PipelineStep, StagesHandOnTheirHiddenStates) {
    const ServingStep step = build_step(two_stages());
    std::vector<double> sizes, tokens;
    for (const TransferInstance& instance : step.program.instances) {
        const Transfer& t = step.program.transfers[static_cast<std::size_t>(instance.transfer)];
        if (t.type != TransferType::send_recv) continue;
        EXPECT_EQ(t.group_ranks, 2);
        EXPECT_EQ(t.stride, 32);
        ASSERT_EQ(instance.tasks.size(), 2u);
        const bool forward = t.name == "stage send";
        EXPECT_EQ(task(step, instance.tasks[0]).rank_class, forward ? 0 : 1);
        EXPECT_EQ(task(step, instance.tasks[1]).rank_class, forward ? 1 : 0);
        ASSERT_EQ(t.shares.size(), 2u);
        EXPECT_EQ(t.shares[0].send, t.size);
        EXPECT_EQ(t.shares[1].receive, t.size);
        (forward ? sizes : tokens).push_back(t.size.value());
    }
    // In slot 0 the first stage has batch 0 and the second batch 1, in slot 1 the reverse.
    EXPECT_THAT(sizes, ElementsAre(5 * 1792.0, 4 * 1792.0));
    EXPECT_THAT(tokens, ElementsAre(4 * 4.0, 5 * 4.0));
    // The group gathers what its ranks got: 5 x 7168 x 2 B of the larger batch.
    EXPECT_EQ(of_class(step, "stage all-gather", 0).size(), 0u);
    EXPECT_EQ(of_class(step, "stage all-gather", 1).size(), 2u);
    EXPECT_EQ(transfer_named(step, "stage all-gather").group_ranks, 8);
}

// What comes in during slot 0 is waited for in slot 1 alone; nothing comes in for slot 0.
TEST(PipelineStep, ASlotWaitsForTheStageBeforeAndForItself) {
    const ServingStep step = build_step(two_stages());
    const auto gathers = of_class(step, "stage all-gather", 1);
    const auto hosts = of_class(step, "host step", 1);
    EXPECT_THAT(task(step, gathers[0]).after, ElementsAre());
    const int received = of_class(step, "stage send", 1).front();
    EXPECT_THAT(task(step, gathers[1]).after, ElementsAre(hosts[0], received));
    // The first stage decodes in slot 1 what the last one sampled in slot 0: both are of batch 1.
    const auto embeddings = of_class(step, "embedding", 0);
    EXPECT_THAT(task(step, embeddings[0]).after, ElementsAre());
    EXPECT_THAT(
        task(step, embeddings[1]).after,
        ElementsAre(of_class(step, "host step", 0)[0], of_class(step, "token send", 0).front()));
    EXPECT_EQ(task(step, embeddings[1]).micro_batch, 1);
    EXPECT_EQ(task(step, gathers[0]).micro_batch, 1);
    EXPECT_EQ(task(step, gathers[1]).micro_batch, 0);
}

// Prompts in two chunks: four slots, in which each of two stages has each chunk of each batch once,
// the second chunk after the first.
TEST(PipelineStep, ChunksOfAPromptFollowEachOther) {
    StepSpec spec = two_stages();
    spec.phase = Phase::prefill;
    spec.context = spec.prompt = 2048;
    spec.chunk = 1024;
    const ServingStep step = build_step(spec);
    EXPECT_EQ(of_class(step, "host step", 0).size(), 4u);
    std::vector<std::pair<int, long>> seen;  // batch and context of layer 0
    for (const int id : tasks_named(step.program, "prefill_attention")) {
        if (task(step, id).layer != 0) continue;
        const auto& op = step.program.operators[static_cast<std::size_t>(task(step, id).body)];
        seen.emplace_back(task(step, id).micro_batch, std::get<Attention>(op.body).context);
    }
    EXPECT_THAT(seen, ElementsAre(std::pair(0, 1024L), std::pair(1, 1024L), std::pair(0, 2048L),
                                  std::pair(1, 2048L)));
    // Each batch has its first token once, and no prompt waits for another's.
    EXPECT_EQ(of_class(step, "token send", 1).size(), 2u);
    for (const int id : of_class(step, "embedding", 0)) EXPECT_LE(task(step, id).after.size(), 1u);
}

// INT8 experts of 44,085,248 B, eight a rank; stage 1 has 28 of the 58 MoE layers (31 less 3 dense)
// and the embedding, stage 2 the other 30, the draft's, the head, and the embedding for the drafts.
TEST(PipelineMemory, StagesHoldTheirOwn) {
    StepSpec spec = two_stages();
    spec.speculation = {1, 0.7};
    const ServingStep step = build_step(spec);
    ASSERT_EQ(step.memory.size(), 2u);
    auto first = parts(step.memory[0]), last = parts(step.memory[1]);
    EXPECT_DOUBLE_EQ(first["routed experts"], 28.0 * 8 * 44085248);
    EXPECT_DOUBLE_EQ(last["routed experts"], 31.0 * 8 * 44085248);
    EXPECT_DOUBLE_EQ(first["router"], 28.0 * (3670016 + 1024));
    EXPECT_DOUBLE_EQ(last["dense FFN weights"], 0);
    EXPECT_GT(first["dense FFN weights"], 0);
    // 9 sequences of both batches, 4224 x 576 x 2 B a layer on every rank of a group
    EXPECT_DOUBLE_EQ(first["KV cache"], 9.0 * 4224 * 31 * 1152);
    EXPECT_DOUBLE_EQ(last["KV cache"], 9.0 * 4224 * 31 * 1152);
    // An eighth of a table of 129,280 x 7168 in BF16 is 231,669,760 B; the norm has 14,336 B.
    EXPECT_DOUBLE_EQ(first["embedding and head"], 231669760);
    EXPECT_DOUBLE_EQ(last["embedding and head"], 2.0 * 231669760 + 14336);
    // 5 sequences x 2 tokens at a time: the logits of 129,280 / 8 in FP32 in the last stage only.
    EXPECT_DOUBLE_EQ(last["activations"] - first["activations"], 10.0 * 16160 * 4);

    spec.speculation = {};
    EXPECT_DOUBLE_EQ(parts(build_step(spec).memory[1])["embedding and head"], 231669760.0 + 14336);
    spec.model.tied_embedding = true;
    auto tied = parts(build_step(spec).memory[1]);
    EXPECT_DOUBLE_EQ(tied["embedding and head"], 231669760.0 + 14336);
}

TEST(PipelineMemory, TheStagesTogetherHoldTheModel) {
    StepSpec spec = two_stages();
    auto whole = [&] {
        StepSpec alone = spec;
        alone.mapping.pipeline_parallel = 1;
        return parts(build_step(alone).memory[0]);
    }();
    for (const int stages : {2, 3, 4}) {
        spec.mapping.pipeline_parallel = stages;
        std::map<std::string, double> sum;
        for (const MemoryNeed& need : build_step(spec).memory) {
            for (const auto& [name, size] : need.parts) sum[name] += size.value();
        }
        for (const char* name : {"attention weights", "dense FFN weights", "embedding and head",
                                 "KV cache", "routed experts", "shared expert", "router"})
            EXPECT_NEAR(sum[name], whole[name], 1e-9 * whole[name]) << name;
    }
}

}  // namespace
}  // namespace podsim
