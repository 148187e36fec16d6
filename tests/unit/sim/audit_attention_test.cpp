// What the audit knows of each kind of attention, by hand.
#include "sim/audit_attention.hpp"

#include <gtest/gtest.h>

#include <string>

#include "sim/audit_closed_form.hpp"
#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

using Kind = AuditAttention::Kind;

constexpr double hidden = 8;

AuditPass decode(double query, double context) {
    return {query, context, false};
}
AuditPass prefill(double query, double context) {
    return {query, context, true};
}

AuditMapping ranks(double tensor_parallel) {
    AuditMapping map;
    map.tensor_parallel = tensor_parallel;
    return map;
}

// 4 heads of 2 elements over 2 kv heads.
AuditAttention grouped() {
    AuditAttention attention;
    attention.heads = 4;
    attention.kv_heads = 2;
    attention.head_dim = 2;
    return attention;
}

// 2 heads of 4 elements; groups of the output of rank 3.
AuditAttention shared_entry(double pool) {
    AuditAttention attention;
    attention.kind = Kind::shared_entry;
    attention.heads = 2;
    attention.head_dim = 4;
    attention.query_rank = 4;
    attention.output_groups = 2;
    attention.output_rank = 3;
    attention.window = 6;
    attention.pool = pool;
    return attention;
}

void add_indexer(AuditAttention& attention) {
    attention.index_heads = 2;
    attention.index_dim = 3;
    attention.index_chosen = 5;
}

AuditAttention latent() {
    AuditAttention attention;
    attention.kind = Kind::latent;
    attention.heads = 2;
    attention.query_rank = attention.kv_rank = 4;
    attention.nope = attention.rope = attention.value = 2;
    return attention;
}

// A window of 6 tokens: 6 pairs a query of 2 x 4 x 2 products where 16 tokens are visible; in
// prefill 1 + 2 + .. + 5 and 11 times 6, 81 for a prompt of 16.
TEST(AuditAttention, WindowOfGroupedQueries) {
    AuditAttention attention = grouped();
    attention.window = 6;
    const AuditMapping alone = ranks(1);
    EXPECT_DOUBLE_EQ(attention_work(alone, hidden, attention, decode(2, 16)).inner, 2 * 6 * 16);
    EXPECT_DOUBLE_EQ(attention_work(alone, hidden, attention, decode(1, 4)).inner, 4 * 16);
    EXPECT_DOUBLE_EQ(attention_work(alone, hidden, attention, prefill(16, 16)).inner, 81 * 16);
    // The last 4 of 16 see 6 each, and read the 5 tokens before them back.
    EXPECT_DOUBLE_EQ(attention_work(alone, hidden, attention, prefill(4, 16)).inner, 24 * 16);
    AuditFacts facts;
    facts.formats.kv_cache.bytes = 1;
    EXPECT_DOUBLE_EQ(cache_held(facts, attention, 16), 6 * 8);
    EXPECT_DOUBLE_EQ(cache_read(facts, attention, decode(1, 16)), 6 * 8);
    EXPECT_DOUBLE_EQ(cache_read(facts, attention, prefill(4, 16)), 5 * 8);
    EXPECT_DOUBLE_EQ(cache_read(facts, attention, prefill(16, 16)), 0);
}

TEST(AuditAttention, VariantsOfGroupedQueries) {
    AuditFacts facts;
    const double plain = attention_parameters(ranks(1), hidden, grouped()).linear;
    EXPECT_DOUBLE_EQ(plain, 8 * (4 + 4) * 2 + 8 * 8);
    // Keys that are the values: two heads of 2 less to project, and half the cache.
    AuditAttention once = grouped();
    once.values_are_keys = true;
    EXPECT_DOUBLE_EQ(attention_parameters(ranks(1), hidden, once).linear, plain - 8 * 4);
    EXPECT_DOUBLE_EQ(cache_held(facts, once, 16), 16 * 4 * 2);
    AuditAttention gated = grouped();
    gated.gates_output = true;
    EXPECT_DOUBLE_EQ(attention_parameters(ranks(1), hidden, gated).linear, plain + 8 * 8);
    // Queries through rank 3; on two ranks each computes that, 8 x 3, and its own kv head.
    AuditAttention low_rank = grouped();
    low_rank.query_rank = 3;
    EXPECT_DOUBLE_EQ(attention_parameters(ranks(1), hidden, low_rank).linear,
                     8 * (3 + 8) + 3 * 8 + 8 * 8);
    EXPECT_DOUBLE_EQ(attention_parameters(ranks(2), hidden, low_rank).linear,
                     8 * (3 + 4) + 3 * 4 + 4 * 8);
}

// Queries of the indexer 4 x 2 x 3, its key and two weights 8 x (3 + 2) in BF16, 2 x 3 a pair.
TEST(AuditAttention, IndexerOfLatentAttention) {
    AuditAttention attention = latent();
    const AuditParameters plain = attention_parameters(ranks(1), hidden, attention);
    add_indexer(attention);
    const AuditParameters held = attention_parameters(ranks(1), hidden, attention);
    EXPECT_DOUBLE_EQ(held.linear, plain.linear + 24);
    EXPECT_DOUBLE_EQ(held.wide, 40);
    const AuditAttentionWork step = attention_work(ranks(1), hidden, attention, decode(1, 16));
    EXPECT_DOUBLE_EQ(step.scores, 6 * 16);
    EXPECT_DOUBLE_EQ(step.inner, 32 + 5 * 2 * (2 * 4 + 2));  // absorbed, and 5 chosen of 16
    // Every rank of a group scores all heads.
    const AuditAttentionWork two = attention_work(ranks(2), hidden, attention, decode(1, 16));
    EXPECT_DOUBLE_EQ(two.scores, 2 * 6 * 16);
    EXPECT_DOUBLE_EQ(two.wide, 2 * 40);
    EXPECT_DOUBLE_EQ(two.inner, step.inner);
    // Prefill of 8 tokens runs absorbed too: 1 + 2 + 3 + 4 and 4 times 5 chosen, of 36 scored.
    const AuditAttentionWork prompt = attention_work(ranks(1), hidden, attention, prefill(8, 8));
    EXPECT_DOUBLE_EQ(prompt.inner, 8 * 32 + 30 * 20);
    EXPECT_DOUBLE_EQ(prompt.scores, 36 * 6);
    EXPECT_DOUBLE_EQ(prompt.linear, 8 * held.linear);
    // All 16 latents and keys are kept, 5 and 16 read.
    AuditFacts facts;
    facts.formats.indexer.bytes = 1;
    EXPECT_DOUBLE_EQ(cache_held(facts, attention, 16), 16 * 6 * 2 + 16 * 3);
    EXPECT_DOUBLE_EQ(cache_read(facts, attention, decode(1, 16)), 5 * 6 * 2 + 16 * 3);
}

// Linear 8 (4 + 4) + 4 x 8 + 8 x 3 + 6 x 8 = 168. A pair is 2 x 2 x 4 = 16.
TEST(AuditAttention, SharedEntriesOfAWindow) {
    const AuditAttention attention = shared_entry(0);
    const AuditAttentionWork step = attention_work(ranks(1), hidden, attention, decode(1, 256));
    EXPECT_DOUBLE_EQ(step.linear, 168);
    EXPECT_DOUBLE_EQ(step.wide + step.scores, 0);
    EXPECT_DOUBLE_EQ(step.inner, 6 * 16);
    EXPECT_DOUBLE_EQ(cache_held({}, attention, 256), 6 * 4 * 2);
    // On two ranks 64 of the down-projection is repeated.
    EXPECT_DOUBLE_EQ(attention_work(ranks(2), hidden, attention, decode(1, 256)).linear, 168 + 64);
}

// Of 128 tokens an entry: 2 of them at 256, one at 255; a pool's projections are 2 x 8 x 4.
TEST(AuditAttention, HeavilyCompressedEntries) {
    const AuditAttention attention = shared_entry(128);
    const AuditAttentionWork step = attention_work(ranks(1), hidden, attention, decode(1, 256));
    EXPECT_DOUBLE_EQ(step.wide, 64);
    EXPECT_DOUBLE_EQ(step.inner, (6 + 2) * 16);
    EXPECT_DOUBLE_EQ(attention_work(ranks(1), hidden, attention, decode(1, 255)).inner, 7 * 16);
    EXPECT_DOUBLE_EQ(cache_held({}, attention, 256), 8 * 4 * 2);
    // Of a prompt of 256, queries 128 to 255 see one entry, the last two.
    EXPECT_DOUBLE_EQ(attention_work(ranks(1), hidden, attention, prefill(256, 256)).inner,
                     (15 + 251 * 6 + 128 + 2) * 16);
}

// Of 4 tokens an entry, chosen: 5 of 64 at 256; pools 4 x 8 x (4 + 3), head weights 8 x 2.
TEST(AuditAttention, ChosenEntries) {
    AuditAttention attention = shared_entry(4);
    add_indexer(attention);
    const AuditAttentionWork step = attention_work(ranks(1), hidden, attention, decode(1, 256));
    EXPECT_DOUBLE_EQ(step.linear, 168 + 24);
    EXPECT_DOUBLE_EQ(step.wide, 240);
    EXPECT_DOUBLE_EQ(step.inner, (6 + 5) * 16);
    EXPECT_DOUBLE_EQ(step.scores, 64 * 6);
    EXPECT_DOUBLE_EQ(cache_held({}, attention, 256), (6 * 4 + 64 * 4 + 64 * 3) * 2);
    EXPECT_DOUBLE_EQ(cache_read({}, attention, decode(1, 256)), (6 * 4 + 5 * 4 + 64 * 3) * 2);
    // A prompt of 26: n / 4 entries, 4 (1 + .. + 5) + 3 x 6 = 78 scored; of 6 but 5 are chosen.
    const AuditAttentionWork prompt = attention_work(ranks(1), hidden, attention, prefill(26, 26));
    EXPECT_DOUBLE_EQ(prompt.scores, 78 * 6);
    EXPECT_DOUBLE_EQ(prompt.inner, (15 + 21 * 6 + 75) * 16);
}

// However a prompt is cut, its queries see the same.
TEST(AuditAttention, ChunksSeeWhatTheWholeSees) {
    AuditAttention chosen = shared_entry(4), sparse = latent();
    add_indexer(chosen);
    add_indexer(sparse);
    for (const AuditAttention& attention : {chosen, sparse, shared_entry(128), grouped()}) {
        const AuditAttentionWork whole =
            attention_work(ranks(1), hidden, attention, prefill(300, 1000));
        double inner = 0, scores = 0;
        double seen = 700;
        for (const double query : {3.0, 7.0, 287.0, 3.0}) {
            seen += query;
            const AuditAttentionWork part =
                attention_work(ranks(1), hidden, attention, prefill(query, seen));
            inner += part.inner;
            scores += part.scores;
        }
        EXPECT_DOUBLE_EQ(inner, whole.inner);
        EXPECT_DOUBLE_EQ(scores, whole.scores);
    }
}

// 2 key heads of 3, 4 value heads of 5: 8 x (2 x 6 + 2 x 20 + 2 x 4) + 20 x 8 products; the rule's
// 7 x 3 x 5 x 4 FLOP are products in prefill alone. Kept: 4 x 3 x 5 in FP32, and of 6 + 6 + 20
// channels 3 inputs in BF16, whatever the format of the cache.
TEST(AuditAttention, DeltaNet) {
    AuditAttention attention;
    attention.kind = Kind::delta;
    attention.key_heads = 2;
    attention.value_heads = 4;
    attention.key_dim = 3;
    attention.value_dim = 5;
    attention.taps = 4;
    const AuditAttentionWork step = attention_work(ranks(1), hidden, attention, decode(2, 99));
    EXPECT_DOUBLE_EQ(step.linear, 2 * (480 + 160));
    EXPECT_DOUBLE_EQ(step.inner, 0);
    EXPECT_DOUBLE_EQ(2 * attention_work(ranks(2), hidden, attention, prefill(9, 99)).inner,
                     9 * 420);
    AuditFacts facts;
    facts.formats.kv_cache.bytes = 1;
    EXPECT_DOUBLE_EQ(cache_held(facts, attention, 99), 60 * 4 + 32 * 3 * 2);
    EXPECT_DOUBLE_EQ(cache_held(facts, attention, 1), cache_held(facts, attention, 99));
    facts.mapping = ranks(2);
    EXPECT_DOUBLE_EQ(cache_held(facts, attention, 99), 30 * 4 + 16 * 3 * 2);
    EXPECT_DOUBLE_EQ(cache_read(facts, attention, prefill(9, 9)), 0);
}

}  // namespace
}  // namespace podsim
