#include "app/plan_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "app/number_text.hpp"
#include "app/text_table.hpp"
#include "base/names.hpp"

namespace podsim {

namespace {

constexpr double mega = 1e6, giga = 1e9;

const char* heading_of(PlanObjective objective) {
    switch (objective) {
        case PlanObjective::throughput:
            return "best throughput";
        case PlanObjective::cost:
            return "best cost";
        case PlanObjective::communication:
            return "least exposed communication";
        case PlanObjective::failures:
            return "best under failures";
    }
    return "";
}

// Names that are too long for a column.
std::string short_name(const RecomputeChoice& choice) {
    if (choice == RecomputePolicy::norms_and_activations) return "norms+act";
    if (choice == RecomputePolicy::up_projections) return "up-proj";
    if (choice.layers() > 0) return fmt::format("full of {}", choice.layers());
    return choice.name();
}
std::string short_name(const TrainingPlan& plan) {
    if (plan.schedule == ScheduleKind::interleaved && plan.more.positions_per_stage > 0)
        return fmt::format("interl. x{}", plan.more.positions_per_stage);
    return name_of(plan.schedule);
}

// Tensor x context parallelism, and the width of experts beside their number, where there is any.
std::string with_second(long first, long second) {
    return second > 1 ? fmt::format("{}x{}", first, second) : std::to_string(first);
}

// What goes to the host's memory, below the columns, which fill the line.
std::string away(const TrainingOffload& offload) {
    if (!offload.any()) return "";
    std::string text;
    if (offload.optimizer > 0) text += "optimizer";
    if (offload.activations > 0) text += text.empty() ? "activations" : " and activations";
    return fmt::format("{:>13}: {} in the host's memory\n", "offload", text);
}

// ZeRO stages that come to the same: "1-2".
std::string zero_of(const PlanTimed& one) {
    if (one.zero_stages.size() < 2) return std::to_string(one.candidate.plan.zero_stage);
    return fmt::format("{}-{}", one.zero_stages.front(), one.zero_stages.back());
}

std::string header() {
    return fmt::format("{:>6}{:>7}{:>6}{:>6}{:>4}{:>5}{:>4}{:>6}{:>6}{:>3} {:<11}{:<12}{:>3}\n",
                       "Mtok/s", "step s", "MFU %", "exp %", "GB", "TP", "PP", "DP", "EP", "mb",
                       "schedule", "recompute", "Z");
}

std::string row(const PlanTimed& one) {
    const TrainingPlan& plan = one.candidate.plan;
    return fmt::format(
        "{:>6}{:>7}{:>6}{:>6}{:>4.0f}{:>5}{:>4}{:>6}{:>6}{:>3} {:<11}{:<12}{:>3}\n{}",
        significant(one.tokens_per_second / mega), significant(one.step.value()),
        significant(one.model_flops_utilization * 100, 3),
        significant(one.exposed_share() * 100, 3), one.memory.value() / giga,
        with_second(plan.tensor_parallel, plan.more.context_parallel), plan.pipeline_parallel,
        plan.data_parallel, with_second(plan.expert_parallel, plan.more.expert_tensor_parallel),
        plan.micro_batch, short_name(plan), short_name(plan.recompute), zero_of(one),
        away(plan.offload));
}

// What is said of the best beside its row.
std::string about(const PlanAlternative& of, PlanObjective objective) {
    const PlanWinner& winner = of.winners.at(objective);
    const PlanTimed& one = of.found.timed[winner.timed];
    std::vector<std::string> parts;
    if (one.candidate.chips != one.candidate.chips_there || of.form.chips.size() > 1)
        parts.push_back(
            fmt::format("{} of {} chips", one.candidate.chips, one.candidate.chips_there));
    parts.push_back(fmt::format("{} sequences a step", one.candidate.global_batch));
    parts.push_back(fmt::format("bubble {} %", significant(one.bubble * 100, 3)));
    const auto metric = [&](const char* name, const char* format) {
        const Metric* found = winner.result.metric(name);
        if (found == nullptr) return;
        std::string text = fmt::format(fmt::runtime(format), significant(found->value));
        if (found->low && found->high)
            text += fmt::format(" ({} to {})", significant(*found->low, 3),
                                significant(*found->high, 3));
        parts.push_back(std::move(text));
    };
    if (of.found.has_run)
        parts.push_back(fmt::format("goodput {} %", significant(one.days.goodput * 100)));
    if (one.days.slowdown > 1)
        parts.push_back(
            fmt::format("steps {} times as long with stragglers", significant(one.days.slowdown)));
    metric("run_time", "{} days");
    metric("run_cost", "{} MUSD");
    if (!of.found.has_run && one.usd_per_trillion > 0)
        parts.push_back(fmt::format("{} MUSD a Ttok", significant(one.usd_per_trillion / mega)));
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
    return hanging("  best: ", text);
}

std::string counts_text(const PlanCounts& counts) {
    std::string text = fmt::format("{} combinations, {} mappings: {} do not fit",
                                   counts.combinations, counts.possible, counts.too_large);
    if (counts.refused > 0) text += fmt::format(", {} are refused", counts.refused);
    return text + fmt::format(", {} below the bound, {} timed", counts.hopeless, counts.timed);
}

std::string band_text(const PlanAlternative& of) {
    const PlanFound& found = of.found;
    if (!found.band && found.partial) return "not looked at";
    if (!found.band)
        return "no error of operators is known of this chip or its kernels: no band is put on the "
               "ranking";
    const std::size_t best = found.best.at(PlanObjective::throughput).front();
    const auto named = [&](std::size_t index) {
        const TrainingPlan& plan = found.timed[index].candidate.plan;
        return fmt::format("TP {} PP {} DP {} EP {} mb {} {} {} ZeRO {}", plan.tensor_parallel,
                           plan.pipeline_parallel, plan.data_parallel, plan.expert_parallel,
                           plan.micro_batch, name_of(plan.schedule), plan.recompute.name(),
                           plan.zero_stage);
    };
    std::string text = fmt::format(
        "operators off by {} % either way ({}): ", significant(found.band->band.share * 100, 3),
        found.band->band.source);
    const PlanTimed& one = found.timed[best];
    text += fmt::format("the best step takes {} to {} s; ", significant(one.low.value()),
                        significant(one.high.value()));
    if (found.band->best_fast == best && found.band->best_slow == best)
        return text + "the same mapping stays best";
    if (found.band->best_fast != best)
        text += fmt::format("faster, {} is best", named(found.band->best_fast));
    if (found.band->best_slow != best)
        text += fmt::format("{}slower, {} is best", found.band->best_fast != best ? "; " : "",
                            named(found.band->best_slow));
    return text;
}

std::string alternative_text(const PlanAlternative& of) {
    std::string text =
        hanging("", fmt::format("{}: {} of {}, {}", of.name, of.chip, of.system, of.fidelity)) +
        hanging("  ", counts_text(of.found.counts));
    if (of.found.partial) text += "  interrupted: what is best so far\n";
    if (!of.nothing.empty()) return text + hanging("  ", of.nothing);
    if (of.found.timed.empty()) return text;
    text += header();
    const auto& throughput = of.found.best.at(PlanObjective::throughput);
    for (const auto& [objective, list] : of.found.best) {
        if (list.empty()) continue;
        const bool main = objective == PlanObjective::throughput;
        if (!main && list.front() == throughput.front()) {
            text += fmt::format("{}: the same mapping\n", heading_of(objective));
            continue;
        }
        text += fmt::format("{}\n", heading_of(objective));
        for (std::size_t i = 0; i < (main ? list.size() : 1); ++i)
            text += row(of.found.timed[list[i]]);
        text += about(of, objective);
    }
    if (!of.found.best.count(PlanObjective::failures))
        text += "best under failures: the workload describes no run\n";
    if (!of.found.best.count(PlanObjective::cost)) text += "best cost: no price is known\n";
    text += hanging("band: ", band_text(of));
    for (const std::string& warning : of.warnings) text += hanging("warning: ", warning);
    return text;
}

nlohmann::ordered_json json_of(const PlanTimed& one) {
    const TrainingPlan& plan = one.candidate.plan;
    nlohmann::ordered_json json = {{"chips", one.candidate.chips},
                                   {"chips_there", one.candidate.chips_there},
                                   {"global_batch", one.candidate.global_batch},
                                   {"tensor_parallel", plan.tensor_parallel},
                                   {"context_parallel", plan.more.context_parallel},
                                   {"pipeline_parallel", plan.pipeline_parallel},
                                   {"data_parallel", plan.data_parallel},
                                   {"expert_parallel", plan.expert_parallel},
                                   {"expert_tensor_parallel", plan.more.expert_tensor_parallel},
                                   {"positions_per_stage", plan.more.positions_per_stage},
                                   {"micro_batch", plan.micro_batch},
                                   {"schedule", name_of(plan.schedule)},
                                   {"recompute", plan.recompute.name()},
                                   {"zero_stage", plan.zero_stage},
                                   {"step_time", one.step.value()},
                                   {"lower_bound", one.bound.value()},
                                   {"tokens_per_second", one.tokens_per_second},
                                   {"model_flops_utilization", one.model_flops_utilization},
                                   {"exposed_communication_time", one.exposed.value()},
                                   {"bubble_fraction", one.bubble},
                                   {"memory_peak", one.memory.value()},
                                   {"goodput", one.days.goodput},
                                   {"usd_per_trillion_tokens", one.usd_per_trillion}};
    if (one.days.slowdown > 1) json["straggler_slowdown"] = one.days.slowdown;
    if (one.high > Seconds(0.0)) {
        json["step_time_low"] = one.low.value();
        json["step_time_high"] = one.high.value();
    }
    return json;
}

}  // namespace

std::string plan_text(const PlanReport& report) {
    std::string text = report.experiment + "\n";
    for (const PlanAlternative& one : report.alternatives) text += "\n" + alternative_text(one);
    return text;
}

nlohmann::ordered_json plan_json(const PlanReport& report) {
    nlohmann::ordered_json json = {{"plan", 1},
                                   {"experiment", report.experiment},
                                   {"partial", report.partial()},
                                   {"alternatives", nlohmann::ordered_json::array()}};
    for (const PlanAlternative& of : report.alternatives) {
        const PlanCounts& counts = of.found.counts;
        nlohmann::ordered_json one = {{"name", of.name},
                                      {"system", of.system},
                                      {"chip", of.chip},
                                      {"fidelity", of.fidelity},
                                      {"partial", of.found.partial},
                                      {"combinations", counts.combinations},
                                      {"mappings", counts.possible},
                                      {"do_not_fit", counts.too_large},
                                      {"refused", counts.refused},
                                      {"below_bound", counts.hopeless},
                                      {"timed", counts.timed}};
        if (!of.nothing.empty()) one["nothing"] = of.nothing;
        if (of.found.usd_per_hour > 0) one["usd_per_hour_per_chip"] = of.found.usd_per_hour;
        one["best"] = nlohmann::ordered_json::object();
        for (const auto& [objective, list] : of.found.best) {
            one["best"][name_of(objective)]["mappings"] = list;
            const auto winner = of.winners.find(objective);
            if (winner == of.winners.end()) continue;
            auto& metrics = one["best"][name_of(objective)]["metrics"];
            for (const Metric& metric : winner->second.result.metrics) {
                metrics[metric.name] = {{"value", metric.value}, {"unit", metric.unit}};
                if (metric.low) metrics[metric.name]["low"] = *metric.low;
                if (metric.high) metrics[metric.name]["high"] = *metric.high;
            }
        }
        if (of.found.band)
            one["band"] = {{"share", of.found.band->band.share},
                           {"source", of.found.band->band.source},
                           {"best_faster", of.found.band->best_fast},
                           {"best_slower", of.found.band->best_slow}};
        one["timed_mappings"] = nlohmann::ordered_json::array();
        for (const PlanTimed& timed : of.found.timed)
            one["timed_mappings"].push_back(json_of(timed));
        one["warnings"] = of.warnings;
        json["alternatives"].push_back(std::move(one));
    }
    return json;
}

}  // namespace podsim
