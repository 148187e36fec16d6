// What the routed experts of a training plan are asked in each layer, forward and back, and how
// tokens get there.
#pragma once

#include "models/blocks.hpp"
#include "workloads/step_parts.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

class RoutedLoads {
  public:
    // Both must outlive it. A model without experts asks nothing.
    RoutedLoads(const TrainingJob& job, const TrainingPlan& plan);

    bool uneven() const { return layout_.uneven(); }

    // From now on the busiest rank of a group of uneven ones has so many assignments, the others
    // the rest; 0: those expected.
    void ask_busiest(double assignments) { busiest_ = assignments; }

    ExpertLoad of(long layer, bool backward) const;

    // Of the busiest rank (0) or the others; ranks that share experts' width bring theirs together.
    ExpertRows rows(const ExpertLoad& load, int rank_class) const;

  private:
    void take_busiest(ExpertLoad& load) const;

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    StepSpec forward_, backward_;
    ExpertLayout layout_;
    double busiest_ = 0;
};

}  // namespace podsim
