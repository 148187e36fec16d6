#include "sim/aged_steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "base/form.hpp"
#include "models/sizes.hpp"
#include "sim/routing_file.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

// Shares of the popularity that has moved, for which steps are worked out: 0, 1/4, ... 1.
constexpr std::size_t kLevels = 5;

}  // namespace

AgedSteps::AgedSteps(const ModelSpec& model, const SpeculationSpec& speculation,
                     const ResolvedAlternative& replica, std::shared_ptr<StepTable> fresh,
                     Fidelity fidelity, std::string cache_folder)
    : model_(model),
      speculation_(speculation),
      replica_(replica),
      fidelity_(fidelity),
      cache_folder_(std::move(cache_folder)),
      aged_(kLevels, replica),
      tables_(kLevels) {
    tables_.front() = std::move(fresh);
    for (std::size_t level = 0; level < kLevels; ++level) {
        aged_[level].pool.experts.moved =
            static_cast<double>(level) / static_cast<double>(kLevels - 1);
    }
}

StepTable& AgedSteps::at_level(std::size_t level) {
    std::shared_ptr<StepTable>& table = tables_[level];
    if (!table)
        table = std::make_shared<StepTable>(model_, speculation_, aged_[level], fidelity_,
                                            cache_folder_);
    return *table;
}

StepCost AgedSteps::cost(const StepLoad& load) {
    const double place = std::clamp(load.moved, 0.0, 1.0) * static_cast<double>(kLevels - 1);
    const auto below = std::min(static_cast<std::size_t>(place), kLevels - 2);
    const double into = place - static_cast<double>(below);
    if (into == 0) return at_level(below).cost(load);
    return (1 - into) * at_level(below).cost(load) + into * at_level(below + 1).cost(load);
}

double AgedSteps::imbalance(double sequences, double context, double moved) {
    ResolvedAlternative aged = replica_;
    aged.pool.experts.moved = moved;
    const StepTable table(model_, speculation_, aged, fidelity_, "");
    return table.expert_imbalance(sequences, context);
}

double AgedSteps::expected_imbalance(double moved) const {
    StepSpec spec;
    spec.model = model_;
    spec.precision = replica_.pool.precision;
    spec.mapping = replica_.pool.mapping;
    spec.experts = replica_.pool.experts;
    spec.experts.moved = moved;
    const ExpertLayout layout = expert_layout(spec);
    double sum = 0;
    for (const SlotChances& slots : layout.balances) sum += podsim::expected_imbalance(slots);
    return layout.balances.empty() ? 1 : sum / static_cast<double>(layout.balances.size());
}

//   moved(a) = 1 - exp(-a / t),   a = -t ln(1 - moved)
std::optional<Seconds> AgedSteps::first_above(double above, Seconds drift_time,
                                              Seconds every) const {
    constexpr int steps = 64, halvings = 30;
    double low = 0, high = 0;
    bool found = expected_imbalance(0) > above;
    for (int i = 1; i <= steps && !found; ++i) {
        low = high;
        high = static_cast<double>(i) / steps;
        found = expected_imbalance(high) > above;
    }
    if (!found) return {};
    if (high == 0 && !(every > Seconds(0.0)))
        throw std::invalid_argument(
            fmt::format("the busiest rank has {:.3g} times the mean just after placing",
                        expected_imbalance(0)));
    for (int i = 0; i < halvings && high > 0; ++i) {
        const double middle = (low + high) / 2;
        (expected_imbalance(middle) > above ? high : low) = middle;
    }
    if (high >= 1) return {};  // not in any time
    const Seconds at = drift_time * -std::log1p(-high);
    if (!(every > Seconds(0.0))) return at;
    return every * std::max(1.0, std::ceil(at / every));
}

ExpertMigration AgedSteps::migration(double moved, Seconds pause) const {
    StepSpec spec;
    spec.model = model_;
    spec.precision = replica_.pool.precision;
    spec.mapping = replica_.pool.mapping;
    spec.experts = replica_.pool.experts;
    const ExpertLayout layout = expert_layout(spec);
    const int ranks = layout.routed_ranks;
    const long slots = layout.slots_per_rank * ranks;
    double busiest = 0, all = 0, counted = 0;
    for (const LayerPopularity& layer : expert_popularity(spec)) {
        const auto placed = [&](const std::vector<double>& shares) {
            return place_experts(shares, slots, ranks, spec.experts.placement);
        };
        const ReceivedExperts received =
            received_experts(placed(layer.shares), placed(layer.moved(moved)), ranks);
        busiest += static_cast<double>(received.busiest);
        all += static_cast<double>(received.all);
        counted += 1;
    }
    long layers = 0;
    for (const LayerKind& kind : model_.layers) layers += kind.experts ? 1 : 0;
    // Each rank of a pipeline has its own stage's layers, all at once.
    const double own = static_cast<double>(layers) / spec.mapping.pipeline_parallel;
    const double each =
        weight_bytes(model_, spec.precision, spec.mapping.tensor_parallel, spec.mapping.attention)
            .routed_expert.value();
    const RankFabric fabric = rank_fabric(replica_.system, replica_.chip.ranks);
    const bool within = layout.group_ranks <= fabric.domain_ranks;
    const double port = (within ? fabric.scale_up : fabric.scale_out).value();
    ExpertMigration result;
    result.received = busiest / counted * own;
    result.bytes =
        all / counted * static_cast<double>(layers) * each * static_cast<double>(layout.groups);
    result.stall = result.received * each / layout.width_ranks / port + pause.value();
    return result;
}

void load_drift(const ExpertBalanceSpec& spec, const WorkloadSpec& workload, PoolSpec& pool,
                const ModelSpec& model, Catalog& catalog) {
    ExpertsSpec& experts = pool.experts;
    Problems problems;
    if (!has_experts(model))
        problems.push_back(at_key(workload, "expert_balance",
                                  fmt::format("{} has no experts", model.name), "remove it"));
    const bool counted = experts.popularity == Popularity::histogram;
    if (!counted && experts.popularity != Popularity::zipf)
        problems.push_back(at_key(pool, "experts.popularity",
                                  "expert_balance: there is nothing to drift where experts are "
                                  "equally popular",
                                  "popularity: zipf or histogram"));
    if ((spec.rebalance_every || spec.rebalance_above) &&
        experts.placement != ExpertPlacement::eplb)
        problems.push_back(
            at_key(pool, "experts.placement",
                   fmt::format("expert_balance.{}: experts that lie in order are "
                               "not placed by their popularity",
                               spec.rebalance_every ? "rebalance_every" : "rebalance_above"),
                   "placement: eplb"));
    if (!spec.drift_part.empty() && !counted)
        problems.push_back(at_key(workload, "expert_balance.drift_part",
                                  "names a part of a histogram, popularity is none",
                                  "experts: {popularity: histogram, histogram: FILE}"));
    if (!problems.empty()) throw InputError(std::move(problems));
    if (spec.drift_part.empty()) return;
    const Place place = workload.places.of("expert_balance");
    const std::string path = "workload.expert_balance.drift_part";
    const std::string name = experts.histogram + "#" + spec.drift_part;
    if (!catalog.holds("routing", name)) {
        const std::string file =
            catalog.file_of("routing", experts.histogram, pool.places.of("experts.histogram"),
                            pool.path + ".experts.histogram");
        catalog.embed("routing", name, read_routing(file, spec.drift_part));
    }
    experts.toward = expert_counts(catalog.load("routing", name, place, path));
    if (experts.toward.size() != experts.counts.size())
        throw InputError({at_key(workload, "expert_balance.drift_part",
                                 fmt::format("counts {} layers, experts.histogram_part {}",
                                             experts.toward.size(), experts.counts.size()))});
}

}  // namespace podsim
