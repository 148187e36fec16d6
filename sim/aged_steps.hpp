// Steps of a replica whose experts were placed for a popularity that has moved since: step tables
// at a few shares of what has moved, interpolated between (workloads/expert_drift); and what
// placing the experts anew costs.
//
// Each rank gets its new experts over its port, layer after layer, while the replica waits:
//
//   stall = experts received by the busiest rank x MoE layers x bytes of an expert / port + pause
//
// The port is that of the scale-up links where an expert group lies within a domain, else that of
// the network. Where the copies come from is taken as spread evenly.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/expert_balance_spec.hpp"
#include "sim/step_table.hpp"
#include "workloads/expert_drift.hpp"

namespace podsim {

// Of one placing anew, after so much has moved.
struct ExpertMigration {
    double received = 0;  // experts, by the busiest rank, in all layers
    double bytes = 0;     // moved between ranks of the replica
    double stall = 0;     // seconds
};

class AgedSteps {
  public:
    // All must outlive it. `fresh` is the table of experts just placed.
    AgedSteps(const ModelSpec& model, const SpeculationSpec& speculation,
              const ResolvedAlternative& replica, std::shared_ptr<StepTable> fresh,
              Fidelity fidelity, std::string cache_folder);

    StepCost cost(const StepLoad& load);
    Seconds time(const StepLoad& load) { return Seconds(cost(load).seconds); }

    // Assignments of the busiest rank over the mean, in a decode step of so many sequences.
    double imbalance(double sequences, double context, double moved);

    ExpertMigration migration(double moved, Seconds pause) const;

    // The same of many tokens, mean over the layers: what a balancer that counts them sees.
    double expected_imbalance(double moved) const;

    // The first look, every `every` (0: all the time), at which that is above `above`; nothing
    // where it never comes to that. Throws std::invalid_argument where experts just placed are
    // above it already and there is no time between two looks.
    std::optional<Seconds> first_above(double above, Seconds drift_time, Seconds every) const;

  private:
    StepTable& at_level(std::size_t level);

    const ModelSpec& model_;
    const SpeculationSpec& speculation_;
    const ResolvedAlternative& replica_;
    Fidelity fidelity_;
    std::string cache_folder_;
    std::deque<ResolvedAlternative> aged_;  // by level
    std::vector<std::shared_ptr<StepTable>> tables_;
};

// What is wrong with drifting popularity on a pool's experts; of which file they were counted must
// be known. Reads the counts of `drift_part` into `pool`.
void load_drift(const ExpertBalanceSpec& spec, const WorkloadSpec& workload, PoolSpec& pool,
                const ModelSpec& model, Catalog& catalog);

}  // namespace podsim
