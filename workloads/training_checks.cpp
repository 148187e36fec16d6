// What is wrong with a plan of training, and the nearest value that works.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>

#include "base/names.hpp"
#include "models/attention.hpp"
#include "workloads/step_parts.hpp"
#include "workloads/training_groups.hpp"
#include "workloads/training_placement.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

namespace {

constexpr long kMostSequences = 1'000'000'000;  // that a batch may be given as

long gcd_of_heads(const ModelSpec& model) {
    long heads = 0;
    for (const AttentionSpec& kind : model.attentions) {
        heads = std::gcd(heads, std::visit(
                                    [](const auto& one) {
                                        if constexpr (requires { one.heads; }) {
                                            return one.heads;
                                        } else {
                                            return one.value_heads;
                                        }
                                    },
                                    kind));
    }
    return heads;
}

// Divisors, the nearest to `given` first, of two that are as near the smaller.
std::vector<long> divisors_near(long of, long given) {
    std::vector<long> list;
    for (long one = 1; one * one <= of; ++one) {
        if (of % one != 0) continue;
        list.push_back(one);
        if (one * one != of) list.push_back(of / one);
    }
    std::sort(list.begin(), list.end(), [&](long a, long b) {
        return std::pair(std::abs(a - given), a) < std::pair(std::abs(b - given), b);
    });
    return list;
}

// Whatever stands in the way, each once.
class Checker {
  public:
    Checker(const TrainingJob& job, const TrainingPlan& plan, long ranks, NearestValues nearest)
        : job_(job), plan_(plan), ranks_(ranks), named_(nearest == NearestValues::named) {}

    std::vector<StepError> run() {
        degrees();
        model_divides();
        if (!found_.empty()) return std::move(found_);
        batch();
        parts_of_stages();
        layers();
        if (found_.empty()) made_again();
        if (found_.empty()) {
            const ScheduleRequest request = plan_.request(job_);
            if (const auto problem = schedule_problem(request))
                add("schedule", *problem + other_schedule());
        }
        experts();
        if (found_.empty() && plan_.more.unequal_groups) {
            for (const StepError& one : group_problems(job_, plan_)) {
                std::string would = one.key == "global_batch" ? batches() : "";
                if (!would.empty()) would = "; " + would + " would";
                if (one.key == "schedule") would = other_schedule();
                add(one.key, one.reason + would);
            }
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

    struct Named {
        const char* name;
        int& (*of)(TrainingPlan&);
    };
    static constexpr std::array<Named, 3> kInsideGroups = {
        Named{"pipeline_parallel", [](TrainingPlan& p) -> int& { return p.pipeline_parallel; }},
        Named{"tensor_parallel", [](TrainingPlan& p) -> int& { return p.tensor_parallel; }},
        Named{"context_parallel", [](TrainingPlan& p) -> int& { return p.more.context_parallel; }}};

    bool works(const TrainingJob& job, const TrainingPlan& plan) const {
        return Checker(job, plan, ranks_, NearestValues::left_out).run().empty();
    }
    template <class Change>
    bool works(const Change& change) const {
        TrainingPlan other = plan_;
        change(other);
        return works(job_, other);
    }

    // Ranks that one data-parallel group takes.
    static long within(const TrainingPlan& plan) {
        return static_cast<long>(plan.tensor_parallel) * plan.more.context_parallel *
               plan.pipeline_parallel;
    }

    // Of the values, the first with which nothing is wrong: by itself, else with as many
    // data-parallel groups as then fit. In words; "" where none is.
    std::string nearest_degree(int& (*of)(TrainingPlan&), const std::vector<long>& values) const {
        if (!named_) return "";
        for (const bool alone : {true, false}) {
            for (const long value : values) {
                TrainingPlan other = plan_;
                of(other) = static_cast<int>(value);
                if (!alone) {
                    if (ranks_ % within(other) != 0) continue;
                    other.data_parallel = static_cast<int>(ranks_ / within(other));
                }
                if (!works(job_, other)) continue;
                return alone ? std::to_string(value)
                             : fmt::format("{} with data_parallel {}", value, other.data_parallel);
            }
        }
        return "";
    }

    void degrees() {
        if (plan_.ranks() == ranks_) return;
        const long others = within(plan_);
        std::string would;
        const auto offer = [&](const std::string& what) {
            would += would.empty() ? fmt::format("; {} would", what) : ", or " + what;
        };
        if (named_) {
            const bool fits = ranks_ % others == 0;
            const auto groups = fits ? ranks_ / others : 0;
            if (fits && works([&](auto& p) { p.data_parallel = static_cast<int>(groups); }))
                offer(fmt::format("data_parallel {}", groups));
            for (const Named& one : kInsideGroups) {
                TrainingPlan other = plan_;
                const long given = one.of(other);
                const std::string value = nearest_degree(one.of, divisors_near(ranks_, given));
                const bool two = value.find(' ') != std::string::npos;
                if (!value.empty() && !(two && fits)) offer(fmt::format("{} {}", one.name, value));
            }
            if (would.empty())
                offer(fits ? fmt::format("data_parallel {}", groups)
                           : fmt::format("{} ranks", plan_.ranks()));
            TrainingPlan unequal = plan_;
            unequal.more.unequal_groups = true;
            // What is over then stands by.
            if (plan_.ranks() < ranks_ && !fits &&
                Checker(job_, unequal, plan_.ranks(), NearestValues::left_out).run().empty())
                would += ", or mapping.unequal_groups: true, which lets what is over stand by";
        }
        add("mapping",
            fmt::format("tensor_parallel {} x context_parallel {} x pipeline_parallel {} x "
                        "data_parallel {} are {} ranks, not {}{}",
                        plan_.tensor_parallel, plan_.more.context_parallel, plan_.pipeline_parallel,
                        plan_.data_parallel, plan_.ranks(), ranks_, would));
    }

    // A divisor that does, else the nearest one that divides at least.
    std::string divisor(int& (*of)(TrainingPlan&), long whole, long given) const {
        const std::vector<long> values = divisors_near(whole, given);
        const std::string works = nearest_degree(of, values);
        return works.empty() ? std::to_string(values.front()) : works;
    }

    void model_divides() {
        const long tensor = plan_.tensor_parallel, heads = gcd_of_heads(job_.model);
        if (heads % tensor != 0) {
            add("mapping.tensor_parallel",
                fmt::format("{} does not divide {} heads; {} would", tensor, heads,
                            divisor(kInsideGroups[1].of, heads, tensor)));
        }
        if (job_.sequence % plan_.more.context_parallel != 0) {
            add("mapping.context_parallel",
                fmt::format(
                    "{} does not divide a sequence of {} tokens; {} would",
                    plan_.more.context_parallel, job_.sequence,
                    divisor(kInsideGroups[2].of, job_.sequence, plan_.more.context_parallel)));
        }
        if (plan_.more.sequence_parallel && tensor == 1)
            add("mapping.sequence_parallel",
                "is of tensor-parallel groups, here of 1 rank; sequence_parallel: false would do");
    }

    // The nearest batches below and above that this plan can run: "48 or 64"; "" where none is.
    std::string batches() const {
        if (!named_) return "";
        const auto runs = [&](long sequences) {
            TrainingJob other = job_;
            other.global_batch = sequences;
            return works(other, plan_);
        };
        const long given = job_.global_batch;
        // The nearest multiple of `unit` on one side that runs, among so many; 0: none.
        const auto nearest = [&](long unit, long many, bool above) {
            const long first = above ? given / unit + 1 : (given - 1) / unit;
            for (long i = 0; i < many; ++i) {
                const long count = above ? first + i : first - i;
                if (count < 1 || count > kMostSequences / unit) break;
                if (runs(count * unit)) return count * unit;
            }
            return 0L;
        };
        // As many for each data-parallel group; groups that are not alike take any.
        const long per_pass = plan_.micro_batch * plan_.data_parallel;
        const long rounds = 4L * plan_.pipeline_parallel;
        constexpr long most = 500;
        std::string text;
        for (const bool above : {false, true}) {
            long value = plan_.more.unequal_groups ? nearest(plan_.micro_batch, most, above) : 0;
            if (value == 0) value = nearest(per_pass, rounds, above);
            if (value > 0) text += (text.empty() ? "" : " or ") + std::to_string(value);
        }
        return text;
    }

    void batch() {
        const long per_pass = plan_.micro_batch * plan_.data_parallel;
        if (job_.global_batch % per_pass == 0 || plan_.more.unequal_groups) return;
        std::string would;
        if (named_) {
            const long down = job_.global_batch / per_pass * per_pass;
            would = batches();
            if (would.empty()) would = other_micro_batch();
            if (would.empty())
                would =
                    (down > 0 ? fmt::format("{} or ", down) : "") + std::to_string(down + per_pass);
            would = "; " + would + " would";
            if (works([](auto& p) { p.more.unequal_groups = true; }))
                would += ", or mapping.unequal_groups: true";
        }
        add("global_batch",
            fmt::format("{} sequences do not divide into micro-batches of {} on {} data-parallel "
                        "groups{}",
                        job_.global_batch, plan_.micro_batch, plan_.data_parallel, would));
    }

    std::string other_micro_batch() const {
        for (const long value : divisors_near(job_.global_batch, plan_.micro_batch)) {
            if (works([&](auto& p) { p.micro_batch = value; }))
                return fmt::format("micro_batch {}", value);
        }
        return "";
    }

    void parts_of_stages() {
        const int given = plan_.more.positions_per_stage;
        if (given == 0 || plan_.schedule == ScheduleKind::interleaved) return;
        ScheduleRequest own = plan_.request(job_);
        own.positions_per_stage = 1;
        const int has = positions_per_stage(own);
        if (given == has) return;
        add("mapping.positions_per_stage",
            fmt::format("{}, and {} has {} of the model a stage; {} would, or leave it away", given,
                        name_of(plan_.schedule), has, has));
    }

    void layers() {
        const ScheduleRequest request = plan_.request(job_);
        const long positions = static_cast<long>(request.stages) * request.positions_per_stage,
                   have = layer_count(job_.model);
        const std::vector<long>& given = plan_.more.layers;
        if (!given.empty()) {
            const long sum = std::accumulate(given.begin(), given.end(), 0L);
            if (static_cast<long>(given.size()) == positions && sum == have) return;
            TrainingPlan even = plan_;
            even.more.layers.clear();
            std::vector<long> layers;
            for (const TrainingPosition& one : positions_of(job_, even))
                layers.push_back(one.end - one.begin);
            add("mapping.layers", fmt::format("has {} layers in {} parts, the model has {} in {}{}",
                                              sum, given.size(), have, positions,
                                              named_ && works(job_, even)
                                                  ? fmt::format("; [{}] would, or leave it away",
                                                                fmt::join(layers, ", "))
                                                  : ""));
            return;
        }
        // The ends may have the embedding and the head alone.
        if (have >= positions || (positions > 2 && have >= positions - 2)) return;
        const long parts = request.positions_per_stage;
        const bool several = parts > 1 && plan_.more.positions_per_stage > 0;
        const long most =
            std::max(1L, several ? (have + 2) / plan_.pipeline_parallel : (have + 2) / parts);
        std::string would;
        if (named_) {
            std::vector<long> values;
            if (several) {
                for (long value = most; value > 0; --value) values.push_back(value);
                would = nearest_degree(
                    [](TrainingPlan& p) -> int& { return p.more.positions_per_stage; }, values);
            } else {
                would = nearest_degree(kInsideGroups[0].of,
                                       divisors_near(ranks_, plan_.pipeline_parallel));
            }
            if (!would.empty()) would = "; " + would + " would";
        }
        add(several ? "mapping.positions_per_stage" : "mapping.pipeline_parallel",
            fmt::format("makes {} parts of {} layers, at most {} would do{}", positions, have, most,
                        would));
    }

    // What runs this schedule, else a schedule that runs.
    std::string other_schedule() const {
        if (!named_) return "";
        if (plan_.overlap_passes && works([](auto& p) { p.overlap_passes = false; }))
            return "; overlap_passes: false would";
        for (const int parts : {1, 2}) {
            if (plan_.more.positions_per_stage != parts &&
                works([&](auto& p) { p.more.positions_per_stage = parts; }))
                return fmt::format("; mapping.positions_per_stage: {} would", parts);
        }
        if (const std::string would = batches(); !would.empty())
            return fmt::format("; global_batch {} would", would);
        for (const auto& [name, kind] : names_of(static_cast<const ScheduleKind*>(nullptr))) {
            if (kind != ScheduleKind::gpipe && works([own = kind](auto& p) { p.schedule = own; }))
                return fmt::format("; schedule: {} would", name);
        }
        return "";
    }

    void made_again() {
        long most = 1;
        for (const TrainingPosition& one : positions_of(job_, plan_))
            most = std::max(most, one.end - one.begin);
        if (plan_.recompute.layers() > most) {
            add("recompute_layers", fmt::format("{} of parts of at most {} layers; {} would do",
                                                plan_.recompute.layers(), most, most));
        }
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
            // What a model without experts does not have lies nowhere.
            if (group != RankGroup::replicas && !has_experts(job_.model)) continue;
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
        const long width = plan_.more.expert_tensor_parallel, stage = plan_.stage_ranks();
        if (stage % (plan_.expert_parallel * width) != 0 && !plan_.more.unequal_groups)
            return expert_groups(width, stage);
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
            const std::string would =
                error.key == "experts.redundant" ? other_expert_parallel() : "";
            if (would.empty() || asked.redundant > 0) {
                add(error.key,
                    error.reason + (would.empty() ? "" : ", or expert_parallel " + would));
            } else {
                add("mapping.expert_parallel",
                    fmt::format("{} ranks do not divide {} routed experts; {} would, or "
                                "experts.redundant {}",
                                plan_.expert_parallel, job_.model.routed_experts, would,
                                copies_up()));
            }
        }
    }

    // Of the two degrees that make a group of experts, the one that no other value of the other
    // mends is what is wrong.
    void expert_groups(long width, long stage) {
        const long ranks = plan_.expert_parallel;
        const std::string would = other_expert_parallel(),
                          width_would = other_width(divisors_near(stage, width));
        const auto or_divides = [&](const std::string& value, long of, long given) {
            if (!named_) return std::string();
            return value.empty() ? fmt::format("; {} divides", divisors_near(of, given).front())
                                 : fmt::format("; {} would", value);
        };
        if (stage % width != 0 || (would.empty() && !width_would.empty())) {
            return add("mapping.expert_tensor_parallel",
                       fmt::format("{} x expert_parallel {} does not divide the {} ranks of a "
                                   "stage{}",
                                   width, ranks, stage, or_divides(width_would, stage, width)));
        }
        const bool both = !would.empty() && width > 1 && !width_would.empty();
        add("mapping.expert_parallel",
            fmt::format(
                "{} x expert_tensor_parallel {} does not divide the {} ranks of a stage{}{}", ranks,
                width, stage, or_divides(would, stage / width, ranks),
                both ? ", or expert_tensor_parallel " + width_would : ""));
    }
    // Of the values, the first with which nothing is wrong: by itself, else with the tokens of a
    // tensor-parallel group divided, as experts have them.
    template <class Set>
    std::string nearest_of_experts(const std::vector<long>& values, const Set& set) const {
        if (!named_) return "";
        for (const bool divided : {false, true}) {
            if (divided && (plan_.tensor_parallel == 1 || plan_.more.sequence_parallel)) break;
            for (const long value : values) {
                if (!works([&](auto& p) {
                        set(p, static_cast<int>(value));
                        p.more.sequence_parallel = p.more.sequence_parallel || divided;
                    }))
                    continue;
                return std::to_string(value) + (divided ? " with sequence_parallel: true" : "");
            }
        }
        return "";
    }
    std::string other_expert_parallel() const {
        const long room = std::max(1L, plan_.stage_ranks() / plan_.more.expert_tensor_parallel);
        return nearest_of_experts(divisors_near(room, plan_.expert_parallel),
                                  [](auto& p, int value) { p.expert_parallel = value; });
    }
    std::string other_width(const std::vector<long>& values) const {
        return nearest_of_experts(
            values, [](auto& p, int value) { p.more.expert_tensor_parallel = value; });
    }
    // Copies of experts that fill the last rank.
    long copies_up() const {
        const long experts = job_.model.routed_experts, over = plan_.expert_parallel;
        return (experts + over - 1) / over * over - experts;
    }

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    long ranks_;
    bool named_;
    std::vector<StepError> found_;
};

}  // namespace

std::vector<StepError> training_problems(const TrainingJob& job, const TrainingPlan& plan,
                                         long ranks, NearestValues nearest) {
    return Checker(job, plan, ranks, nearest).run();
}

}  // namespace podsim
