// Pipeline stages: who holds which layers and works on which sequences when.
//
// The layers are cut into S stages and a data-parallel group's sequences into S pipeline batches,
// all in flight, one in each stage. The steady state as one period without a beginning or an end:
// S slots, and in slot k stage s works on batch (k - s) mod S, which in slot k - 1 was in stage
// s - 1, or, for slot 0, in the last slot of the period before. With P passes (chunks of prompts)
// there are P S slots: pass p of a batch follows pass p - 1 after S slots.
#pragma once

namespace podsim {

// Part `part` of `whole` things cut into `parts`, as even as they allow: the first hold one more.
long even_part(long whole, int parts, int part);

struct LayerRange {
    long begin = 0, end = 0;
    long count() const { return end - begin; }
};
LayerRange stage_layers(long layers, int stages, int stage);

// Which batch a stage works on in a slot of the period, and in which of its passes.
struct SlotWork {
    int batch = 0, pass = 0;
};
SlotWork slot_work(int slot, int stage, int stages, int passes);

}  // namespace podsim
