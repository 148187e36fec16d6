// A training run of days: steps, evaluations, checkpoints, failures, repair.
//
// Failures come as a Poisson process of rate L = sum of units / mean time between failures. One
// costs what was done since the last usable checkpoint, the time to notice and restart, and, where
// no spare is left, the wait for the first repair. With interval T of work, stall C a checkpoint,
// restart R and U until a checkpoint is usable, the expected time of a run of work W is
//
//   E = W / T x exp(L R) / L x exp(L U) x (exp(L (T + C)) - 1)
//
// (Daly, A higher order estimate of the optimum checkpoint interval, FGCS 22, 2006, equation 13,
// for U = 0; a life of length X keeps floor((X - U) / (T + C)) intervals); its minimum for small C
// is Young's T = sqrt(2 C / L). Beside copies in other ranks' memory, every a of time, failures are
// of two kinds, m that the copies survive and s that they do not. With p = exp(-L a), q = 1 - p
// split by their rates, r the chance that a restart from memory, of A on the mean, is not itself
// broken by one of s, and D a restart from storage, the time V of the n parts of a storage interval
// solves
//
//   V_i = q / L + p V_(i-1) + q_m (A + r V_i + (1 - r) (D + V_n)) + q_s (D + V_n),  V_0 = 0
//   V_n = b / g x ((1 - g)^-n - 1),  g = (q_m (1 - r) + q_s) / (1 - q_m r),
//   b = (q / L + q_m (A + (1 - r) D) + q_s D) / (1 - q_m r)
//
// which for s alone is Daly's; exp(L_s U_s + L_m U_m) stands for what is not usable yet (beside a
// checkpoint on storage the first of the two that is). Single
// failures, drawn one by one, check it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"

namespace podsim {

struct FailureSource {
    std::string component;
    double units = 0;                // of them in the job
    Seconds mean_time_between{0.0};  // of one unit
    Seconds repair{0.0};             // until the unit is back as a spare; 0: nothing to replace
    bool spares_memory = true;       // copies in other ranks' memory survive it
    long chips = 1;                  // that go with one unit, and as many spares replace it
};

struct CheckpointSpec {
    Seconds interval{0.0};      // of work, rounded to whole steps; 0: the best one
    Seconds stall{0.0};         // the job stands still
    Seconds until_usable{0.0};  // written behind the job's back afterwards
    Seconds restore{0.0};
};

// Units that turn slow now and then, as a Poisson process, and hold up every step until they are
// as usual again or replaced, of which the job stands still for a while. With k of them a step
// takes steps[k] times as long as with none. They are slow for a time of constant length D, so that
// k is Poisson with mean L D, L the rate of the whole job, and work goes on at 1 / S of its speed,
//   1 / S = sum over k of P(k) / steps[k].
struct SlowUnits {
    double rate = 0;     // of the job, 1/s
    Seconds lasts{0.0};  // from slow to usual or replaced
    Seconds stall{0.0};  // of the job when one is replaced
    std::vector<double> steps;
};

// S above, with the stalls: wall time over that of as much work at the usual speed.
double slowed_by(const SlowUnits& slow);

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
    SlowUnits slow;
};

struct TrainingRun {
    Seconds wall{0.0}, work{0.0};  // work: steps and evaluations, each once
    Seconds evaluations{0.0};      // of the work
    // These sum to wall - work; slowed: by slow units and their replacement.
    Seconds checkpoints{0.0}, slowed{0.0}, lost{0.0}, restarts{0.0}, waiting{0.0};
    double interruptions = 0;
    double goodput = 0;                                   // steps, each once, over wall
    Seconds storage_interval{0.0}, memory_interval{0.0};  // as run
};

// What cannot be, and the key of a run that says so ("checkpoint", "memory_checkpoint", ...).
struct RunProblem : std::invalid_argument {
    RunProblem(std::string its_key, const std::string& what)
        : std::invalid_argument(what), key(std::move(its_key)) {}
    std::string key;
};

// Mean time between failures of the whole job.
Seconds time_between_failures(const std::vector<FailureSource>& failures);

// Under repair at a time, mean and twice its standard deviation (the number of units is Poisson's):
// with as many spares the job seldom waits.
double chips_under_repair(const std::vector<FailureSource>& failures);

// Throws RunProblem for what cannot be: no steps; a checkpoint, an interval or a restart
// longer than the time between the failures that it is for; more chips of one failure than come
// back (nothing would ever be finished).
TrainingRun expected_run(const TrainingRunSpec& spec);

// One draw; equal seeds give equal runs.
TrainingRun simulated_run(const TrainingRunSpec& spec, std::uint64_t seed);

}  // namespace podsim
