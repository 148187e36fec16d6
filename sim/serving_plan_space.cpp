#include "sim/serving_plan_space.hpp"
#include "sim/host_charge.hpp"

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
    if (Node* mapping = pool.find("mapping"); mapping != nullptr && setting.free_experts)
        drop(*mapping, "expert_parallel");
    if (setting.tensor_parallel) set("mapping.tensor_parallel", *setting.tensor_parallel);
    if (setting.context_parallel) set("mapping.context_parallel", *setting.context_parallel);
    if (setting.pipeline_parallel) set("mapping.pipeline_parallel", *setting.pipeline_parallel);
    if (setting.data_parallel) set("mapping.data_parallel", *setting.data_parallel);
    if (setting.expert_parallel) set("mapping.expert_parallel", *setting.expert_parallel);
    // Where no ranks share a sequence there is no way in which they exchange.
    if (Node* mapping = pool.find("mapping"); mapping != nullptr) {
        const Node* sharing = mapping->find("context_parallel");
        if (sharing == nullptr || setting.context_parallel.value_or(2) == 1)
            drop(*mapping, "context_exchange");
    }
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
        over(choices.context_parallel, own.choices.context_parallel);
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

// Every combination, before anything of it is looked at. Of two pools that decode together the
// attention pool has sequences and the other one experts. `is_given`: the workload's scheduler says
// how many tokens a step takes.
std::vector<PoolSetting> settings_of(ReplicaChoices choices, const ResolvedAlternative& as_written,
                                     bool is_given) {
    const PoolSpec& pool = as_written.pool;
    const bool beside = pool.role == "ffn";
    if (pool.role == "attention") choices.expert_parallel.clear();
    if (beside) {
        choices.context_parallel.clear();
        choices.max_num_seqs.clear();
        choices.max_num_batched_tokens.clear();
    }
    // What a step takes at most decides between TTFT and TPOT: a few that engines run with, where
    // nobody says.
    const bool reads = !beside && role_of(pool) != PoolRole::decode;
    const bool by_default = reads && choices.max_num_batched_tokens.empty() &&
                            !pool.scheduler.max_num_batched_tokens && !is_given;
    if (by_default) choices.max_num_batched_tokens = {2048, 8192, 32768};
    std::vector<PoolSetting> settings;
    std::vector<int> sizes = choices.chips_per_replica;
    const bool free_size = !sizes.empty();
    if (!free_size) sizes = {as_written.packages};
    for (const int chips : sizes) {
        std::vector<std::optional<int>> tensor = or_as_written(choices.tensor_parallel);
        const bool open = !beside && choices.tensor_parallel.empty() &&
                          !pool.places.has("mapping.tensor_parallel");
        if (open) {
            const int domain =
                static_cast<int>(as_written.system.scale_up.domain.value) * as_written.chip.ranks;
            tensor = or_as_written(powers_of_two(
                std::max(1, std::min(chips * as_written.chip.ranks, std::max(1, domain)))));
        }
        PoolSetting one;
        one.chips = chips;
        one.free_mapping = free_size || open || !choices.tensor_parallel.empty() ||
                           !choices.context_parallel.empty();
        one.free_experts = beside && one.free_mapping;
        std::vector<PoolSetting> turned = {one};
        const auto turn_each = [&](auto member, const auto& values) {
            std::vector<PoolSetting> more;
            for (const PoolSetting& before : turned) {
                for (const auto& value : values) {
                    more.push_back(before);
                    more.back().*member = value;
                }
            }
            turned = std::move(more);
        };
        turn_each(&PoolSetting::tensor_parallel, tensor);
        turn_each(&PoolSetting::context_parallel, or_as_written(choices.context_parallel));
        turn_each(&PoolSetting::expert_parallel, or_as_written(choices.expert_parallel));
        turn_each(&PoolSetting::max_num_seqs, or_as_written(choices.max_num_seqs));
        turn_each(&PoolSetting::max_num_batched_tokens,
                  or_as_written(choices.max_num_batched_tokens));
        for (PoolSetting& each : turned)
            each.refines = by_default &&
                           each.max_num_batched_tokens != SchedulerKnobs().max_num_batched_tokens;
        settings.insert(settings.end(), turned.begin(), turned.end());
    }
    return settings;
}

class Candidates {
  public:
    Candidates(const PlanGroundwork& ground, std::size_t alternative, std::size_t pool)
        : ground_(ground), alternative_(alternative), pool_(pool), basis_(first_basis()) {}

    PoolCandidates take() {
        const std::vector<ResolvedAlternative>& pools =
            ground_.experiment.alternatives[alternative_].pools;
        const auto settings = [&](const ResolvedAlternative& pool) {
            return settings_of(choices_of(*ground_.experiment.spec.serving_plan, pool.pool.name),
                               pool,
                               ground_.experiment.spec.workload.serving->scheduler
                                   .max_num_batched_tokens.has_value());
        };
        std::vector<std::optional<PoolSetting>> others = {std::nullopt};
        if (pools[pool_].pool.role == "attention") {
            others.clear();
            for (const PoolSetting& one : settings(pools.back())) others.emplace_back(one);
        }
        for (const PoolSetting& setting : settings(pools[pool_])) {
            for (const auto& beside : others) {
                if (ground_.stop && ground_.stop()) break;
                ++result_.looked_at;
                look_at(setting, beside);
            }
        }
        std::stable_sort(result_.found.begin(), result_.found.end(),
                         [](const ReplicaCandidate& a, const ReplicaCandidate& b) {
                             return a.usd(a.bound.replicas) < b.usd(b.bound.replicas);
                         });
        return std::move(result_);
    }

  private:
    // What the steps of a replica go by.
    using Key = std::array<int, 7>;
    static Key key_of(const PoolSetting& setting, const std::optional<PoolSetting>& beside) {
        const PoolSetting other = beside.value_or(PoolSetting{});
        return {setting.chips,
                setting.tensor_parallel.value_or(0),
                setting.context_parallel.value_or(0),
                setting.expert_parallel.value_or(0),
                other.chips,
                other.tensor_parallel.value_or(0),
                other.expert_parallel.value_or(0)};
    }

    void refuse(const Diagnostic& why) {
        ++result_.refused;
        if (!result_.first_refusal.empty()) return;
        result_.first_refusal = why.what;
        const auto& pools = ground_.experiment.alternatives[alternative_].pools;
        const std::string& beside = pools.back().pool.path;
        result_.refusal_beside = has_beside(ground_.experiment.alternatives[alternative_]) &&
                                 why.path.rfind(beside + ".", 0) == 0;
    }

    // The replica of a setting with its table, or nothing where it cannot be.
    std::shared_ptr<ReplicaGround> ground_of(const PoolSetting& setting,
                                             const std::optional<PoolSetting>& beside) {
        const Key key = key_of(setting, beside);
        const auto known = grounds_.find(key);
        if (known != grounds_.end()) return known->second;
        auto made = std::make_shared<ReplicaGround>();
        try {
            const auto& pools = ground_.experiment.alternatives[alternative_].pools;
            std::vector<PoolSetting> settings(pools.size());
            for (std::size_t i = 0; i < pools.size(); ++i) settings[i].chips = pools[i].packages;
            settings[pool_] = setting;
            if (beside) settings.back() = *beside;
            ResolvedExperiment resolved =
                resolve(plan_document(ground_.document, alternative_, settings, 1, traffic()),
                        ground_.catalog);
            measure_memories(resolved, ground_.cache_folder, ground_.fidelity);
            made->replica = std::move(resolved.alternatives.front().pools[pool_]);
            RunOptions options;
            options.fidelity = ground_.fidelity;
            const Fidelity fidelity = fidelity_of(options, made->replica.chip);
            std::shared_ptr<DisaggregatedSteps> both;
            if (beside) {
                made->beside = std::move(resolved.alternatives.front().pools.back());
                both = std::make_shared<DisaggregatedSteps>(made->replica, *made->beside, fidelity,
                                                            ground_.cache_folder);
            }
            made->table = std::make_unique<StepTable>(
                *ground_.experiment.model, ground_.experiment.spec.workload.speculation,
                made->replica, fidelity, ground_.cache_folder, std::move(both));
            made->table->check();
        } catch (const InputError& error) {
            why_[key] = error.diagnostics().front();
            made.reset();
        }
        return grounds_[key] = std::move(made);
    }

    const TrafficSpec& traffic() const { return *ground_.experiment.traffic; }

    void look_at(const PoolSetting& setting, const std::optional<PoolSetting>& beside) {
        ReplicaCandidate one;
        one.setting = setting;
        one.beside = beside;
        one.ground = ground_of(setting, beside);
        if (!one.ground) return refuse(why_[key_of(setting, beside)]);
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
        if (capacity.blocks < 1) return note_misfit(setting, capacity);
        if (beside) {
            const KvCapacity held = table.memory_beside(knobs.scheduler);
            if (held.total() > held.capacity) {
                result_.misfit_beside = result_.misfit_beside || result_.first_misfit.empty();
                return note_misfit(*beside, held);
            }
        }
        BoundReplica replica{role, knobs.scheduler, capacity.blocks,
                             workload.speculation.tokens_per_step(),
                             one.replica.pool.mapping.data_parallel};
        const long groups = replica.groups;
        replica.knobs.max_num_seqs *= groups;
        replica.knobs.max_num_batched_tokens *= groups;
        const double good = ground_.experiment.spec.serving_plan->least_good();
        one.bound = serving_bound(ground_.demand, replica, good, table);
        if (one.bound.kept_alone < good) return note_slow(one);
        pay_for(one);
        one.replica.pool.replicas = 1;
        one.watts = fleet_power(ground_.experiment.prices, one.replica).value();
        if (beside) {
            ResolvedAlternative other = *one.ground->beside;
            other.pool.replicas = 1;
            one.watts += fleet_power(ground_.experiment.prices, other).value();
        }
        result_.found.push_back(std::move(one));
    }

    void note_misfit(const PoolSetting& setting, const KvCapacity& held) {
        ++result_.do_not_fit;
        if (result_.first_misfit.empty())
            result_.first_misfit =
                fmt::format("{}: a rank has {}, the model and its work take {}", text_of(setting),
                            to_string(Bytes(held.capacity)), to_string(Bytes(held.total())));
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

    double tier_usd_per_hour(const ResolvedAlternative& replica) const {
        double usd = 0;
        const ReplicaKnobs knobs =
            knobs_of(ground_.experiment.spec.workload.serving->scheduler, replica.pool.scheduler);
        for (const CacheTierSetting& tier : knobs.cache_tiers)
            if (!tier.medium.empty() && !tier.shared)
                usd +=
                    medium_cost(ground_.experiment.prices, tier.medium, tier.capacity).usd_per_hour;
        return usd;
    }

    // The first basis that all pools of the alternative have; "": none, and chips are counted.
    std::string first_basis() const {
        std::vector<std::pair<std::string, std::vector<CostBasis>>> pools;
        std::vector<std::string> notes;
        for (const auto& pool : ground_.experiment.alternatives[alternative_].pools)
            pools.emplace_back(pool.pool.name, cost_bases(ground_.experiment.prices, pool.chip,
                                                          pool.system, notes));
        const std::vector<std::string> common = common_bases(pools, notes);
        return common.empty() ? "" : common.front();
    }

    // Of a pair both have to have a price, else chips are counted.
    void pay_for(ReplicaCandidate& one) const {
        std::vector<const ResolvedAlternative*> pools = {&one.replica};
        if (one.beside) pools.push_back(&*one.ground->beside);
        double usd = 0;
        one.basis = basis_;
        one.priced = !basis_.empty();
        for (const ResolvedAlternative* pool : pools) {
            std::vector<std::string> notes;
            if (!one.priced) break;
            const auto basis = basis_named(
                cost_bases(ground_.experiment.prices, pool->chip, pool->system, notes), basis_);
            usd += basis->usd_per_hour_per_chip * pool->packages;
            (pool == pools.front() ? one.chip_usd : one.beside_chip_usd) =
                basis->usd_per_hour_per_chip;
        }
        if (one.priced) usd += tier_usd_per_hour(one.replica);
        one.usd_per_hour = one.priced ? usd : one.packages();
    }

    const PlanGroundwork& ground_;
    std::size_t alternative_, pool_;
    std::string basis_;
    PoolCandidates result_;
    std::map<Key, std::shared_ptr<ReplicaGround>> grounds_;
    std::map<Key, Diagnostic> why_;
};

}  // namespace

double ReplicaCandidate::usd(int replicas) const {
    double usd = usd_per_hour * replicas;
    if (!priced) return usd;
    usd += chip_usd * idle_chips(replica, replicas);
    if (beside) usd += beside_chip_usd * idle_chips(*ground->beside, replicas);
    return usd;
}

int ReplicaCandidate::packages() const {
    return replica.packages + (beside ? ground->beside->packages : 0);
}

bool has_beside(const ResolvedAlternative& alternative) {
    return !alternative.pools.empty() && alternative.pools.back().pool.role == "ffn";
}

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

bool PoolSetting::is_like(const PoolSetting& other) const {
    return chips == other.chips && tensor_parallel == other.tensor_parallel &&
           context_parallel == other.context_parallel && data_parallel == other.data_parallel &&
           expert_parallel == other.expert_parallel &&
           pipeline_parallel == other.pipeline_parallel && max_num_seqs == other.max_num_seqs;
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
    add("context_parallel", setting.context_parallel);
    add("expert_parallel", setting.expert_parallel);
    add("max_num_seqs", setting.max_num_seqs);
    add("max_num_batched_tokens", setting.max_num_batched_tokens);
    return text;
}

}  // namespace podsim
