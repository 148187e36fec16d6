// A training run of days: steps, evaluations, checkpoints, failures, repair.
//
// Failures come as a Poisson process of rate L = sum of units / mean time between failures. One
// costs what was done since the last usable checkpoint, the time to notice and restart, and, where
// no spare is left, the wait for the first repair. With interval T of work, stall C a checkpoint
// and restart R, the expected time of a run of work W is
//
//   E = W / T x exp(L R) / L x (exp(L (T + C)) - 1)                  [one kind of checkpoint]
//
// (Daly, A higher order estimate of the optimum checkpoint interval, FGCS 22, 2006, equation 13);
// its minimum for small C is Young's T = sqrt(2 C / L). Copies in other ranks' memory beside
// checkpoints on storage split the failures in those they survive and the rest; the loss is then
// taken to first order, which the simulation of single failures checks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.hpp"

namespace podsim {

struct FailureSource {
    std::string component;
    double units = 0;                // of them in the job
    Seconds mean_time_between{0.0};  // of one unit
    Seconds repair{0.0};             // until the unit is back as a spare; 0: nothing to replace
    bool spares_memory = true;       // copies in other ranks' memory survive it
};

struct CheckpointSpec {
    Seconds interval{0.0};      // of work, rounded to whole steps; 0: the best one
    Seconds stall{0.0};         // the job stands still
    Seconds until_usable{0.0};  // written behind the job's back afterwards
    Seconds restore{0.0};
};

struct TrainingRunSpec {
    double steps = 0;
    Seconds step_time{0.0};
    double evaluate_every = 0;  // steps; 0: never
    Seconds evaluation{0.0};
    CheckpointSpec storage;
    CheckpointSpec memory;  // interval 0: no copies in memory
    Seconds restart{0.0};   // to notice, reschedule, start processes and set up communication
    std::vector<FailureSource> failures;
    long spares = 0;
};

struct TrainingRun {
    Seconds wall{0.0}, work{0.0};  // work: steps and evaluations, each once
    Seconds checkpoints{0.0}, lost{0.0}, restarts{0.0}, waiting{0.0};  // sum to wall - work
    double interruptions = 0;
    double goodput = 0;                                   // work / wall
    Seconds storage_interval{0.0}, memory_interval{0.0};  // as run
};

// Mean time between failures of the whole job.
Seconds time_between_failures(const std::vector<FailureSource>& failures);

// Throws std::invalid_argument for what cannot be: no steps, a checkpoint interval with its stall,
// or a restart, longer than the time between failures (nothing would ever be finished).
TrainingRun expected_run(const TrainingRunSpec& spec);

// One draw; equal seeds give equal runs.
TrainingRun simulated_run(const TrainingRunSpec& spec, std::uint64_t seed);

}  // namespace podsim
