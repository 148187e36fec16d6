// What one engine step costs on a replica at any batch, context and prompt tokens: worked out by
// the same models as a step by itself, on a grid that is filled as it is asked for, and
// interpolated between. With b sequences of context c that decode beside q prompt tokens that see m
// tokens each:
//
//   T(b, c)        = bilinear in D(b, c), one decode step
//   T(q, m)        = A(q) + [P(q, m) - P(q, a)], one pass over prompts
//   T(b, c; q, m)  = T(q, m) + [D(b, c) - D(b, c0)] + [A(q + b) - A(q)]
//
// q is the mean of the data-parallel groups of a replica. Where one of them reads more, f, all wait
// for what it does for its own tokens, O, the part of P's longest chain that is neither experts nor
// their exchange, which have the tokens of all:
//
//   T(q, m; f)     = T(q, m) + O(f, m) - O(q, m)
//
// c0 being the shortest context, A(q) one prompt of q tokens, or as many equal ones as a step is
// cut into, and a what its tokens see: the products see q + b tokens at once, attention does each
// its own. Products climb a stair, since cores take tiles of rows in waves: A has a point at the
// end of each step of it and one at the beginning of the next, P, bilinear between far fewer
// points, adds what tokens see beyond a prompt's own.
//
// A model of many equal layers is run with few and with some more of them, and the rest is as many
// times the difference (sim/step_fold).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/assemble.hpp"
#include "sim/cost_file.hpp"
#include "sim/disaggregated_steps.hpp"
#include "sim/resolve.hpp"
#include "sim/step_case.hpp"
#include "sim/step_fold.hpp"
#include "workloads/serving.hpp"

namespace podsim {

// Of all ranks of a replica together; joules without what is drawn at rest.
struct StepCost {
    double seconds = 0, joules = 0, flops = 0, matrix_flops = 0, memory_bytes = 0;
    // Of a feed-forward pool beside the replica, where it has one; not in the sums above.
    PoolCost feed_forward{};
    // Of these seconds, those of work for tokens of a rank's own group: no experts, no exchange.
    double own_seconds = 0;
};
StepCost operator+(const StepCost& a, const StepCost& b);
StepCost operator*(double factor, const StepCost& cost);

// Interpolated against worked out, off the grid where the table was used.
struct InterpolationError {
    double mean = 0, worst = 0;
    long samples = 0;
};

// What a rank has room for, in the counts of an engine.
struct KvCapacity {
    long blocks = 0;                // of the replica
    double bytes_per_token = 0;     // on the fullest rank
    double fixed_per_sequence = 0;  // windows and states, on that rank
    std::vector<MemoryPart> parts;  // of that rank: weights, activations, reserve, KV cache, unused
    double capacity = 0;            // of that rank
    double total() const;
};

class StepTable {
  public:
    // All must outlive it. `replica` is one replica of a pool, `beside` the steps of an attention
    // pool with the pool that has its feed-forward blocks.
    StepTable(const ModelSpec& model, const SpeculationSpec& speculation,
              const ResolvedAlternative& replica, Fidelity fidelity,
              const std::string& cache_folder,
              std::shared_ptr<DisaggregatedSteps> beside = nullptr);
    ~StepTable();
    StepTable(const StepTable&) = delete;
    StepTable& operator=(const StepTable&) = delete;

    Seconds time(const StepLoad& load);
    StepCost cost(const StepLoad& load);

    // A load of decoding sequences alone, or of prompt tokens alone, as near as whole sequences
    // come to it, without the grid.
    StepCost exact(const StepLoad& load);
    // What its time rests on, and warnings of its costs.
    Provenance provenance(const StepLoad& load, std::vector<std::string>& warnings);

    // Of a decode step of so many sequences of a data-parallel group: assignments of the busiest
    // rank over the mean; 1 where experts are equal, or the model has none.
    double expert_imbalance(double sequences, double context) const;

    // Of a decode step like that, where routed experts lie outside the chips' memory.
    std::optional<ServingStep::Offloaded> offloaded(double sequences, double context) const;

    // At so many random loads within the cells that are filled.
    InterpolationError error(int samples, std::uint64_t seed);

    RestPower at_rest();
    // Of the feed-forward pool beside it; null where there is none.
    DisaggregatedSteps* beside() { return beside_.get(); }
    // One sequence of the shortest context.
    StepSpec smallest() const;
    // A load's step, both pools'.
    DisaggregatedCost disaggregated(const StepLoad& load);
    // Of the feed-forward pool, at the largest batch.
    KvCapacity memory_beside(const SchedulerKnobs& knobs) const;

    // Room for the KV cache with `utilization` of the memory taken; not more than 0 blocks where
    // weights and work leave none.
    KvCapacity capacity(const SchedulerKnobs& knobs, double utilization, long max_model_len) const;

    // Throws InputError with all that keeps steps from being laid out: before anything else is
    // asked of it.
    void require_laid_out() const;

    // Throws InputError where the smallest step cannot be laid out or has no cost, or a
    // feed-forward pool no room for its part of one of `most` sequences of a group.
    void check(long most = 1);

    long points() const { return points_; }
    const CostCache& cache() const { return cache_; }

  private:
    // Values on a grid, worked out when first asked for.
    class Grid {
      public:
        Grid(std::vector<double> rows, std::vector<double> columns);
        template <class Work>
        StepCost at(double row, double column, const Work& work);
        const std::vector<double>& rows() const { return rows_; }
        const std::vector<double>& columns() const { return columns_; }
        bool filled(std::size_t row, std::size_t column) const;

      private:
        std::vector<double> rows_, columns_;
        std::vector<std::optional<StepCost>> cells_;
    };

    StepSpec decode_spec(double sequences, double context) const;
    StepSpec prefill_spec(double tokens, double seen, double& scale) const;
    ServingStep build(const StepSpec& spec) const;
    StepRun run(const StepSpec& spec);
    AssemblyInput input_of(const StepRun& ran) const;
    StepCost work_out(const StepSpec& spec, double scale);
    StepCost run_cost(const StepSpec& spec, RestPower& rest);
    StepCost decode(double sequences, double context);  // of a data-parallel group
    double seen_alone(double tokens) const;
    StepCost alone(double tokens);  // one prompt
    StepCost coarse(double tokens, double seen);
    StepCost prefill(double tokens, double seen);
    double waiting_for(double fullest, double tokens, double seen);
    StepSpec spec_of(const StepLoad& load, double& scale) const;

    const ModelSpec& model_;
    const SpeculationSpec& speculation_;
    const ResolvedAlternative& replica_;
    RankHardware hardware_;
    RankFabric fabric_;
    CostCache cache_;
    CostFile file_;
    Grid decode_, prefill_, alone_;
    std::optional<StepFold> fold_;
    std::shared_ptr<DisaggregatedSteps> beside_;
    double groups_ = 1;
    long points_ = 0;
    std::optional<RestPower> at_rest_;
};

}  // namespace podsim
