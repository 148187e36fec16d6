// The passes of a prefill step, what they work on, and attention that divides tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// 2 prompts of 4,096 tokens, the first 1,024 of each cached.
StepSpec prefill_step(int ranks) {
    StepSpec spec = plain_step(ranks);
    spec.phase = Phase::prefill;
    spec.speculation = {};
    spec.sequences_per_group = 2;
    spec.context = 4096;
    spec.prompt = 3072;
    return spec;
}

std::vector<std::string> names_in_layer(const ServingStep& step, int layer) {
    std::vector<std::string> names;
    for (const Task& task : step.program.tasks) {
        if (task.layer == layer && task.rank_class == 0)
            names.push_back(name_of(step.program, task));
    }
    return names;
}

const Transfer& transfer(const ServingStep& step, const std::string& name) {
    for (const Transfer& one : step.program.transfers) {
        if (one.name == name) return one;
    }
    throw std::runtime_error("no transfer " + name);
}

TEST(PrefillStep, ChunksSeeWhatCameBeforeThem) {
    StepSpec spec = prefill_step(32);
    const auto pairs = [&] {
        std::vector<std::pair<long, long>> found;
        for (const auto& pass : spec.passes()) found.emplace_back(pass.query, pass.context);
        return found;
    };
    EXPECT_THAT(pairs(), ElementsAre(Pair(3072, 4096)));
    spec.chunk = 1280;
    EXPECT_THAT(pairs(), ElementsAre(Pair(1280, 2304), Pair(1280, 3584), Pair(512, 4096)));
    spec.chunk = 4000;  // longer than the prompt
    EXPECT_THAT(pairs(), ElementsAre(Pair(3072, 4096)));
}

// By hand, multiply-adds of one rank of R1 (hidden 7168, 128 heads of 128 + 64 and 128, ranks 1536
// and 512) with 2 x 3,072 new tokens that see 2 x 4,096:
//   down and up and output   6144 (7168 x 2112 + 1536 x 24576 + 16384 x 7168)
//   kv up-projection         8192 x 512 x 32768
//   core                     2 x 128 x (3072 x 1024 + 3072 x 3073 / 2) x 320
// in each of 61 layers; dense FFN 3 x 7168 x 18432 in 3 of them; in 58 the router 7168 x 256, and 8
// + 1 experts of 3 x 7168 x 2048; the head 7168 x 129280 with the last token of each prompt.
TEST(PrefillStep, WorkByHand) {
    const StepSpec spec = prefill_step(32);
    const double tokens = 6144;
    const double linear = tokens * (7168.0 * 2112 + 1536.0 * 24576 + 16384.0 * 7168);
    const double expand = 8192.0 * 512 * 32768;
    const double core = 2.0 * 128 * (3072.0 * 1024 + 3072.0 * 3073 / 2) * 320;
    const double sum = 61 * (linear + expand + core) + 3 * tokens * 3 * 7168 * 18432 +
                       58 * tokens * (7168.0 * 256 + 9 * 3 * 7168.0 * 2048) + 2 * 7168.0 * 129280;
    EXPECT_NEAR(matrix_work(build_step(spec)) / (2 * sum), 1, 1e-12);
}

// Latents of the whole context are expanded again by every chunk: 2304 + 3584 + 4096 of them a
// prompt instead of 4096. Nothing else grows.
TEST(PrefillStep, ChunksRepeatTheExpansionAlone) {
    StepSpec spec = prefill_step(32);
    const double whole = matrix_work(build_step(spec));
    spec.chunk = 1280;
    const ServingStep step = build_step(spec);
    EXPECT_EQ(step.passes, 3);
    const double again = 2.0 * (2304 + 3584) * 512 * 32768 * 61;
    EXPECT_NEAR((matrix_work(step) - whole) / (2 * again), 1, 1e-9);
}

// A tower of 2 layers over patches of 16 pixels, 2 x 2 of which are a token. Multiply-adds of an
// image of 64 x 32 pixels, 8 patches: 768 x 128 of patches; of a layer 4 x 128^2, 2 x 128 x 256 and
// 2 x 8 x 128 a patch; of 2 tokens 512 x 512 and 512 x 7168.
StepImages two_images() {
    VisionTower tower;
    tower.layers = 2;
    tower.hidden = 128;
    tower.heads = 2;
    tower.head_dim = 64;
    tower.intermediate = 256;
    tower.patch = 16;
    tower.merge = 2;
    tower.position_rows = 100;
    tower.out_hidden = 7168;
    return {tower, {64, 32}, 2};
}
constexpr double image_products =
    8 * (768.0 * 128 + 2 * (4 * 128 * 128 + 2 * 128 * 256 + 2 * 8 * 128)) +
    2 * 512.0 * (512 + 7168);

// 3 prompts with 2 images each on 4 ranks: 2 images a rank, rounded up, in the first of two passes;
// the tokens of all 6 are gathered. The same prompt without them works as much less.
TEST(PrefillStep, TheFirstPassRunsTheTower) {
    StepSpec spec = prefill_step(4);
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 4;
    spec.sequences_per_group = 3;
    spec.chunk = 2000;
    const ServingStep text = build_step(spec);
    spec.images = two_images();
    EXPECT_EQ(spec.images->tokens(), 4);
    const ServingStep step = build_step(spec);
    EXPECT_EQ(step.passes, 2);
    EXPECT_NEAR(matrix_work(step) - matrix_work(text), 2 * 2 * image_products,
                1e-12 * matrix_work(step));
    EXPECT_EQ(transfer(step, "image all-gather").size.value(), 3 * 4 * 7168 * 2.0);
    long towers = 0;
    for (const Task& task : step.program.tasks)
        towers += name_of(step.program, task) == "vision_attention" ? 1 : 0;
    EXPECT_EQ(towers, 2);
    EXPECT_EQ(name_of(step.program, step.program.tasks.front()), "vision_patch_embedding");
}

// The tower stands in the memory of the first stage's ranks, and runs there alone.
TEST(PrefillStep, TheFirstStageHasTheTower) {
    StepSpec spec = prefill_step(4);
    spec.mapping.pipeline_parallel = 2;
    spec.images = two_images();
    const ServingStep step = build_step(spec);
    ASSERT_EQ(step.memory.size(), 2u);
    const auto tower = [&](std::size_t stage) {
        for (const auto& [part, size] : step.memory[stage].parts) {
            if (part == "vision tower") return size.value();
        }
        return 0.0;
    };
    // 2 B of: patches 769 x 128; positions 100 x 128; a layer 129 x 512, 129 x 256 and 257 x 128,
    // two norms of 256; the merger's norm of 256, 513 x 512 and 513 x 7168.
    const double parameters = 769 * 128 + 100 * 128 +
                              2 * (129 * 512 + 129 * 256 + 257 * 128 + 2 * 256) + 256 + 513 * 512 +
                              513 * 7168;
    EXPECT_EQ(tower(0), 2 * parameters);
    EXPECT_EQ(tower(1), 0.0);
    for (const Task& task : step.program.tasks) {
        const bool of_tower = name_of(step.program, task).rfind("vision_", 0) == 0;
        EXPECT_TRUE(!of_tower || task.rank_class == 0);
    }
}

// A cached prefix comes from where the engine keeps it before anything else: 1,024 tokens of each
// of 8 prompts, 61 layers of 576 x 2 B; over a group that divides tokens, a rank's part of them.
TEST(PrefillStep, ACachedPrefixIsFetchedFirst) {
    StepSpec spec = prefill_step(32);
    spec.sequences_per_group = 8;
    const auto fetched = [&] {
        const ServingStep step = build_step(spec);
        double seconds = 0;
        for (const Task& task : step.program.tasks) {
            if (task.name != kPrefixFetch) continue;
            EXPECT_TRUE(task.after.empty());
            seconds += task.host_time.value();
        }
        return seconds;
    };
    EXPECT_EQ(fetched(), 0);
    spec.engine.prefix_fetch.emplace();
    spec.engine.prefix_fetch->value = BytesPerSecond(2e9);
    const double bytes = 8.0 * 1024 * 61 * 576 * 2;
    EXPECT_NEAR(fetched(), bytes / 2e9, 1e-12);
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 32;
    spec.mapping.attention = AttentionSplit::sp_tp_sp;
    EXPECT_NEAR(fetched(), bytes / 32 / 2e9, 1e-12);
    spec.context = spec.prompt;
    EXPECT_EQ(fetched(), 0);
}

// 32 prompts over a group of 32 ranks as many as one each alone: equal work, and in each layer the
// latents of 32 x 3,072 tokens (2,112 x 2 B), of keys alone (576 x 2 B) for the 1,024 of each that
// are cached, and the outputs (16,384 x 2 B, a rank its 4 heads').
TEST(PrefillStep, SplitAttentionExchangesLatentsAndOutputs) {
    StepSpec alone = prefill_step(32);
    alone.sequences_per_group = 1;
    StepSpec spec = alone;
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 32;
    spec.mapping.attention = AttentionSplit::sp_tp_sp;
    spec.sequences_per_group = 32;
    const ServingStep step = build_step(spec);
    const double tokens = 32 * 3072;
    EXPECT_DOUBLE_EQ(transfer(step, "latent all-gather").size.value(),
                     tokens * 2112 * 2 + 32 * 1024 * 576 * 2);
    EXPECT_DOUBLE_EQ(transfer(step, "attention all-to-all").size.value(), tokens * 16384 * 2 / 32);
    const auto names = names_in_layer(step, 10);
    const auto index = [&](const char* name) {
        return std::find(names.begin(), names.end(), name) - names.begin();
    };
    EXPECT_LT(index("query_kv_down_projection"), index("latent all-gather"));
    EXPECT_LT(index("latent all-gather"), index("query_up_projection"));
    EXPECT_LT(index("prefill_attention"), index("attention all-to-all"));
    EXPECT_LT(index("attention all-to-all"), index("output_projection"));
    EXPECT_LT(index("output_projection"), index("router_gate"));
    EXPECT_EQ(std::count(names.begin(), names.end(), "hidden all-gather"), 0);
    // Equal but for the dense layers, divided by columns, and the head, by vocabulary.
    EXPECT_NEAR(matrix_work(step) / matrix_work(build_step(alone)), 1, 1e-12);
}

// Cache of 32 x 4,096 tokens over 32 ranks; the output projection whole: 7168 x 16384 more than a
// rank's share of the heads would hold.
TEST(PrefillStep, SplitAttentionDividesTheCacheAndHoldsTheWholeOutputProjection) {
    StepSpec spec = prefill_step(32);
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 32;
    spec.sequences_per_group = 32;
    const auto parts = [&] {
        const ServingStep step = build_step(spec);
        const auto& named = step.memory.front().parts;
        return std::map<std::string, Bytes>(named.begin(), named.end());
    };
    auto heads = parts();
    spec.mapping.attention = AttentionSplit::sp_tp_sp;
    auto split = parts();
    EXPECT_DOUBLE_EQ(split["KV cache"].value(), 4096.0 * 70272);
    EXPECT_DOUBLE_EQ(heads["KV cache"].value(), 32 * 4096.0 * 70272);
    // INT8 with a 4-byte scale for each of 7,168 outputs, which a share of the heads has too.
    EXPECT_DOUBLE_EQ((split["attention weights"] - heads["attention weights"]).value(),
                     61 * 7168.0 * (16384 - 512));
}

TEST(PrefillStep, SaysWhatDoesNotWorkOut) {
    const auto said = [](const StepSpec& spec) {
        try {
            build_step(spec);
        } catch (const StepError& error) {
            return error.key + " " + error.reason;
        }
        return std::string();
    };
    StepSpec spec = prefill_step(32);
    spec.prompt = 5000;
    EXPECT_THAT(said(spec), HasSubstr("prompt 5000 of 4096 tokens are to be computed"));
    spec = prefill_step(8);
    spec.model = read_model(
        read_yaml(std::string(PODSIM_SOURCE_DIR) + "/configs/models/llama-3.1-70b.yaml"), "llama");
    spec.experts = {};
    spec.mapping.attention = AttentionSplit::sp_tp_sp;
    EXPECT_THAT(said(spec), HasSubstr("tensor_parallel is 1, expected more"));
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 8;
    EXPECT_THAT(said(spec), HasSubstr("mapping.attention is sp-tp-sp: llama has no latent"));
}

}  // namespace
}  // namespace podsim
