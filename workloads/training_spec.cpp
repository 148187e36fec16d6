#include "workloads/training_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/names.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

const std::vector<std::pair<const char*, ContextExchange>>& names_of(const ContextExchange*) {
    static const std::vector<std::pair<const char*, ContextExchange>> names = {
        {"ring", ContextExchange::ring},
        {"all_gather", ContextExchange::all_gather},
        {"all_to_all", ContextExchange::all_to_all}};
    return names;
}

namespace {

const std::vector<std::pair<const char*, RankDimension>>& dimension_names() {
    static const std::vector<std::pair<const char*, RankDimension>> names = {
        {"tp", RankDimension::tensor},
        {"cp", RankDimension::context},
        {"dp", RankDimension::data},
        {"pp", RankDimension::pipeline}};
    return names;
}

}  // namespace

std::optional<TrainingPlacement> placement_from(const std::string& text) {
    TrainingPlacement placement;
    if (text == "topology") return placement;
    placement.kind = PlacementKind::flat;
    if (text == "flat") return placement;
    placement.kind = PlacementKind::given;
    std::vector<std::string> words(1);
    for (const char letter : text) {
        if (letter == '-') {
            words.emplace_back();
        } else {
            words.back() += letter;
        }
    }
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i] != "ep" || words[i + 1] != "dp") continue;
        words.erase(words.begin() + static_cast<long>(i));
        break;
    }
    if (words.size() != placement.order.size()) return {};
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& names = dimension_names();
        const auto found = std::find_if(names.begin(), names.end(),
                                        [&](const auto& one) { return words[i] == one.first; });
        if (found == names.end() || std::count(words.begin(), words.end(), words[i]) > 1) return {};
        placement.order[i] = found->second;
    }
    return placement;
}

std::string to_string(const RankOrder& order) {
    std::string text;
    for (const RankDimension one : order) {
        for (const auto& [name, dimension] : dimension_names()) {
            if (dimension == one) text += (text.empty() ? "" : "-") + std::string(name);
        }
    }
    return text;
}

std::string to_string(const TrainingPlacement& placement) {
    if (placement.kind == PlacementKind::given) return to_string(placement.order);
    return placement.kind == PlacementKind::flat ? "flat" : "topology";
}

ScheduleRequest TrainingPlan::request(const TrainingJob& job) const {
    ScheduleRequest request;
    request.kind = schedule;
    request.stages = pipeline_parallel;
    request.positions_per_stage = more.positions_per_stage;
    if (request.positions_per_stage == 0) {
        request.positions_per_stage = 1;
        request.positions_per_stage = podsim::positions_per_stage(request);
    }
    request.micro_batches = micro_batches(job);
    request.overlaps = overlap_passes;
    return request;
}

long TrainingPlan::micro_batches(const TrainingJob& job) const {
    if (part.micro_batches > 0) return part.micro_batches;
    const long all = micro_batch * data_parallel;
    return (job.global_batch + all - 1) / all;
}

long TrainingPlan::tokens(const TrainingJob& job) const {
    return micro_batch * job.sequence / more.context_parallel;
}

long TrainingPlan::own_tokens(const TrainingJob& job) const {
    const long ranks = more.sequence_parallel ? tensor_parallel : 1;
    return (tokens(job) + ranks - 1) / ranks;
}

namespace {

long position_count(const TrainingJob& job, const TrainingPlan& plan) {
    return static_cast<long>(plan.pipeline_parallel) * plan.request(job).positions_per_stage;
}

// Layers of each position: what does not divide goes to the middle, then to the first, then to the
// last.
std::vector<long> layers_of_positions(long layers, long positions) {
    std::vector<long> counts(static_cast<std::size_t>(positions), layers / positions);
    long left = layers % positions;
    for (std::size_t i = 1; i + 1 < counts.size() && left > 0; ++i, --left) ++counts[i];
    if (left > 0) ++counts.front();
    return counts;
}

}  // namespace

std::vector<TrainingPosition> positions_of(const TrainingJob& job, const TrainingPlan& plan) {
    const long positions = position_count(job, plan);
    const std::vector<long> counts = plan.more.layers.empty()
                                         ? layers_of_positions(layer_count(job.model), positions)
                                         : plan.more.layers;
    std::vector<TrainingPosition> list;
    long begin = 0;
    for (const long count : counts) {
        TrainingPosition one;
        one.begin = begin;
        one.end = begin += count;
        if (const long again = plan.recompute.layers(); again > 0 && (again < count || count == 0))
            one.again = std::min(again, count);
        list.push_back(one);
    }
    list.front().embedding = true;
    list.back().head = true;
    list.back().drafts = job.has_drafts();
    return list;
}

TrainingPosition layer_of(const TrainingPosition& position, long layer) {
    TrainingPosition one;
    one.begin = layer;
    one.end = layer + 1;
    one.again = position.makes_again(layer) ? -1 : 0;
    return one;
}

std::string work_of(const TrainingJob& job, const TrainingPosition& position) {
    std::string text = position.embedding ? "embedding, " : "";
    for (const LayerCount& alike : layer_kinds(job.model, position.begin, position.end)) {
        text += fmt::format("{} of attention {}{}{}{}, ", alike.count, alike.kind.attention,
                            alike.kind.experts ? " with experts" : "",
                            alike.kind.hash_routed ? " by hash" : "",
                            alike.kind.engram ? " with memory" : "");
    }
    if (position.drafts) text += "drafts, ";
    if (position.head) text += "head, ";
    if (position.again >= 0) text += fmt::format("{} again, ", position.again);
    return text;
}

HeldParameters held_by(const TrainingJob& job, const TrainingPlan& plan,
                       const TrainingPosition& position) {
    ModelSlice slice;
    slice.begin = position.begin;
    slice.end = position.end;
    slice.embedding = position.embedding;
    slice.head = position.head;
    slice.drafts = position.drafts;
    slice.tensor_parallel = plan.tensor_parallel;
    slice.expert_parallel = plan.expert_parallel;
    slice.expert_tensor_parallel = plan.more.expert_tensor_parallel;
    HeldParameters held = parameters_of(job.model, slice);
    if (job.experts.redundant > 0 && job.model.routed_experts > 0) {
        held.experts *= 1 + static_cast<double>(job.experts.redundant) /
                                static_cast<double>(job.model.routed_experts);
    }
    return held;
}

RoutedLoad routed_load(const TrainingJob& job, const TrainingPlan& plan) {
    const bool even = job.experts.popularity == Popularity::balanced;
    if (!has_experts(job.model) || (even && job.experts.capacity_factor == 0)) return {};
    const StepSpec step = expert_step(job, plan, false);
    const ExpertLayout layout = expert_layout(step);
    RoutedLoad sum{0, 0};
    double layers = 0;
    std::map<std::size_t, ExpertLoad> known;
    for (long layer = 0; layer < layer_count(job.model); ++layer) {
        if (!job.model.layers[static_cast<std::size_t>(layer)].experts) continue;
        const std::size_t balance = layout.balances.empty() ? 0 : layout.balance_of(layer);
        const auto [it, fresh] = known.try_emplace(balance);
        if (fresh)
            it->second =
                expert_load(step, layout, static_cast<double>(plan.own_tokens(job)), balance);
        sum.imbalance += it->second.imbalance;
        sum.dropped += it->second.dropped;
        layers += 1;
    }
    return layers > 0 ? RoutedLoad{sum.imbalance / layers, sum.dropped / layers} : RoutedLoad{};
}

long routed_domains(const TrainingJob& job, const TrainingPlan& plan) {
    const long groups = job.model.expert_groups, chosen = job.model.groups_per_token;
    if (!job.experts.node_limited || groups <= 1 || chosen >= groups || job.domain_ranks == 0)
        return 0;
    const long ranks = static_cast<long>(plan.expert_parallel) * plan.more.expert_tensor_parallel;
    const long domains = (ranks + job.domain_ranks - 1) / job.domain_ranks;
    const long of_group = std::max(1L, (domains + groups - 1) / groups);
    return chosen * of_group < domains ? chosen * of_group : 0;
}

StepSpec expert_step(const TrainingJob& job, const TrainingPlan& plan, bool gradients) {
    StepSpec step;
    step.model = job.model;
    step.precision = job.precision;
    // What comes back in the forward pass goes out in the backward pass; the way back is BF16.
    if (gradients) {
        if (!job.habits().narrow_gradient_dispatch) step.precision.dispatch = job.precision.combine;
        step.precision.combine = DType::bf16;
    }
    step.mapping.expert_parallel = plan.expert_parallel;
    step.mapping.data_parallel =
        static_cast<int>(plan.stage_ranks() / plan.more.expert_tensor_parallel);
    step.experts = job.experts;
    step.phase = Phase::prefill;
    return step;
}

}  // namespace podsim
