#include "sim/audit_vision.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/audit_tree.hpp"

namespace podsim {

double AuditTower::matrices() const {
    const double ffn = (pools ? 3 : 2) * hidden * intermediate;
    const double merger = pools ? hidden * out : merged() * (merged() + out);
    return patch_numbers() * hidden + layers * (4 * hidden * heads * head_dim + ffn) + merger;
}

AuditTower read_audit_tower(const nlohmann::ordered_json& model, const std::string& name) {
    const AuditTree root{&model, name};
    const AuditTree vision = root.get("vision_config");
    const auto text = root.find("text_config");
    const std::string family = vision.get("model_type").text();
    const auto size = [&vision](const char* key) { return vision.get(key).number({}); };
    AuditTower tower;
    tower.pools = family == "gemma4_vision";
    if (!tower.pools && family != "qwen3_5_moe") vision.fail("no closed form for " + family);
    tower.hidden = size("hidden_size");
    tower.intermediate = size("intermediate_size");
    tower.patch = size("patch_size");
    tower.out = (text && text->find("hidden_size") ? *text : root).get("hidden_size").number({});
    if (tower.pools) {
        tower.layers = size("num_hidden_layers");
        tower.heads = size("num_attention_heads");
        tower.head_dim = size("head_dim");
        tower.merge = size("pooling_kernel_size");
        tower.positions = 2 * size("position_embedding_size");
        tower.image_budget = size("default_output_length");
        const auto frame = vision.find("video_seq_length");
        tower.frame_budget = frame ? frame->number({}) : tower.image_budget;
    } else {
        tower.layers = size("depth");
        tower.heads = size("num_heads");
        tower.head_dim = tower.hidden / tower.heads;
        tower.frames = size("temporal_patch_size");
        tower.channels = size("in_channels");
        tower.merge = size("spatial_merge_size");
        tower.positions = size("num_position_embeddings");
    }
    return tower;
}

double AuditImages::time_steps() const {
    return std::ceil(frames / tower.frames);
}

double AuditImages::step_tokens() const {
    const double side = tower.patch * tower.merge;
    if (!tower.pools) {
        return std::max(1.0, std::round(width / side)) * std::max(1.0, std::round(height / side));
    }
    const double budget = frames > 1 ? tower.frame_budget : tower.image_budget;
    // Sides a and b of a x b = budget in the image's shape; a strip is one token high.
    const double shorter = std::min(width, height), longer = std::max(width, height);
    const double across = std::floor(std::sqrt(budget / (width * height)) * shorter);
    if (across < 1) return std::min(std::floor(longer / shorter), budget);
    return across * std::floor(std::sqrt(budget / (width * height)) * longer);
}

double AuditImages::tokens() const {
    return time_steps() * step_tokens();
}

double AuditImages::multiply_adds() const {
    const double seen = step_tokens() * tower.merge * tower.merge;
    const double patches = time_steps() * seen;
    const double attention = tower.heads * tower.head_dim;
    // Each patch goes once through every matrix but the merger's, which take whole tokens.
    const double merger =
        tower.pools ? tower.hidden * tower.out : tower.merged() * (tower.merged() + tower.out);
    return patches * (tower.matrices() - merger + 2 * tower.layers * seen * attention) +
           tokens() * merger;
}

}  // namespace podsim
