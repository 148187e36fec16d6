#include "chips/tiling_check.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace podsim {

std::vector<TilingProblem> tiling_problems(const TilingRules& rules, const CoreStructure& core) {
    std::vector<TilingProblem> problems;
    if (rules.cores > core.cores) {
        problems.push_back({"cores",
                            fmt::format("asks for {} cores, and a rank of the chip has {}",
                                        rules.cores, core.cores),
                            fmt::format("{} at most", core.cores)});
    }
    const long panels = core.buffers.level1_buffers;
    if (rules.stages > panels) {
        problems.push_back(
            {"stages",
             fmt::format("asks for {} operand panels, and the chip's core.level1 keeps {}",
                         rules.stages, panels),
             fmt::format("{} at most, or more core.level1.buffers of the chip", panels)});
    }
    return problems;
}

long slices_of(long k, long split) {
    if (split >= k) return k;
    const long slice = (k + split - 1) / split;
    return (k + slice - 1) / slice;
}

void require_slices(long k, long split) {
    const long made = slices_of(k, split);
    if (made == split) return;
    // From both sides; fewer slices always work out: those that are made.
    long more = split + 1;
    while (more <= k && more - split < split - made && slices_of(k, more) != more) ++more;
    const bool nearer = more <= k && more - split < split - made;
    throw std::invalid_argument(
        fmt::format("K of {} cannot be cut into {} slices of whole elements (split): the nearest "
                    "number that can be is {}",
                    k, split, nearer ? more : made));
}

}  // namespace podsim
