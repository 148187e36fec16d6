#include "bench/speed/scenes.hpp"

#include <fmt/format.h>

namespace podsim {

std::string configs_root() {
    return PODSIM_SOURCE_DIR "/configs";
}

Node ep320_experiment(const std::string& batch) {
    return parse_yaml(fmt::format(R"(experiment: EP320 decode
workload:
  kind: decode
  model: deepseek-r1
  context: 4224 tokens
  {}
  speculation: {{draft_tokens: 1, acceptance: 0.7}}
alternatives:
  - name: CloudMatrix384
    system: cloudmatrix384
    chips: 160
    precision: {{weights: int8, experts: int8, activations: int8, dispatch: int8}}
    mapping: {{data_parallel: 320, expert_parallel: 320, micro_batches: 2}}
    experts: {{redundant: 32, shared_ranks: 32}}
    engine: cloudmatrix-infer
)",
                                  batch),
                      "ep320.yaml");
}

Scene resolve_scene(const Node& experiment) {
    Catalog catalog(configs_root());
    Scene scene;
    scene.experiment = resolve(experiment, catalog);
    const ResolvedAlternative& alternative = scene.alternative();
    scene.hardware = rank_hardware(alternative.chip);
    scene.fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    return scene;
}

StepSpec Scene::step(long sequences_per_group) const {
    const PoolSpec& pool = alternative().pool;
    StepSpec spec;
    spec.model = *experiment.model;
    spec.precision = pool.precision;
    spec.mapping = pool.mapping;
    spec.experts = pool.experts;
    spec.speculation = experiment.spec.workload.speculation;
    spec.engine = *alternative().engine;
    spec.sequences_per_group = sequences_per_group;
    spec.context = static_cast<long>(experiment.spec.workload.context.value());
    return spec;
}

CostCache Scene::empty_cache() const {
    return {hardware, alternative().kernels, Fidelity::tile, true};
}

}  // namespace podsim
