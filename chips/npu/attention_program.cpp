#include "chips/npu/attention_program.hpp"

#include <cmath>
#include <memory>
#include <utility>

namespace podsim::npu {

namespace {

constexpr double kPage = 1 << 20;

double all_queries(const AttentionWork& work) {
    return query_bytes(work, work.heads * work.query) * static_cast<double>(work.sequences);
}
std::uint64_t page(double bytes) {
    return static_cast<std::uint64_t>(std::ceil(bytes / kPage) * kPage);
}
std::uint64_t query_address(const AttentionWork& work) {
    return page(cache_bytes(work));
}

struct Plan {
    CoreStructure core;
    AttentionWork work;
    AttentionTiling tiling;
    std::vector<AttentionPiece> pieces;
    Picoseconds handoff = 0;
    std::vector<long> rows_before;  // of all pieces before one: queries and outputs lie packed

    Picoseconds time(double seconds) const { return to_picoseconds(Seconds(seconds)); }
    long blocks(std::size_t piece) const {
        return (pieces[piece].keys + tiling.keys - 1) / tiling.keys;
    }
};

// One block of one piece of a core, in the order of the core's blocks.
struct BlockWalk {
    std::shared_ptr<const Plan> plan;
    std::size_t piece = 0;
    std::int64_t piece_index = 0, block_index = 0;
    long block = 0;

    bool at_end() const { return piece >= plan->pieces.size(); }
    const AttentionPiece& now() const { return plan->pieces[piece]; }
    long keys() const {
        return std::min(plan->tiling.keys, now().keys - block * plan->tiling.keys);
    }
    AttentionBlock cost() const {
        return attention_block(plan->core, plan->work, now().rows, keys());
    }
    bool last() const { return block + 1 == plan->blocks(piece); }
    void next() {
        ++block_index;
        if (++block < plan->blocks(piece)) return;
        block = 0;
        ++piece_index;
        piece += static_cast<std::size_t>(plan->tiling.cores);
    }
};

// Queries of a piece, then its blocks of keys; two blocks at a time, one set of queries.
struct Loader {
    BlockWalk walk;
    bool queries = true;

    bool operator()(Instruction& instruction) {
        if (walk.at_end()) return false;
        const Plan& plan = *walk.plan;
        const AttentionPiece& piece = walk.now();
        Transfer& transfer = instruction.transfer;
        instruction.signals[0] = kFilled;
        if (queries) {
            const double bytes = query_bytes(plan.work, piece.rows);
            transfer.address =
                query_address(plan.work) +
                static_cast<std::uint64_t>(query_bytes(plan.work, plan.rows_before[walk.piece]));
            transfer.bytes = static_cast<std::uint64_t>(std::ceil(bytes));
            instruction.waits[0] = {kQueries, walk.piece_index};
            queries = false;
            return true;
        }
        const double first = static_cast<double>(piece.first_key + walk.block * plan.tiling.keys);
        transfer.address = static_cast<std::uint64_t>(cache_start(plan.work, piece.cache) +
                                                      first * plan.work.entry);
        transfer.bytes = static_cast<std::uint64_t>(
            std::ceil(static_cast<double>(walk.keys()) * plan.work.entry));
        instruction.waits[0] = {kFreed, walk.block_index - 1};
        queries = walk.last();
        walk.next();
        return true;
    }
};

// Scores run `lookahead - 1` blocks ahead of the weighted values.
struct Multiplier {
    BlockWalk scores, values;

    bool operator()(Instruction& instruction) {
        if (values.at_end()) return false;
        const Plan& plan = *values.plan;
        if (!scores.at_end() && scores.block_index - values.block_index < plan.tiling.lookahead) {
            const AttentionBlock cost = scores.cost();
            instruction.duration = plan.time(cost.scores);
            instruction.work = cost.macs * static_cast<double>(plan.work.depth) /
                               static_cast<double>(plan.work.depth + plan.work.width);
            // Of the queries too: one load a piece before its blocks.
            instruction.waits[0] = {kFilled, scores.block_index + scores.piece_index + 2};
            instruction.signals = {kScores, scores.last() ? kQueries : -1};
            scores.next();
            return true;
        }
        const AttentionBlock cost = values.cost();
        instruction.duration = plan.time(cost.values);
        instruction.work = cost.macs * static_cast<double>(plan.work.width) /
                           static_cast<double>(plan.work.depth + plan.work.width);
        instruction.waits[0] = {kWeights, values.block_index + 1, plan.handoff};
        // Two places for partial outputs.
        instruction.waits[1] = {kRescaled, values.block_index - 1};
        instruction.signals = {kOutputs, kFreed};
        values.next();
        return true;
    }
};

// Exponentials of a block before the output of the one before it, so that products need not wait.
struct Softmax {
    BlockWalk exponentials, outputs;

    bool operator()(Instruction& instruction) {
        if (outputs.at_end()) return false;
        const Plan& plan = *outputs.plan;
        if (!exponentials.at_end() && exponentials.block_index - outputs.block_index < 2) {
            instruction.duration = plan.time(exponentials.cost().exponentials);
            instruction.waits[0] = {kScores, exponentials.block_index + 1, plan.handoff};
            instruction.signals[0] = kWeights;
            exponentials.next();
            return true;
        }
        instruction.duration = plan.time(outputs.cost().rescale);
        instruction.waits[0] = {kOutputs, outputs.block_index + 1, plan.handoff};
        instruction.signals = {kRescaled, outputs.last() ? kResults : -1};
        outputs.next();
        return true;
    }
};

struct Store {
    BlockWalk walk;

    bool operator()(Instruction& instruction) {
        if (walk.at_end()) return false;
        const Plan& plan = *walk.plan;
        const bool partial = plan.tiling.splits > 1;
        instruction.waits[0] = {kResults, walk.piece_index + 1};
        instruction.signals[0] = kStored;
        instruction.transfer.address = output_address(plan.work, plan.tiling) +
                                       static_cast<std::uint64_t>(output_bytes(
                                           plan.work, plan.rows_before[walk.piece], partial));
        instruction.transfer.bytes = static_cast<std::uint64_t>(
            std::ceil(output_bytes(plan.work, walk.now().rows, partial)));
        instruction.transfer.write = true;
        instruction.transfer.stays = partial;
        ++walk.piece_index;
        walk.piece += static_cast<std::size_t>(plan.tiling.cores);
        return true;
    }
};

}  // namespace

std::uint64_t output_address(const AttentionWork& work, const AttentionTiling& tiling) {
    return query_address(work) + page(all_queries(work) * static_cast<double>(tiling.splits));
}

std::vector<CoreProgram> attention_programs(const CoreStructure& core, const AttentionWork& work,
                                            const AttentionTiling& tiling) {
    Plan made{core,
              work,
              tiling,
              pieces_of(work, tiling),
              to_picoseconds(Seconds(core.vector.handoff_cycles / core.clock)),
              {}};
    long rows = 0;
    for (const AttentionPiece& piece : made.pieces) {
        made.rows_before.push_back(rows);
        rows += piece.rows;
    }
    const auto plan = std::make_shared<const Plan>(std::move(made));
    std::vector<CoreProgram> programs;
    for (long core_index = 0; core_index < tiling.cores; ++core_index) {
        BlockWalk walk;
        walk.plan = plan;
        walk.piece = static_cast<std::size_t>(core_index);
        programs.push_back(
            {Loader{walk}, Multiplier{walk, walk}, Softmax{walk, walk}, Store{walk}});
    }
    return programs;
}

}  // namespace podsim::npu
