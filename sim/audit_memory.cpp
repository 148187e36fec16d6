#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"
#include "sim/audit_layout.hpp"

namespace podsim {

void memory_fits(const AuditCase& audited, AuditFindings& findings) {
    const auto& memory = audited.result.memory;
    const double capacity = audited.of_rank(audited.facts.hardware.hbm_capacity);
    std::string culprit = memory.empty() ? "no rank says what fills it" : "";
    double fullest = 0;
    for (const auto& use : memory) {
        double sum = 0, least = 0;
        for (const auto& part : use.parts) {
            sum += part.bytes;
            least = std::min(least, part.bytes);
        }
        fullest = std::max(fullest, use.total);
        const bool fits = use.total <= use.capacity && use.total > 0 && same(sum, use.total) &&
                          least >= 0 && same(use.capacity, capacity);
        if (fits || !culprit.empty()) continue;
        culprit = fmt::format("{}: parts of {} make {} of {}, a rank has {}", use.rank_class,
                              bytes_text(sum), bytes_text(use.total), bytes_text(use.capacity),
                              bytes_text(capacity));
    }
    findings.check_none(
        "memory fits", culprit,
        fmt::format("fullest rank {} of {}", bytes_text(fullest), bytes_text(capacity)));
}

namespace {

double part_of(const MemoryUse& use, const char* name) {
    double bytes = 0;
    for (const auto& part : use.parts) {
        if (part.part == name) bytes += part.bytes;
    }
    return bytes;
}

constexpr const char* kSharedOnly = "shared-expert ranks";

bool is_shared_only(const std::string& rank_class) {
    const std::size_t at = rank_class.rfind(kSharedOnly);
    return at != std::string::npos && at + std::string(kSharedOnly).size() == rank_class.size();
}

// What is wrong with the memory of one class of ranks, "" when nothing is.
std::string lacking(const AuditCase& audited, const MemoryForm& form, const MemoryUse& use) {
    const AuditMapping& map = audited.facts.mapping;
    const bool apart = map.shared_ranks > 0;
    const bool shared_only = apart && is_shared_only(use.rank_class);
    const auto stage = stage_of(use.rank_class, map.pipeline_parallel);
    // Ranks with routed experts may be of several classes: those that are busier, and the others.
    double ranks = 0;
    for (const auto& other : audited.result.memory) {
        if (stage_of(other.rank_class, map.pipeline_parallel) != stage) continue;
        if (shared_only == (apart && is_shared_only(other.rank_class))) ranks += other.ranks;
    }
    const double groups = map.stage_ranks() / map.expert_parallel;
    const double members = shared_only ? map.shared_ranks : map.expert_parallel - map.shared_ranks;
    if (!same(ranks, groups * members)) {
        return fmt::format("{}: {} ranks, the mapping makes {}", use.rank_class, ranks,
                           groups * members);
    }
    const double cache = part_of(use, "KV cache");
    if (!same(cache, form.cache)) {
        return fmt::format("{}: KV cache of {}, its sequences make {}", use.rank_class,
                           bytes_text(cache), bytes_text(form.cache));
    }
    const std::pair<const char*, double> least[] = {
        {"attention weights", form.attention},
        {"dense FFN weights", form.dense},
        {"embedding and head", form.tables},
        {"routed experts", shared_only ? 0 : form.routed},
        {"shared expert", apart && !shared_only ? 0 : form.shared},
        {"router", form.router},
        {"vision tower", form.tower},
        {"draft model", form.drafter},
    };
    for (const auto& [name, bytes] : least) {
        if (at_least(part_of(use, name), bytes)) continue;
        return fmt::format("{}: {} of {}, the model has {}", use.rank_class, name,
                           bytes_text(part_of(use, name)), bytes_text(bytes));
    }
    return "";
}

void memory_holds(const AuditCase& audited, AuditFindings& findings) {
    const char* const law = "ranks hold their weights and cache";
    const AuditStep& step = *audited.facts.step;
    if (!step.model) {
        findings.not_checked(law, "no closed form for models of family " + step.family);
        return;
    }
    const double stages = audited.facts.mapping.pipeline_parallel;
    std::vector<MemoryForm> forms;
    for (double stage = 0; stage < stages; ++stage) {
        forms.push_back(
            memory_form(audited.facts, *step.model, audited.result.totals.sequences, stage));
    }
    std::string culprit = audited.result.memory.empty() ? "no rank says what fills it" : "";
    std::set<std::size_t> seen;
    for (const auto& use : audited.result.memory) {
        const auto stage = stage_of(use.rank_class, stages);
        if (stage) seen.insert(*stage);
        if (!culprit.empty()) continue;
        culprit = stage ? lacking(audited, forms[*stage], use)
                        : fmt::format("{}: no pipeline stage of {}", use.rank_class, stages);
    }
    if (culprit.empty() && seen.size() != forms.size())
        culprit = fmt::format("{} of {} pipeline stages say what fills them", seen.size(), stages);
    const MemoryForm& form = forms.front();
    findings.check_none(
        law, culprit,
        fmt::format("KV cache of {} a rank, attention weights of {}, routed experts of {}",
                    bytes_text(form.cache), bytes_text(form.attention), bytes_text(form.routed)));
}

}  // namespace

void hosts_hold(const AuditFacts& facts, const AlternativeResult& result, double replicas,
                AuditFindings& findings) {
    const AuditMapping& map = facts.mapping;
    if (!map.offloads) return;
    const char* const law = "hosts hold the experts";
    if (!facts.step || !facts.step->model) {
        findings.not_checked(law, "no closed form for models of this family");
        return;
    }
    const AuditModel& m = *facts.step->model;
    const AuditHardware& hardware = facts.hardware;
    const double hosts = std::ceil(facts.chips * replicas / hardware.host_chips);
    const double sets = map.stage_ranks() / map.expert_parallel * replicas;
    const double least = expert_layers(alike(m.layers)) *
                         (m.routed_experts + map.redundant_experts) * m.expert() *
                         facts.formats.experts.bytes * std::min(1.0, sets / hosts);
    const double room = map.on_drives ? hardware.host_storage : hardware.host_memory;
    const bool holds =
        std::any_of(result.host_memory.begin(), result.host_memory.end(), [&](const auto& use) {
            return use.ranks == hosts && same(use.capacity, room) && use.total <= use.capacity &&
                   at_least(use.total, least);
        });
    findings.check(law, holds,
                   fmt::format("{} hosts of {}, the model's experts take {} of each", hosts,
                               bytes_text(room), bytes_text(least)));
}

void audit_memory(const AuditCase& audited, AuditFindings& findings) {
    memory_fits(audited, findings);
    memory_holds(audited, findings);
    hosts_hold(audited.facts, audited.result, 1, findings);
}

}  // namespace podsim
