#include "workloads/training_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "base/names.hpp"
#include "models/attention.hpp"
#include "workloads/step_parts.hpp"
#include "workloads/training_groups.hpp"
#include "workloads/training_placement.hpp"

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
        list.push_back(one);
    }
    list.front().embedding = true;
    list.back().head = true;
    list.back().drafts = job.has_drafts();
    return list;
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

namespace {

// Whatever stands in the way, each once.
class Checker {
  public:
    Checker(const TrainingJob& job, const TrainingPlan& plan) : job_(job), plan_(plan) {}

    std::vector<StepError> run(long ranks) {
        degrees(ranks);
        model_divides();
        if (!found_.empty()) return std::move(found_);
        batch();
        layers();
        if (found_.empty()) {
            const ScheduleRequest request = plan_.request(job_);
            if (const auto problem = schedule_problem(request)) add("schedule", *problem);
        }
        experts();
        if (found_.empty() && plan_.more.unequal_groups) {
            const auto more = group_problems(job_, plan_);
            found_.insert(found_.end(), more.begin(), more.end());
        }
        if (plan_.more.last_block_micro_batches > 0 && !plan_.more.unequal_groups) {
            add("mapping.last_block_micro_batches",
                "is of groups that are not alike; mapping.unequal_groups: true, or leave it away");
        }
        if (found_.empty()) placement();
        if (plan_.offload.optimizer > 0 && plan_.offload.host_memory > BytesPerSecond(0.0) &&
            job_.optimizer.optimizer == Optimizer::muon) {
            add("offload.host_memory",
                "is of Adam alone: Muon's products are the chip's; without it the chip steps");
        }
        if (job_.scaling != NarrowScaling::blocks && bytes_of(job_.precision.activations) > 1) {
            add("scaling",
                fmt::format("{} is of operands of 8 bits and fewer, activations are {}; "
                            "precision.activations: fp8 would, or leave it away",
                            name_of(job_.scaling), to_string(job_.precision.activations)));
        }
        if (plan_.zero_stage == 3 && plan_.pipeline_parallel > 1) {
            add("zero_stage",
                fmt::format("3 would gather all weights again for each of {} micro-batches in a "
                            "pipeline of {} stages; 1 or 2 keeps them for the step",
                            plan_.micro_batches(job_), plan_.pipeline_parallel));
        }
        return std::move(found_);
    }

  private:
    void add(const std::string& key, const std::string& why) { found_.emplace_back(key, why); }

    void degrees(long ranks) {
        if (plan_.ranks() == ranks) return;
        const long others = static_cast<long>(plan_.tensor_parallel) * plan_.more.context_parallel *
                            plan_.pipeline_parallel;
        std::string would = ranks % others == 0
                                ? fmt::format("; data_parallel {} would", ranks / others)
                                : fmt::format("; {} ranks would", plan_.ranks());
        if (plan_.ranks() < ranks && ranks % others != 0)
            would += ", or mapping.unequal_groups: true, which lets what is over stand by";
        add("mapping",
            fmt::format("tensor_parallel {} x context_parallel {} x pipeline_parallel {} x "
                        "data_parallel {} are {} ranks, not {}{}",
                        plan_.tensor_parallel, plan_.more.context_parallel, plan_.pipeline_parallel,
                        plan_.data_parallel, plan_.ranks(), ranks, would));
    }

    void model_divides() {
        const long tensor = plan_.tensor_parallel;
        for (const AttentionSpec& kind : job_.model.attentions) {
            const long heads = std::visit(
                [](const auto& one) {
                    if constexpr (requires { one.heads; }) {
                        return one.heads;
                    } else {
                        return one.value_heads;
                    }
                },
                kind);
            if (heads % tensor == 0) continue;
            long nearest = tensor;
            while (heads % nearest != 0) --nearest;
            add("mapping.tensor_parallel",
                fmt::format("{} does not divide {} heads; {} would", tensor, heads, nearest));
            break;
        }
        if (job_.sequence % plan_.more.context_parallel != 0) {
            add("mapping.context_parallel",
                fmt::format("{} does not divide a sequence of {} tokens",
                            plan_.more.context_parallel, job_.sequence));
        }
        if (plan_.more.sequence_parallel && tensor == 1)
            add("mapping.sequence_parallel", "is of tensor-parallel groups, here of 1 rank");
    }

    void batch() {
        const long per_pass = plan_.micro_batch * plan_.data_parallel;
        if (job_.global_batch % per_pass == 0 || plan_.more.unequal_groups) return;
        const long down = job_.global_batch / per_pass * per_pass;
        const std::string less = down > 0 ? fmt::format("{} or ", down) : "";
        add("global_batch",
            fmt::format("{} sequences do not divide into micro-batches of {} on {} data-parallel "
                        "groups; {}{} would, or mapping.unequal_groups: true",
                        job_.global_batch, plan_.micro_batch, plan_.data_parallel, less,
                        down + per_pass));
    }

    void layers() {
        const long positions = position_count(job_, plan_), have = layer_count(job_.model);
        const std::vector<long>& given = plan_.more.layers;
        if (!given.empty()) {
            const long sum = std::accumulate(given.begin(), given.end(), 0L);
            if (static_cast<long>(given.size()) != positions || sum != have) {
                add("mapping.layers",
                    fmt::format("has {} layers in {} parts, the model has {} in {}", sum,
                                given.size(), have, positions));
            }
            return;
        }
        // The ends may have the embedding and the head alone.
        if (have >= positions || (positions > 2 && have >= positions - 2)) return;
        const long parts = plan_.request(job_).positions_per_stage;
        add(parts > 1 ? "mapping.positions_per_stage" : "mapping.pipeline_parallel",
            fmt::format("makes {} parts of {} layers; at most {} would do", positions, have,
                        std::max(1L, parts > 1 ? (have + 2) / plan_.pipeline_parallel : have + 2)));
    }

    void placement() {
        TrainingPlan placed = plan_;
        if (plan_.more.placement.kind == PlacementKind::given)
            placed.order = plan_.more.placement.order;
        for (const auto& [group, name] :
             {std::pair{RankGroup::replicas, "data- and context-parallel replicas"},
              {RankGroup::expert, "an expert group's ranks"},
              {RankGroup::expert_tensor, "expert-tensor ranks"},
              {RankGroup::expert_replicas, "replicas of experts"}}) {
            if (group_ranks(placed, group) < 2 || stride_of(placed, group)) continue;
            return add("mapping.placement",
                       fmt::format("{} parts {} into blocks of several stages, which are not "
                                   "equally far apart; {} would do",
                                   to_string(placed.order), name, to_string(kFlatOrder)));
        }
    }

    void experts() {
        const bool any = has_experts(job_.model);
        const ExpertsSpec& asked = job_.experts;
        for (const auto& [key, given] :
             {std::pair{"experts.capacity_factor", asked.capacity_factor > 0},
              {"experts.redundant", asked.redundant > 0},
              {"experts.node_limited", asked.node_limited}}) {
            if (!any && given) add(key, fmt::format("is of experts; {} has none", job_.model.name));
        }
        if (!any && plan_.expert_parallel > 1)
            return add("mapping.expert_parallel", "the model has no experts; 1 would do");
        if (!any) return;
        const long group =
            static_cast<long>(plan_.expert_parallel) * plan_.more.expert_tensor_parallel;
        if (plan_.stage_ranks() % group != 0 && !plan_.more.unequal_groups) {
            return add("mapping.expert_parallel",
                       fmt::format("{} x expert_tensor_parallel {} does not divide the {} ranks "
                                   "of a stage; {} would",
                                   plan_.expert_parallel, plan_.more.expert_tensor_parallel,
                                   plan_.stage_ranks(), std::gcd(plan_.stage_ranks(), group)));
        }
        if (plan_.tensor_parallel > 1 && !plan_.more.sequence_parallel) {
            add("mapping.sequence_parallel",
                fmt::format(
                    "is off, and a tensor-parallel group of {} takes its tokens to the experts "
                    "divided; sequence_parallel: true would do",
                    plan_.tensor_parallel));
        }
        if (job_.experts.node_limited) {
            if (job_.model.groups_per_token >= job_.model.expert_groups)
                add("experts.node_limited",
                    fmt::format("needs experts in groups (n_group, topk_group); {} lets a token "
                                "go to all of them",
                                job_.model.name));
            if (job_.experts.redundant > 0)
                add("experts.node_limited",
                    "is of experts that stay with their group; 0 redundant experts would do");
        }
        try {
            (void)expert_layout(expert_step(job_, plan_, false));
        } catch (const StepError& error) {
            found_.push_back(error);
        }
    }

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    std::vector<StepError> found_;
};

}  // namespace

std::vector<StepError> training_problems(const TrainingJob& job, const TrainingPlan& plan,
                                         long ranks) {
    return Checker(job, plan).run(ranks);
}

}  // namespace podsim
