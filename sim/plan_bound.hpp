// No step under a mapping is shorter than this; a few microseconds for a mapping whose layers are
// known.
//
// A pass of several layers takes no less than its layers one by one, each run alone on the machine
// (their passes are shared by all mappings of equal tensor, context and expert parallelism,
// micro-batch and recompute), so of positions p with times F (forward), I and W (gradients of
// inputs and weights), and M micro-batches,
//
//   step >= max over stages s of   sum over its positions p of M (F_p + I_p + W_p)
//                                  + sum over q < first position of s of F_q       [fill]
//                                  + the same sum of I_q + W_q                     [drain]
//           + host
//
// The drain counts where a backward pass is one; where its halves are apart a stage may do the
// second ones meanwhile. Forward and backward passes that run as one take no less than the longest
// of their streams: the cores, and transfers of each kind. Embedding, head and drafts count as
// layers do.
//
// Looked at more closely, passes as long as their layers go through the schedule itself, with each
// micro-batch's gradients reduced beside them where the plan has that, and with what follows the
// last pass, norm and optimiser, of the stage that ends last. Left out: gathers and what
// sums beside a pass add to it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "sim/training_case.hpp"

namespace podsim {

// Contention aside, layers in a row save the wait between two kernels at most.
inline constexpr double kPlanBoundMargin = 0.98;

class PlanBound {
  public:
    PlanBound(const TrainingJob& job, TrainingCase& training) : job_(job), training_(training) {}

    Seconds of(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions);

    // The schedule itself, of such passes. Some hundred times as long.
    Seconds closer(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions);

  private:
    enum class Detail { sum, closer };
    // Seconds of passes and of their streams; closer: of those that run as one, and with sums.
    struct Part {
        double forward = 0, input = 0, weight = 0, sums = 0;
        std::array<double, kChainStreams> streams = {};
        void add(const Part& one, double count);
    };
    Part position(const TrainingPlan& plan, const TrainingPosition& position, Detail detail);
    std::vector<Part> parts(const TrainingPlan& plan,
                            const std::vector<TrainingPosition>& positions, Detail detail);
    const Part& part(const TrainingPlan& plan, const TrainingPosition& part, Detail detail);

    const TrainingJob& job_;
    TrainingCase& training_;
    std::map<std::string, Part> known_;
};

}  // namespace podsim
