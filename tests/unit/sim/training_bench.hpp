// A plain machine that training steps of tests run on: every product at the peak, every link alike.
#pragma once

#include <gtest/gtest.h>

#include "sim/training_case.hpp"
#include "tests/unit/workloads/training_jobs.hpp"

namespace podsim {

inline RankHardware plain_hardware() {
    RankHardware hardware;
    hardware.hbm_bandwidth = BytesPerSecond(2e12);
    hardware.hbm_capacity = Bytes(80e9);
    hardware.peak_matrix[DType::bf16] = FlopsPerSecond(300e12);
    hardware.peak_vector = FlopsPerSecond(20e12);
    return hardware;
}

inline KernelLibrarySpec plain_kernels() {
    KernelLibrarySpec kernels;
    kernels.name = "plain";
    kernels.gemm[DType::bf16] = {};
    return kernels;
}

inline CollectiveLibrarySpec plain_collectives() {
    CollectiveLibrarySpec library;
    library.name = "plain";
    for (const TransferType type :
         {TransferType::all_reduce, TransferType::all_gather, TransferType::reduce_scatter,
          TransferType::send_recv, TransferType::dispatch, TransferType::combine,
          TransferType::all_to_all})
        library.transfers[type] = {};
    return library;
}

struct TrainingBench {
    TrainingJob job = small_gpt();
    RankHardware hardware = plain_hardware();
    RankFabric fabric;
    CollectiveLibrarySpec collectives = plain_collectives();
    TrainingBench() {
        fabric.scale_up = BytesPerSecond(200e9);
        fabric.scale_out = BytesPerSecond(25e9);
        fabric.domain_ranks = 8;
    }
    CostCache cache() const {
        return {hardware, plain_kernels(), Fidelity::analytic, true, RankState::busy};
    }
    TrainingMachine machine(const TrainingPlan& plan) const {
        return {hardware, fabric, collectives, plan.ranks(), Driver::plain};
    }
    TrainingStep step(const TrainingPlan& plan) const {
        CostCache known = cache();
        TrainingCase training(job, machine(plan), known);
        EXPECT_EQ(training_problems(job, plan, plan.ranks()).size(), 0U);
        return training.step(plan);
    }
};

}  // namespace podsim
