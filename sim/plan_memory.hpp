// What a rank's memory has to hold under a mapping, for many mappings one after the other: what a
// schedule makes of activations is worked out once for all mappings that share it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workloads/training_need.hpp"

namespace podsim {

class PlanMemory {
  public:
    // The job may change its global batch between two questions.
    explicit PlanMemory(const TrainingJob& job) : job_(job) {}

    // Of the fullest rank; the same as TrainingCase::memory(). Of a schedule of fixed order a few
    // rounds of micro-batches are looked at, from where on a stage holds no more (GPipe holds all
    // of them). Automatic schedules (zb-1p, zb-2p) are taken with passes of equal length.
    Bytes fullest(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions);

    // What the rank that has most of it keeps in the host's memory.
    Bytes host(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions);

  private:
    // Schedules without their programs, and what stages hold.
    struct Shape {
        Schedule schedule;
        ScheduleTiming timing;
    };
    const Shape& shape_of(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions);

    const TrainingJob& job_;
    std::map<std::string, PipelineTimes> times_;
    std::map<std::string, Shape> shapes_;
};

}  // namespace podsim
