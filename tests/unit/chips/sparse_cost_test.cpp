// Sparse attention, index scores, the delta rule and hyper-connections on the tiny chip, by hand.
//
// A core multiplies 32,768 FLOP in 150 ns at its peak, 300 ns at the library's efficiency of one
// half; a piece of 16 rows against 64 keys of 32 + 32 dimensions is 131,072 FLOP: 1.2 us.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "chips/cost.hpp"
#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

constexpr double exact = 1e-9;  // microseconds

Attention latent(Phase phase, long batch, long query, long context) {
    Attention a;
    a.form = AttentionForm::mla_absorbed;
    a.phase = phase;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = 16;
    a.kv_heads = 1;
    a.head_dim_qk = a.head_dim_v = 32;
    return a;
}

OperatorCost tile(const OperatorBody& body, const RankHardware& hardware = tiny_chip(),
                  const KernelLibrarySpec& library = tiny_library()) {
    return operator_cost(body, hardware, library, Fidelity::tile, 1.0);
}

double cores_only(const Attention& a, const KernelLibrarySpec& library = tiny_library()) {
    return tile_microseconds(a, without_memory(tiny_chip()), library) - 5;
}

// Eight tokens that choose 64 of 1,000 entries: eight pieces of one block on four cores. Whole
// attention packs their 128 rows into eight pieces of 16 blocks.
TEST(SparseAttentionCost, EachQueryIsAPieceAgainstItsOwnEntries) {
    Attention a = latent(Phase::decode, 1, 8, 1000);
    EXPECT_NEAR(cores_only(a), 2 * 16 * 1.2, exact);
    a.selected = 64;
    EXPECT_NEAR(cores_only(a), 2 * 1.2, exact);
    a.window = 64;  // two blocks each
    EXPECT_NEAR(cores_only(a), 4 * 1.2, exact);
    a.query = 1;
    a.heads = 17;  // two row blocks of one query, each cut in two
    EXPECT_NEAR(cores_only(a), 1.2, exact);
}

// 1,000 tokens are 250 entries of four, 7 of 128.
TEST(SparseAttentionCost, CompressionShortensTheKeys) {
    Attention a = latent(Phase::decode, 4, 1, 1000);
    EXPECT_NEAR(cores_only(a), 16 * 1.2, exact);
    a.compression = 4;
    EXPECT_NEAR(cores_only(a), 4 * 1.2, exact);
    a.compression = 128;
    EXPECT_NEAR(cores_only(a), 1.2, exact);
}

// A kernel that pads works on 256 slots, four blocks, though 64 tokens are there.
TEST(SparseAttentionCost, SlotsOfAChoiceMayBePadded) {
    KernelLibrarySpec library = tiny_library();
    Attention a = latent(Phase::decode, 4, 1, 64);
    a.selected = 256;
    EXPECT_NEAR(cores_only(a, library), 1.2, exact);
    library.attention_decode.pads_selection = true;
    EXPECT_NEAR(cores_only(a, library), 4 * 1.2, exact);
    a.context = 4000;
    EXPECT_NEAR(cores_only(a, library), 4 * 1.2, exact);
}

TEST(SparseAttentionCost, EachSequenceMayCost) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.sequence_overhead = microseconds(2);
    EXPECT_NEAR(cores_only(latent(Phase::decode, 4, 1, 64), library), 1.2 + 8, exact);
}

// Two tokens choose 100 of 1,000 entries of 32 x 2 B each: 200 different ones at most, though one
// choice has to be read. Queries and outputs: 2 x 16 x 64 x 2 B.
TEST(SparseAttentionCost, ReadsWhatQueriesChoose) {
    Attention a = latent(Phase::decode, 1, 2, 1000);
    a.selected = 100;
    EXPECT_EQ(compulsory_bytes_of(a).value(), 100 * 64 + 4096);
    EXPECT_EQ(tile(a).hbm.value(), 200 * 64 + 4096);
    EXPECT_EQ(operator_cost(a, tiny_chip(), tiny_library(), Fidelity::analytic, 1.0).hbm.value(),
              100 * 64 + 4096);
    // 20 of them: all 1,000 entries, and 1,000 more that the cache of half of them lost.
    a.query = 20;
    RankHardware small = tiny_chip();
    EXPECT_EQ(tile(a, small).hbm.value(), 1000 * 64 + 40960);
    small.l2 = Bytes(500 * 64);
    EXPECT_EQ(tile(a, small).hbm.value(), 1500 * 64 + 40960);
}

// Prompts with a window of 32 over keys and values: 16 tokens of a block see 32 + 15 keys, a block.
// 64 tokens of 16 heads are 64 pieces. Without a window the mean of 1,000 - 31.5 keys is 16 blocks.
TEST(SparseAttentionCost, RowsOfABlockShareAWindow) {
    Attention a = latent(Phase::prefill, 1, 64, 1000);
    a.form = AttentionForm::gqa;
    EXPECT_NEAR(cores_only(a), 16 * 16 * 1.2, exact);
    a.compression = 0;
    a.window = 32;
    EXPECT_NEAR(cores_only(a), 16 * 1.2, exact);
    a.window = 50;  // 65 keys
    EXPECT_NEAR(cores_only(a), 2 * 16 * 1.2, exact);
}

IndexScores scores(long batch, long query, long context) {
    IndexScores s;
    s.batch = batch;
    s.query = query;
    s.context = context;
    s.compression = 1;
    s.heads = 16;
    s.head_dim = 64;
    return s;
}

IndexHabits index_of_tiny() {
    IndexHabits habits;
    habits.matrix_efficiency = 0.5;
    habits.launch = microseconds(5);
    habits.record.basis = Confidence::measured;
    return habits;
}

// 16 heads of 64 against 64 keys are 131,072 FLOP, 1.2 us at half the peak; 3 x 16 x 64 = 3,072
// FLOP of the vector units, whose core does 250 FLOP/us: 12.288 us. Six queries of four blocks are
// 24 blocks, six on each of four cores.
TEST(IndexCost, BlocksAreDealtOutEvenly) {
    KernelLibrarySpec library = tiny_library();
    library.index_scores[Phase::decode] = index_of_tiny();
    const RankHardware hardware = without_memory(tiny_chip());
    EXPECT_NEAR(tile_microseconds(scores(6, 1, 256), hardware, library), 5 + 6 * 13.488, 1e-6);
    EXPECT_NEAR(tile_microseconds(scores(2, 3, 256), hardware, library), 5 + 6 * 13.488, 1e-6);
    // Three extra blocks for each query: two queries on the busiest core.
    library.index_scores[Phase::decode].query_overhead = 3;
    EXPECT_NEAR(tile_microseconds(scores(6, 1, 256), hardware, library), 5 + 12 * 13.488, 1e-6);
    // 65 keys padded to 256 of them.
    library.index_scores[Phase::decode].key_block = 256;
    EXPECT_NEAR(tile_microseconds(scores(6, 1, 65), hardware, library), 5 + 12 * 13.488, 1e-6);
    library.index_scores[Phase::decode].block_latency = microseconds(1);
    EXPECT_NEAR(tile_microseconds(scores(6, 1, 256), hardware, library), 5 + 12 * 14.488, 1e-6);
}

// Keys of 64 x 2 B once a sequence, a query's 16 x (64 x 2 + 4) B and a score of 4 B a pair.
TEST(IndexCost, KeysOfASequenceAreReadOnce) {
    KernelLibrarySpec library = tiny_library();
    library.index_scores[Phase::decode] = index_of_tiny();
    const OperatorCost cost = tile(scores(2, 3, 256), tiny_chip(), library);
    EXPECT_EQ(cost.hbm.value(), 2 * (256 * 128 + 3 * 2112 + 768 * 4.0));
    EXPECT_EQ(cost.basis, Confidence::measured);
    EXPECT_NEAR(cost.vector.value(), 3.0 * 16 * 2 * 768 / 1e9, 1e-12);
}

// One token of two sequences, 4 heads of 8 x 8: a state of 2 x 256 elements in and out in FP32,
// 4,096 B, and 2 x (2 x 8 x 2 + 2 x 32 x 2 + 32) B: 4,480 B at 0.8 of the memory.
TEST(DeltaCost, DecodeStreamsTheState) {
    KernelLibrarySpec library = tiny_library();
    DeltaHabits habits;
    habits.memory_efficiency = 0.8;
    habits.launch = microseconds(3);
    habits.vector_efficiency = 0.5;
    library.delta_rule[Phase::decode] = habits;
    DeltaRule d;
    d.batch = 2;
    d.key_heads = 1;
    d.value_heads = 4;
    d.key_dim = d.value_dim = 8;
    RankHardware hardware = tiny_chip();
    hardware.peak_vector = FlopsPerSecond(1e18);
    EXPECT_NEAR(tile_microseconds(d, hardware, library), 3 + 4480 / 10240.0 * 1.2, 1e-6);
    // 7 x 64 x 4 x 2 = 3,584 FLOP at half of 1 GFLOP/s.
    EXPECT_NEAR(tile_microseconds(d, without_memory(tiny_chip()), library), 3 + 7.168, 1e-6);
}

// 130 tokens are three chunks. A head of 128 + 128: 2 x 64 x 64 x 640 + 6 x 64 x 16,384 =
// 11,534,336 FLOP a chunk in two slices of 5,767,168: 176 times the 300 ns of a core at half its
// peak, 52.8 us, and a step of 1 us. Three heads are six slices on four cores: two turns.
TEST(DeltaCost, PrefillWalksTheChunks) {
    KernelLibrarySpec library = tiny_library();
    DeltaHabits habits;
    habits.matrix_efficiency = 0.5;
    habits.memory_efficiency = 0.8;
    habits.launch = microseconds(3);
    habits.chunk_latency = microseconds(1);
    library.delta_rule[Phase::prefill] = habits;
    DeltaRule d;
    d.phase = Phase::prefill;
    d.batch = 1;
    d.query = 130;
    d.key_heads = d.value_heads = 3;
    d.key_dim = d.value_dim = 128;
    EXPECT_NEAR(tile_microseconds(d, without_memory(tiny_chip()), library), 3 + 2 * 3 * 53.8, 1e-6);
    // Beside the operands: for each head three chunks of 4 x 128 x 128 B, and of each token
    // 4 x 384 + 12 x 64 B.
    EXPECT_EQ(tile(d, tiny_chip(), library).hbm.value() - compulsory_bytes_of(d).value(),
              3 * (3 * 65536 + 130 * 2304.0));
}

// 64 tokens of four streams of 40 in BF16: 20,480 B of streams, read twice; 5,120 B out, 6,144 B of
// mixes and a matrix of 24 x 160 x 4 B = 15,360 B; a token is a walk of
// 160 / 64 steps.
TEST(StreamCost, StreamsAreReadAsOftenAsTheLibraryDoes) {
    KernelLibrarySpec library = tiny_library();
    StreamHabits habits;
    habits.memory_efficiency = 0.8;
    habits.launch = microseconds(2);
    habits.iteration = microseconds(0.5);
    habits.stream_reads = 2;
    library.stream_mix[StreamSide::mix_in] = habits;
    const StreamMix in{StreamSide::mix_in, 64, 4, 40, 20};
    RankHardware hardware = tiny_chip();
    hardware.peak_vector = FlopsPerSecond(1e18);
    hardware.peak_matrix = {{DType::bf16, FlopsPerSecond(1e18)}};
    const double bytes = 2 * 20480 + 5120 + 6144 + 15360;
    EXPECT_EQ(tile(in, hardware, library).hbm.value(), bytes);
    EXPECT_NEAR(tile_microseconds(in, hardware, library), 2 + 20 * 0.5 + bytes / 10240 * 1.2, 1e-6);
    library.stream_mix[StreamSide::mix_in].step_latency = microseconds(4);
    EXPECT_NEAR(tile_microseconds(in, without_memory(hardware), library), 2 + 10 + 2.5 * 4, 1e-6);
    // Out: no iterations, the streams once each way; the walk is along one of them.
    library.stream_mix[StreamSide::mix_out] = library.stream_mix[StreamSide::mix_in];
    const StreamMix out{StreamSide::mix_out, 64, 4, 40, 0};
    EXPECT_EQ(tile(out, hardware, library).hbm.value(), 2 * 20480 + 5120 + 6144.0);
    EXPECT_NEAR(tile_microseconds(out, without_memory(hardware), library), 2 + 0.625 * 4, 1e-6);
}

// The nearest kind stands in, and the cost says so: no longer measured, at least 20 % off.
TEST(StandIns, AreNotSilent) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.record.basis = Confidence::measured;
    library.vector.record.basis = Confidence::assumed;
    Attention a = latent(Phase::decode, 1, 1, 1000);
    EXPECT_EQ(tile(a, tiny_chip(), library).warning, "");
    EXPECT_EQ(tile(a, tiny_chip(), library).basis, Confidence::measured);
    a.selected = 64;
    const OperatorCost whole = tile(a, tiny_chip(), library);
    EXPECT_EQ(whole.warning,
              "tiny has no habits for sparse attention: those of attention_decode stand in");
    EXPECT_EQ(whole.basis, Confidence::derived);
    EXPECT_EQ(whole.held_out_error, 0.2);
    // Of another cache format, of compressed entries, of its own.
    const auto stand_in = [&] { return stand_in_for(library, a); };
    library.attention[AttentionKind::compressed_decode_fp8] = library.attention_decode;
    EXPECT_EQ(stand_in(), "attention.compressed_decode_fp8");
    library.attention[AttentionKind::compressed_decode] = library.attention_decode;
    EXPECT_EQ(stand_in(), "attention.compressed_decode");
    library.attention[AttentionKind::sparse_decode_fp8] = library.attention_decode;
    EXPECT_EQ(stand_in(), "attention.sparse_decode_fp8");
    library.attention[AttentionKind::sparse_decode] = library.attention_decode;
    EXPECT_EQ(stand_in(), "");
    EXPECT_EQ(tile(a, tiny_chip(), library).basis, Confidence::measured);
    a.window = 128;
    EXPECT_EQ(stand_in(), "");  // compressed_decode
    a.phase = Phase::prefill;
    EXPECT_EQ(stand_in(), "attention_prefill");
    a.form = AttentionForm::gqa;
    a.phase = Phase::decode;
    EXPECT_EQ(stand_in(), "attention_decode");
    library.attention[AttentionKind::window_decode] = library.attention_decode;
    EXPECT_EQ(stand_in(), "");

    EXPECT_THAT(tile(scores(1, 1, 64), tiny_chip(), library).warning,
                HasSubstr("index scores: those of attention_decode stand in"));
    library.index_scores[Phase::prefill] = index_of_tiny();
    const OperatorCost other = tile(scores(1, 1, 64), tiny_chip(), library);
    EXPECT_THAT(other.warning, HasSubstr("those of index_scores.prefill stand in"));
    EXPECT_EQ(other.basis, Confidence::derived);
    DeltaRule d;
    d.batch = d.key_heads = d.value_heads = d.key_dim = d.value_dim = 1;
    EXPECT_THAT(tile(d, tiny_chip(), library).warning,
                HasSubstr("the delta rule: those of vector stand in"));
    EXPECT_EQ(tile(d, tiny_chip(), library).basis, Confidence::assumed);
    const StreamMix mix{StreamSide::mix_in, 1, 4, 64, 20};
    EXPECT_THAT(tile(mix, tiny_chip(), library).warning,
                HasSubstr("mixes of streams: those of vector stand in"));
    library.stream_mix[StreamSide::mix_out] = {};
    EXPECT_THAT(tile(mix, tiny_chip(), library).warning,
                HasSubstr("those of stream_mix.out stand in"));
}

// Both of what a reader should know.
TEST(StandIns, AndAFormatTheChipLacks) {
    IndexScores s = scores(1, 1, 64);
    s.compute = DType::fp8;
    EXPECT_THAT(tile(s).warning,
                testing::AllOf(HasSubstr("stand in; fp8 runs at the rate"), HasSubstr("of bf16")));
}

TEST(VectorKernels, MayHaveTheirOwnHabits) {
    KernelLibrarySpec library = tiny_library();
    library.vector_kernels["top_k"] = library.vector;
    library.vector_kernels["top_k"].launch = microseconds(7);
    EXPECT_NEAR(vector_habits(library, {"top_k", 1, 1, 1, 1}).launch.value() * 1e6, 7, exact);
    EXPECT_NEAR(vector_habits(library, {"norm", 1, 1, 1, 1}).launch.value() * 1e6, 1, exact);
}

// 1,000 rows of 160 B in packets with 24 B of header: 184,000 B at 50 GB/s = 3.68 us, after 1.5 us.
// Rows of 320 B take two headers: 368,000 B. Nothing computes meanwhile.
TEST(TableReadCost, RowsOverTheLinkWithTheirHeaders) {
    RankHardware hardware = tiny_chip();
    hardware.hbm_bandwidth = BytesPerSecond(3e12);
    hardware.host_bandwidth = BytesPerSecond(50e9);
    hardware.host_latency = Seconds(1.5e-6);
    const auto cost = [&](double row, TablePlace place) {
        return operator_cost(TableRead{place, 1000, row}, hardware, tiny_library(), Fidelity::tile,
                             1.0);
    };
    EXPECT_NEAR(cost(160, TablePlace::host).time.value(), 1.5e-6 + 3.68e-6, 1e-15);
    EXPECT_NEAR(cost(320, TablePlace::host).time.value(), 1.5e-6 + 7.36e-6, 1e-15);
    EXPECT_TRUE(cost(160, TablePlace::host).off_cores);
    EXPECT_EQ(cost(160, TablePlace::host).hbm.value(), 160'000);
    EXPECT_THROW(cost(160, TablePlace::pool), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
