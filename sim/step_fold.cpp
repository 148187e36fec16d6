#include "sim/step_fold.hpp"

#include <cstddef>
#include <vector>

namespace podsim {

namespace {

constexpr std::size_t kLongestPeriod = 8, kLongestBegin = 8;

// Whether layers from `begin` on repeat with the period, whole periods of them.
bool repeats(const std::vector<LayerKind>& layers, std::size_t begin, std::size_t period) {
    if ((layers.size() - begin) % period != 0) return false;
    for (std::size_t i = begin; i + period < layers.size(); ++i)
        if (!(layers[i] == layers[i + period])) return false;
    return true;
}

ModelSpec with_periods(const ModelSpec& model, std::size_t begin, std::size_t period,
                       std::size_t count) {
    ModelSpec folded = model;
    folded.layers.resize(begin + period * count);
    return folded;
}

}  // namespace

std::optional<StepFold> fold_layers(const ModelSpec& model, bool overlaps) {
    // Conditional memory stands in layers of given numbers.
    if (!model.engram.layers.empty()) return std::nullopt;
    const std::size_t few = overlaps ? 4 : 2, more = overlaps ? 8 : 3;
    for (std::size_t period = 1; period <= kLongestPeriod; ++period) {
        for (std::size_t begin = 0; begin <= kLongestBegin && begin < model.layers.size();
             ++begin) {
            const std::size_t periods = (model.layers.size() - begin) / period;
            if (periods <= 2 * more || !repeats(model.layers, begin, period)) continue;
            return StepFold{with_periods(model, begin, period, few),
                            with_periods(model, begin, period, more),
                            static_cast<double>(periods - few) / static_cast<double>(more - few)};
        }
    }
    return std::nullopt;
}

}  // namespace podsim
