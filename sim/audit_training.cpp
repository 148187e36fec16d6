// A training step must do at least its forward pass three times over (the pass, gradients of
// inputs, gradients of weights), of all tokens through the head; at most twice that: flash
// attention's backward pass does 2.5 times the forward work, scores through memory do the whole
// square of which a causal mask needs half, a whole layer may run again.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"

namespace podsim {

namespace {

constexpr double passes_at_least = 3, passes_at_most = 6;

// The forward pass as a prefill on ranks that divide nothing.
AuditFacts undivided(const AuditFacts& facts) {
    AuditFacts one = facts;
    one.step = facts.training->forward;
    one.mapping = AuditMapping{};
    return one;
}

void ranks_are_degrees(const AuditCase& audited, AuditFindings& findings) {
    const AuditMapping& map = audited.facts.mapping;
    const double inside =
        map.tensor_parallel * map.pipeline_parallel * audited.facts.training->context_parallel;
    const double groups = audited.ranks() / inside;
    double in_memory = 0;
    for (const auto& use : audited.result.memory) in_memory += use.ranks;
    findings.check("ranks are the product of the degrees",
                   groups >= 1 && groups == std::floor(groups) && in_memory == audited.ranks(),
                   fmt::format("{} ranks are {} data-parallel groups of {}; memory is told of {}",
                               audited.ranks(), groups, inside, in_memory));
}

void tokens_are_the_batch(const AuditCase& audited, AuditFindings& findings) {
    const AuditTraining& training = *audited.facts.training;
    const auto& totals = audited.result.totals;
    findings.check("tokens in = sequences x their length",
                   same(totals.sequences, training.sequences) &&
                       same(totals.tokens_in, training.sequences * training.sequence),
                   fmt::format("{} sequences, {} tokens; the batch has {} of {}", totals.sequences,
                               totals.tokens_in, training.sequences, training.sequence));
}

double dropped(const AuditCase& audited) {
    const Metric* metric = audited.result.metric("dropped_share");
    return metric != nullptr ? metric->value : 0;
}

// Experts with room for f times their even share keep f k / E of the assignments at the least: if
// all tokens chose the same k of E experts.
void drops_are_the_capacitys(const AuditCase& audited, AuditFindings& findings) {
    const double factor = audited.facts.training->capacity_factor, share = dropped(audited);
    const auto& model = audited.facts.training->forward.model;
    const double part =
        model && model->routed_experts > 0 ? model->experts_per_token / model->routed_experts : 0;
    const double most = factor > 0 ? 1 - std::min(1.0, factor * part) : 0;
    findings.check("what is dropped follows from the capacity",
                   share >= 0 && share <= most + exact_tolerance,
                   fmt::format("{:.4g} of the assignments, at most {:.4g} can be", share, most));
}

void rates_follow(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double took = result.iteration_seconds, chips = audited.facts.chips;
    std::string culprit;
    const auto compare = [&](const char* name, Dimension dimension, double expected) {
        if (culprit.empty()) culprit = audited.difference(name, dimension, expected);
    };
    compare("step_time", Seconds::dimension, took);
    compare("training_tokens_per_second_per_chip", TokensPerSecond::dimension,
            result.totals.tokens_in / took / chips);
    compare("achieved_flops", FlopsPerSecond::dimension, result.totals.flops / took / chips);
    compare("achieved_bandwidth", BytesPerSecond::dimension,
            result.totals.hbm_bytes / took / chips);
    for (const char* name :
         {"bubble_fraction", "model_flops_utilization", "hardware_flops_utilization"}) {
        const Metric* metric = result.metric(name);
        const double value = metric != nullptr ? metric->value : -1;
        if (!culprit.empty() || (value >= -exact_tolerance && value <= 1)) continue;
        culprit = fmt::format("{} is {}, expected a share", name, value);
    }
    findings.check_none("rates follow from tokens, time and chips", culprit, time_text(took));
}

void work_is_the_graphs(const AuditCase& audited, AuditFindings& findings) {
    constexpr const char* law = "FLOPs executed = FLOPs of the graph";
    const AuditTraining& training = *audited.facts.training;
    if (!training.forward.model) {
        return findings.not_checked(
            law, "no closed form for models of family " + training.forward.family);
    }
    const AuditModel& model = *training.forward.model;
    AuditModel undrafted = model;
    undrafted.draft_layers = 0;
    // What experts have no room for is not worked on.
    undrafted.experts_per_token *= 1 - dropped(audited);
    const ClosedForm form = closed_form(undivided(audited.facts), undrafted, training.sequences);
    // Of a prompt only the last token has an output; here all have.
    const double head =
        2 * model.hidden * model.vocabulary * training.sequences * (training.sequence - 1);
    const double forward = form.matrix_flops + head, executed = audited.result.totals.matrix_flops;
    const double drafts = 1 + (training.trains_drafts ? model.draft_layers : 0);
    findings.check(law,
                   at_least(executed, passes_at_least * forward) &&
                       at_least(passes_at_most * drafts * forward, executed),
                   fmt::format("{} executed, the forward pass makes {}: {:.4g} times it",
                               work_text(executed), work_text(forward), executed / forward));
}

// All ranks together hold the weights once, or once for each replica where those are not divided.
void weights_are_held(const AuditCase& audited, AuditFindings& findings) {
    constexpr const char* law = "ranks hold their weights";
    const AuditTraining& training = *audited.facts.training;
    if (!training.forward.model) {
        return findings.not_checked(
            law, "no closed form for models of family " + training.forward.family);
    }
    const MemoryForm form =
        memory_form(undivided(audited.facts), *training.forward.model, training.sequences);
    const double once = form.attention + form.dense + form.tables + form.routed + form.shared;
    double held = 0;
    for (const auto& use : audited.result.memory) {
        for (const auto& part : use.parts) {
            if (part.part == "weights") held += use.ranks * part.bytes;
        }
    }
    findings.check(law, at_least(held, once),
                   fmt::format("{} held, the model has {}", bytes_text(held), bytes_text(once)));
}

}  // namespace

void audit_training(const AuditCase& audited, AuditFindings& findings) {
    ranks_are_degrees(audited, findings);
    tokens_are_the_batch(audited, findings);
    drops_are_the_capacitys(audited, findings);
    rates_follow(audited, findings);
    work_is_the_graphs(audited, findings);
    memory_fits(audited, findings);
    weights_are_held(audited, findings);
}

}  // namespace podsim
