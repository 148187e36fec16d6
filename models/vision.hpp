// Towers that make prompt tokens of images and video: parameters, work, tokens, operators. Models
// that put out images or video are not modelled.
#pragma once

#include <optional>
#include <vector>

#include "base/document.hpp"
#include "base/units.hpp"
#include "models/model.hpp"
#include "program/operator.hpp"

namespace podsim {

// A transformer over patches of patch x patch pixels of temporal_patch frames, without a mask; then
// merge x merge patches become a token of the model.
struct VisionTower {
    long layers = 0, hidden = 0, heads = 0, head_dim = 0, intermediate = 0;
    long patch = 0, temporal_patch = 1, channels = 3, merge = 1;
    long position_rows = 0;  // learned positions, each axis' own where `gemma`
    long out_hidden = 0;     // the model's hidden size
    // Gemma: gated FFN, RMS norms around each sub-layer and of queries and keys, no biases; patches
    // are averaged and projected. Otherwise (Qwen): FFN of two layers, layer norms, biases; patches
    // side by side through an MLP of their joint width.
    bool gemma = false;
    // Images (frames of video) are scaled to fill so many tokens; 0: taken as large as they are.
    long image_tokens = 0, frame_tokens = 0;
    bool operator==(const VisionTower&) const = default;
};

// The vision_config of a model's config.json; none where it has none. gemma4_vision: Gemma 4;
// qwen3_5_moe: Qwen3.5 (the tower of Qwen3-VL, arXiv 2511.21631). Another model_type, missing or
// impossible sizes are InputErrors with place, all at once.
std::optional<VisionTower> read_vision_tower(const Node& config, const ModelSpec& model);

// Parameters by part. positions: the learned table.
struct VisionParameters {
    double patch_embedding = 0, positions = 0, attention = 0, feed_forward = 0, norms = 0,
           merger = 0;
    double total() const {
        return patch_embedding + positions + attention + feed_forward + norms + merger;
    }
};
VisionParameters count_parameters(const VisionTower& tower);
Bytes weight_bytes(const VisionTower& tower);  // in BF16

// Pixels; frames above 1 are a video.
struct ImageSize {
    long width = 0, height = 0, frames = 1;
};

// Patches as the tower sees them. Qwen: sides to the nearest multiple of patch x merge pixels, at
// least one; two frames are one time step, an image is taken twice; limits of pixels are the
// processor's and left out. Gemma: scaled to the budget of tokens, then down to such multiples.
// Padding to the budget is left out. A size below 1 or above a million is a
// std::invalid_argument.
struct PatchGrid {
    long times = 0, rows = 0, columns = 0;
    long patches() const { return times * rows * columns; }
};
PatchGrid patch_grid(const VisionTower& tower, const ImageSize& image);

// Tokens that stand for it in the prompt, less the marks around it, which are text.
long image_tokens(const VisionTower& tower, const ImageSize& image);

// For `images` of a size in one pass: before the layers, one layer, after them. Attention is over
// the patches of one time step, each of which sees all: Attention in decode with as many queries as
// context, so that no causal mask halves it. The norm of values without weights (Gemma) and rotary
// tables are left out. All in BF16.
struct VisionOperators {
    std::vector<Operator> enter, layer, leave;
    long layers = 0;
};
VisionOperators vision_operators(const VisionTower& tower, const ImageSize& image, long images);

// Products and attention of one image: sum of 2 m n k, and 4 head_dim heads a pair of patches.
Flops vision_flops(const VisionTower& tower, const ImageSize& image);

}  // namespace podsim
