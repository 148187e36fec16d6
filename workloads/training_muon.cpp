#include "workloads/training_muon.hpp"

#include <algorithm>
#include <cmath>

#include "base/at.hpp"
#include "models/attention.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr int iterations = 5;

void add(std::vector<MuonMatrices>& list, long outputs, long inputs, double count) {
    if (std::min(outputs, inputs) <= 1 || count <= 0) return;
    for (MuonMatrices& one : list) {
        if (one.outputs != outputs || one.inputs != inputs) continue;
        one.count += count;
        return;
    }
    list.push_back({outputs, inputs, count});
}

void add(std::vector<MuonMatrices>& list, const std::vector<Weight>& weights, double count) {
    for (const Weight& one : weights) {
        const double copies = count * static_cast<double>(one.copies);
        if (one.name == "gate_up") {
            add(list, one.outputs / 2, one.inputs, 2 * copies);
        } else {
            add(list, one.outputs, one.inputs, copies);
        }
    }
}

void add_layers(MuonWork& work, const TrainingJob& job, const TrainingPlan& plan,
                const LayerKind& kind, double count) {
    const ModelSpec& model = job.model;
    const AttentionWeights attention =
        std::visit([&](const auto& one) { return attention_weights(one, model, Precision{}, 1); },
                   at(model.attentions, kind.attention));
    add(work.dense, attention.matrices, count);
    if (!kind.experts) {
        add(work.dense, ffn_weights(model, model.dense_intermediate, DType::bf16), count);
        return;
    }
    add(work.dense, ffn_weights(model, model.shared_intermediate, DType::bf16), count);
    add(work.dense, model.routed_experts, model.hidden, count);
    const double copies =
        1 + static_cast<double>(job.experts.redundant) / static_cast<double>(model.routed_experts);
    const auto local = static_cast<double>(ceil_divide(model.routed_experts, plan.expert_parallel));
    add(work.experts, ffn_weights(model, model.expert_intermediate, DType::bf16),
        count * local * copies);
}

double flops_of(const MuonMatrices& one) {
    const auto m = static_cast<double>(std::min(one.outputs, one.inputs));
    return 4 * m * one.elements() + 2 * m * m * m;
}

}  // namespace

double elements_of(const std::vector<MuonMatrices>& matrices) {
    double sum = 0;
    for (const MuonMatrices& one : matrices) sum += one.count * one.elements();
    return sum;
}

MuonWork muon_work(const TrainingJob& job, const TrainingPlan& plan,
                   const std::vector<TrainingPosition>& positions) {
    MuonWork work;
    for (const TrainingPosition& position : positions) {
        for (const LayerCount& alike : layer_kinds(job.model, position.begin, position.end))
            add_layers(work, job, plan, alike.kind, static_cast<double>(alike.count));
        if (!position.drafts) continue;
        const auto drafts = static_cast<double>(job.model.draft_layers);
        add_layers(work, job, plan, job.model.draft_layer, drafts);
        add(work.dense, job.model.hidden, 2 * job.model.hidden, drafts);
    }
    return work;
}

std::vector<MuonMatrices> touched(std::vector<MuonMatrices> matrices, long ranks) {
    if (ranks == 1) return matrices;
    const double all = elements_of(matrices);
    for (MuonMatrices& one : matrices) {
        const double each = one.count / static_cast<double>(ranks);
        one.count = std::min(one.count, each + one.count * one.elements() / all);
    }
    return matrices;
}

double lacked(const std::vector<MuonMatrices>& matrices, long ranks) {
    if (ranks == 1) return 0;
    const double all = elements_of(matrices);
    return std::min(elements_of(touched(matrices, ranks)), all) - all / static_cast<double>(ranks);
}

std::vector<Operator> newton_schulz(std::vector<MuonMatrices> matrices) {
    std::stable_sort(matrices.begin(), matrices.end(),
                     [](const auto& a, const auto& b) { return flops_of(a) > flops_of(b); });
    std::vector<Operator> one;
    double all = 0;
    long given = 0;
    for (const MuonMatrices& of : matrices) {
        all += of.count;
        constexpr double rounding = 1e-9;
        const long count = std::lround(std::ceil(all - rounding)) - given;
        if (count <= 0) continue;
        given += count;
        const long m = std::min(of.outputs, of.inputs), n = std::max(of.outputs, of.inputs);
        one.push_back({"newton_schulz", Gemm{m, m, n, count}});
        one.push_back({"newton_schulz", Gemm{m, m, m, count}});
        one.push_back({"newton_schulz", Gemm{m, n, m, count}});
    }
    std::vector<Operator> operators;
    for (int i = 0; i < iterations; ++i) operators.insert(operators.end(), one.begin(), one.end());
    return operators;
}

}  // namespace podsim
