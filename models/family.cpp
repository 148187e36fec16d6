#include "models/family.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "models/deepseek_v3.hpp"
#include "models/llama.hpp"
#include "models/mixtral.hpp"
#include "models/qwen3.hpp"
#include "models/qwen3_moe.hpp"

namespace podsim {

namespace {

Registry<Family> all_families() {
    Registry<Family> families("model family");
    register_families(families);
    return families;
}

}  // namespace

void register_families(Registry<Family>& families) {
    families.add("deepseek_v3",
                 "DeepSeek-V3 and R1: multi-head latent attention, fine-grained experts chosen "
                 "by group, shared experts, multi-token prediction.",
                 deepseek_v3_family());
    families.add("llama", "Llama: grouped-query attention, dense FFN; without biases.",
                 llama_family());
    families.add("mixtral",
                 "Mixtral: grouped-query attention over the whole context, softmax-routed experts "
                 "in every layer.",
                 mixtral_family());
    families.add("qwen3",
                 "Qwen3, dense: grouped-query attention with normed queries and keys over the "
                 "whole context, dense FFN.",
                 qwen3_family());
    families.add("qwen3_moe",
                 "Qwen3 with experts: Qwen3's attention, softmax-routed experts in every layer, "
                 "none shared.",
                 qwen3_moe_family());
}

Family family_of(const ModelSpec& model) {
    return all_families().find(model.family, Place{}, "model_type");
}

std::vector<std::string> known_families() {
    return all_families().names();
}

ModelSpec read_model(const Node& config, const std::string& name) {
    ConfigReader reader(config);
    const std::string family = reader.text("model_type");
    reader.finish();  // without a family the other keys have no meaning
    const Registry<Family> families = all_families();
    ModelSpec model =
        families.find(family, reader.place_of("model_type"), "model_type").read(reader);
    reader.finish();
    model.name = name;
    model.family = family;
    return model;
}

std::vector<Operator> AttentionBlock::all() const {
    std::vector<Operator> operators = project;
    operators.insert(operators.end(), attend.begin(), attend.end());
    operators.insert(operators.end(), output.begin(), output.end());
    return operators;
}

AttentionBlock attention_parts(const ModelSpec& model, const Precision& precision,
                               const StepShape& shape) {
    if (shape.split == AttentionSplit::sp_tp_sp && model.kv_rank == 0) {
        throw std::invalid_argument(
            fmt::format("{}: attention sp-tp-sp is for latent attention", model.name));
    }
    return family_of(model).attention_parts(model, precision, shape);
}

std::vector<Operator> attention_block(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape) {
    return attention_parts(model, precision, shape).all();
}

}  // namespace podsim
