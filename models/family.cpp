#include "models/family.hpp"

#include "models/deepseek_v3.hpp"

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

std::vector<Operator> attention_block(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape) {
    return family_of(model).attention_block(model, precision, shape);
}

}  // namespace podsim
