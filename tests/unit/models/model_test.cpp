// A model's layers, counted.
#include <gtest/gtest.h>

#include "tests/unit/models/layered_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

// The kinds in order of their first layer, and their counts.
void expect_kinds(const std::vector<LayerCount>& kinds,
                  const std::vector<std::pair<LayerKind, long>>& expected) {
    ASSERT_EQ(kinds.size(), expected.size());
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        EXPECT_EQ(kinds[i].kind, expected[i].first) << i;
        EXPECT_EQ(kinds[i].count, expected[i].second) << i;
    }
}

TEST(DenseThenExperts, InThatOrder) {
    const LayerKind dense{0, false, false}, experts{0, true, false};
    EXPECT_EQ(dense_then_experts(4, 1), (std::vector{dense, experts, experts, experts}));
    EXPECT_EQ(dense_then_experts(2, 2), (std::vector{dense, dense}));
    EXPECT_EQ(dense_then_experts(2, 0), (std::vector{experts, experts}));
    EXPECT_TRUE(dense_then_experts(0, 0).empty());
    // A file that says so is refused by its reader, which builds the list first.
    EXPECT_EQ(dense_then_experts(1, 3), (std::vector{dense}));
}

TEST(LayerKinds, OfR1) {
    const LayerKind dense{0, false, false}, experts{0, true, false};
    expect_kinds(layer_kinds(r1()), {{dense, 3}, {experts, 58}});
    expect_kinds(layer_kinds(r1(), 0, 3), {{dense, 3}});
    expect_kinds(layer_kinds(r1(), 2, 10), {{dense, 1}, {experts, 7}});
    expect_kinds(layer_kinds(r1(), 5, 5), {});
    EXPECT_EQ(layer_count(r1()), 61);
    EXPECT_EQ(expert_layers(r1()), 58);
    EXPECT_EQ(first_expert_layer(r1()), 3);
}

// Alike are layers with the same attention, the same feed-forward and the same way to experts,
// wherever they stand.
TEST(LayerKinds, OfLayersThatTakeTurns) {
    expect_kinds(layer_kinds(small_compressed()), {{{0, true, true}, 1},
                                                   {{1, true, true}, 1},
                                                   {{2, true, false}, 2},
                                                   {{1, true, false}, 1},
                                                   {{0, true, false}, 1}});
    expect_kinds(layer_kinds(small_delta()), {{{0, true, false}, 6}, {{1, true, false}, 2}});
    expect_kinds(layer_kinds(small_delta(), 3, 6), {{{1, true, false}, 1}, {{0, true, false}, 2}});
    EXPECT_EQ(first_expert_layer(small_delta()), 0);
}

// Without experts the first layer with them is past the last.
TEST(FirstExpertLayer, OfADenseModel) {
    EXPECT_EQ(expert_layers(llama_8b()), 0);
    EXPECT_EQ(first_expert_layer(llama_8b()), 32);
    // Dense layers between others.
    ModelSpec model = llama_8b();
    model.layers[5].experts = model.layers[9].experts = true;
    EXPECT_EQ(first_expert_layer(model), 5);
    EXPECT_EQ(expert_layers(model), 2);
}

TEST(SoleAttention, OfOneKindAndOnlyThat) {
    const ModelSpec model = r1(), mixed = small_windows();
    ASSERT_NE(sole_attention<LatentAttention>(model), nullptr);
    EXPECT_EQ(sole_attention<LatentAttention>(model)->kv_rank, 512);
    EXPECT_EQ(sole_attention<GroupedQueryAttention>(model), nullptr);
    EXPECT_EQ(sole_attention<GroupedQueryAttention>(mixed), nullptr);
}

}  // namespace
}  // namespace podsim
