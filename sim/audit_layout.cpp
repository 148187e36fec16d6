#include "sim/audit_layout.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

bool is_whole(double value) {
    return std::abs(value - std::round(value)) <= 1e-9 * std::max(1.0, std::abs(value));
}

double rounded_up(double value) {
    return is_whole(value) ? std::round(value) : std::ceil(value);
}

double even_share(double whole, double parts, double which) {
    const double even = std::floor(whole / parts);
    return even + (which < whole - even * parts ? 1 : 0);
}

std::vector<double> sequences_of_parts(const AuditMapping& map, double sequences) {
    const double count = map.micro_batches * map.pipeline_parallel;
    std::vector<double> parts;
    for (double part = 0; part < count; ++part)
        parts.push_back(even_share(sequences / map.data_parallel, count, part));
    return parts;
}

double tokens_of_group(const AuditMapping& map, double sequences, const AuditPass& pass) {
    const double ranks = map.context_parallel;
    return pass.is_prefill ? sequences * rounded_up(pass.query / ranks)
                           : rounded_up(sequences / ranks) * pass.query;
}

std::vector<AuditLayers> alike(const std::vector<AuditLayer>& layers) {
    std::vector<AuditLayers> kinds;
    for (const AuditLayer& layer : layers) {
        const auto known = std::find_if(kinds.begin(), kinds.end(),
                                        [&](const AuditLayers& one) { return one.kind == layer; });
        if (known == kinds.end()) {
            kinds.push_back({layer, 1});
        } else {
            ++known->count;
        }
    }
    return kinds;
}

double expert_layers(const std::vector<AuditLayers>& layers) {
    double count = 0;
    for (const AuditLayers& one : layers) count += one.kind.experts ? one.count : 0;
    return count;
}

StageShare share_of_stage(const AuditMapping& map, const AuditModel& m, double stage) {
    const double stages = map.pipeline_parallel, all = static_cast<double>(m.layers.size());
    double before = 0;
    for (double other = 0; other < stage; ++other) before += even_share(all, stages, other);
    const auto begin = m.layers.begin() + static_cast<std::ptrdiff_t>(before);
    const auto own = static_cast<std::ptrdiff_t>(even_share(all, stages, stage));
    return {alike({begin, begin + own}), stage == 0, stage + 1 == stages};
}

std::vector<AuditPass> main_passes(const AuditStep& step) {
    std::vector<AuditPass> passes;
    for (const auto& [query, context] : step.passes())
        passes.push_back({query, context, step.is_prefill()});
    return passes;
}

std::vector<AuditPass> draft_passes(const AuditStep& step) {
    std::vector<AuditPass> passes;
    for (double pass = 0; pass < step.draft_tokens; ++pass)
        passes.push_back({pass == 0 ? 1 + step.draft_tokens : 1, step.context, false});
    return passes;
}

double slots_of_rank(const AuditMapping& map, const AuditModel& m) {
    return (m.routed_experts + map.redundant_experts) / (map.expert_parallel - map.shared_ranks);
}

double mixing_work(const AuditModel& m) {
    return m.streams > 1 ? (m.streams * m.streams + 2 * m.streams) * m.streams * m.hidden : 0;
}

double memory_work(const AuditModel& m, const AuditLayer& layer) {
    return layer.memory ? m.memory_width * (1 + m.streams) * m.hidden : 0;
}

double joining_work(const AuditModel& m) {
    return m.streams > 1 ? m.streams * m.streams * m.hidden : 0;
}

}  // namespace podsim
