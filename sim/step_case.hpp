// One decode or prefill alternative at any batch: the step it runs, whether it fits into memory,
// how long it takes; and which batch it is to run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/machine.hpp"
#include "sim/resolve.hpp"
#include "workloads/step.hpp"

namespace podsim {

struct StepRun {
    ServingStep step;
    ProgramCosts costs;
    RunRecord record;
    Seconds iteration() const { return to_seconds(record.end); }
};

// Batches are sequences of a data-parallel group.
class StepCase {
  public:
    // Both must outlive the case.
    StepCase(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

    const RankHardware& hardware() const { return hardware_; }
    const RankFabric& fabric() const { return fabric_; }

    // Throws InputError for a mapping that does not work out.
    ServingStep build(long batch) const;
    StepRun run(long batch, CostCache& cache, Driver driver) const;

    // Throws InputError: a step that does not work out, memory that does not fit (by how much, and
    // what would help), a format or a collective that has no cost. Of a latency target the smallest
    // batch is looked at.
    void check() const;

    // The batch that is given, or the largest that keeps the latency target and fits. Throws
    // InputError where none does. A target that memory keeps from being reached is a warning.
    long find_batch(CostCache& cache, std::vector<std::string>& warnings) const;

    // Of the fullest rank; nothing for a mapping that does not work out.
    std::optional<Bytes> memory_of(long batch) const;

    // A batch as `batch_per_chip` counts it.
    double per_chip(long batch) const;

    // Sequences a group has room for, 0 when not even the smallest batch fits.
    long largest_that_fits() const;

    // What is asked of workloads/ with that batch.
    StepSpec spec(long batch) const;

  private:
    Diagnostic at_step(const StepError& error) const;
    long smallest() const;  // a sequence for each micro-batch
    bool fits(long batch) const;
    double most_resident(StepSpec spec) const;
    void require_memory(const ServingStep& step) const;
    // Tokens of a prompt that one pass may take so that `batch` fits; 0 where none helps.
    long largest_chunk(long batch) const;
    std::string help_without_batch() const;
    std::optional<std::string> fewer_resident(const StepSpec& step) const;
    // Time per output token, of a prefill that to the first token.
    Seconds latency(long batch, CostCache& cache) const;
    const char* group_name() const;

    const ResolvedExperiment& experiment_;
    const ResolvedAlternative& alternative_;
    RankHardware hardware_;
    RankFabric fabric_;
};

}  // namespace podsim
