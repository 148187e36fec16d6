#include "chips/npu/gemm_program.hpp"

#include <cmath>
#include <utility>

namespace podsim::npu {

namespace {

// Left operand, right operand, result: one after another in memory, each from a page of its own.
struct Layout {
    std::uint64_t base[3] = {0, 0, 0};

    Layout(const GemmWork& work, const GemmTiling& tiling) {
        const auto padded = [&](long size, long tile, double element) {
            const long whole = (size + tile - 1) / tile * tile;
            return static_cast<double>(whole) * element;
        };
        double rows = 0, groups = 0;
        for (const long each : work.rows) {
            rows += padded(each, tiling.rows, 1);
            ++groups;
        }
        const double depth = padded(work.k, tiling.split, 1);
        base[1] = page(rows * depth * work.a);
        base[2] = base[1] + page(groups * padded(work.n, tiling.columns, work.b) * depth);
    }
    static std::uint64_t page(double bytes) {
        constexpr double size = 1 << 20;
        return static_cast<std::uint64_t>(std::ceil(bytes / size) * size);
    }
};

struct Plan {
    CoreStructure core;
    std::shared_ptr<const GemmWork> work;
    GemmTiling tiling;
    std::vector<Tile> tiles;
    Layout layout;
    std::vector<double> sums_before;  // of all tiles before one: sums lie packed

    long steps(const Tile& tile) const { return (tile.depth + tiling.depth - 1) / tiling.depth; }
    long depth_of(const Tile& tile, long step) const {
        return std::min(tiling.depth, tile.depth - step * tiling.depth);
    }
    Picoseconds cycles(double count) const { return to_picoseconds(Seconds(count / core.clock)); }
};

// Where a walk over the tiles of one core stands.
struct Walk {
    std::shared_ptr<const Plan> plan;
    long core = 0;
    std::size_t tile = 0;         // in the plan's list
    std::int64_t index = 0;       // of it among this core's
    std::int64_t step_index = 0;  // of the step among this core's
    long step = 0;

    bool at_end() const { return tile >= plan->tiles.size(); }
    const Tile& now() const { return plan->tiles[tile]; }
    bool last_step() const { return step + 1 == plan->steps(now()); }
    void next_tile() {
        ++index;
        step = 0;
        tile = static_cast<std::size_t>(tile_of(core, index, plan->tiling.cores));
    }
    void next_step() {
        ++step_index;
        if (last_step()) {
            next_tile();
        } else {
            ++step;
        }
    }
};

struct Loader {
    Walk walk;
    bool right = false;

    bool operator()(Instruction& instruction) {
        if (walk.at_end()) return false;
        const Plan& plan = *walk.plan;
        const Tile& tile = walk.now();
        const long depth = plan.depth_of(tile, walk.step);
        const long slice = (plan.work->k + plan.tiling.split - 1) / plan.tiling.split;
        const long width = right ? tile.columns : tile.rows;
        const long whole = right ? plan.tiling.columns : plan.tiling.rows;
        const double element = right ? plan.work->b : plan.work->a;
        const long panel = right ? tile.b_panel : tile.a_panel;
        const double offset =
            static_cast<double>(panel) * static_cast<double>(whole) * static_cast<double>(slice) +
            static_cast<double>(width) * static_cast<double>(walk.step * plan.tiling.depth);
        Transfer& transfer = instruction.transfer;
        transfer.address =
            plan.layout.base[right ? 1 : 0] + static_cast<std::uint64_t>(offset * element);
        transfer.bytes = static_cast<std::uint64_t>(
            std::ceil(static_cast<double>(width) * static_cast<double>(depth) * element));
        transfer.shared = true;
        instruction.waits[0] = {kFreed, walk.step_index - plan.tiling.stages + 1};
        instruction.signals[0] = kFilled;
        if (right) walk.next_step();
        right = !right;
        return true;
    }
};

struct Multiplier {
    Walk walk;

    bool operator()(Instruction& instruction) {
        if (walk.at_end()) return false;
        const Plan& plan = *walk.plan;
        const Tile& tile = walk.now();
        const long depth = plan.depth_of(tile, walk.step);
        const MatrixStep step = matrix_step(plan.core, plan.work->format, tile.rows, tile.columns,
                                            depth, plan.work->a, plan.work->b);
        instruction.duration = plan.cycles(step.cycles);
        instruction.start_up = plan.cycles(step.start_up);
        instruction.work = static_cast<double>(tile.rows) * static_cast<double>(tile.columns) *
                           static_cast<double>(depth);
        instruction.waits[0] = {kFilled, 2 * (walk.step_index + 1)};
        if (walk.step == 0) {
            instruction.waits[1] = {kSumsFreed, walk.index - plan.tiling.accumulators + 1};
        }
        instruction.signals = {kFreed, walk.last_step() ? kSumsReady : -1};
        walk.next_step();
        return true;
    }
};

struct Drainer {
    Walk walk;

    bool operator()(Instruction& instruction) {
        if (walk.at_end()) return false;
        const Plan& plan = *walk.plan;
        const Tile& tile = walk.now();
        const double sums = static_cast<double>(tile.rows) * static_cast<double>(tile.columns);
        const bool partial = plan.tiling.split > 1;
        const double element = partial ? 4 : plan.work->c;
        const MatrixStep step = matrix_step(plan.core, plan.work->format, tile.rows, tile.columns,
                                            1, plan.work->a, plan.work->b);
        instruction.waits[0] = {kSumsReady, walk.index + 1, plan.cycles(step.drain)};
        instruction.duration = plan.cycles(sums * 4 / plan.core.buffers.drain);
        instruction.signals[0] = kSumsFreed;
        instruction.transfer.address =
            plan.layout.base[2] + static_cast<std::uint64_t>(plan.sums_before[walk.tile] * element);
        instruction.transfer.bytes = static_cast<std::uint64_t>(std::ceil(sums * element));
        instruction.transfer.write = true;
        instruction.transfer.stays = partial;
        walk.next_tile();
        return true;
    }
};

}  // namespace

std::uint64_t result_address(const GemmWork& work, const GemmTiling& tiling) {
    return Layout(work, tiling).base[2];
}

std::vector<CoreProgram> gemm_programs(const CoreStructure& core,
                                       const std::shared_ptr<const GemmWork>& work,
                                       const GemmTiling& tiling) {
    Plan made{core, work, tiling, tiles_of(*work, tiling), Layout(*work, tiling), {}};
    double sums = 0;
    for (const Tile& tile : made.tiles) {
        made.sums_before.push_back(sums);
        sums += static_cast<double>(tile.rows) * static_cast<double>(tile.columns);
    }
    const auto plan = std::make_shared<const Plan>(std::move(made));
    std::vector<CoreProgram> programs;
    for (long core_index = 0; core_index < tiling.cores; ++core_index) {
        Walk walk;
        walk.plan = plan;
        walk.core = core_index;
        walk.tile = static_cast<std::size_t>(core_index);
        programs.push_back({Loader{walk}, Multiplier{walk}, nullptr, Drainer{walk}});
    }
    return programs;
}

}  // namespace podsim::npu
