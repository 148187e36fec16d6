// What Muon does with whole matrices: which of them a rank works on, and how it comes by them
// (Moonlight, arXiv 2502.16982, section 2.3).
#pragma once

#include <vector>

#include "workloads/training_spec.hpp"

namespace podsim {

// `count` matrices of one shape, whole, of which tensor-parallel ranks hold parts.
struct MuonMatrices {
    long outputs = 0, inputs = 0;
    double count = 0;
    double elements() const { return static_cast<double>(outputs) * static_cast<double>(inputs); }
};

// Of some parts of the model, as one expert-parallel rank has them: matrices of attention, of FFNs
// (gate and up apart), of routers and of drafts; routed experts by themselves. Left out: mixers of
// residual streams, whose matrices are small, and tables, which Adam steps.
struct MuonWork {
    std::vector<MuonMatrices> dense, experts;
};
MuonWork muon_work(const TrainingJob& job, const TrainingPlan& plan,
                   const std::vector<TrainingPosition>& positions);

double elements_of(const std::vector<MuonMatrices>& matrices);

// What the mean rank touches of matrices that `ranks` divide among them by their elements, all in a
// row. Of N matrices of s elements, L elements a rank, each is touched by 1 + s / L ranks, so that
// of all P = ranks x L elements a rank touches
//
//   N / ranks + N s / P
//
// of them: in the mean one matrix more than its share. With one rank they are all its own.
std::vector<MuonMatrices> touched(std::vector<MuonMatrices> matrices, long ranks);

// Elements that a rank lacks of matrices it touches: together those of one matrix in the mean, sum
// of N s^2 / P; never more than all that it does not hold.
double lacked(const std::vector<MuonMatrices>& matrices, long ranks);

// Five Newton-Schulz iterations of an m x n matrix, m <= n: A = X X', A A, and their sum times X,
//
//   5 (4 m^2 n + 2 m^3) FLOP.
//
// Counts are rounded up, the dearest first.
std::vector<Operator> newton_schulz(std::vector<MuonMatrices> matrices);

}  // namespace podsim
