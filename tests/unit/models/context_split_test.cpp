// Attention over ranks that share sequences: what each works on and what they exchange, by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/layered_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

StepShape shared(Phase phase, long sequences, long query, long context, int ranks,
                 ContextCut cut = ContextCut::queries) {
    StepShape shape{phase, sequences, query, context, 1};
    shape.context_parallel = ranks;
    shape.cut = cut;
    return shape;
}

Attention core(const std::vector<Operator>& block, const std::string& name) {
    return std::get<Attention>(find(block, name).body);
}

// A prompt of 8,192 over four: 2,048 queries each, which see their quarter of 8192 x 8193 / 2 pairs
// where the last of them sees 8192 - (8192 - 2048) / 2 = 5120.
TEST(ContextSplit, QueriesOfAPromptSeeTheirPartOfThePairs) {
    const StepShape whole{Phase::prefill, 1, 8192, 8192, 1};
    const StepShape shape = shared(Phase::prefill, 1, 8192, 8192, 4);
    EXPECT_EQ(shape.own_tokens_of_context(), 2048);
    EXPECT_EQ(shape.attended().query, 2048);
    EXPECT_EQ(shape.attended().context, 5120);
    for (const auto& model : {llama_8b(), r1()}) {
        const auto of_one = attention_block(model, Precision{}, shape, model.layers.front());
        const auto of_all = attention_block(model, Precision{}, whole, model.layers.front());
        EXPECT_DOUBLE_EQ(4 * visible_pairs(core(of_one, "prefill_attention")),
                         visible_pairs(core(of_all, "prefill_attention")));
        EXPECT_DOUBLE_EQ(visible_pairs(core(of_all, "prefill_attention")), 8192.0 * 8193 / 2);
        EXPECT_EQ(gemm(find(of_one, "output_projection")).m, 2048);
    }
    // A chunk behind a prefix: 1,024 of 16,384; 15,360 + 1024 / 2 + 256 / 2.
    EXPECT_EQ(shared(Phase::prefill, 1, 1024, 16384, 4).attended().context, 16000);
    // Rounded up where they do not divide, and a rank has one token at least.
    EXPECT_EQ(shared(Phase::prefill, 3, 10, 10, 4).own_tokens_of_context(), 9);
    EXPECT_EQ(shared(Phase::prefill, 1, 1, 500, 8).attended().context, 500);
}

// Every rank takes the latents of the whole context up for its own queries.
TEST(ContextSplit, LatentsOfAllAreExpandedByEach) {
    const auto block = attention_block(r1(), Precision{}, shared(Phase::prefill, 2, 8192, 8192, 4),
                                       r1().layers.front());
    EXPECT_EQ(gemm(find(block, "kv_up_projection")).m, 2 * 8192);
    EXPECT_EQ(gemm(find(block, "query_up_projection")).m, 2 * 2048);
    // All but the rank's own come as they are kept, 576 elements each.
    EXPECT_DOUBLE_EQ(std::get<VectorWork>(find(block, "cache_gather").body).read,
                     2 * 6144 * 576 * 2.0);
}

TEST(ContextSplit, PromptsExchangeTheirCache) {
    const StepShape shape = shared(Phase::prefill, 2, 8192, 16384, 4);
    const auto exchanged = [&](const ModelSpec& model) {
        return context_exchanged(model, Precision{}, shape, model.layers.front());
    };
    // 16,384 tokens, the prefix too: 576 elements; keys and values of 8 heads of 128.
    EXPECT_DOUBLE_EQ(exchanged(r1()).gathered.value(), 2 * 16384 * 576 * 2.0);
    EXPECT_DOUBLE_EQ(exchanged(llama_8b()).gathered.value(), 2 * 16384 * 2048 * 2.0);
    EXPECT_DOUBLE_EQ(exchanged(r1()).outputs.value(), 0);
    // Of a window no more than that.
    ModelSpec sliding = llama_8b();
    grouped(sliding).window = 1024;
    EXPECT_DOUBLE_EQ(exchanged(sliding).gathered.value(), 2 * 1024 * 2048 * 2.0);
}

// Two ranks a tensor-parallel group, four of those: 4 of 32 heads each, and one of 8 key-value
// heads. 2,048 own tokens send 16 heads of queries and 4 of keys and values; all 8,192 tokens' 4
// heads come back.
TEST(ContextSplit, HeadsOfAPromptGoToTheirRanks) {
    StepShape shape = shared(Phase::prefill, 1, 8192, 8192, 4, ContextCut::heads);
    shape.tensor_parallel = 2;
    const ModelSpec model = llama_8b();
    const auto block = attention_block(model, Precision{}, shape, model.layers.front());
    EXPECT_EQ(core(block, "prefill_attention").heads, 4);
    EXPECT_EQ(core(block, "prefill_attention").kv_heads, 1);
    EXPECT_EQ(core(block, "prefill_attention").query, 8192);
    EXPECT_EQ(gemm(find(block, "output_projection")).m, 2048);
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 2048);
    const auto sizes = [&] {
        return context_exchanged(model, Precision{}, shape, model.layers.front());
    };
    EXPECT_DOUBLE_EQ(sizes().scattered.value(), 2048 * (16 * 128 + 2 * 4 * 128) * 2.0);
    EXPECT_DOUBLE_EQ(sizes().outputs.value(), 8192 * 4 * 128 * 2.0);
    EXPECT_DOUBLE_EQ(sizes().gathered.value(), 0);
    // Over eight each key-value head is copied once.
    shape.context_parallel = 8;
    EXPECT_DOUBLE_EQ(sizes().scattered.value(), 1024 * (16 * 128 + 2 * 8 * 128) * 2.0);
}

// Latents are gathered, 1,536 + 576 elements, and taken up for 32 of 128 heads.
TEST(ContextSplit, HeadsOverLatents) {
    const StepShape shape = shared(Phase::prefill, 1, 8192, 8192, 4, ContextCut::heads);
    const auto block = attention_block(r1(), Precision{}, shape, r1().layers.front());
    EXPECT_EQ(gemm(find(block, "query_kv_down_projection")).m, 2048);
    EXPECT_EQ(gemm(find(block, "query_up_projection")).m, 8192);
    EXPECT_EQ(gemm(find(block, "query_up_projection")).n, 32 * 192);
    EXPECT_EQ(core(block, "prefill_attention").heads, 32);
    EXPECT_EQ(gemm(find(block, "output_projection")).m, 2048);
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 128 * 128);
    const auto sizes = context_exchanged(r1(), Precision{}, shape, r1().layers.front());
    EXPECT_DOUBLE_EQ(sizes.gathered.value(), 8192 * (1536 + 576) * 2.0);
    EXPECT_DOUBLE_EQ(sizes.outputs.value(), 8192 * 32 * 128 * 2.0);
}

// 8 sequences over four: 2 each for everything else, 2,048 of 8,192 tokens of all for attention.
TEST(ContextSplit, DecodeCutsTheCache) {
    const StepShape shape = shared(Phase::decode, 8, 1, 8192, 4);
    EXPECT_EQ(shape.own_tokens_of_context(), 2);
    const AttentionBlock block = attention_parts(r1(), Precision{}, shape, r1().layers.front());
    EXPECT_EQ(core(block.attend, "latent_attention").batch, 8);
    EXPECT_EQ(core(block.attend, "latent_attention").context, 2048);
    EXPECT_EQ(core(block.attend, "latent_attention").heads, 128);
    EXPECT_EQ(gemm(find(block.project, "query_kv_down_projection")).m, 2);
    EXPECT_EQ(gemm(find(block.attend, "query_up_projection")).m, 8);
    EXPECT_THAT(names(block.output), ElementsAre("partial_attention_sum", "output_projection"));
    EXPECT_EQ(gemm(find(block.output, "output_projection")).m, 2);
    // Four results of 128 heads of 128, with an FP32 sum each, to one.
    const auto& sum = std::get<VectorWork>(block.output.front().body);
    EXPECT_DOUBLE_EQ(sum.read, 2 * 128 * 4 * (128 * 2 + 4.0));
    EXPECT_DOUBLE_EQ(sum.write, 2 * 128 * 128 * 2.0);
    const auto of_r1 = context_exchanged(r1(), Precision{}, shape, r1().layers.front());
    EXPECT_DOUBLE_EQ(of_r1.gathered.value(), 8 * (1536 + 576) * 2.0);
    EXPECT_DOUBLE_EQ(of_r1.outputs.value(), 8 * 128 * (128 * 2 + 4.0));
    const auto of_llama =
        context_exchanged(llama_8b(), Precision{}, shape, llama_8b().layers.front());
    EXPECT_DOUBLE_EQ(of_llama.gathered.value(), 8 * (32 + 2 * 8) * 128 * 2.0);
    EXPECT_DOUBLE_EQ(of_llama.outputs.value(), 8 * 32 * (128 * 2 + 4.0));
}

// As much of the cache is read by all as by one that has it whole; fewer sequences than ranks too.
TEST(ContextSplit, DecodeReadsTheCacheOnce) {
    for (const long sequences : {1L, 3L, 8L}) {
        const auto read = [&](int ranks) {
            return entries_read(
                       core(attention_block(r1(), Precision{},
                                            shared(Phase::decode, sequences, 2, 8192, ranks),
                                            r1().layers.front()),
                            "latent_attention")) *
                   static_cast<double>(sequences);
        };
        EXPECT_DOUBLE_EQ(8 * read(8), read(1));
    }
}

// A window stays with the rank of the sequence: nothing is exchanged.
TEST(ContextSplit, AWindowIsNotCut) {
    ModelSpec model = llama_8b();
    grouped(model).window = 1024;
    const StepShape shape = shared(Phase::decode, 8, 1, 8192, 4);
    const auto block = attention_block(model, Precision{}, shape, model.layers.front());
    EXPECT_EQ(core(block, "window_attention").batch, 2);
    EXPECT_EQ(core(block, "window_attention").context, 8192);
    const auto sizes = context_exchanged(model, Precision{}, shape, model.layers.front());
    EXPECT_DOUBLE_EQ((sizes.gathered + sizes.outputs).value(), 0);
}

// Each part proposes its best 64 of 2,048 entries of 4 tokens; of all proposals 64 are chosen, 16
// of each part.
TEST(ContextSplit, AnIndexerChoosesFromAllParts) {
    ModelSpec model = r1();
    latent(model).indexer = {64, 128, 64};
    const StepShape shape = shared(Phase::decode, 8, 1, 8192, 4);
    const AttentionBlock block = attention_parts(model, Precision{}, shape, model.layers.front());
    EXPECT_THAT(names(block.score), ElementsAre("index_query_projection", "index_rotary",
                                                "index_scores", "index_top_k"));
    EXPECT_DOUBLE_EQ(std::get<VectorWork>(find(block.attend, "index_choice").body).elements,
                     8 * 4 * 64);
    EXPECT_EQ(core(block.attend, "sparse_latent_attention").selected, 16);
    const auto sizes = context_exchanged(model, Precision{}, shape, model.layers.front());
    EXPECT_DOUBLE_EQ(sizes.proposed.value(), 8 * 4 * 64 * 8.0);
    EXPECT_DOUBLE_EQ(sizes.gathered.value(), 8 * (1536 + 576 + 128) * 2.0);
}

TEST(ContextSplit, SaysWhatCannotBeShared) {
    const auto problem = [](const ModelSpec& model, Phase phase, ContextCut cut) {
        return context_problem(model, phase, 1, 16, cut);
    };
    EXPECT_EQ(problem(r1(), Phase::prefill, ContextCut::heads), "");
    EXPECT_EQ(problem(llama_8b(), Phase::prefill, ContextCut::queries), "");
    EXPECT_THAT(context_problem(llama_8b(), Phase::prefill, 4, 16, ContextCut::heads),
                HasSubstr("64 does not divide the model's 32 heads"));
    ModelSpec linear = llama_8b();
    linear.attentions = {DeltaNetAttention{16, 32, 128, 128, 4}};
    EXPECT_THAT(problem(linear, Phase::prefill, ContextCut::queries),
                HasSubstr("goes from token to token"));
    EXPECT_EQ(problem(linear, Phase::decode, ContextCut::queries), "");
    ModelSpec sparse = r1();
    latent(sparse).indexer = {64, 128, 64};
    EXPECT_THAT(problem(sparse, Phase::prefill, ContextCut::heads), HasSubstr("the choice"));
    EXPECT_EQ(problem(sparse, Phase::prefill, ContextCut::queries), "");
    EXPECT_THROW(
        attention_block(r1(), Precision{}, shared(Phase::decode, 1, 1, 8, 0), r1().layers.front()),
        std::invalid_argument);
}

}  // namespace
}  // namespace podsim
