// Work, bytes and validity of sparse, compressed and linear attention, of index scores and
// hyper-connections, by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "program/operator.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

Attention core(Phase phase, long query, long context) {
    Attention a;
    a.form = AttentionForm::mla_absorbed;
    a.phase = phase;
    a.batch = 1;
    a.query = query;
    a.context = context;
    a.heads = 128;
    a.kv_heads = 1;
    a.head_dim_qk = a.head_dim_v = 512;
    a.kv = DType::fp8;
    return a;
}
Attention compressed(Phase phase, long query, long context, long tokens, long selected) {
    Attention a = core(phase, query, context);
    a.compression = tokens;
    a.selected = selected;
    a.window = 128;
    return a;
}

std::string refusal(const OperatorBody& body) {
    try {
        require_valid(Operator{"the_op", body});
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "accepted";
}

// One token behind 10,000: of 10,001 / 4 = 2,500 entries 1,024 chosen, or of 10,001 / 128 = 78 all,
// and 128 of the window.
TEST(VisiblePairs, OfOneTokenOfDeepSeekV4) {
    EXPECT_EQ(visible_pairs(compressed(Phase::decode, 1, 10001, 4, 1024)), 1024 + 128);
    EXPECT_EQ(visible_pairs(compressed(Phase::decode, 1, 10001, 128, 0)), 78 + 128);
    EXPECT_EQ(visible_pairs(compressed(Phase::decode, 3, 10001, 128, 0)), 3 * (78 + 128.0));
    // Not yet full: 50 tokens are 12 entries of four, and 50 of the window.
    EXPECT_EQ(visible_pairs(compressed(Phase::decode, 1, 50, 4, 1024)), 12 + 50);
    EXPECT_EQ(visible_pairs(compressed(Phase::decode, 1, 50, 128, 0)), 50);
}

TEST(VisiblePairs, OfAWindowAndAChoice) {
    Attention window = core(Phase::decode, 1, 5000);
    window.compression = 0;
    window.window = 128;
    EXPECT_EQ(visible_pairs(window), 128);
    Attention chosen = core(Phase::decode, 1, 5000);
    chosen.selected = 2048;
    EXPECT_EQ(visible_pairs(chosen), 2048);
    chosen.context = 1000;
    EXPECT_EQ(visible_pairs(chosen), 1000);
}

// Ten new tokens from nothing, one entry in four of which at most two are read: 0 0 0 1 1 1 1 2 2 2
// = 10; a window of three: 1 2 3 3 3 3 3 3 3 3 = 27.
TEST(VisiblePairs, OfAPromptByHand) {
    Attention a = core(Phase::prefill, 10, 10);
    a.compression = 4;
    EXPECT_EQ(visible_pairs(a), 10);
    a.window = 3;
    EXPECT_EQ(visible_pairs(a), 37);
    a.selected = 1;  // 0 0 0 1 1 1 1 1 1 1
    EXPECT_EQ(visible_pairs(a), 34);
    IndexScores s;
    s.phase = Phase::prefill;
    s.batch = 2;
    s.query = s.context = 10;
    s.compression = 4;
    s.heads = 64;
    s.head_dim = 128;
    EXPECT_EQ(visible_pairs(s), 10);  // of one sequence
}

// 128 heads x 2 (512 + 512) FLOP a pair = 262,144.
TEST(SparseWork, OfDeepSeekV4) {
    EXPECT_EQ(work_of(compressed(Phase::decode, 1, 10001, 4, 1024)).value(), 1152 * 262144.0);
    EXPECT_EQ(matrix_work_of(compressed(Phase::decode, 1, 10001, 128, 0)).value(), 206 * 262144.0);
}

// Entries of 512 B; queries and outputs of 128 x 1,024 elements in BF16: 262,144 B.
TEST(SparseBytes, OfDeepSeekV4) {
    EXPECT_EQ(compulsory_bytes_of(compressed(Phase::decode, 1, 10001, 4, 1024)).value(),
              1152 * 512.0 + 262144);
    EXPECT_EQ(entries_read(compressed(Phase::decode, 1, 10001, 128, 0)), 206);
    // A prompt's queries see one window together: 128 + 9 tokens of ten of them.
    EXPECT_EQ(entries_read(compressed(Phase::prefill, 10, 1280, 128, 0)), 10 + 137);
}

// Ten pairs, 64 heads of 128: 2 x 128 x 64 = 16,384 FLOP of products and 192 of relu, weight and
// sum a pair, two sequences. Keys of 128 B, two of them; ten queries of 64 x (128 + 4) B; ten
// scores of 4 B.
TEST(IndexScore, ByHand) {
    IndexScores s;
    s.phase = Phase::prefill;
    s.batch = 2;
    s.query = s.context = 10;
    s.compression = 4;
    s.heads = 64;
    s.head_dim = 128;
    s.compute = s.keys = DType::fp8;
    EXPECT_EQ(matrix_work_of(s).value(), 2 * 10 * 16384.0);
    EXPECT_EQ(work_of(s).value(), 2 * 10 * (16384.0 + 192));
    EXPECT_EQ(compulsory_bytes_of(s).value(), 2 * (2 * 128 + 10 * 64 * 132 + 10 * 4.0));
    EXPECT_EQ(kind_of(s), "index_scores");
    EXPECT_EQ(compute_dtype_of(s), DType::fp8);
    EXPECT_EQ(shape_of(s), "index_scores prefill b2 q10 s10 c4 h64 d128 fp8 keys fp8");
}

// 7 x 128 x 128 x 32 = 3,670,016 FLOP a token. The state of 32 x 128 x 128 is read and written in
// FP32; of a token 2 x 16 x 128 of queries and keys and 2 x 32 x 128 of values and outputs in BF16,
// and two gates of 32 in FP32.
TEST(DeltaRuleByHand, WorkAndBytes) {
    DeltaRule d;
    d.batch = 3;
    d.key_heads = 16;
    d.value_heads = 32;
    d.key_dim = d.value_dim = 128;
    EXPECT_EQ(work_of(d).value(), 3 * 3670016.0);
    EXPECT_EQ(matrix_work_of(d).value(), 0);
    const double state = 32 * 128 * 128, token = 2 * (4096 + 8192) + 256;
    EXPECT_EQ(compulsory_bytes_of(d).value(), 3 * (8 * state + token));
    d.phase = Phase::prefill;
    d.query = 100;
    EXPECT_EQ(matrix_work_of(d).value(), 300 * 3670016.0);
    d.state_read = 0;
    d.state_written = 2;
    EXPECT_EQ(compulsory_bytes_of(d).value(), 3 * (2 * state + 100 * token));
    EXPECT_EQ(kind_of(d), "delta_rule");
    EXPECT_EQ(shape_of(d), "delta_rule prefill b3 q100 h32/16 d128+128 bf16 state 0+2");
}

// Five tokens of four streams of 10: 200 elements. In: 2 x 24 FLOP of products and 6 of the rest an
// element; streams in, 50 elements out in BF16, 5 x 24 mixes and a matrix of 40 x 24 in FP32. Out:
// 2 x 5 FLOP an element; streams in and out, the output and the mixes in.
TEST(StreamMixByHand, WorkAndBytes) {
    StreamMix m{StreamSide::mix_in, 5, 4, 10, 20};
    EXPECT_EQ(matrix_work_of(m).value(), 48 * 200.0);
    EXPECT_EQ(work_of(m).value(), 54 * 200.0);
    EXPECT_EQ(compulsory_bytes_of(m).value(), 400 + 100 + 480 + 3840.0);
    EXPECT_EQ(shape_of(m), "stream_mix in t5 n4 d10 i20 bf16");
    m.side = StreamSide::mix_out;
    EXPECT_EQ(matrix_work_of(m).value(), 0);
    EXPECT_EQ(work_of(m).value(), 10 * 200.0);
    EXPECT_EQ(compulsory_bytes_of(m).value(), 2 * 400 + 100 + 480.0);
    EXPECT_EQ(kind_of(m), "stream_mix");
}

TEST(SparseOperators, SayWhatIsWrong) {
    Attention a = compressed(Phase::decode, 1, 100, 4, 16);
    EXPECT_EQ(refusal(a), "accepted");
    a.selected = -1;
    EXPECT_EQ(refusal(a), "the_op: selected is -1");
    a.selected = 16;
    a.compression = 0;
    EXPECT_EQ(refusal(a), "the_op: selected is 16, but compression 0 has no entries");
    a.selected = 0;
    EXPECT_EQ(refusal(a), "accepted");
    a.window = 0;
    EXPECT_THAT(refusal(a), HasSubstr("a query sees nothing"));
    a.compression = -4;
    EXPECT_EQ(refusal(a), "the_op: compression is -4");

    IndexScores s;
    s.batch = s.context = s.heads = s.head_dim = 1;
    EXPECT_EQ(refusal(s), "accepted");
    s.query = 2;
    EXPECT_THAT(refusal(s), HasSubstr("context 1 is shorter than the 2 query"));
    s.query = 1;
    s.compression = 0;
    EXPECT_THAT(refusal(s), HasSubstr("compression is 0"));

    DeltaRule d;
    d.batch = d.key_heads = d.key_dim = d.value_dim = 1;
    d.value_heads = 3;
    EXPECT_EQ(refusal(d), "accepted");
    d.key_heads = 2;
    EXPECT_THAT(refusal(d), HasSubstr("3 value_heads do not divide over 2 key_heads"));
    d.key_heads = 1;
    d.state_read = -1;
    EXPECT_THAT(refusal(d), HasSubstr("state"));

    StreamMix m{StreamSide::mix_in, 1, 4, 1, 0};
    EXPECT_EQ(refusal(m), "accepted");
    m.iterations = -1;
    EXPECT_EQ(refusal(m), "the_op: iterations is -1");
    m.streams = 0;
    EXPECT_THAT(refusal(m), HasSubstr("streams is 0"));
}

}  // namespace
}  // namespace podsim
