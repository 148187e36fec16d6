#include "models/family.hpp"

#include "models/families.hpp"

namespace podsim {

namespace {

Registry<ReadFamily> all_families() {
    Registry<ReadFamily> families("model family");
    register_families(families);
    return families;
}

}  // namespace

void register_families(Registry<ReadFamily>& families) {
    families.add("deepseek_v3",
                 "DeepSeek-V3 and R1: multi-head latent attention, fine-grained experts chosen "
                 "by group, shared experts, multi-token prediction.",
                 read_deepseek_v3);
    families.add("llama", "Llama: grouped-query attention, dense FFN; without biases.", read_llama);
    families.add("mixtral",
                 "Mixtral: grouped-query attention over the whole context, softmax-routed experts "
                 "in every layer.",
                 read_mixtral);
    families.add("qwen3",
                 "Qwen3, dense: grouped-query attention with normed queries and keys over the "
                 "whole context, dense FFN.",
                 read_qwen3);
    families.add("qwen3_moe",
                 "Qwen3 with experts: Qwen3's attention, softmax-routed experts in every layer, "
                 "none shared.",
                 read_qwen3_moe);
}

std::vector<std::string> known_families() {
    return all_families().names();
}

ModelSpec read_model(const Node& config, const std::string& name) {
    ConfigReader reader(config);
    const std::string family = reader.text("model_type");
    reader.finish();  // without a family the other keys have no meaning
    const Registry<ReadFamily> families = all_families();
    ModelSpec model = families.find(family, reader.place_of("model_type"), "model_type")(reader);
    reader.finish();
    model.name = name;
    model.family = family;
    return model;
}

}  // namespace podsim
