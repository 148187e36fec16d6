// The pools of a serving alternative as engines: step tables, room for caches, links, knobs.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "sim/aged_steps.hpp"
#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "sim/step_table.hpp"
#include "workloads/serving.hpp"

namespace podsim {

// What the steps of a pool came to, summed over its replicas.
struct PoolWork {
    StepCost cost;
    double prefill_seconds = 0;  // of the steps, by what prompts alone would have taken
    double decode_sequences = 0, decode_contexts = 0;  // summed over steps
    double decode_steps = 0;                           // with sequences that decode
    double prefill_tokens = 0, prefill_contexts = 0;   // tokens, and tokens times what they see
    double prefill_steps = 0;
};

// Tokens of prompt and answer together that engines take: as asked, else what the model was made
// for.
long longest_of(const ResolvedExperiment& experiment);

// Routed experts on the hosts of a pool with so many replicas; nothing where none lie there, or no
// step of it works out.
std::optional<MemoryUse> experts_on_hosts(const ResolvedAlternative& pool, const StepTable& table);

// Whether a time is promised to any of the requests.
bool promises(const ResolvedExperiment& experiment);

// Of a pool that names none: both at once.
PoolRole role_of(const PoolSpec& pool);

class ServingFleet {
  public:
    // Both must outlive it. `tables`, of its pools' replicas, are made where they are not given.
    ServingFleet(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                 const RunOptions& options, std::vector<std::shared_ptr<StepTable>> tables = {});

    // Throws InputError as check_serving says.
    void check();

    ServingOutcome run(const TrafficSpec& traffic, std::uint64_t seed,
                       const std::function<bool()>& stop);

    std::size_t size() const { return pools_.size(); }
    const ResolvedExperiment& experiment() const { return experiment_; }
    const ResolvedAlternative& replica(std::size_t pool) const { return alternative_.pools[pool]; }
    const ServingPool& engine(std::size_t pool) const {
        return is_beside(pool) ? *beside_ : case_.pools[pool];
    }
    // A pool of feed-forward blocks, which works with the attention pool and takes no requests.
    bool is_beside(std::size_t pool) const { return pool == case_.pools.size(); }
    StepTable& table(std::size_t pool) { return *pools_[pool].table; }
    // Null where the popularity of experts stays.
    AgedSteps* aged(std::size_t pool) { return pools_[pool].aged.get(); }
    const ExpertMigration& migration(std::size_t pool) const { return pools_[pool].migration; }
    const KvCapacity& capacity(std::size_t pool) const { return pools_[pool].capacity; }
    const std::vector<CacheTierSetting>& tiers(std::size_t pool) const {
        return pools_[pool].tiers;
    }
    const std::vector<CacheTierSetting>& shared_tiers() const { return shared_tiers_; }
    // Who holds the memory and the drives of the fullest of a pool's hosts.
    std::vector<MemoryUse> on_hosts(std::size_t pool) const;
    // What no record says of the place of a tier.
    const std::vector<std::string>& tier_notes() const { return tier_notes_; }
    // As the last run had them, in blocks of its traffic.
    const std::vector<CacheTierSpec>& shared_blocks() const { return case_.shared_tiers; }
    const PoolWork& work(std::size_t pool) const { return pools_[pool].work; }
    // What is broken under each condition of a pool's fabric; the first is whole.
    std::vector<std::vector<std::string>> conditions(std::size_t pool) const;
    Bytes kv_per_token() const { return case_.kv_per_token; }
    int replicas(std::size_t pool) const { return engine(pool).replicas; }
    RestPower at_rest(std::size_t pool);
    // The attention pool of one that is beside it.
    std::size_t attention_pool() const;
    double chips(std::size_t pool) const;
    double chips() const;
    // Paid for in a run: packages times seconds.
    double chip_seconds(std::size_t pool, const ServingOutcome& out) const;
    double chip_seconds(const ServingOutcome& out) const;
    // Requests that a stream told of, skipped rows, notes of the last run.
    const RequestStream& stream() const { return stream_; }

  private:
    // The pool's replica and its steps while some parts of its fabric are broken.
    struct Degraded {
        std::vector<std::string> broken;
        ResolvedAlternative replica;
        std::shared_ptr<StepTable> table;
        std::unique_ptr<AgedSteps> aged;
    };
    struct Pool {
        std::shared_ptr<StepTable> table;
        std::unique_ptr<AgedSteps> aged;  // where the popularity of experts drifts
        ExpertMigration migration;        // of each placing
        std::vector<std::unique_ptr<Degraded>> degraded;
        KvCapacity capacity;
        std::vector<CacheTierSetting> tiers;
        PoolWork work;
    };
    void lay_out(std::vector<std::shared_ptr<StepTable>> tables, const RunOptions& options);
    void age(std::size_t index, const RunOptions& options, ServingPool& pool);
    ServingPool pool_of(std::size_t index, const RunOptions& options);
    void add_beside(std::size_t index);
    int packages_of(std::size_t index) const;
    void count_beside(ServingOutcome& out) const;
    std::shared_ptr<StepTable> table_of(std::size_t index, const ResolvedAlternative& replica,
                                        const RunOptions& options) const;
    void add_faults(std::size_t index, ServingPool& pool, const RunOptions& options);
    void check_faults(std::size_t index, std::vector<Diagnostic>& problems);
    StepCost cost(std::size_t pool, std::size_t condition, const StepLoad& load);
    StepTable& table(std::size_t pool, std::size_t condition) {
        return condition == 0 ? *pools_[pool].table : *pools_[pool].degraded[condition - 1]->table;
    }
    void require_objective();

    const ResolvedExperiment& experiment_;
    const ResolvedAlternative& alternative_;
    std::vector<Pool> pools_;
    ServingCase case_;  // of the pools that take requests, the first ones
    std::optional<ServingPool> beside_;
    Diagnostic at_tiers(const ResolvedAlternative& pool, std::string what, std::string hint) const;
    std::vector<CacheTierSetting> shared_tiers_;
    Problems tier_problems_;
    std::vector<std::string> tier_notes_;
    RequestStream stream_;
};

}  // namespace podsim
