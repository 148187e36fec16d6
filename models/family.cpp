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
    families.add("deepseek_v2",
                 "DeepSeek-V2: latent attention, experts chosen by group with softmax scores.",
                 read_deepseek_v2);
    families.add("deepseek_v3",
                 "DeepSeek-V3 and R1: multi-head latent attention, fine-grained experts chosen "
                 "by group, shared experts, multi-token prediction.",
                 read_deepseek_v3);
    families.add("deepseek_v32",
                 "DeepSeek-V3.2: DeepSeek-V3 with an indexer that chooses the tokens attended to.",
                 read_deepseek_v32);
    families.add("deepseek_v4",
                 "DeepSeek-V4: compressed sparse, heavily compressed and window attention, "
                 "hash-routed first layers, hyper-connections, multi-token prediction.",
                 read_deepseek_v4);
    families.add("gemma4", "Gemma 4, dense: sliding and full layers, whose values are the keys.",
                 read_gemma4);
    families.add("gemma4_text", "Gemma 4 without its other senses.", read_gemma4);
    families.add("glm_moe_dsa", "GLM-5: DeepSeek-V3.2's layout with sizes of its own.",
                 read_deepseek_v32);
    families.add("gpt2",
                 "GPT-2, GPT-3 and Megatron's dense models: multi-head attention, ungated FFN, "
                 "LayerNorm, biases, learned positions.",
                 read_gpt);
    families.add("gpt_oss",
                 "gpt-oss: grouped queries with biases and sinks, sliding and full layers, "
                 "softmax-routed experts.",
                 read_gpt_oss);
    families.add("hunyuan_v1_moe",
                 "Hunyuan-A13B: grouped-query attention, softmax-routed and shared experts.",
                 read_hunyuan);
    families.add("kimi_k2", "Kimi-K2: DeepSeek-V3's layout with fewer heads and more experts.",
                 read_deepseek_v3);
    families.add("llama", "Llama: grouped-query attention, dense FFN; without biases.", read_llama);
    families.add("minimax_m2",
                 "MiniMax-M2: grouped-query attention, sigmoid-routed experts in every layer.",
                 read_minimax_m2);
    families.add("mixtral",
                 "Mixtral: grouped-query attention, softmax-routed experts in every layer.",
                 read_mixtral);
    families.add("PanguProMoE",
                 "Pangu Pro MoE: grouped-query attention, one expert of each group, a shared one.",
                 read_pangu);
    families.add("qwen3",
                 "Qwen3, dense: grouped-query attention with normed queries and keys over the "
                 "whole context, dense FFN.",
                 read_qwen3);
    families.add("qwen3_5_moe",
                 "Qwen3.5 with experts: gated delta net and full layers, softmax-routed and "
                 "shared experts, multi-token prediction.",
                 read_qwen3_5_moe);
    families.add("qwen3_5_moe_text", "Qwen3.5 with experts without its other senses.",
                 read_qwen3_5_moe);
    families.add("qwen3_moe",
                 "Qwen3 with experts: Qwen3's attention, softmax-routed experts in every layer, "
                 "none shared.",
                 read_qwen3_moe);
    families.add("step3_text",
                 "Step-3: multi-matrix factorization attention, layers of experts by list.",
                 read_step3);
}

std::vector<std::string> known_families() {
    return all_families().names();
}

namespace {

// Which family a config is of. Without a known one its other keys have no meaning.
ReadFamily find_family(const Registry<ReadFamily>& families, ConfigReader& reader,
                       std::string& family) {
    try {
        family = reader.text("model_type");
        reader.finish();
        return families.find(family, reader.place_of("model_type"), "model_type");
    } catch (const InputError& error) {
        const std::vector<std::string> names = families.names();
        std::vector<Diagnostic> problems = error.diagnostics();
        const std::string nearest = nearest_name(family, names);
        std::string& hint = problems.front().hint;
        hint = nearest.empty() ? "" : "did you mean " + nearest + "? ";
        hint += "--as FAMILY reads the keys as those of a family; known: ";
        for (const std::string& name : names) hint += (name == names.front() ? "" : ", ") + name;
        throw InputError(std::move(problems));
    }
}

}  // namespace

ModelSpec read_model(const Node& config, const std::string& name,
                     std::vector<Diagnostic>& unexpected) {
    ConfigReader reader(config);
    const Registry<ReadFamily> families = all_families();
    std::string family;
    ModelSpec model = find_family(families, reader, family)(reader);
    reader.finish();
    unexpected = reader.unexpected();
    model.name = name;
    model.family = family;
    return model;
}

ModelSpec read_model(const Node& config, const std::string& name) {
    std::vector<Diagnostic> unexpected;
    return read_model(config, name, unexpected);
}

}  // namespace podsim
