// How element-wise work is cut into chunks for the cores' vector units.
#pragma once

#include "chips/core_spec.hpp"
#include "program/operator.hpp"

namespace podsim {

struct VectorPlan {
    long cores = 1, chunks = 1;
    double read = 0, write = 0;  // bytes of a chunk
    double operations = 0;       // of a chunk
    double seconds = 0;          // that the vector units of a core work on a chunk
    bool written_stays = false;
};

// All of it over `core`'s cores in equal chunks, of which two fit into the vector buffers, as many
// as make it fastest (chips/pipeline_vector.cpp).
VectorPlan vector_plan(const CoreStructure& core, const VectorWork& work);
VectorPlan vector_plan(const CoreStructure& core, double read, double write, double operations,
                       bool cold = true);

}  // namespace podsim
