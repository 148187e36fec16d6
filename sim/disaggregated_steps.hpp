// What one step costs where attention and feed-forward blocks run on pools of their own: the parts
// of each pool as programs on its chips, the ways between them over the ports of both, and how
// micro-batches follow each other through them (workloads/ping_pong).
//
//   a way = max(what a rank of the one pool sends / its port, what one of the other takes in / its)
//
// and the longer latency of the two fabrics. Ports are those of the scale-up links where one domain
// has both pools, else of the network.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sim/assemble.hpp"
#include "sim/cost_file.hpp"
#include "sim/resolve.hpp"
#include "workloads/disaggregated_step.hpp"
#include "workloads/ping_pong.hpp"

namespace podsim {

// Of all ranks of one pool in a step; joules without what is drawn at rest.
struct PoolCost {
    double joules = 0, flops = 0, matrix_flops = 0, memory_bytes = 0;
};

PoolCost operator+(const PoolCost& a, const PoolCost& b);
PoolCost operator*(double factor, const PoolCost& cost);

struct DisaggregatedCost {
    PoolCost attention, feed_forward;
    double seconds = 0;
    PingPongTimes times;
    double host = 0;  // of `seconds`, after both pools' work
    double layers = 0, batches = 0, stages = 1;
    double tokens = 0;       // of all groups
    Seconds latency{0.0};    // of each way, beside its wire
    double moved_bytes = 0;  // between the pools, both ways
    double imbalance = 1;    // of the experts' ranks, mean over MoE layers
};

// What a replica draws whether it works or not, watts.
struct RestPower {
    double package = 0, beside = 0;  // its chips; hosts, network and fans
};
RestPower rest_power(const ResolvedAlternative& replica);

class DisaggregatedSteps {
  public:
    // Both replicas must outlive it.
    DisaggregatedSteps(const ResolvedAlternative& attention,
                       const ResolvedAlternative& feed_forward, Fidelity fidelity,
                       const std::string& cache_folder);
    ~DisaggregatedSteps();
    DisaggregatedSteps(const DisaggregatedSteps&) = delete;
    DisaggregatedSteps& operator=(const DisaggregatedSteps&) = delete;

    // `step` as the attention pool sees it, mapping.micro_batches parts of it between the pools.
    // Throws InputError for one that cannot be laid out.
    DisaggregatedCost cost(const StepSpec& step);
    Provenance provenance(const StepSpec& step, std::vector<std::string>& warnings);

    // Throws InputError: what is wrong with either mapping, a format or collective without cost, a
    // feed-forward rank whose memory does not hold its part while it works on a micro-batch of
    // `largest`.
    void check(const StepSpec& smallest, const StepSpec& largest);
    // Throws InputError with all that keeps a step from being laid out over the two pools.
    void require_laid_out(const StepSpec& smallest) const;

    DisaggregatedSpec spec_of(const StepSpec& step) const;
    MemoryNeed memory_of_attention(const StepSpec& step) const;
    MemoryNeed memory_of_feed_forward(const StepSpec& step) const;
    double feed_forward_capacity() const;  // bytes of a rank's memory

    const ResolvedAlternative& feed_forward() const { return feed_forward_.replica; }
    bool over_scale_up() const { return over_scale_up_; }
    const CostCache& cache_of_attention() const { return attention_.cache; }
    const CostCache& cache_of_feed_forward() const { return feed_forward_.cache; }

  private:
    struct Side {
        Side(const ResolvedAlternative& pool, Fidelity fidelity, const std::string& cache_folder);
        const ResolvedAlternative& replica;
        RankHardware hardware;
        RankFabric fabric;
        CostCache cache;
        CostFile file;
    };
    // A program's run on one pool. `rests_on` is asked for where it is given.
    struct Part {
        Seconds time{0.0};
        PoolCost cost;
    };
    // What times rest on, each with its weight in seconds, and warnings.
    struct Evidence {
        std::vector<std::pair<Provenance, double>> parts;
        std::vector<std::string> warnings;
    };
    struct Way {
        Seconds wire{0.0}, latency{0.0};
    };
    // What one micro-batch is to both pools.
    struct Batch {
        PingPongBatch times;
        PoolCost attention, feed_forward;
        Seconds latency{0.0};
        double moved_bytes = 0, imbalance = 1;
    };
    struct Layer {
        PingPongLayer times;
        PoolCost attention, feed_forward;
        Seconds latency{0.0};
        double moved_bytes = 0;
    };
    Batch batch_of(const DisaggregatedSpec& spec, Evidence* evidence);
    Layer layer_of(const DisaggregatedLayer& layer, double times, Evidence* evidence);
    Part run(const Program& program, Side& side, double times, Evidence* evidence);
    Coflow coflow(const Side& side, Bytes size, double messages) const;
    Way way(Bytes of_attention, Bytes of_feed_forward, double rows, bool there, double times,
            Evidence* evidence) const;
    PoolCost of_link(const Side& side, Bytes sent, Bytes received, double ranks) const;
    Diagnostic at_pool(const DisaggregatedError& problem) const;

    Side attention_, feed_forward_;
    bool over_scale_up_ = false;
};

}  // namespace podsim
