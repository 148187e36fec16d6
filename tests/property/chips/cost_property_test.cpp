// What holds for the cost of every operator on every chip and library.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "chips/cost_cache.hpp"
#include "chips/sustained_clock.hpp"

namespace podsim {
namespace {

constexpr double rounding = 1e-12;

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}
// Spread evenly over the orders of magnitude between the two.
double any_scale(double least, double most) {
    return least * std::pow(most / least, static_cast<double>(any(0, 1000)) / 1000.0);
}
double any_share() {
    return static_cast<double>(any(1, 100)) / 100.0;
}
bool any_bool() {
    return any(0, 1) == 1;
}

RankHardware any_hardware() {
    RankHardware hardware;
    hardware.matrix_cores = any(1, 150);
    hardware.separate_vector = any_bool();
    hardware.peak_vector = FlopsPerSecond(any_scale(1e12, 1e14));
    hardware.hbm_bandwidth = BytesPerSecond(any_scale(1e11, 2e13));
    hardware.hbm_capacity = Bytes(1e11);
    hardware.l2 = Bytes(1e8);
    hardware.accumulator = Bytes(static_cast<double>(any(16, 256)) * 1024);
    hardware.feed_per_core = BytesPerSecond(any_scale(1e10, 1e12));
    hardware.minimum_rows = *rc::gen::element(1L, 16L, 64L);
    hardware.sustained_matrix = any_share();
    hardware.power_response = Seconds(any_scale(1e-6, 1));
    const FlopsPerSecond bf16(any_scale(1e13, 3e15));
    hardware.peak_matrix = {{DType::bf16, bf16}, {DType::fp8, 2.0 * bf16}};
    return hardware;
}

AttentionHabits any_attention_habits() {
    AttentionHabits habits;
    habits.matrix_efficiency = any_share();
    habits.memory_efficiency = any_share();
    habits.launch = microseconds(static_cast<double>(any(0, 20)));
    habits.ramp = microseconds(static_cast<double>(any(0, 20)));
    habits.ramp_bytes = Bytes(any_scale(1e3, 1e8));
    habits.row_block = *rc::gen::element(1L, 16L, 64L, 128L);
    habits.split_overhead = static_cast<double>(any(0, 50)) / 10.0;
    habits.sequence_overhead = microseconds(static_cast<double>(any(0, 3)));
    habits.pads_selection = any_bool();
    return habits;
}

// Of kinds that a library may lack each may be there or not.
void add_any_kinds(KernelLibrarySpec& library) {
    const auto some_microseconds = [](long most) {
        return microseconds(static_cast<double>(any(0, most)));
    };
    for (const auto& [name, kind] : names_of(static_cast<const AttentionKind*>(nullptr))) {
        if (any_bool()) library.attention[kind] = any_attention_habits();
    }
    for (const Phase phase : {Phase::prefill, Phase::decode}) {
        IndexHabits index;
        index.matrix_efficiency = any_share();
        index.memory_efficiency = any_share();
        index.vector_efficiency = any_share();
        index.launch = some_microseconds(20);
        index.key_block = *rc::gen::element(64L, 256L);
        index.query_overhead = static_cast<double>(any(0, 50)) / 10.0;
        index.block_latency = some_microseconds(2);
        if (any_bool()) library.index_scores[phase] = index;
        DeltaHabits delta;
        delta.matrix_efficiency = any_share();
        delta.memory_efficiency = any_share();
        delta.vector_efficiency = any_share();
        delta.launch = some_microseconds(20);
        delta.ramp = some_microseconds(20);
        delta.ramp_bytes = Bytes(any_scale(1e3, 1e8));
        delta.chunk_latency = some_microseconds(4);
        if (any_bool()) library.delta_rule[phase] = delta;
    }
    for (const StreamSide side : {StreamSide::mix_in, StreamSide::mix_out}) {
        StreamHabits mix;
        mix.memory_efficiency = any_share();
        mix.stream_reads = 1 + static_cast<double>(any(0, 20)) / 10.0;
        mix.launch = some_microseconds(20);
        mix.iteration = some_microseconds(2);
        mix.step_latency = some_microseconds(2);
        if (any_bool()) library.stream_mix[side] = mix;
    }
}

KernelLibrarySpec any_library() {
    KernelLibrarySpec library;
    library.smooth_maximum = static_cast<double>(any(10, 80)) / 10.0;
    GemmHabits habits;
    habits.matrix_efficiency = any_share();
    habits.memory_efficiency = any_share();
    habits.launch = microseconds(static_cast<double>(any(0, 20)));
    habits.tile_overhead = microseconds(static_cast<double>(any(0, 4)));
    habits.feed_factor = any_scale(0.5, 10);
    habits.k_step = microseconds(static_cast<double>(any(0, 10)) / 100.0);
    habits.splits_k = any_bool();
    habits.ramp = microseconds(static_cast<double>(any(0, 20)));
    habits.ramp_bytes = Bytes(any_scale(1e3, 1e8));
    habits.split_reduce = microseconds(static_cast<double>(any(0, 4)));
    library.gemm = {{DType::bf16, habits}, {DType::fp8, habits}};
    library.attention_decode = any_attention_habits();
    library.attention_prefill = any_attention_habits();
    library.vector.memory_efficiency = any_share();
    library.vector.vector_efficiency = any_share();
    library.vector.launch = microseconds(static_cast<double>(any(0, 20)));
    add_any_kinds(library);
    return library;
}

DType any_format() {
    return *rc::gen::element(DType::bf16, DType::fp8, DType::int8, DType::fp4);
}

Gemm any_gemm() {
    return {any(1, 5000), any(1, 9000), any(1, 9000), *rc::gen::element(1L, 2L, 9L, 128L),
            any_format(), any_format(), DType::bf16};
}

Attention any_attention() {
    Attention a;
    a.form = *rc::gen::element(AttentionForm::gqa, AttentionForm::mla_absorbed);
    a.phase = *rc::gen::element(Phase::prefill, Phase::decode);
    a.batch = any(1, 300);
    a.query = a.phase == Phase::prefill ? any(1, 3000) : any(1, 4);
    a.context = a.query + any(0, 9000);
    a.kv_heads = a.form == AttentionForm::gqa ? any(1, 16) : 1;
    a.heads = a.kv_heads * any(1, 128);
    a.head_dim_qk = any(1, 600);
    a.head_dim_v = any(1, 600);
    a.compute = *rc::gen::element(DType::bf16, DType::fp8, DType::int8);
    a.kv = any_format();
    // Whole, chosen, compressed and windowed alike.
    if (any_bool()) a.compression = *rc::gen::element(0L, 1L, 4L, 128L);
    if (a.compression > 0 && any_bool()) a.selected = any(1, 3000);
    if (a.compression == 0 || any_bool()) a.window = any(1, 600);
    return a;
}

IndexScores any_scores() {
    IndexScores s;
    s.phase = *rc::gen::element(Phase::prefill, Phase::decode);
    s.batch = any(1, 300);
    s.query = s.phase == Phase::prefill ? any(1, 3000) : any(1, 4);
    s.context = s.query + any(0, 9000);
    s.compression = *rc::gen::element(1L, 4L);
    s.heads = any(1, 130);
    s.head_dim = any(1, 200);
    s.compute = any_format();
    s.keys = any_format();
    return s;
}

DeltaRule any_delta() {
    DeltaRule d;
    d.phase = *rc::gen::element(Phase::prefill, Phase::decode);
    d.batch = any(1, 300);
    d.query = d.phase == Phase::prefill ? any(1, 3000) : any(1, 4);
    d.key_heads = any(1, 16);
    d.value_heads = d.key_heads * any(1, 4);
    d.key_dim = any(1, 1000);
    d.value_dim = any(1, 1000);
    return d;
}

OperatorBody any_body() {
    switch (any(0, 5)) {
        case 0:
            return any_gemm();
        case 1:
            return any_attention();
        case 2:
            return any_scores();
        case 3:
            return any_delta();
        case 4:
            return StreamMix{*rc::gen::element(StreamSide::mix_in, StreamSide::mix_out),
                             any(1, 50000), any(1, 8), any(1, 9000), any(0, 30)};
        default:
            return VectorWork{"any",
                              any_scale(1, 1e9),
                              static_cast<double>(any(0, 9)),
                              any_scale(1, 1e9),
                              any_scale(1, 1e9),
                              any(0, 1)};
    }
}

OperatorCost tile(const OperatorBody& body, const RankHardware& hardware,
                  const KernelLibrarySpec& library, double core_share = 1.0) {
    return operator_cost(body, hardware, library, Fidelity::tile, core_share);
}

bool at_most(Seconds a, Seconds b) {
    return a.value() <= b.value() * (1 + rounding);
}

// The closed form leaves out padding, waves and ramps: with the same habits it is a lower bound.
TEST(CostProperty, AnalyticIsNeverAboveTile) {
    EXPECT_TRUE(rc::check([] {
        const auto body = any_body();
        const auto hardware = any_hardware();
        const auto library = any_library();
        const double share = any_share();
        RC_ASSERT(at_most(operator_cost(body, hardware, library, Fidelity::analytic, share).time,
                          tile(body, hardware, library, share).time));
    }));
}

// Widening weights takes time, and none where the matrix units have their format.
TEST(CostProperty, WideningWeightsIsNeverFaster) {
    EXPECT_TRUE(rc::check([] {
        const auto gemm = any_gemm();
        const auto hardware = any_hardware();
        const auto library = any_library();
        const double share = any_share();
        const auto fidelity = *rc::gen::element(Fidelity::analytic, Fidelity::tile);
        RankHardware at_once = hardware;
        at_once.separate_vector = false;
        at_once.peak_vector = FlopsPerSecond(1e40);
        const auto with = operator_cost(gemm, hardware, library, fidelity, share);
        const auto without = operator_cost(gemm, at_once, library, fidelity, share);
        RC_ASSERT(at_most(without.time, with.time));
        const DType executed = executed_format(hardware, compute_dtype_of(gemm));
        if (bytes_of(gemm.b) >= bytes_of(executed)) {
            RC_ASSERT(with.time == without.time);
            RC_ASSERT(with.vector == Seconds(0.0));
        } else {
            RC_ASSERT(with.vector > Seconds(0.0));
            RC_ASSERT(at_most(with.vector, with.time));
        }
    }));
}

TEST(CostProperty, ChipsThatHaveTheFormatWidenNothing) {
    EXPECT_TRUE(rc::check([] {
        Gemm gemm = any_gemm();
        auto hardware = any_hardware();
        auto library = any_library();
        gemm.a = *rc::gen::element(DType::fp8, DType::fp4);
        gemm.b = DType::fp4;
        hardware.peak_matrix[DType::fp4] = hardware.peak_matrix[DType::fp8];
        library.gemm[DType::fp4] = library.gemm[DType::fp8];
        RankHardware slow = hardware;
        slow.peak_vector = FlopsPerSecond(1);
        RC_ASSERT(tile(gemm, hardware, library).time == tile(gemm, slow, library).time);
    }));
}

TEST(CostProperty, NeverUnderTheRoofline) {
    EXPECT_TRUE(rc::check([] {
        const auto body = any_body();
        const auto hardware = any_hardware();
        const auto library = any_library();
        for (const Fidelity fidelity : {Fidelity::analytic, Fidelity::tile}) {
            const auto cost = operator_cost(body, hardware, library, fidelity, any_share());
            RC_ASSERT(at_most(roofline_bound(body, hardware) + cost.launch, cost.time));
            // What it asks of each resource fits into its time.
            RC_ASSERT(at_most(max(cost.matrix, cost.vector), cost.time));
            RC_ASSERT(cost.hbm >= compulsory_bytes_of(body));
            RC_ASSERT(at_most(cost.hbm / hardware.hbm_bandwidth, cost.hbm_time));
            RC_ASSERT(at_most(cost.hbm_time, cost.time));
        }
    }));
}

// From rest a kernel takes between its times at full and at sustained clock, and so does the mean
// of many.
TEST(CostProperty, RepeatsLieBetweenFullAndSustainedClock) {
    EXPECT_TRUE(rc::check([] {
        const auto hardware = any_hardware();
        const auto cost = tile(any_body(), hardware, any_library(), any_share());
        const auto mean = [&](double before, double timed) {
            return repeated_time(cost.time, cost.sustained, hardware, {before, timed});
        };
        const double before = static_cast<double>(any(0, 50)), timed = any_scale(1, 50);
        RC_ASSERT(cost.time.value() <= mean(before, timed).value() * (1 + 1e-9));
        RC_ASSERT(mean(before, timed).value() <= cost.sustained.value() * (1 + 1e-9));
        RC_ASSERT(mean(before, timed).value() <= mean(before + 1, timed).value() * (1 + 1e-9));
    }));
}

// More of anything that a data sheet counts never costs time. (More cores at the same peak of the
// chip may: wave cliffs.)
TEST(CostProperty, BetterHardwareIsNeverSlower) {
    EXPECT_TRUE(rc::check([] {
        const auto body = any_body();
        const auto hardware = any_hardware();
        const auto library = any_library();
        const double share = any_share(), factor = 1 + any_scale(0.01, 10);
        // At full clock, after rest and within a busy step alike.
        const int state = static_cast<int>(any(0, 2));
        const auto time_on = [&](const RankHardware& on) {
            if (state == 0) return tile(body, on, library, share).time;
            return CostCache(on, library, Fidelity::tile, false,
                             state == 1 ? RankState::at_rest : RankState::busy)
                .cost(body, share)
                .time;
        };
        const Seconds before = time_on(hardware);
        const auto after = [&](const auto& improve) {
            RankHardware better = hardware;
            improve(better);
            return time_on(better);
        };
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.sustained_matrix = 1; }), before));
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.power_response *= factor; }), before));
        RC_ASSERT(at_most(after([&](RankHardware& h) {
                              for (auto& [format, peak] : h.peak_matrix) peak *= factor;
                          }),
                          before));
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.hbm_bandwidth *= factor; }), before));
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.peak_vector *= factor; }), before));
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.feed_per_core *= factor; }), before));
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.accumulator *= factor; }), before));
        RC_ASSERT(at_most(after([&](RankHardware& h) { h.minimum_rows = 1; }), before));
        // Whole chips more: peaks and cores together.
        RC_ASSERT(at_most(after([&](RankHardware& h) {
                              h.matrix_cores *= 2;
                              h.peak_vector *= 2.0;
                              for (auto& [format, peak] : h.peak_matrix) peak *= 2.0;
                          }),
                          before));
    }));
}

TEST(CostProperty, FewerCoresAreNeverFaster) {
    EXPECT_TRUE(rc::check([] {
        const auto body = any_body();
        const auto hardware = any_hardware();
        const auto library = any_library();
        const double share = any_share();
        const double less = share * any_share();
        RC_ASSERT(at_most(tile(body, hardware, library, share).time,
                          tile(body, hardware, library, less).time));
    }));
}

TEST(CostProperty, BetterHabitsAreNeverSlower) {
    EXPECT_TRUE(rc::check([] {
        const auto gemm = any_gemm();
        const auto hardware = any_hardware();
        const auto library = any_library();
        const Seconds before = tile(gemm, hardware, library).time;
        const auto after = [&](const auto& improve) {
            KernelLibrarySpec better = library;
            for (auto& [format, habits] : better.gemm) improve(habits);
            return tile(gemm, hardware, better).time;
        };
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.matrix_efficiency = 1; }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.memory_efficiency = 1; }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.launch = Seconds(0); }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.tile_overhead = Seconds(0); }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.k_step = Seconds(0); }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.ramp = Seconds(0); }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.split_reduce = Seconds(0); }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.feed_factor *= 2; }), before));
        RC_ASSERT(at_most(after([](GemmHabits& h) { h.splits_k = true; }), before));
    }));
}

// More rows or columns, beyond the next quantum of 256, the largest tile, never cost less; nor do a
// deeper K or more groups. (Below it waves may divide better; and where a few cores' feeds hold the
// memory back, a larger product that occupies more cores may indeed be faster: feeds are ample
// here.)
TEST(CostProperty, LargerProductsAreNeverFaster) {
    EXPECT_TRUE(rc::check([] {
        const auto gemm = any_gemm();
        auto hardware = any_hardware();
        hardware.feed_per_core = BytesPerSecond(1e18);
        const auto library = any_library();
        const Seconds before = tile(gemm, hardware, library).time;
        const auto grown = [&](long Gemm::*size, long quantum) {
            Gemm larger = gemm;
            larger.*size = ((larger.*size + quantum - 1) / quantum + any(0, 9)) * quantum;
            return tile(larger, hardware, library).time;
        };
        RC_ASSERT(at_most(before, grown(&Gemm::m, 256)));
        RC_ASSERT(at_most(before, grown(&Gemm::n, 256)));
        RC_ASSERT(at_most(before, grown(&Gemm::k, 1)));
        RC_ASSERT(at_most(before, grown(&Gemm::groups, 1)));
    }));
}

TEST(CostProperty, AttentionGrowsWithContextAndBatch) {
    EXPECT_TRUE(rc::check([] {
        Attention a = any_attention();
        const auto hardware = any_hardware();
        const auto library = any_library();
        const Seconds before = tile(a, hardware, library).time;
        const auto grown = [&](long Attention::*size, long by) {
            Attention larger = a;
            larger.*size += by;
            return tile(larger, hardware, library).time;
        };
        RC_ASSERT(at_most(before, grown(&Attention::context, any(1, 300))));
        RC_ASSERT(at_most(before, grown(&Attention::batch, any(1, 300))));
        // Another draft token; another multiple of heads on the same keys.
        if (a.phase == Phase::decode && a.context > a.query) {
            RC_ASSERT(at_most(before, grown(&Attention::query, 1)));
        }
        // With the same habits: as many heads as KV heads, and more, are two kinds of kernel.
        Attention more = a;
        more.heads += a.kv_heads;
        if (&attention_habits(library, a) == &attention_habits(library, more))
            RC_ASSERT(at_most(before, grown(&Attention::heads, a.kv_heads)));
    }));
}

// Longer contexts, more sequences, and of a prompt more tokens: never faster.
TEST(CostProperty, LinearAttentionAndScoresGrow) {
    EXPECT_TRUE(rc::check([] {
        const auto hardware = any_hardware();
        const auto library = any_library();
        const auto grown = [&](auto body, auto size, long by) {
            const Seconds before = tile(body, hardware, library).time;
            body.*size += by;
            return at_most(before, tile(body, hardware, library).time);
        };
        const IndexScores s = any_scores();
        RC_ASSERT(grown(s, &IndexScores::context, any(1, 300)));
        RC_ASSERT(grown(s, &IndexScores::batch, any(1, 300)));
        RC_ASSERT(grown(s, &IndexScores::heads, any(1, 300)));
        const DeltaRule d = any_delta();
        RC_ASSERT(grown(d, &DeltaRule::query, any(1, 300)));
        RC_ASSERT(grown(d, &DeltaRule::batch, any(1, 300)));
        StreamMix m{StreamSide::mix_in, any(1, 9999), any(1, 8), any(1, 9000), any(0, 30)};
        RC_ASSERT(grown(m, &StreamMix::tokens, any(1, 300)));
        RC_ASSERT(grown(m, &StreamMix::hidden, any(1, 300)));
        RC_ASSERT(grown(m, &StreamMix::iterations, any(1, 30)));
    }));
}

// Splitting a product in two never beats the one product, at one tiling. (Of several, two kernels
// could choose different ones: a full wave of large tiles and the rest in small ones.)
TEST(CostProperty, TwoProductsAreNeverFasterThanTheirGroup) {
    EXPECT_TRUE(rc::check([] {
        Gemm one = any_gemm();
        one.groups = any(1, 60);
        Gemm other = one, both = one;
        other.groups = any(1, 60);
        both.groups = one.groups + other.groups;
        auto hardware = any_hardware();
        hardware.minimum_rows = 16;
        hardware.accumulator = Bytes(16 * 16 * 4);
        auto library = any_library();
        for (auto& [format, habits] : library.gemm) habits.splits_k = false;
        RC_ASSERT(at_most(tile(both, hardware, library).time,
                          tile(one, hardware, library).time + tile(other, hardware, library).time));
    }));
}

// All times k-fold (latencies x k, rates / k): the cost is k-fold, by the same choice.
TEST(CostProperty, ScaleInvariance) {
    EXPECT_TRUE(rc::check([] {
        const auto body = any_body();
        RankHardware hardware = any_hardware();
        KernelLibrarySpec library = any_library();
        const auto before = tile(body, hardware, library);
        const double k = static_cast<double>(1L << any(1, 8));  // exact in binary
        for (auto& [format, peak] : hardware.peak_matrix) peak /= k;
        hardware.peak_vector /= k;
        hardware.hbm_bandwidth /= k;
        hardware.feed_per_core /= k;
        for (auto& [format, habits] : library.gemm) {
            for (Seconds* time : {&habits.launch, &habits.tile_overhead, &habits.k_step,
                                  &habits.ramp, &habits.split_reduce}) {
                *time *= k;
            }
        }
        for (auto* habits : {&library.attention_decode, &library.attention_prefill}) {
            habits->launch *= k;
            habits->ramp *= k;
            habits->sequence_overhead *= k;
        }
        for (auto& [kind, habits] : library.attention) {
            for (Seconds* time : {&habits.launch, &habits.ramp, &habits.sequence_overhead})
                *time *= k;
        }
        for (auto& [phase, habits] : library.index_scores) {
            habits.launch *= k;
            habits.block_latency *= k;
        }
        for (auto& [phase, habits] : library.delta_rule) {
            for (Seconds* time : {&habits.launch, &habits.ramp, &habits.chunk_latency}) *time *= k;
        }
        for (auto& [side, habits] : library.stream_mix) {
            for (Seconds* time : {&habits.launch, &habits.iteration, &habits.step_latency})
                *time *= k;
        }
        library.vector.launch *= k;
        const auto after = tile(body, hardware, library);
        RC_ASSERT(std::abs(after.time / before.time - k) <= 1e-9 * k);
        RC_ASSERT(after.choice == before.choice);
    }));
}

// A format the chip lacks costs what the wider one costs at equal bytes of operands.
TEST(CostProperty, WidenedFormatsRunAtTheWiderRate) {
    EXPECT_TRUE(rc::check([] {
        RankHardware hardware = any_hardware();
        hardware.separate_vector = false;
        hardware.peak_vector = FlopsPerSecond(1e40);  // what widening takes is a law of its own
        hardware.peak_matrix.erase(DType::fp8);
        const auto library = any_library();
        Gemm gemm = any_gemm();
        gemm.a = gemm.b = *rc::gen::element(DType::fp8, DType::int8, DType::fp4);
        const auto cost = tile(gemm, hardware, library);
        RC_ASSERT(cost.matrix == work_of(gemm) / hardware.peak_matrix.at(DType::bf16));
        RC_ASSERT(!cost.warning.empty());
        gemm.a = gemm.b = DType::bf16;
        RC_ASSERT(at_most(cost.time, tile(gemm, hardware, library).time));
        RC_ASSERT(tile(gemm, hardware, library).warning.empty());
    }));
}

// On or off, in any order of questions: the same answers.
TEST(CostProperty, CacheIsTransparent) {
    EXPECT_TRUE(rc::check([] {
        const auto hardware = any_hardware();
        const auto library = any_library();
        const auto fidelity = *rc::gen::element(Fidelity::analytic, Fidelity::tile);
        CostCache on(hardware, library, fidelity, true), off(hardware, library, fidelity, false);
        std::vector<OperatorBody> bodies;
        for (int i = 0; i < 4; ++i) bodies.push_back(any_body());
        for (int i = 0; i < 12; ++i) {
            const auto& body = bodies[static_cast<std::size_t>(any(0, 3))];
            const double share = *rc::gen::element(1.0, 0.5);
            const OperatorCost a = on.cost(body, share), b = off.cost(body, share);
            RC_ASSERT(a.time == b.time);
            RC_ASSERT(a.launch == b.launch);
            RC_ASSERT(a.matrix == b.matrix);
            RC_ASSERT(a.vector == b.vector);
            RC_ASSERT(a.hbm == b.hbm);
            RC_ASSERT(a.hbm_time == b.hbm_time);
            RC_ASSERT(a.on_vector_cores == b.on_vector_cores);
            RC_ASSERT(a.choice == b.choice);
            RC_ASSERT(a.basis == b.basis);
            RC_ASSERT(a.warning == b.warning);
        }
        RC_ASSERT(on.hits() + on.misses() == 12);
        RC_ASSERT(on.misses() <= 8);
        RC_ASSERT(off.misses() == 12);
    }));
}

}  // namespace
}  // namespace podsim
