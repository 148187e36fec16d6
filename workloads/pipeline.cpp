#include "workloads/pipeline.hpp"

#include <algorithm>

namespace podsim {

long even_part(long whole, int parts, int part) {
    return whole / parts + (part < whole % parts ? 1 : 0);
}

LayerRange stage_layers(long layers, int stages, int stage) {
    const long begin = layers / stages * stage + std::min<long>(stage, layers % stages);
    return {begin, begin + even_part(layers, stages, stage)};
}

SlotWork slot_work(int slot, int stage, int stages, int passes) {
    const int slots = stages * passes;
    const int turn = (slot - stage + slots) % slots;
    return {turn % stages, turn / stages};
}

}  // namespace podsim
