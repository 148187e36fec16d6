#include "sim/serving_fleet.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "base/names.hpp"
#include "sim/cache_tiers.hpp"
#include "sim/expert_host.hpp"
#include "sim/metrics.hpp"
#include "sim/pool_links.hpp"
#include "sim/serving_faults.hpp"
#include "sim/serving_run.hpp"

namespace podsim {

namespace {

// Nothing where parts that are broken leave no route, which the steps' check says.
BytesPerSecond link_of(const ResolvedAlternative& replica) {
    try {
        return pool_link(replica);
    } catch (const std::invalid_argument&) {
        return BytesPerSecond(0.0);
    }
}

// What a rank loads before it serves.
Bytes weights_of(const KvCapacity& capacity) {
    double sum = 0;
    for (const MemoryPart& part : capacity.parts) {
        const bool is_loaded = part.part != "KV cache" && part.part != "activations" &&
                               part.part != "exchange buffers" && part.part != "runtime reserve";
        sum += is_loaded ? part.bytes : 0;
    }
    return Bytes(sum);
}

}  // namespace

PoolRole role_of(const PoolSpec& pool) {
    if (pool.role == "attention") return PoolRole::decode;
    return value_named<PoolRole>(pool.role).value_or(PoolRole::serve);
}

std::optional<MemoryUse> experts_on_hosts(const ResolvedAlternative& pool, const StepTable& table) {
    if (!pool.pool.experts.offload.is_used()) return {};
    const StepSpec smallest = table.smallest();
    return step_problems(smallest).empty() ? host_memory(pool, smallest) : std::nullopt;
}

long longest_of(const ResolvedExperiment& experiment) {
    const long asked = experiment.spec.workload.serving->max_model_len;
    return asked > 0 ? asked : experiment.model->max_context;
}

bool promises(const ResolvedExperiment& experiment) {
    const ServiceObjective& slo = experiment.spec.workload.serving->slo;
    if (slo.time_to_first_token || slo.time_per_output_token) return true;
    const auto& streams = experiment.traffic->streams;
    return std::any_of(streams.begin(), streams.end(), [](const StreamSpec& stream) {
        return stream.service_class.time_to_first_token ||
               stream.service_class.time_per_output_token;
    });
}

ServingFleet::ServingFleet(const ResolvedExperiment& experiment,
                           const ResolvedAlternative& alternative, const RunOptions& options,
                           std::vector<std::shared_ptr<StepTable>> tables)
    : experiment_(experiment), alternative_(alternative) {
    const ServingSpec& serving = *experiment.spec.workload.serving;
    case_.routing = serving.routing;
    case_.max_model_len = longest_of(experiment);
    case_.max_queue = serving.max_queue;
    case_.objective = serving.slo;
    pools_.resize(alternative.pools.size());
    lay_out(std::move(tables), options);
    for (std::size_t i = 0; i < pools_.size(); ++i) {
        if (alternative.pools[i].pool.role == "ffn") {
            add_beside(i);
            continue;
        }
        case_.pools.push_back(pool_of(i, options));
        case_.transfer_latency =
            max(case_.transfer_latency, pool_link_latency(alternative.pools[i]));
    }
    case_.kv_per_token =
        cache_per_token(*experiment.model).bytes(alternative.pools.front().pool.precision);
    if (const ModelSpec* draft = experiment.spec.workload.speculation.draft.get())
        case_.kv_per_token = case_.kv_per_token + cache_per_token(*draft).bytes(
                                                      alternative.pools.front().pool.precision);
    shared_tiers_ = podsim::shared_tiers(experiment, alternative, tier_problems_);
    for (std::size_t i = 0; i < case_.pools.size(); ++i) {
        check_own_tiers(experiment, alternative.pools[i],
                        experts_on_hosts(alternative.pools[i], *pools_[i].table), tier_problems_,
                        tier_notes_);
        case_.pools[i].shared =
            shared_path(experiment, alternative, i, Bytes(pools_[i].capacity.bytes_per_token),
                        case_.kv_per_token);
    }
    case_.worked = [this](std::size_t index, std::size_t condition, const StepLoad& load,
                          double steps) {
        PoolWork& work = pools_[index].work;
        const StepCost cost = this->cost(index, condition, load);
        work.cost = work.cost + steps * cost;
        if (beside_ && index == attention_pool()) {
            const PoolCost& other = cost.feed_forward;
            StepCost& sum = pools_.back().work.cost;
            sum = sum + steps * StepCost{cost.seconds, other.joules, other.flops,
                                         other.matrix_flops, other.memory_bytes};
        }
        if (load.prefill_tokens > 0) {
            // What prompts and answers would have taken by themselves divides a step of both.
            StepLoad alone = load;
            alone.decodes = 0;
            const double prefill = this->cost(index, condition, alone).seconds;
            double share = 1;
            if (load.decodes > 0) {
                StepLoad rest = load;
                rest.prefill_tokens = 0;
                share = prefill / (prefill + this->cost(index, condition, rest).seconds);
            }
            work.prefill_seconds += share * cost.seconds * steps;
            work.prefill_tokens += load.prefill_tokens * steps;
            work.prefill_contexts += load.prefill_tokens * load.prefill_context * steps;
            work.prefill_steps += steps;
        }
        if (load.decodes > 0) {
            work.decode_sequences += load.decodes * steps;
            work.decode_contexts += load.decodes * load.decode_context * steps;
            work.decode_steps += steps;
        }
    };
}

// Steps of each pool, `tables` where they are known. Throws InputError with what keeps those of any
// pool from being laid out, since all else is asked of them.
void ServingFleet::lay_out(std::vector<std::shared_ptr<StepTable>> tables,
                           const RunOptions& options) {
    tables.resize(pools_.size());
    Problems problems;
    for (std::size_t i = 0; i < pools_.size(); ++i) {
        if (alternative_.pools[i].pool.role == "ffn") continue;
        pools_[i].table = std::move(tables[i]);
        if (!pools_[i].table) pools_[i].table = table_of(i, alternative_.pools[i], options);
        try {
            pools_[i].table->require_laid_out();
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

ServingPool ServingFleet::pool_of(std::size_t index, const RunOptions& options) {
    const ResolvedAlternative& replica = alternative_.pools[index];
    const WorkloadSpec& workload = experiment_.spec.workload;
    Pool& own = pools_[index];
    const ReplicaKnobs knobs = knobs_of(workload.serving->scheduler, replica.pool.scheduler);
    own.capacity =
        own.table->capacity(knobs.scheduler, knobs.gpu_memory_utilization, longest_of(experiment_));
    ServingPool pool;
    pool.name = replica.pool.name;
    pool.role = role_of(replica.pool);
    pool.replicas = replica.pool.replicas;
    pool.knobs = knobs.scheduler;
    // Knobs are of a data-parallel group, of which a replica has several that work in step.
    const long groups = replica.pool.mapping.data_parallel;
    pool.groups = groups;
    pool.knobs.max_num_seqs *= groups;
    pool.knobs.max_num_batched_tokens *= groups;
    pool.kv_blocks = own.capacity.blocks;
    pool.tokens_per_step = workload.speculation.tokens_per_step();
    pool.query_tokens = 1 + workload.speculation.draft_tokens;
    pool.link = link_of(replica);
    pool.fetches_in_step = replica.engine && replica.engine->prefix_fetch;
    if (replica.chip.host_link) {
        const BytesPerSecond host = replica.chip.host_link->bandwidth.value *
                                    (1.0 / static_cast<double>(replica.chip.ranks));
        pool.swap_each = Bytes(own.capacity.bytes_per_token) / host / static_cast<double>(groups);
    }
    if (const auto& failures = workload.serving->failures)
        pool.failures = {failures->mean_time_between / static_cast<double>(packages_of(index)),
                         failures->repair};
    if (replica.pool.autoscaling)
        pool.autoscaling = replica.pool.autoscaling->rule(weights_of(own.capacity));
    own.tiers = knobs.cache_tiers;
    std::erase_if(own.tiers, [](const CacheTierSetting& tier) { return tier.shared; });
    StepTable& table = *own.table;
    pool.step_time = [&table](const StepLoad& load) { return table.time(load); };
    add_faults(index, pool, options);
    if (workload.serving->expert_balance) age(index, options, pool);
    return pool;
}

std::shared_ptr<StepTable> ServingFleet::table_of(std::size_t index,
                                                  const ResolvedAlternative& replica,
                                                  const RunOptions& options) const {
    const Fidelity fidelity = fidelity_of(options, replica.chip);
    std::shared_ptr<DisaggregatedSteps> beside;
    if (alternative_.pools[index].pool.role == "attention")
        beside = std::make_shared<DisaggregatedSteps>(replica, alternative_.pools.back(), fidelity,
                                                      options.cache_folder);
    return std::make_shared<StepTable>(*experiment_.model, experiment_.spec.workload.speculation,
                                       replica, fidelity, options.cache_folder, std::move(beside));
}

std::size_t ServingFleet::attention_pool() const {
    for (std::size_t i = 0; i < case_.pools.size(); ++i) {
        if (alternative_.pools[i].pool.role == "attention") return i;
    }
    throw std::logic_error("a feed-forward pool without an attention pool");
}

// Packages that a replica stops without: its own, and those of a pool beside it.
int ServingFleet::packages_of(std::size_t index) const {
    const ResolvedAlternative& own = alternative_.pools[index];
    return own.packages + (own.pool.role == "attention" ? alternative_.pools.back().packages : 0);
}

// A pool of feed-forward blocks has no requests: what it does is the attention pool's steps.
void ServingFleet::add_beside(std::size_t index) {
    const ServingPool& attention = case_.pools[attention_pool()];
    ServingPool pool;
    pool.name = alternative_.pools[index].pool.name;
    pool.role = attention.role;
    pool.replicas = attention.replicas;
    pool.knobs = attention.knobs;
    pool.autoscaling = attention.autoscaling;
    beside_ = std::move(pool);
    SchedulerKnobs of_group = attention.knobs;
    const long groups = alternative_.pools[attention_pool()].pool.mapping.data_parallel;
    of_group.max_num_seqs /= groups;
    pools_[index].capacity = pools_[attention_pool()].table->memory_beside(of_group);
}

// It is paid for as long as the attention pool, and under way in the same steps.
void ServingFleet::count_beside(ServingOutcome& out) const {
    if (!beside_) return;
    const PoolOutcome& attention = out.pools[attention_pool()];
    PoolOutcome own;
    own.busy = attention.busy;
    own.steps = attention.steps;
    own.mixed_steps = attention.mixed_steps;
    own.busy_windows = attention.busy_windows;
    own.condition_seconds = attention.condition_seconds;
    own.condition_steps = attention.condition_steps;
    own.paid = attention.paid;
    own.paid_windows = attention.paid_windows;
    own.starts = attention.starts;
    own.stops = attention.stops;
    out.pools.push_back(std::move(own));
}

RestPower ServingFleet::at_rest(std::size_t pool) {
    return is_beside(pool) ? rest_power(alternative_.pools[pool]) : pools_[pool].table->at_rest();
}

StepCost ServingFleet::cost(std::size_t pool, std::size_t condition, const StepLoad& load) {
    Pool& own = pools_[pool];
    AgedSteps* aged = condition == 0 ? own.aged.get() : own.degraded[condition - 1]->aged.get();
    return aged != nullptr ? aged->cost(load) : table(pool, condition).cost(load);
}

// Steps, and what placing experts anew takes, where their popularity drifts, on the whole fabric
// and on each that parts are missing of.
void ServingFleet::age(std::size_t index, const RunOptions& options, ServingPool& pool) {
    const WorkloadSpec& workload = experiment_.spec.workload;
    const ExpertBalanceSpec& spec = *workload.serving->expert_balance;
    Pool& own = pools_[index];
    const auto aged = [&](const ResolvedAlternative& replica, std::shared_ptr<StepTable> fresh) {
        return std::make_unique<AgedSteps>(*experiment_.model, workload.speculation, replica,
                                           std::move(fresh), fidelity_of(options, replica.chip),
                                           options.cache_folder);
    };
    own.aged = aged(alternative_.pools[index], own.table);
    pool.step_time = [&steps = *own.aged](const StepLoad& load) { return steps.time(load); };
    for (std::size_t i = 0; i < own.degraded.size(); ++i) {
        Degraded& degraded = *own.degraded[i];
        degraded.aged = aged(degraded.replica, degraded.table);
        pool.degraded[i] = [&steps = *degraded.aged](const StepLoad& load) {
            return steps.time(load);
        };
    }
    ExpertBalancing balancing;
    balancing.drift_time = spec.drift_time;
    std::optional<Seconds> period = spec.rebalance_every;
    if (spec.rebalance_above) {
        try {
            period = own.aged->first_above(*spec.rebalance_above, spec.drift_time,
                                           spec.rebalance_every.value_or(Seconds(0.0)));
        } catch (const std::invalid_argument& error) {
            throw InputError({at_key(workload, "expert_balance.rebalance_above",
                                     fmt::format("{}: {}", *spec.rebalance_above, error.what()),
                                     "a larger one, more redundant experts, or rebalance_every")});
        }
    }
    if (period) {
        balancing.rebalance_every = *period;
        own.migration = own.aged->migration(balancing.moved(*period), spec.rebalance_pause);
        balancing.stall = Seconds(own.migration.stall);
    }
    pool.experts = balancing;
}

// A table of steps for each set of parts that are broken together.
void ServingFleet::add_faults(std::size_t index, ServingPool& pool, const RunOptions& options) {
    const ResolvedAlternative& replica = alternative_.pools[index];
    FaultTimeline timeline = fault_timeline(replica.pool, replica.packages);
    for (std::size_t i = 1; i < timeline.conditions.size(); ++i) {
        auto degraded = std::make_unique<Degraded>();
        degraded->replica = replica;
        Problems problems;
        degraded->broken = break_timed(degraded->replica.system, replica.pool.faults,
                                       timeline.conditions[i], replica.pool.path, problems);
        if (!problems.empty()) throw InputError(std::move(problems));
        degraded->table = table_of(index, degraded->replica, options);
        StepTable& table = *degraded->table;
        pool.degraded.emplace_back([&table](const StepLoad& load) { return table.time(load); });
        pool.degraded_links.push_back(link_of(degraded->replica));
        pools_[index].degraded.push_back(std::move(degraded));
    }
    pool.changes = std::move(timeline.changes);
    pool.outages = std::move(timeline.outages);
}

std::vector<std::vector<std::string>> ServingFleet::conditions(std::size_t pool) const {
    std::vector<std::vector<std::string>> all(1);
    for (const auto& one : pools_[pool].degraded) all.push_back(one->broken);
    return all;
}

// Ranks that cannot reach each other, or no replica left.
void ServingFleet::check_faults(std::size_t index, std::vector<Diagnostic>& problems) {
    const PoolSpec& pool = alternative_.pools[index].pool;
    for (const auto& degraded : pools_[index].degraded) {
        try {
            degraded->table->check();
            (void)degraded->table->time({1, 1, 0, 0});
        } catch (const InputError& error) {
            for (const Diagnostic& one : error.diagnostics())
                problems.push_back(
                    at_key(pool, "faults",
                           fmt::format("{}: {}", fmt::join(degraded->broken, ", "), one.what),
                           "a dead chip of a replica stops it instead of its links"));
        }
    }
    std::set<int> lost;
    for (const ReplicaOutage& outage : case_.pools[index].outages) {
        if (!outage.until) lost.insert(outage.replica);
    }
    if (lost.size() >= static_cast<std::size_t>(pool.replicas))
        problems.push_back(at_key(pool, "faults", "leave no replica that ever works again",
                                  "until: when their chips are back"));
}

double ServingFleet::chips(std::size_t pool) const {
    return static_cast<double>(alternative_.pools[pool].packages) *
           alternative_.pools[pool].pool.replicas;
}

double ServingFleet::chip_seconds(std::size_t pool, const ServingOutcome& out) const {
    return static_cast<double>(alternative_.pools[pool].packages) * out.pools[pool].paid;
}

double ServingFleet::chip_seconds(const ServingOutcome& out) const {
    double sum = 0;
    for (std::size_t i = 0; i < pools_.size(); ++i) sum += chip_seconds(i, out);
    return sum;
}

std::vector<MemoryUse> ServingFleet::on_hosts(std::size_t pool) const {
    if (is_beside(pool)) return {};
    const ResolvedAlternative& own = alternative_.pools[pool];
    return host_uses(experiment_, own, experts_on_hosts(own, *pools_[pool].table));
}

double ServingFleet::chips() const {
    double sum = 0;
    for (std::size_t i = 0; i < pools_.size(); ++i) sum += chips(i);
    return sum;
}

void ServingFleet::check() {
    std::vector<Diagnostic> problems = tier_problems_;
    for (std::size_t i = 0; i < case_.pools.size(); ++i) {
        const ResolvedAlternative& replica = alternative_.pools[i];
        try {
            pools_[i].table->check(case_.pools[i].knobs.max_num_seqs /
                                   replica.pool.mapping.data_parallel);
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
            continue;
        }
        check_faults(i, problems);
        const KvCapacity& capacity = pools_[i].capacity;
        if (capacity.blocks > 0) continue;
        std::vector<MemoryPart> parts = capacity.parts;
        std::stable_sort(parts.begin(), parts.end(),
                         [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
        std::string largest;
        for (std::size_t p = 0; p < std::min<std::size_t>(3, parts.size()); ++p)
            largest += fmt::format("{}{} {}", p > 0 ? ", " : "", parts[p].part,
                                   to_string(Bytes(parts[p].bytes)));
        problems.push_back(at_key(
            replica.pool, "chips",
            fmt::format("the model leaves no room for a KV cache: a rank has {}, the model and its "
                        "work take {} ({})",
                        to_string(Bytes(capacity.capacity)), to_string(Bytes(capacity.total())),
                        largest),
            std::string(replica.pool.experts.offload.is_used()
                            ? "a smaller experts.offload.resident, "
                            : "") +
                "more chips a replica (chips, or fewer replicas), tensor_parallel, fewer "
                "max_num_batched_tokens, smaller formats"));
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    require_objective();
}

// One sequence alone, with the shortest context, is as fast as a pool ever is.
void ServingFleet::require_objective() {
    const WorkloadSpec& workload = experiment_.spec.workload;
    const ServiceObjective& slo = workload.serving->slo;
    std::vector<Diagnostic> problems;
    for (std::size_t i = 0; i < case_.pools.size(); ++i) {
        const PoolRole role = case_.pools[i].role;
        if (slo.time_per_output_token && role != PoolRole::prefill) {
            const Seconds fastest = time_per_output_token(pools_[i].table->time({1, 1, 0, 0}),
                                                          case_.pools[i].tokens_per_step);
            if (fastest > *slo.time_per_output_token)
                problems.push_back(at_key(
                    workload, "slo.tpot",
                    fmt::format("{}: {} needs {} for a token with one sequence alone",
                                to_string(*slo.time_per_output_token), alternative_.name,
                                to_string(fastest)),
                    "a longer one, or fewer weights a rank (tensor_parallel), faster memory"));
        }
        if (slo.time_to_first_token && role != PoolRole::decode) {
            const Seconds fastest = pools_[i].table->time({0, 0, 1, 1});
            if (fastest > *slo.time_to_first_token)
                problems.push_back(at_key(workload, "slo.ttft",
                                          fmt::format("{}: {} needs {} to read one token",
                                                      to_string(*slo.time_to_first_token),
                                                      alternative_.name, to_string(fastest)),
                                          "a longer one"));
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

// Where a pool has its tiers from.
Diagnostic ServingFleet::at_tiers(const ResolvedAlternative& pool, std::string what,
                                  std::string hint) const {
    constexpr const char* key = "scheduler.cache_tiers";
    if (pool.pool.scheduler.cache_tiers)
        return at_key(pool.pool, key, std::move(what), std::move(hint));
    return at_key(experiment_.spec.workload, key, std::move(what), std::move(hint));
}

ServingOutcome ServingFleet::run(const TrafficSpec& traffic, std::uint64_t seed,
                                 const std::function<bool()>& stop) {
    for (Pool& pool : pools_) pool.work = PoolWork();
    stream_ = make_stream(traffic, seed);
    const Bytes block = static_cast<double>(stream_.block_tokens) * case_.kv_per_token;
    const auto in_blocks = [&](const std::vector<CacheTierSetting>& settings,
                               const ResolvedAlternative& pool) {
        std::vector<CacheTierSpec> tiers;
        for (const CacheTierSetting& setting : settings) {
            if (!(block > Bytes(0.0))) break;
            CacheTierSpec tier;
            tier.name = setting.name;
            if (setting.capacity < block)
                throw InputError(
                    {at_tiers(pool,
                              fmt::format("{}: {} hold no block of {} tokens, which has {}",
                                          setting.name, to_string(setting.capacity),
                                          stream_.block_tokens, to_string(block)),
                              "more of it, or leave the tier out")});
            tier.blocks = static_cast<long>(setting.capacity / block);
            tier.bandwidth = setting.bandwidth;
            tier.latency = setting.latency;
            tier.time_to_live = setting.time_to_live;
            tiers.push_back(std::move(tier));
        }
        return tiers;
    };
    for (std::size_t i = 0; i < case_.pools.size(); ++i)
        case_.pools[i].tiers = in_blocks(pools_[i].tiers, alternative_.pools[i]);
    case_.shared_tiers = in_blocks(shared_tiers_, alternative_.pools.front());
    case_.stop = stop;
    case_.seed = seed;
    try {
        ServingOutcome out = simulate_serving(case_, stream_);
        count_beside(out);
        return out;
    } catch (const std::domain_error& hopeless) {  // failures leave no request the time it needs
        throw InputError({at_key(experiment_.spec.workload, "failures",
                                 fmt::format("{}: {}", alternative_.name, hopeless.what()),
                                 "a mean_time_between, of a chip, far above what a request takes "
                                 "times the chips of a replica")});
    }
}

}  // namespace podsim
