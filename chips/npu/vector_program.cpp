#include "chips/npu/vector_program.hpp"

#include <cmath>

namespace podsim::npu {

std::vector<CoreProgram> vector_programs(const CoreStructure& core, const VectorPlan& plan,
                                         std::uint64_t read_from, std::uint64_t write_to) {
    (void)core;
    const Picoseconds takes = to_picoseconds(Seconds(plan.seconds));
    std::vector<CoreProgram> programs;
    for (long first = 0; first < plan.cores; ++first) {
        const long turns = (plan.chunks - first + plan.cores - 1) / plan.cores;
        const auto place = [plan, first](std::uint64_t base, double bytes, std::int64_t turn) {
            return base + static_cast<std::uint64_t>(
                              static_cast<double>(first + turn * plan.cores) * bytes);
        };
        CoreProgram program;
        program.load = [=, turn = std::int64_t{0}](Instruction& instruction) mutable {
            if (turn == turns) return false;
            instruction.waits[0] = {kFreed, turn - 1};
            instruction.signals[0] = kFilled;
            instruction.transfer.address = place(read_from, plan.read, turn);
            instruction.transfer.bytes = static_cast<std::uint64_t>(std::ceil(plan.read));
            ++turn;
            return true;
        };
        program.vector = [=, turn = std::int64_t{0}](Instruction& instruction) mutable {
            if (turn == turns) return false;
            instruction.waits[0] = {kFilled, turn + 1};
            instruction.waits[1] = {kStored, turn - 1};
            instruction.duration = takes;
            instruction.work = plan.operations;
            instruction.signals = {kFreed, kResults};
            ++turn;
            return true;
        };
        program.drain = [=, turn = std::int64_t{0}](Instruction& instruction) mutable {
            if (turn == turns) return false;
            instruction.waits[0] = {kResults, turn + 1};
            instruction.signals[0] = kStored;
            instruction.transfer.address = place(write_to, plan.write, turn);
            instruction.transfer.bytes = static_cast<std::uint64_t>(std::ceil(plan.write));
            instruction.transfer.write = true;
            ++turn;
            return true;
        };
        programs.push_back(std::move(program));
    }
    return programs;
}

}  // namespace podsim::npu
