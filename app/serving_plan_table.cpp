#include "app/serving_plan_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

#include "app/number_text.hpp"
#include "app/text_table.hpp"
#include "base/names.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

std::string promise_text(const ServiceObjective& objective) {
    std::string text;
    if (objective.time_to_first_token) text = "TTFT " + to_string(*objective.time_to_first_token);
    if (objective.time_per_output_token)
        text += fmt::format("{}TPOT {}", text.empty() ? "" : ", ",
                            to_string(*objective.time_per_output_token));
    return text.empty() ? "what their classes promise" : text;
}

std::string demand_text(const ServingPlanReport& report) {
    const ServingDemand& demand = report.demand;
    const double seconds = demand.seconds;
    std::string text = fmt::format("{} requests", demand.requests);
    if (seconds > 0)
        text += fmt::format(" in {}: {} req/s, {} tok/s in ({} % cached at most), {} tok/s out",
                            to_string(Seconds(seconds)), significant(demand.requests_per_second()),
                            significant(demand.input / seconds),
                            significant(100 * (1 - demand.computed / demand.input), 3),
                            significant(demand.output / seconds));
    if (report.form.growth.per_month > 0)
        text += fmt::format("; grown {}x, by {} % a month for {} months",
                            significant(report.form.growth.factor()),
                            significant(report.form.growth.per_month * 100, 3),
                            significant(report.form.growth.months, 3));
    return text;
}

std::string goal_text(const ServingPlanReport& report) {
    std::string text =
        report.form.percentile
            ? fmt::format("{} of each of {}", name_of(*report.form.percentile),
                          promise_text(report.objective))
            : fmt::format("{} % of the requests within {}", significant(report.form.good * 100),
                          promise_text(report.objective));
    if (report.form.burst > 1)
        text += fmt::format(", at {}x that rate", significant(report.form.burst, 3));
    if (report.form.spare_replicas > 0)
        text += fmt::format(", without {} spare replica{} of each pool", report.form.spare_replicas,
                            report.form.spare_replicas > 1 ? "s" : "");
    return text;
}

std::string counts_text(const ServingPlanCounts& counts) {
    std::string text =
        fmt::format("{} replica{}", counts.candidates, counts.candidates == 1 ? "" : "s");
    const auto add = [&](long number, const char* what) {
        if (number > 0) text += fmt::format(", {} {}", number, what);
    };
    add(counts.refused, "cannot be");
    add(counts.do_not_fit, "without room");
    add(counts.too_slow, "too slow alone");
    add(counts.beyond, "dearer by their bound");
    return text + fmt::format(", {} simulated in {} runs", counts.simulated, counts.runs);
}

std::string with_spares(const PlannedPool& pool) {
    return pool.spares > 0 ? fmt::format("{}+{}", pool.replicas, pool.spares)
                           : std::to_string(pool.replicas);
}

std::string header() {
    return fmt::format("  {:<10}{:>9}{:>6}{:>6}{:>7}{:>5}{:>5}{:>6}{:>7}{:>7}{:>10}\n", "pool",
                       "replicas", "bound", "chips", "TP(xCP)", "DP", "EP", "seqs", "tokens",
                       "best b", "limit");
}

// "8x4": of tensor parallelism 8 and context parallelism 4.
std::string with_context(const MappingSpec& mapping) {
    const int sharing = mapping.context_parallel();
    return sharing > 1 ? fmt::format("{}x{}", mapping.tensor_parallel, sharing)
                       : std::to_string(mapping.tensor_parallel);
}

// Feed-forward blocks have no requests of their own.
std::string number_or_none(long number) {
    return number > 0 ? std::to_string(number) : "-";
}

std::string row(const PlannedPool& pool) {
    const std::string name = pool.name.size() > 10 ? pool.name.substr(0, 9) + "." : pool.name;
    return fmt::format("  {:<10}{:>9}{:>6}{:>6}{:>7}{:>5}{:>5}{:>6}{:>7}{:>7}{:>10}\n", name,
                       with_spares(pool), pool.bound.replicas, pool.chips,
                       with_context(pool.mapping), pool.mapping.data_parallel,
                       pool.mapping.expert_parallel, number_or_none(pool.max_num_seqs),
                       number_or_none(pool.max_num_batched_tokens),
                       pool.bound.batch > 0 ? significant(pool.bound.batch, 3) : "-",
                       pool.bound.limit == "max_num_seqs" ? "seqs"
                       : pool.bound.limit.empty()         ? "-"
                                                          : pool.bound.limit);
}

std::string money(double usd) {
    return significant(usd >= 1e6   ? usd / 1e6
                       : usd >= 1e3 ? usd / 1e3
                                    : usd) +
           (usd >= 1e6   ? " MUSD"
            : usd >= 1e3 ? " kUSD"
                         : " USD");
}

double value(const AlternativeResult& result, const char* name) {
    const Metric* metric = result.metric(name);
    return metric != nullptr ? metric->value : 0;
}

std::string fleet_text(const ServingPlanReport& report, const ServingAnswer& answer) {
    std::string text = fmt::format("{} chips", answer.chips);
    if (answer.watts > 0) text += ", " + to_string(Watts(answer.watts)) + " with cooling";
    if (answer.usd_per_month > 0)
        text += fmt::format(", {} a month ({})", money(answer.usd_per_month), answer.basis);
    if (answer.scaled_usd_per_month) {
        int stand = 0;
        for (const ServedPool& pool : answer.result.served->pools) stand += pool.min_replicas;
        text += fmt::format(", {} as replicas come and go ({} on the mean, at least {})",
                            money(*answer.scaled_usd_per_month),
                            significant(answer.mean_replicas, 3), stand);
    }
    text += fmt::format("; bound {} chips", answer.bound_chips);
    if (answer.bound_usd_per_month > 0) text += ", " + money(answer.bound_usd_per_month);
    return text + fmt::format("; {} % good{}", significant(answer.good * 100),
                              report.form.burst > 1 || report.form.spare_replicas > 0
                                  ? " at the burst without spares"
                                  : "");
}

// The median, and the percentile that is promised; p99 where a share of the requests is.
std::string latency_text(const ServingPlanForm& form, const AlternativeResult& result) {
    const PlanPercentile promised = form.percentile.value_or(PlanPercentile::p99);
    const auto both = [&](const std::string& name) {
        const auto ms = [&](const std::string& percentile) {
            const std::string metric = name + "_" + percentile;
            return significant(value(result, metric.c_str()), 3);
        };
        if (promised == PlanPercentile::p50) return fmt::format("p50 {} ms", ms("p50"));
        return fmt::format("p50 {} ms, {} {} ms", ms("p50"), name_of(promised),
                           ms(name_of(promised)));
    };
    return fmt::format("TTFT {}; TPOT {}; {} % good, engines {} % at work, KV {} % full",
                       both("time_to_first_token"), both("time_per_output_token"),
                       significant(100 * value(result, "goodput_share")),
                       significant(100 * value(result, "utilization_engine"), 3),
                       significant(100 * value(result, "kv_cache_occupancy"), 3));
}

std::string cost_text(const AlternativeResult& result) {
    if (result.cost.empty()) return "no price is known";
    const Metric* cached = result.metric("usd_per_million_cached_input_tokens");
    return fmt::format(
        "USD/Mtok: input {}{}, output {}, idle time {}; whole bill over all {}, over "
        "output {}",
        significant(value(result, "usd_per_million_input_tokens"), 3),
        cached != nullptr ? ", cached input " + significant(cached->value, 3) : "",
        significant(value(result, "usd_per_million_output_tokens"), 3),
        significant(value(result, "usd_per_million_tokens_of_idle_time"), 3),
        significant(value(result, "usd_per_million_total_tokens"), 3),
        significant(value(result, "usd_per_million_output_tokens_whole_bill"), 3));
}

// Where no rate that was tried broke the objective, what it holds to is not known.
std::string holds_text(const NextBottleneck& next) {
    return (next.is_open() ? "more than " : "") + significant(next.holds, 3);
}

std::string next_text(const NextBottleneck& next) {
    std::string text = fmt::format("the fleet holds to {}x the planned rate", holds_text(next));
    if (next.months > 0)
        text += fmt::format(", month {}{}", significant(next.months, 3),
                            next.is_open() ? " or later" : "");
    if (next.is_open()) text += "; not searched further: no run that was tried broke";
    if (next.breaks > 0)
        text += fmt::format("; at {}x it breaks {}", significant(next.breaks, 3), next.what);
    return text;
}

std::string alternative_text(const ServingPlanReport& report, const ServingPlanAlternative& of) {
    std::string text =
        hanging("", fmt::format("{}: {} of {}, {}", of.name, of.chip, of.system, of.fidelity)) +
        hanging("  ", counts_text(of.counts));
    if (of.partial) text += "  interrupted: what is best so far\n";
    if (!of.nothing.empty()) return text + hanging("  no fleet: ", of.nothing);
    if (!of.answer) return text;
    text += header();
    for (const PlannedPool& pool : of.answer->pools) text += row(pool);
    text += hanging("  fleet: ", fleet_text(report, *of.answer));
    if (of.answer->result.metrics.empty()) return text;
    text += hanging("  run: ", latency_text(report.form, of.answer->result));
    text += hanging("  cost: ", cost_text(of.answer->result));
    if (of.answer->next.holds > 0) text += hanging("  next: ", next_text(of.answer->next));
    for (const std::string& warning : of.warnings) text += hanging("  warning: ", warning);
    return text;
}

std::string api_text(const ServingPlanReport& report, const ApiBill& bill) {
    const ApiPrice& price = bill.price;
    std::string text = fmt::format("{}{}, {}", price.vendor,
                                   price.model.empty() ? "" : ", " + price.model, price.date);
    if (!price.note.empty()) text += ", " + price.note;
    text += fmt::format(": {} a month", money(bill.usd_per_month));
    // A fleet costs the same each month, an API by the token: of so much of this traffic both do.
    std::string cheaper, even;
    const double tokens = report.input_per_month + report.output_per_month;
    for (const ServingPlanAlternative& of : report.alternatives) {
        if (!of.answer || !(of.answer->usd_per_month > 0) || !(bill.usd_per_month > 0)) continue;
        const double share = of.answer->usd_per_month / bill.usd_per_month;
        even += fmt::format("{}{} {}{}", even.empty() ? "" : ", ", of.name,
                            significant(share * tokens / 1e6),
                            share > 1 ? " (more than is planned)" : "");
        cheaper += fmt::format("{}{} {}x", cheaper.empty() ? "" : ", ", of.name,
                               significant(bill.usd_per_month / of.answer->usd_per_month, 3));
    }
    if (!cheaper.empty())
        text +=
            fmt::format(" (over each fleet's bill: {}); break-even, Mtok a month in and out: {}",
                        cheaper, even);
    return hanging("  " + bill.name + ": ", text);
}

std::string comparison(const ServingPlanReport& report) {
    std::string text = fmt::format("{:<25}{:>8}{:>10}{:>12}{:>12}{:>12}\n", "smallest fleets",
                                   "chips", "kW", "kUSD/month", "USD/Mtok", "holds");
    for (const ServingPlanAlternative& of : report.alternatives) {
        const std::string name = of.name.size() > 24 ? of.name.substr(0, 23) + "." : of.name;
        if (!of.answer) {
            text += fmt::format("{:<25}{:>8}\n", name, "-");
            continue;
        }
        const ServingAnswer& one = *of.answer;
        text += fmt::format("{:<25}{:>8}{:>10}{:>12}{:>12}{:>12}\n", name, one.chips,
                            significant(one.watts / 1e3),
                            one.usd_per_month > 0 ? significant(one.usd_per_month / 1e3) : "-",
                            one.result.metric("usd_per_million_total_tokens") != nullptr
                                ? significant(value(one.result, "usd_per_million_total_tokens"), 3)
                                : "-",
                            (one.next.is_open() ? ">" : "") + significant(one.next.holds, 3) + "x");
    }
    return text;
}

Json json_of(const ServingBound& bound) {
    return {{"replicas", bound.replicas},
            {"reading_replicas", bound.reading},
            {"writing_replicas", bound.writing},
            {"reading_tokens_per_second", bound.read_rate},
            {"writing_tokens_per_second", bound.write_rate},
            {"batch", bound.batch},
            {"batch_limit", bound.limit},
            {"first_token_alone", bound.first_token_alone},
            {"each_token_alone", bound.each_token_alone}};
}

Json json_of(const PlannedPool& pool) {
    return {{"name", pool.name},
            {"role", pool.role},
            {"replicas", pool.replicas},
            {"spare_replicas", pool.spares},
            {"chips_per_replica", pool.chips},
            {"tensor_parallel", pool.mapping.tensor_parallel},
            {"context_parallel", pool.mapping.context_parallel()},
            {"data_parallel", pool.mapping.data_parallel},
            {"expert_parallel", pool.mapping.expert_parallel},
            {"pipeline_parallel", pool.mapping.pipeline_parallel},
            {"max_num_seqs", pool.max_num_seqs},
            {"max_num_batched_tokens", pool.max_num_batched_tokens},
            {"bound", json_of(pool.bound)}};
}

Json json_of(const ServingAnswer& answer) {
    Json json = {{"chips", answer.chips},
                 {"power", answer.watts},
                 {"usd_per_month", answer.usd_per_month},
                 {"basis", answer.basis},
                 {"good", answer.good},
                 {"bound_chips", answer.bound_chips},
                 {"bound_usd_per_month", answer.bound_usd_per_month},
                 {"holds", answer.next.holds},
                 {"breaks", answer.next.is_open() ? Json() : Json(answer.next.breaks)},
                 {"holds_to_more", answer.next.is_open()},
                 {"next_bottleneck", answer.next.what},
                 {"pools", Json::array()},
                 {"metrics", Json::object()}};
    if (answer.scaled_usd_per_month) {
        json["scaled_usd_per_month"] = *answer.scaled_usd_per_month;
        json["mean_replicas"] = answer.mean_replicas;
    }
    for (const PlannedPool& pool : answer.pools) json["pools"].push_back(json_of(pool));
    for (const Metric& metric : answer.result.metrics) {
        json["metrics"][metric.name] = {{"value", metric.value}, {"unit", metric.unit}};
        if (metric.low) json["metrics"][metric.name]["low"] = *metric.low;
        if (metric.high) json["metrics"][metric.name]["high"] = *metric.high;
    }
    return json;
}

}  // namespace

std::string serving_plan_text(const ServingPlanReport& report) {
    std::string text = report.experiment + "\n" + hanging("traffic: ", demand_text(report)) +
                       hanging("wanted: ", goal_text(report)) + "\n" + comparison(report);
    for (const ServingPlanAlternative& one : report.alternatives)
        text += "\n" + alternative_text(report, one);
    if (!report.api.empty()) {
        text += "\n" +
                hanging("", fmt::format("the same tokens of a public API ({}):", report.api_list));
        for (const ApiBill& bill : report.api) text += api_text(report, bill);
    }
    return text;
}

nlohmann::ordered_json serving_plan_json(const ServingPlanReport& report) {
    const ServingDemand& demand = report.demand;
    Json json = {{"plan", 1},
                 {"kind", "serving"},
                 {"experiment", report.experiment},
                 {"partial", report.partial()},
                 {"demand",
                  {{"requests", demand.requests},
                   {"seconds", demand.seconds},
                   {"input_tokens", demand.input},
                   {"computed_input_tokens", demand.computed},
                   {"output_tokens", demand.output},
                   {"growth", report.form.growth.factor()},
                   {"burst", report.form.burst},
                   {"good", report.form.least_good()},
                   {"percentile", report.form.percentile ? Json(name_of(*report.form.percentile))
                                                         : Json(nullptr)}}},
                 {"alternatives", Json::array()},
                 {"api", Json::array()}};
    for (const ServingPlanAlternative& of : report.alternatives) {
        Json one = {{"name", of.name},
                    {"system", of.system},
                    {"chip", of.chip},
                    {"fidelity", of.fidelity},
                    {"partial", of.partial},
                    {"candidates", of.counts.candidates},
                    {"refused", of.counts.refused},
                    {"do_not_fit", of.counts.do_not_fit},
                    {"too_slow", of.counts.too_slow},
                    {"beyond", of.counts.beyond},
                    {"simulated", of.counts.simulated},
                    {"runs", of.counts.runs}};
        if (!of.nothing.empty()) one["nothing"] = of.nothing;
        if (of.answer) one["fleet"] = json_of(*of.answer);
        one["warnings"] = of.warnings;
        json["alternatives"].push_back(std::move(one));
    }
    for (const ApiBill& bill : report.api)
        json["api"].push_back({{"name", bill.name},
                               {"vendor", bill.price.vendor},
                               {"model", bill.price.model},
                               {"date", bill.price.date},
                               {"usd_per_month", bill.usd_per_month}});
    return json;
}

}  // namespace podsim
