// What holds of training for every shipped model, every micro-batch, division and policy.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "models/training_memory.hpp"
#include "models/vision.hpp"
#include "tests/unit/models/shipped_models.hpp"

namespace podsim {
namespace {

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}

const std::vector<ModelSpec>& models() {
    static const std::vector<ModelSpec> all = [] {
        std::vector<ModelSpec> read;
        for (const std::string& name : names_in_configs("model")) {
            read.push_back(shipped_model(name));
        }
        return read;
    }();
    return all;
}
const ModelSpec& any_model() {
    return models()[static_cast<std::size_t>(any(0, static_cast<long>(models().size()) - 1))];
}
// Divides the heads of the model.
int any_division(const ModelSpec& model) {
    std::vector<int> ranks;
    for (const int tensor_parallel : {1, 2, 4, 8}) {
        if (division_problem(model, tensor_parallel).empty()) ranks.push_back(tensor_parallel);
    }
    return *rc::gen::elementOf(ranks);
}
LayerKind any_layer(const ModelSpec& model) {
    return model.layers[static_cast<std::size_t>(any(0, layer_count(model) - 1))];
}
Precision any_precision() {
    Precision precision;
    if (*rc::gen::arbitrary<bool>()) {
        precision.weights = precision.experts = precision.activations = DType::fp8;
    }
    return precision;
}
Recompute any_recompute() {
    return {false, *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>(),
            *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>()};
}

double products(const std::vector<Operator>& operators) {
    double sum = 0;
    for (const Operator& op : operators) {
        const bool index = op.name.starts_with("index_");
        if (std::holds_alternative<Gemm>(op.body) && !index) sum += work_of(op.body).value();
    }
    return sum;
}

TEST(TrainingProperty, GradientsOfProductsAreTwiceForward) {
    EXPECT_TRUE(rc::check("FLOP(dX) = FLOP(dW) = FLOP(forward) of attention's products", [] {
        const ModelSpec& model = any_model();
        const long tokens = any(1, 5000);
        const StepShape shape{Phase::prefill, any(1, 4),           tokens,
                              tokens,         any_division(model), AttentionSplit::heads};
        const auto forward =
            training_forward(attention_block(model, any_precision(), shape, any_layer(model)));
        const Backward back = backward_of(model, forward);
        RC_ASSERT(products(back.input) == products(forward));
        RC_ASSERT(products(back.weight) == products(forward));
        for (const Operator& op : back.input) require_valid(op);
        for (const Operator& op : back.weight) require_valid(op);
    }));
}

TEST(TrainingProperty, WhatRunsAgainRanBefore) {
    EXPECT_TRUE(
        rc::check("recomputed operators are a part of forward, in its order, of no more bytes", [] {
            const ModelSpec& model = any_model();
            const long tokens = any(1, 5000);
            const StepShape shape{Phase::prefill, 1, tokens, tokens, 1, AttentionSplit::heads};
            const auto forward =
                training_forward(attention_block(model, any_precision(), shape, any_layer(model)));
            auto at = forward.begin();
            for (const Operator& op : recomputed(forward, any_recompute())) {
                at = std::find_if(at, forward.end(),
                                  [&](const Operator& first) { return first.name == op.name; });
                RC_ASSERT(at != forward.end());
                RC_ASSERT(compulsory_bytes_of(op.body).value() <=
                          compulsory_bytes_of(at->body).value());
                RC_ASSERT(work_of(op.body).value() <= work_of(at->body).value());
                ++at;
            }
        }));
}

TEST(TrainingProperty, KeptActivations) {
    EXPECT_TRUE(
        rc::check("follow tokens; less with recomputing, least with all; less with division", [] {
            const ModelSpec& model = any_model();
            const Precision precision = any_precision();
            const LayerKind layer = any_layer(model);
            ActivationShape shape;
            shape.tokens = any(1, 10'000);
            shape.sequence = any(1, 100'000);
            shape.flash_attention = *rc::gen::arbitrary<bool>();
            shape.dropout = *rc::gen::arbitrary<bool>();
            const auto bytes = [&](const ActivationShape& of, const Recompute& recompute) {
                return total_of(kept_activations(model, precision, layer, of, recompute)).value();
            };
            const Recompute some = any_recompute();
            const double all = bytes(shape, {}), part = bytes(shape, some);
            RC_ASSERT(part <= all);
            RC_ASSERT(bytes(shape, parts_of(RecomputePolicy::full)) <= part);

            ActivationShape twice = shape;
            twice.tokens *= 2;
            RC_ASSERT(std::abs(bytes(twice, some) - 2 * part) <= 1e-9 * part);

            ActivationShape divided = shape;
            divided.tensor_parallel = any_division(model);
            const double without_sequence = bytes(divided, some);
            divided.sequence_parallel = true;
            RC_ASSERT(without_sequence <= part);
            RC_ASSERT(bytes(divided, some) <= without_sequence);
            RC_ASSERT(bytes(divided, some) >= part / divided.tensor_parallel * (1 - 1e-9));
        }));
}

TEST(TrainingProperty, States) {
    EXPECT_TRUE(
        rc::check("a higher stage of ZeRO never holds more, and never less than a fair share", [] {
            const ModelSpec& model = any_model();
            const HeldParameters held = parameters_of(model, whole(model));
            OptimizerFormats formats;
            if (*rc::gen::arbitrary<bool>()) formats.optimizer = Optimizer::muon;
            if (*rc::gen::arbitrary<bool>()) formats.moments = DType::bf16;
            const long ranks = any(1, 1000);
            const double whole_state = training_state(held, {}, formats, {}).total().value();
            double before = whole_state;
            for (int stage = 0; stage <= 3; ++stage) {
                const double now =
                    training_state(held, {}, formats, {stage, ranks, ranks}).total().value();
                RC_ASSERT(now <= before);
                RC_ASSERT(now >= whole_state / static_cast<double>(ranks) * (1 - 1e-9));
                before = now;
            }
            RC_ASSERT(std::abs(before * static_cast<double>(ranks) - whole_state) <=
                      1e-9 * whole_state);
        }));
}

// Any division over ranks holds the whole model between its ranks, and no less.
TEST(TrainingProperty, RanksHoldTheModelBetweenThem) {
    EXPECT_TRUE(rc::check("parameters of all ranks together are at least the model's", [] {
        const ModelSpec& model = any_model();
        ModelSlice slice = whole(model);
        slice.tensor_parallel = any_division(model);
        slice.expert_parallel = static_cast<int>(any(1, 64));
        const HeldParameters all = parameters_of(model, whole(model));
        const HeldParameters one = parameters_of(model, slice);
        RC_ASSERT(one.experts * slice.expert_parallel >= all.experts);
        RC_ASSERT(one.matrices * slice.tensor_parallel >= all.matrices);
        RC_ASSERT(one.total() <= all.total());
    }));
}

TEST(VisionProperty, GemmaKeepsItsBudget) {
    EXPECT_TRUE(rc::check("no image takes more tokens than the budget; operators are valid", [] {
        const std::string name = "gemma-4-31b";
        static const VisionTower tower =
            read_vision_tower(read_yaml(configs_root + "/models/" + name + ".yaml"),
                              shipped_model(name))
                .value();
        const ImageSize image{any(1, 20'000), any(1, 20'000), any(1, 8)};
        const long tokens = image_tokens(tower, image);
        RC_ASSERT(tokens >= image.frames);
        RC_ASSERT(tokens <=
                  (image.frames > 1 ? image.frames * tower.frame_tokens : tower.image_tokens));
        const VisionOperators operators = vision_operators(tower, image, any(1, 3));
        for (const auto& part : {operators.enter, operators.layer, operators.leave}) {
            for (const Operator& op : part) require_valid(op);
        }
    }));
}

}  // namespace
}  // namespace podsim
