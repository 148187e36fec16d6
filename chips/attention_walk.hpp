// Attention cut into pieces and blocks, whose time on any number of cores can be asked for; and
// what it cannot be faster than. The equations stand in pipeline_attention.cpp.
#pragma once

#include <deque>
#include <vector>

#include "chips/attention_plan.hpp"
#include "chips/core_spec.hpp"
#include "chips/pipeline_cost.hpp"

namespace podsim {

// Costs of blocks of a few sizes.
class AttentionBlocks {
  public:
    AttentionBlocks(const CoreStructure& core, const AttentionWork& work)
        : core_(core), work_(work) {}

    const AttentionBlock& of(long rows, long keys);

  private:
    struct Known {
        long rows, keys;
        AttentionBlock block;
    };
    const CoreStructure& core_;
    const AttentionWork& work_;
    std::deque<Known> known_;  // what was handed out stays where it is
    const Known* last_ = nullptr;
};

class AttentionWalk {
  public:
    // Of `tiling` rows, keys and splits count.
    AttentionWalk(const CoreStructure& core, const AttentionWork& work,
                  const AttentionTiling& tiling);

    PipelineTime time(long core_count, long lookahead);
    double pieces() const { return count_; }

  private:
    friend class AttentionBound;

    const CoreStructure& core_;
    const AttentionWork& work_;
    AttentionTiling tiling_;
    AttentionBlocks blocks_;
    std::vector<AttentionPiece> pieces_;  // made when they are first walked
    double count_ = 0;
    double all_loaded_ = 0, stored_ = 0, to_memory_ = 0;  // bytes
    double shared_ = 0;                                   // seconds of memory, L2, die link
    double latency_ = 0, first_latency_ = 0;              // of a load, of queries
    double own_ = 0, queries_own_ = 0;                    // seconds a byte, of a core's port
    double end_ = 0;
    PipelineTime join_;
};

// What it cannot be faster than.
class AttentionBound {
  public:
    AttentionBound(AttentionWalk& walk, long lookahead);

    double with(long cores) const;

  private:
    double count_ = 0;
    double start_ = 0, shared_ = 0;           // seconds around a core's work; of shared servers
    double all_ = 0, whole_ = 0, least_ = 0;  // seconds of all pieces, the largest, the smallest
};

}  // namespace podsim
