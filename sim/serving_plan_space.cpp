#include "sim/serving_plan_space.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "sim/memory_shares.hpp"
#include "sim/plan_document.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_run.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

void turn(Node& pool, const PoolSetting& setting, const Place& place) {
    const auto set = [&](const std::string& path, long value) {
        set_path(pool, path, std::to_string(value), place);
    };
    set("chips", static_cast<long>(setting.chips) * setting.replicas);
    set("replicas", setting.replicas);
    if (Node* mapping = pool.find("mapping"); mapping != nullptr && setting.free_mapping)
        drop(*mapping, "data_parallel");
    if (setting.tensor_parallel) set("mapping.tensor_parallel", *setting.tensor_parallel);
    if (setting.pipeline_parallel) set("mapping.pipeline_parallel", *setting.pipeline_parallel);
    if (setting.data_parallel) set("mapping.data_parallel", *setting.data_parallel);
    if (setting.expert_parallel) set("mapping.expert_parallel", *setting.expert_parallel);
    if (setting.max_num_seqs) set("scheduler.max_num_seqs", *setting.max_num_seqs);
    if (setting.max_num_batched_tokens)
        set("scheduler.max_num_batched_tokens", *setting.max_num_batched_tokens);
}

void scale_rate(Node& stream, const StreamSpec& spec, const Place& place) {
    if (spec.arrivals && spec.arrivals->law == ArrivalLaw::closed) {
        set_path(stream, "arrivals.concurrency", std::to_string(spec.arrivals->concurrency), place);
    } else {
        set_path(stream, "rate_scale", fmt::format("{}", spec.rate_scale), place);
    }
}

// The lists that count for a pool: its own before those of all.
ReplicaChoices choices_of(const ServingPlanForm& form, const std::string& pool) {
    ReplicaChoices choices = form.choices;
    for (const PoolChoices& own : form.pools) {
        if (own.name != pool) continue;
        const auto over = [](auto& general, const auto& special) {
            if (!special.empty()) general = special;
        };
        over(choices.chips_per_replica, own.choices.chips_per_replica);
        over(choices.tensor_parallel, own.choices.tensor_parallel);
        over(choices.expert_parallel, own.choices.expert_parallel);
        over(choices.max_num_seqs, own.choices.max_num_seqs);
        over(choices.max_num_batched_tokens, own.choices.max_num_batched_tokens);
    }
    return choices;
}

std::vector<int> powers_of_two(int most) {
    std::vector<int> values;
    for (int value = 1; value <= most; value *= 2) values.push_back(value);
    return values;
}

template <class T>
std::vector<std::optional<T>> or_as_written(const std::vector<T>& values) {
    if (values.empty()) return {std::nullopt};
    return {values.begin(), values.end()};
}

// Every combination, before anything of it is looked at.
std::vector<PoolSetting> settings_of(const ReplicaChoices& choices,
                                     const ResolvedAlternative& as_written) {
    const PoolSpec& pool = as_written.pool;
    std::vector<PoolSetting> settings;
    std::vector<int> sizes = choices.chips_per_replica;
    const bool free_size = !sizes.empty();
    if (!free_size) sizes = {as_written.packages};
    for (const int chips : sizes) {
        std::vector<std::optional<int>> tensor = or_as_written(choices.tensor_parallel);
        const bool open =
            choices.tensor_parallel.empty() && !pool.places.has("mapping.tensor_parallel");
        if (open) {
            const int domain =
                static_cast<int>(as_written.system.scale_up.domain.value) * as_written.chip.ranks;
            tensor = or_as_written(powers_of_two(
                std::max(1, std::min(chips * as_written.chip.ranks, std::max(1, domain)))));
        }
        const bool free = free_size || open || !choices.tensor_parallel.empty();
        for (const auto& degree : tensor) {
            for (const auto& experts : or_as_written(choices.expert_parallel)) {
                for (const auto& sequences : or_as_written(choices.max_num_seqs)) {
                    for (const auto& tokens : or_as_written(choices.max_num_batched_tokens)) {
                        PoolSetting one;
                        one.chips = chips;
                        one.free_mapping = free;
                        one.tensor_parallel = degree;
                        one.expert_parallel = experts;
                        one.max_num_seqs = sequences;
                        one.max_num_batched_tokens = tokens;
                        settings.push_back(one);
                    }
                }
            }
        }
    }
    return settings;
}

class Candidates {
  public:
    Candidates(const PlanGroundwork& ground, std::size_t alternative, std::size_t pool)
        : ground_(ground), alternative_(alternative), pool_(pool) {}

    PoolCandidates take() {
        const ResolvedAlternative& as_written =
            ground_.experiment.alternatives[alternative_].pools[pool_];
        const ReplicaChoices choices =
            choices_of(*ground_.experiment.spec.serving_plan, as_written.pool.name);
        for (const PoolSetting& setting : settings_of(choices, as_written)) {
            if (ground_.stop && ground_.stop()) break;
            ++result_.looked_at;
            look_at(setting);
        }
        std::stable_sort(result_.found.begin(), result_.found.end(),
                         [](const ReplicaCandidate& a, const ReplicaCandidate& b) {
                             return a.usd_per_hour * a.bound.replicas <
                                    b.usd_per_hour * b.bound.replicas;
                         });
        return std::move(result_);
    }

  private:
    // What the steps of a replica go by.
    using Key = std::array<int, 3>;
    static Key key_of(const PoolSetting& setting) {
        return {setting.chips, setting.tensor_parallel.value_or(0),
                setting.expert_parallel.value_or(0)};
    }

    void refuse(const std::string& why) {
        ++result_.refused;
        if (result_.first_refusal.empty()) result_.first_refusal = why;
    }

    // The replica of a setting with its table, or nothing where it cannot be.
    std::shared_ptr<ReplicaGround> ground_of(const PoolSetting& setting) {
        const Key key = key_of(setting);
        const auto known = grounds_.find(key);
        if (known != grounds_.end()) return known->second;
        auto made = std::make_shared<ReplicaGround>();
        try {
            const auto& pools = ground_.experiment.alternatives[alternative_].pools;
            std::vector<PoolSetting> settings(pools.size());
            for (std::size_t i = 0; i < pools.size(); ++i) settings[i].chips = pools[i].packages;
            settings[pool_] = setting;
            ResolvedExperiment resolved =
                resolve(plan_document(ground_.document, alternative_, settings, 1, traffic()),
                        ground_.catalog);
            measure_memories(resolved, ground_.cache_folder, ground_.fidelity);
            made->replica = std::move(resolved.alternatives.front().pools[pool_]);
            RunOptions options;
            options.fidelity = ground_.fidelity;
            made->table = std::make_unique<StepTable>(
                *ground_.experiment.model, ground_.experiment.spec.workload.speculation,
                made->replica, fidelity_of(options, made->replica.chip), ground_.cache_folder);
            made->table->check();
        } catch (const InputError& error) {
            why_[key] = error.diagnostics().front().what;
            made.reset();
        }
        return grounds_[key] = std::move(made);
    }

    const TrafficSpec& traffic() const { return *ground_.experiment.traffic; }

    void look_at(const PoolSetting& setting) {
        ReplicaCandidate one;
        one.setting = setting;
        one.ground = ground_of(setting);
        if (!one.ground) return refuse(why_[key_of(setting)]);
        one.replica = one.ground->replica;
        SchedulerSettings& own = one.replica.pool.scheduler;
        if (setting.max_num_seqs) own.max_num_seqs = setting.max_num_seqs;
        if (setting.max_num_batched_tokens)
            own.max_num_batched_tokens = setting.max_num_batched_tokens;
        const WorkloadSpec& workload = ground_.experiment.spec.workload;
        const ReplicaKnobs knobs = knobs_of(workload.serving->scheduler, own);
        StepTable& table = *one.ground->table;
        const KvCapacity capacity = table.capacity(knobs.scheduler, knobs.gpu_memory_utilization,
                                                   longest_of(ground_.experiment));
        const PoolRole role = role_of(one.replica.pool);
        if (capacity.blocks < 1) {
            ++result_.do_not_fit;
            if (result_.first_misfit.empty())
                result_.first_misfit = fmt::format(
                    "{}: a rank has {}, the model and its work take {}", text_of(setting),
                    to_string(Bytes(capacity.capacity)), to_string(Bytes(capacity.total())));
            return;
        }
        BoundReplica replica{role, knobs.scheduler, capacity.blocks,
                             workload.speculation.tokens_per_step()};
        const long groups = one.replica.pool.mapping.data_parallel;
        replica.knobs.max_num_seqs *= groups;
        replica.knobs.max_num_batched_tokens *= groups;
        const double good = ground_.experiment.spec.serving_plan->good;
        one.bound = serving_bound(ground_.demand, replica, good, table);
        if (one.bound.kept_alone < good) return note_slow(one);
        pay_for(one);
        one.replica.pool.replicas = 1;
        one.watts = fleet_power(ground_.experiment.prices, one.replica).value();
        result_.found.push_back(std::move(one));
    }

    void note_slow(const ReplicaCandidate& one) {
        ++result_.too_slow;
        const auto note = [&](double value, double& best, std::string& how) {
            if (!(value > 0) || (best > 0 && value >= best)) return;
            best = value;
            how = text_of(one.setting);
        };
        note(one.bound.first_token_alone, result_.best_first_token, result_.best_first_how);
        note(one.bound.each_token_alone, result_.best_each_token, result_.best_each_how);
    }

    void pay_for(ReplicaCandidate& one) const {
        std::vector<std::string> notes;
        const auto bases =
            cost_bases(ground_.experiment.prices, one.replica.chip, one.replica.system, notes);
        one.priced = !bases.empty();
        one.usd_per_hour =
            (one.priced ? bases.front().usd_per_hour_per_chip : 1.0) * one.replica.packages;
    }

    const PlanGroundwork& ground_;
    std::size_t alternative_, pool_;
    PoolCandidates result_;
    std::map<Key, std::shared_ptr<ReplicaGround>> grounds_;
    std::map<Key, std::string> why_;
};

}  // namespace

Node plan_document(const Node& document, std::size_t alternative,
                   const std::vector<PoolSetting>& pools, double scale,
                   const TrafficSpec& traffic) {
    Node result = alone(document, alternative);
    const Place place = document.place;
    for (std::size_t i = 0; i < pools.size(); ++i) turn(pool_node(result, i), pools[i], place);
    if (scale == 1) return result;
    const TrafficSpec grown = scaled(traffic, scale);
    Node& written = *result.find("workload")->find("traffic");
    Node* streams = written.find("streams");
    for (std::size_t i = 0; i < grown.streams.size(); ++i)
        scale_rate(streams != nullptr ? streams->items[i] : written, grown.streams[i], place);
    return result;
}

PoolCandidates pool_candidates(const PlanGroundwork& ground, std::size_t alternative,
                               std::size_t pool) {
    return Candidates(ground, alternative, pool).take();
}

std::string text_of(const PoolSetting& setting) {
    std::string text = fmt::format("chips_per_replica {}", setting.chips);
    const auto add = [&](const char* name, const auto& value) {
        if (value) text += fmt::format(", {} {}", name, *value);
    };
    add("tensor_parallel", setting.tensor_parallel);
    add("expert_parallel", setting.expert_parallel);
    add("max_num_seqs", setting.max_num_seqs);
    add("max_num_batched_tokens", setting.max_num_batched_tokens);
    return text;
}

}  // namespace podsim
