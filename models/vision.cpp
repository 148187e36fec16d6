// With P patches of p x p pixels x f frames and c channels, d = hidden, r = merge:
//
//   x_i = W_e patch_i + position_i                       d x (p p f c)
//   L layers of attention over all patches and an FFN
//   Gemma 4: t = W_o norm(standardise(mean of r x r patches))            out x d
//   Qwen:    t = W_2 gelu(W_1 [r x r patches, normed, side by side])     r r d x r r d, out x r r d
//
// Gemma 4: Hugging Face Transformers, models/gemma4 (a table of positions for each axis, their
// rows added). Qwen3.5: models/qwen3_vl (one table, interpolated to the grid).
#include "models/vision.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "models/blocks.hpp"
#include "models/common_keys.hpp"
#include "models/config_reader.hpp"
#include "models/sizes.hpp"
#include "models/training.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

constexpr long most_pixels = 1'000'000, most_merge = 100, most_budget = 10'000'000;

double real(long count) {
    return static_cast<double>(count);
}

// The tower's layers as a dense model's.
ModelSpec transformer_of(const VisionTower& tower) {
    GroupedQueryAttention attention;
    attention.heads = attention.kv_heads = tower.heads;
    attention.head_dim = tower.head_dim;
    attention.query_key_norm = tower.gemma;
    attention.biases = !tower.gemma;
    ModelSpec model;
    model.hidden = tower.hidden;
    model.attentions = {attention};
    model.layers = dense_then_experts(tower.layers, tower.layers);
    model.dense_intermediate = tower.intermediate;
    model.gated = model.post_norms = tower.gemma;
    model.ffn_biases = model.layer_norm = !tower.gemma;
    model.tied_embedding = true;
    return model;
}

long patch_elements(const VisionTower& tower) {
    return tower.patch * tower.patch * tower.temporal_patch * tower.channels;
}
long merged_width(const VisionTower& tower) {
    return tower.merge * tower.merge * tower.hidden;
}

void read_gemma(ConfigReader& config, VisionTower& tower) {
    tower.gemma = true;
    tower.layers = config.size("num_hidden_layers", most_layers);
    tower.heads = read_head_count(config);
    tower.head_dim = config.size("head_dim", most_wide);
    const long kv_heads = config.size_or("num_key_value_heads", most_wide, tower.heads);
    config.require(tower.heads == 0 || kv_heads == tower.heads, "num_key_value_heads",
                   fmt::format("{} for {} heads, expected as many", kv_heads, tower.heads));
    tower.merge = config.size("pooling_kernel_size", most_merge);
    tower.position_rows = config.size("position_embedding_size", most_wide);
    tower.image_tokens = config.size("default_output_length", most_budget);
    tower.frame_tokens = config.size_or("video_seq_length", most_budget, tower.image_tokens);
    require_no_bias(config, "attention_bias");
    config.require(!config.flag_or("use_clipped_linears", false), "use_clipped_linears",
                   "true: not modelled, expected false");
}

void read_qwen(ConfigReader& config, VisionTower& tower) {
    tower.layers = config.size("depth", most_layers);
    tower.heads = config.size("num_heads", most_wide);
    const bool divides = tower.heads == 0 || tower.hidden % tower.heads == 0;
    config.require(
        divides, "num_heads",
        fmt::format("hidden_size {} does not divide over {} heads", tower.hidden, tower.heads));
    if (tower.heads > 0) tower.head_dim = tower.hidden / tower.heads;
    tower.temporal_patch = config.size("temporal_patch_size", 1000);
    tower.channels = config.size("in_channels", 1000);
    tower.merge = config.size("spatial_merge_size", most_merge);
    tower.position_rows = config.size("num_position_embeddings", most_wide);
    config.require_empty_list("deepstack_visual_indexes",
                              "tokens of several layers are not modelled, expected []");
}

// Sides in tokens that fill `budget` of them, keeping the image's shape.
std::pair<long, long> fitted(const VisionTower& tower, const ImageSize& image, long budget) {
    const double side = real(tower.patch * tower.merge);
    const double factor =
        std::sqrt(real(budget) * side * side / (real(image.width) * real(image.height)));
    const auto tokens = [&](long pixels) {
        return static_cast<long>(std::floor(factor * real(pixels) / side));
    };
    long rows = tokens(image.height), columns = tokens(image.width);
    if (rows == 0) {
        rows = 1;
        columns = std::min(image.width / image.height, budget);
    } else if (columns == 0) {
        columns = 1;
        rows = std::min(image.height / image.width, budget);
    }
    return {rows, columns};
}

Operator plain_product(const char* name, long m, long n, long k) {
    return {name, Gemm{m, n, k}};
}

double matrix_work(const std::vector<Operator>& operators) {
    double work = 0;
    for (const Operator& op : operators) work += matrix_work_of(op.body).value();
    return work;
}

}  // namespace

std::optional<VisionTower> read_vision_tower(const Node& config, const ModelSpec& model) {
    const Node* part = config.find("vision_config");
    if (part == nullptr || part->kind == Node::Kind::null) return std::nullopt;
    ConfigReader reader(*part);
    const std::string family = reader.text("model_type");
    reader.finish();
    VisionTower tower;
    tower.hidden = reader.size("hidden_size", most_wide);
    tower.intermediate = reader.size("intermediate_size", most_wide);
    tower.patch = reader.size("patch_size", 10'000);
    if (family == "gemma4_vision") {
        read_gemma(reader, tower);
    } else if (family == "qwen3_5_moe") {
        read_qwen(reader, tower);
    } else {
        reader.require(false, "model_type",
                       fmt::format("no vision tower \"{}\" is known, expected gemma4_vision or "
                                   "qwen3_5_moe",
                                   family));
        reader.finish();
    }
    tower.out_hidden = reader.size_or("out_hidden_size", most_wide, model.hidden);
    reader.require(
        tower.out_hidden == model.hidden, "out_hidden_size",
        fmt::format("{}, but the model's hidden_size is {}", tower.out_hidden, model.hidden));
    reader.require(
        tower.head_dim % 2 == 0, tower.gemma ? "head_dim" : "num_heads",
        fmt::format("heads of {}, but rotary embedding turns pairs of elements", tower.head_dim));
    reader.finish();
    return tower;
}

VisionParameters count_parameters(const VisionTower& tower) {
    ModelSpec none = transformer_of(tower);
    const ParameterCount layers = count_parameters(none);
    none.layers.clear();
    const double final_norm = count_parameters(none).norms;
    VisionParameters count;
    const double hidden = real(tower.hidden), merged = real(merged_width(tower));
    const double out = real(tower.out_hidden);
    count.attention = layers.attention;
    count.feed_forward = layers.dense_ffn;
    count.norms = layers.norms - final_norm;
    count.patch_embedding = real(patch_elements(tower)) * hidden + (tower.gemma ? 0 : hidden);
    count.positions = real(tower.position_rows) * hidden * (tower.gemma ? 2 : 1);
    // Gemma: scale and shift, the projection. Qwen: the norm, two layers with biases.
    count.merger = tower.gemma ? 2 * hidden + hidden * out
                               : 2 * hidden + merged * merged + merged + merged * out + out;
    return count;
}

Bytes weight_bytes(const VisionTower& tower) {
    return Bytes(count_parameters(tower).total() * bytes_of(stream_format));
}

PatchGrid patch_grid(const VisionTower& tower, const ImageSize& image) {
    require_at_least_one("width", image.width);
    require_at_least_one("height", image.height);
    require_at_least_one("frames", image.frames);
    if (std::max({image.width, image.height, image.frames}) > most_pixels) {
        throw std::invalid_argument(fmt::format("{} x {} pixels, {} frames: at most {} of each",
                                                image.width, image.height, image.frames,
                                                most_pixels));
    }
    const long times = (image.frames + tower.temporal_patch - 1) / tower.temporal_patch;
    if (tower.image_tokens == 0) {
        const double side = real(tower.patch * tower.merge);
        const auto tokens = [side](long pixels) {
            return std::max(1L, std::lround(real(pixels) / side));
        };
        return {times, tokens(image.height) * tower.merge, tokens(image.width) * tower.merge};
    }
    const auto [rows, columns] =
        fitted(tower, image, image.frames > 1 ? tower.frame_tokens : tower.image_tokens);
    return {times, rows * tower.merge, columns * tower.merge};
}

long image_tokens(const VisionTower& tower, const ImageSize& image) {
    return patch_grid(tower, image).patches() / (tower.merge * tower.merge);
}

VisionOperators vision_operators(const VisionTower& tower, const ImageSize& image, long images) {
    require_at_least_one("images", images);
    const PatchGrid grid = patch_grid(tower, image);
    const long patches = images * grid.patches(), tokens = images * image_tokens(tower, image);
    const double size = real(patches * tower.hidden), element = bytes_of(stream_format);
    const ModelSpec model = transformer_of(tower);
    VisionOperators operators;
    operators.layers = tower.layers;

    operators.enter = {
        plain_product("vision_patch_embedding", patches, tower.hidden, patch_elements(tower)),
        {"vision_positions", VectorWork{"positions", size, tower.gemma ? 2.0 : 1.0,
                                        (tower.gemma ? 3 : 2) * size * element, size * element}}};

    const long seen = grid.rows * grid.columns;
    const StepShape shape{Phase::decode, images * grid.times, seen, seen, 1, AttentionSplit::heads};
    operators.layer =
        training_forward(attention_block(model, Precision{}, shape, model.layers.front()));
    for (Operator& op : dense_ffn_block(model, Precision{}, patches, 1)) {
        operators.layer.push_back(std::move(op));
    }
    for (Operator& op : operators.layer) {
        op.name =
            std::holds_alternative<Attention>(op.body) ? "vision_attention" : "vision_" + op.name;
    }

    const long merged = merged_width(tower);
    if (tower.gemma) {
        const double pooled = real(tokens * tower.hidden) * element;
        operators.leave = {
            {"vision_pool", VectorWork{"pool", size, 2, 2 * size * element, pooled}},
            norm("vision_output_norm", tokens, tower.hidden),
            plain_product("vision_projection", tokens, tower.out_hidden, tower.hidden)};
    } else {
        operators.leave = {residual_norm("vision_output_norm", patches, tower.hidden),
                           plain_product("vision_merge", tokens, merged, merged),
                           activate(model, "vision_merge", tokens, merged, stream_format),
                           plain_product("vision_projection", tokens, tower.out_hidden, merged)};
    }
    return operators;
}

Flops vision_flops(const VisionTower& tower, const ImageSize& image) {
    const VisionOperators operators = vision_operators(tower, image, 1);
    return Flops(matrix_work(operators.enter) +
                 static_cast<double>(operators.layers) * matrix_work(operators.layer) +
                 matrix_work(operators.leave));
}

}  // namespace podsim
