// What the audit knows of a vision tower: sizes of a config's vision_config and closed forms of
// what an image costs, written a second time, without models/vision.
//
// With P patches of an image or video, S of them in one time step (each sees these S), hidden d,
// heads h of e, FFN f, patches of c numbers, T = P / r^2 tokens of D, in multiply-adds:
//
//   enter  P c d      a layer  P (4 d h e + 2 S h e + n d f)      n = 3 gated (Gemma), else 2
//   leave  Gemma: T d D          Qwen: T (r^2 d) (r^2 d + D)
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace podsim {

struct AuditTower {
    bool pools = false;  // Gemma: a budget of tokens, means of patches, gated FFN
    double layers = 0, hidden = 0, heads = 0, head_dim = 0, intermediate = 0;
    double patch = 0, frames = 1, channels = 3, merge = 1, positions = 0, out = 0;
    double image_budget = 0, frame_budget = 0;

    double merged() const { return merge * merge * hidden; }
    double patch_numbers() const { return patch * patch * frames * channels; }
    double matrices() const;  // elements, without biases, norms and positions
};

// Throws std::runtime_error for a missing size or a tower without closed forms here.
AuditTower read_audit_tower(const nlohmann::ordered_json& model, const std::string& name);

// Of each prompt.
struct AuditImages {
    AuditTower tower;
    double count = 0, width = 0, height = 0, frames = 1;

    double tokens() const;         // of one image
    double multiply_adds() const;  // of one image
    double step_tokens() const;    // of one time step of it
    double time_steps() const;
};

}  // namespace podsim
