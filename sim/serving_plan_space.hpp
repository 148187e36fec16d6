// Which replicas a pool may have in a plan, and each of them resolved, with its bound.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "sim/resolve.hpp"
#include "sim/serving_bound.hpp"

namespace podsim {

// What a plan turns of a pool; what is absent stays as the file has it.
struct PoolSetting {
    int chips = 1, replicas = 1;  // chips of a replica
    std::optional<int> tensor_parallel, context_parallel, data_parallel, expert_parallel,
        pipeline_parallel;
    bool free_mapping = false;  // data parallelism follows, whatever the file says
    bool free_experts = false;  // and expert parallelism
    std::optional<long> max_num_seqs, max_num_batched_tokens;
    // Of tokens of a step that nobody listed, other than the usual ones: tried once the rest of the
    // replica is known.
    bool refines = false;
    // But for the tokens of a step.
    bool is_like(const PoolSetting& other) const;
};

// The experiment of one alternative with its pools turned so, without its plan, its traffic at
// `scale` times the rate.
Node plan_document(const Node& document, std::size_t alternative,
                   const std::vector<PoolSetting>& pools, double scale, const TrafficSpec& traffic);

// A replica with the costs of its steps; shared by those that differ in their batch limits alone.
struct ReplicaGround {
    ResolvedAlternative replica;
    std::optional<ResolvedAlternative> beside;
    std::unique_ptr<StepTable> table;
};

// Of a pool of role attention with its part of the feed-forward pool, `beside`: they are chosen,
// counted and paid for together.
struct ReplicaCandidate {
    PoolSetting setting;
    std::optional<PoolSetting> beside;
    std::shared_ptr<ReplicaGround> ground;
    ResolvedAlternative replica;  // with its knobs, of one replica
    ServingBound bound;
    bool priced = false;
    std::string basis;                         // of the price, "" where there is none
    double usd_per_hour = 0;                   // of a replica; its chips where no price is known
    double chip_usd = 0, beside_chip_usd = 0;  // an hour of one chip, and of one of the pool beside
    // An hour of so many of them, with the chips that stand idle on their hosts where those are
    // paid for.
    double usd(int replicas) const;
    double watts = 0;      // of a replica at most, what cools it included
    int packages() const;  // of a replica
};

struct PoolCandidates {
    std::vector<ReplicaCandidate> found;  // that may do, the cheapest bound first
    long looked_at = 0, refused = 0, do_not_fit = 0, too_slow = 0;
    std::string first_refusal, first_misfit;
    // Those are of the feed-forward pool beside.
    bool refusal_beside = false, misfit_beside = false;
    // Of those too slow, the best each served alone, and how.
    double best_first_token = 0, best_each_token = 0;
    std::string best_first_how, best_each_how;
};

struct PlanGroundwork {
    const Node& document;
    const ResolvedExperiment& experiment;
    Catalog& catalog;
    const ServingDemand& demand;
    std::optional<Fidelity> fidelity;
    std::string cache_folder;
    std::function<bool()> stop;
};

PoolCandidates pool_candidates(const PlanGroundwork& ground, std::size_t alternative,
                               std::size_t pool);

// Whether the last pool of an alternative has the feed-forward blocks of another one, which brings
// it along in its candidates.
bool has_beside(const ResolvedAlternative& alternative);

// "chips_per_replica 8, tensor_parallel 8, max_num_seqs 256": what was turned.
std::string text_of(const PoolSetting& setting);

}  // namespace podsim
