// A made-up chip and library with numbers that can be worked out by hand.
//
// Four cores; one core's matrix unit does 32,768 FLOP (a 16 x 16 tile, 64 deep) in 300 ns at the
// library's efficiency of one half; its feed brings that tile's 4,096 B of BF16 operands in 400 ns.
// 10,240 B, all of a 32 x 32 x 64 product, cross memory in 1,200 ns at the library's efficiency of
// 0.8. The accumulator holds one 16 x 16 tile, so there is one tiling to think of. With p = 2 the
// times join as (3, 4) -> 5 and (5, 12) -> 13.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

inline constexpr double tiny_core_peak = 2 * 32768 / 300e-9;  // FLOP/s of one core
inline constexpr double tiny_memory = 10240 / 1200e-9 / 0.8;  // B/s

inline RankHardware tiny_chip() {
    RankHardware hardware;
    hardware.matrix_cores = 4;
    hardware.clock = Hertz(1e9);
    hardware.peak_vector = FlopsPerSecond(1e9);
    hardware.hbm_bandwidth = BytesPerSecond(tiny_memory);
    hardware.hbm_capacity = Bytes(1e9);
    hardware.l2 = Bytes(1e6);
    hardware.accumulator = Bytes(16 * 16 * 4);
    hardware.feed_per_core = BytesPerSecond(4096 / 400e-9);
    hardware.minimum_rows = 16;
    hardware.peak_matrix = {{DType::bf16, FlopsPerSecond(4 * tiny_core_peak)}};
    return hardware;
}

inline GemmHabits tiny_habits() {
    GemmHabits habits;
    habits.matrix_efficiency = 0.5;
    habits.memory_efficiency = 0.8;
    habits.launch = microseconds(2);
    habits.splits_k = false;
    habits.record.basis = Confidence::measured;
    habits.record.held_out_error = 0.07;
    return habits;
}

inline KernelLibrarySpec tiny_library() {
    KernelLibrarySpec library;
    library.name = "tiny";
    library.smooth_maximum = 2;
    library.gemm = {{DType::bf16, tiny_habits()}};
    library.attention_decode.matrix_efficiency = 0.5;
    library.attention_decode.memory_efficiency = 0.8;
    library.attention_decode.launch = microseconds(5);
    library.attention_decode.row_block = 16;
    library.attention_decode.record.basis = Confidence::derived;
    library.attention_prefill = library.attention_decode;
    library.vector.memory_efficiency = 0.8;
    library.vector.vector_efficiency = 0.5;
    library.vector.launch = microseconds(1);
    library.vector.record.basis = Confidence::estimate;
    return library;
}

// Memory so fast that only the cores and their feeds count.
inline RankHardware without_memory(RankHardware hardware) {
    hardware.hbm_bandwidth = BytesPerSecond(1e30);
    return hardware;
}
// Cores whose operands are already there.
inline RankHardware without_feed(RankHardware hardware) {
    hardware.feed_per_core = BytesPerSecond(1e30);
    return hardware;
}

inline double tile_microseconds(const OperatorBody& body, const RankHardware& hardware,
                                const KernelLibrarySpec& library, double core_share = 1.0) {
    return operator_cost(body, hardware, library, Fidelity::tile, core_share).time.value() * 1e6;
}

}  // namespace podsim
