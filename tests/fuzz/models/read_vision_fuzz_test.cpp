// Whatever is done to a vision_config, reading it ends in an InputError or in a tower whose
// operators can be built.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <stdexcept>
#include <utility>

#include "models/vision.hpp"

namespace podsim {
namespace {

using Keys = std::vector<std::pair<std::string, std::string>>;

const Keys gemma = {{"model_type", "gemma4_vision"},  {"num_hidden_layers", "27"},
                    {"hidden_size", "1152"},          {"num_attention_heads", "16"},
                    {"num_key_value_heads", "16"},    {"head_dim", "72"},
                    {"intermediate_size", "4304"},    {"attention_bias", "false"},
                    {"use_clipped_linears", "false"}, {"patch_size", "16"},
                    {"pooling_kernel_size", "3"},     {"position_embedding_size", "10240"},
                    {"default_output_length", "280"}, {"video_seq_length", "70"}};
const Keys qwen = {{"model_type", "qwen3_5_moe"},
                   {"depth", "27"},
                   {"hidden_size", "1152"},
                   {"num_heads", "16"},
                   {"intermediate_size", "4304"},
                   {"in_channels", "3"},
                   {"patch_size", "16"},
                   {"temporal_patch_size", "2"},
                   {"spatial_merge_size", "2"},
                   {"num_position_embeddings", "2304"},
                   {"deepstack_visual_indexes", "[]"},
                   {"out_hidden_size", "4096"}};

// Some values replaced, keys dropped, or something else than a map.
std::string damaged(const Keys& keys) {
    if (*rc::gen::inRange(0, 20) == 0) return "vision_config: [1, 2]\n";
    std::string text = "vision_config:\n";
    for (const auto& [key, value] : keys) {
        const int fate = *rc::gen::inRange(0, 12);
        if (fate == 0) continue;
        const std::string other = *rc::gen::element<std::string>(
            "0", "-1", "1", "2", "7", "100", "1000000", "1e30", "3.5", "null", "true", "[1]",
            "{a: 1}", "text", "9999999999999999999999", "\"\"");
        text += "  " + key + ": " + (fate == 1 ? other : value) + "\n";
    }
    return text;
}

TEST(ReadVisionFuzz, EndsInAnErrorOrATower) {
    int towers = 0, errors = 0;
    EXPECT_TRUE(rc::check([&] {
        const std::string text = damaged(*rc::gen::arbitrary<bool>() ? gemma : qwen);
        ModelSpec model;
        model.hidden = 4096;
        try {
            const auto tower = read_vision_tower(parse_yaml(text, "small.yaml"), model);
            if (!tower) return;
            ++towers;
            RC_ASSERT(count_parameters(*tower).total() > 0);
            const VisionOperators operators = vision_operators(*tower, {640, 480, 3}, 2);
            for (const auto& part : {operators.enter, operators.layer, operators.leave}) {
                for (const Operator& op : part) require_valid(op);
            }
        } catch (const InputError& error) {
            ++errors;
            for (const Diagnostic& diagnostic : error.diagnostics()) {
                RC_ASSERT(diagnostic.place.line > 0);
            }
        }
    }));
    EXPECT_GT(towers, 0);
    EXPECT_GT(errors, 0);
}

}  // namespace
}  // namespace podsim
