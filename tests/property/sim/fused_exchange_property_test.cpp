// What holds for every fused exchange, whatever layer, chip and links.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "sim/expert_exchange.hpp"
#include "tests/property/sim/random_programs.hpp"
#include "tests/unit/chips/tiny_chip.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"

namespace podsim {
namespace {

MoeLayer any_layer() {
    MoeForm form;
    form.ranks = any(2, 8);
    form.experts = form.ranks * any(1, 16);
    form.top_k = any(1, static_cast<int>(std::min(8L, form.experts)));
    form.tokens = form.ranks * any(1, 300);
    form.hidden = 64L * any(1, 64);
    form.inter = 64L * any(1, 32);
    form.scale_block = 128;
    if (any(0, 1) == 1) form.popularity = Popularity::uniform;
    return {form, {{"weights", DType::bf16}, {"dispatch", DType::bf16}}};
}

// Memory twenty times as fast as the links, so that what lands is not what they wait for.
struct Machine {
    RankHardware hardware = tiny_chip();
    RankFabric fabric = plain_fabric();
    KernelLibrarySpec library = tiny_library();

    Machine() {
        hardware.matrix_cores = any(1, 200);
        hardware.accumulator = Bytes(static_cast<double>(1 << any(12, 18)));
        hardware.hbm_bandwidth = BytesPerSecond(1e11 * any(20, 80));
        hardware.peak_matrix = {{DType::bf16, FlopsPerSecond(1e12 * any(1, 2000))}};
        hardware.peak_vector = FlopsPerSecond(1e12 * any(1, 50));
        hardware.feed_per_core = BytesPerSecond(1e9 * any(10, 200));
        library.gemm.at(DType::bf16).tile_overhead = microseconds(any(0, 20) * 0.1);
        library.gemm.at(DType::bf16).k_step = microseconds(any(0, 20) * 0.01);
        library.fused_experts = library.gemm;
    }
    RunRecord run(const MoeLayer& layer, ExpertExchange exchange,
                  Driver driver = Driver::plain) const {
        const Program program = exchange_program(layer, exchange);
        CostCache cache(hardware, library, Fidelity::tile, false);
        const ProgramCosts costs = cost_program(program, cache, fabric, plain_library(), 8);
        return run_program(program, costs, hardware, driver);
    }
    RunRecord fused(const MoeLayer& layer) const { return run(layer, ExpertExchange::fused); }
};

TEST(FusedExchangeProperty, NeverFasterThanItsBusiestResource) {
    EXPECT_TRUE(rc::check([] {
        const MoeLayer layer = any_layer();
        const Machine machine;
        const RunRecord r = machine.fused(layer);
        const double seconds = to_seconds(r.end).value() * (1 + 1e-9);
        for (const auto& usage : r.usage) {
            UsageSegment sum;
            for (const UsageSegment& segment : usage) {
                sum.matrix_seconds += segment.matrix_seconds;
                sum.hbm_bytes += segment.hbm_bytes;
                for (std::size_t port = 0; port < kPorts; ++port)
                    sum.port_bytes[port] += segment.port_bytes[port];
            }
            RC_ASSERT(sum.matrix_seconds <= seconds);
            RC_ASSERT(sum.hbm_bytes <= machine.hardware.hbm_bandwidth.value() * seconds);
            RC_ASSERT(sum.port_bytes[0] <= machine.fabric.scale_up.value() * seconds);
            RC_ASSERT(sum.port_bytes[1] <= machine.fabric.scale_up.value() * seconds);
        }
    }));
}

// With the same habits fusing saves launches, memory traffic and waiting. It costs one thing: all
// products take one tile where kernels apart choose one each (up to 3 % seen), so here there is but
// one to choose. Rows dealt out evenly: tiles of drawn rows are counted as they are drawn in the
// fused kernel alone.
TEST(FusedExchangeProperty, NeverSlowerThanOneAfterAnother) {
    EXPECT_TRUE(rc::check([] {
        MoeLayer layer = any_layer();
        layer.form.popularity = Popularity::balanced;
        Machine machine;
        const long rows = 16L << any(0, 4);
        machine.hardware.accumulator = Bytes(static_cast<double>(rows * 16 * 4));
        machine.library.gemm.at(DType::bf16).smallest_tile = rows;
        machine.library.fused_experts = machine.library.gemm;
        RC_ASSERT(machine.fused(layer).end <= machine.run(layer, ExpertExchange::all_to_all).end);
    }));
}

TEST(FusedExchangeProperty, NoSlowerOnABetterMachine) {
    EXPECT_TRUE(rc::check([] {
        const MoeLayer layer = any_layer();
        const Machine machine;
        const Picoseconds before = machine.fused(layer).end;
        const double factor = 1 + 0.1 * any(1, 30);
        Machine memory = machine, links = machine, feed = machine, units = machine, cores = machine;
        memory.hardware.hbm_bandwidth *= factor;
        links.fabric.scale_up *= factor;
        feed.hardware.feed_per_core *= factor;
        units.hardware.peak_matrix.at(DType::bf16) *= factor;
        // More of the same cores, each as fast as before.
        cores.hardware.matrix_cores *= 2;
        cores.hardware.peak_matrix.at(DType::bf16) *= 2;
        for (const Machine* better : {&memory, &links, &feed, &units, &cores})
            RC_ASSERT(better->fused(layer).end <= before + 1);
    }));
}

TEST(FusedExchangeProperty, SystemCAndThePlainLoopAgree) {
    EXPECT_TRUE(rc::check([] {
        const MoeLayer layer = any_layer();
        const Machine machine;
        RC_ASSERT(machine.run(layer, ExpertExchange::fused, Driver::systemc).end ==
                  machine.fused(layer).end);
    }));
}

}  // namespace
}  // namespace podsim
