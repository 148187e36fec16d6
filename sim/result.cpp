#include "sim/result.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity: what isn't finite is null, and the schema says so.
Json number(double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json to_json(const Provenance& provenance) {
    Json shares = Json::object();
    for (const auto& [what, share] : provenance.shares) shares[what] = number(share);
    return {{"shares", shares}, {"measured_error", number(provenance.measured_error)}};
}

Json to_json(const Metric& metric) {
    Json json = {{"value", number(metric.value)}, {"unit", metric.unit}};
    if (metric.low) json["low"] = number(*metric.low);
    if (metric.high) json["high"] = number(*metric.high);
    json["rests_on"] = to_json(metric.rests_on);
    return json;
}

Json to_json(const CriticalTime& time) {
    return {{"count", time.count},
            {"gap", number(time.gap)},
            {"launch", number(time.launch)},
            {"latency", number(time.latency)},
            {"skew", number(time.skew)},
            {"work", number(time.work)},
            {"contention", number(time.contention)}};
}

Json to_json(const OperatorRow& row) {
    return {{"name", row.name},
            {"kind", row.kind},
            {"rank_class", row.rank_class},
            {"stream", row.stream},
            {"shape", row.shape},
            {"choice", row.choice},
            {"basis", row.basis},
            {"warning", row.warning},
            {"count", row.count},
            {"seconds_each", number(row.seconds_each)},
            {"seconds_total", number(row.seconds_total)},
            {"seconds_critical", number(row.seconds_critical)},
            {"critical", to_json(row.critical)},
            {"flops_each", number(row.flops_each)},
            {"bytes_each", number(row.bytes_each)},
            {"achieved_flops", number(row.achieved_flops)},
            {"achieved_bandwidth", number(row.achieved_bandwidth)},
            {"share_of_peak", number(row.share_of_peak)},
            {"roofline_seconds", number(row.roofline_seconds)},
            {"energy_each", number(row.energy_each)}};
}

Json to_json(const ResourceUse& use) {
    Json windows = Json::array();
    for (const double window : use.windows) windows.push_back(number(window));
    return {{"resource", use.resource},         {"rank_class", use.rank_class},
            {"mean", number(use.mean)},         {"peak", number(use.peak)},
            {"amount", number(use.amount)},     {"unit", use.unit},
            {"capacity", number(use.capacity)}, {"windows", windows}};
}

Json to_json(const MemoryUse& use) {
    Json parts = Json::array();
    for (const MemoryPart& part : use.parts) {
        parts.push_back({{"part", part.part}, {"bytes", number(part.bytes)}});
    }
    Json json = {{"rank_class", use.rank_class},
                 {"ranks", use.ranks},
                 {"parts", parts},
                 {"total", number(use.total)},
                 {"capacity", number(use.capacity)}};
    if (!use.peak_during.empty())
        json["peak"] = {{"seconds", number(use.peak_seconds)}, {"during", use.peak_during}};
    return json;
}

Json to_json(const Bounds& bounds) {
    return {{"roofline", number(bounds.roofline)},
            {"critical_path", number(bounds.critical_path)},
            {"perfect_overlap", number(bounds.perfect_overlap)},
            {"serial", number(bounds.serial)}};
}

Json to_json(const Totals& totals) {
    return {{"flops", number(totals.flops)},
            {"matrix_flops", number(totals.matrix_flops)},
            {"hbm_bytes", number(totals.hbm_bytes)},
            {"sent_bytes", number(totals.sent_bytes)},
            {"received_bytes", number(totals.received_bytes)},
            {"tokens_in", number(totals.tokens_in)},
            {"tokens_out", number(totals.tokens_out)},
            {"sequences", number(totals.sequences)},
            {"tasks", totals.tasks},
            {"unfinished", totals.unfinished}};
}

Json to_json(const CostBasis& cost) {
    Json parts = Json::object();
    for (const auto& [part, usd] : cost.parts) parts[part] = number(usd);
    Json json = {{"basis", cost.name},
                 {"usd_per_hour_per_chip", number(cost.usd_per_hour_per_chip)},
                 {"confidence", cost.confidence},
                 {"source", cost.source},
                 {"parts", parts}};
    if (cost.low) json["low"] = number(*cost.low);
    if (cost.high) json["high"] = number(*cost.high);
    return json;
}

Json to_json(const EnergyPart& part) {
    return {{"part", part.part},
            {"joules", number(part.joules)},
            {"share", number(part.share)},
            {"in_package", part.in_package}};
}

Json to_json(const BreakdownPart& part) {
    return {{"part", part.part}, {"seconds", number(part.seconds)}, {"share", number(part.share)}};
}

Json to_json(const AuditFinding& finding) {
    return {{"law", finding.law}, {"passed", finding.passed}, {"detail", finding.detail}};
}

Json to_json(const ReplayedJob& job) {
    return {{"name", job.name},
            {"ranks", job.ranks},
            {"first_rank", job.first_rank},
            {"stride", job.stride},
            {"start_seconds", number(job.start_seconds)},
            {"iteration_seconds", number(job.iteration_seconds)},
            {"alone_seconds", number(job.alone_seconds)},
            {"communication_seconds", number(job.communication_seconds)},
            {"waiting_seconds", number(job.waiting_seconds)}};
}

Json to_json(const AlternativeResult& alternative);

template <class T>
Json list(const std::vector<T>& items) {
    Json json = Json::array();
    for (const T& item : items) json.push_back(to_json(item));
    return json;
}

Json to_json(const AlternativeResult& alternative) {
    Json metrics = Json::object();
    for (const Metric& metric : alternative.metrics) metrics[metric.name] = to_json(metric);
    Json neighbour = nullptr;
    if (!alternative.neighbour.empty()) {
        neighbour = {{"fidelity", alternative.neighbour},
                     {"gap", number(alternative.neighbour_gap)}};
    }
    Json json = {{"name", alternative.name},
                 {"system", alternative.system},
                 {"chip", alternative.chip},
                 {"engine", alternative.engine},
                 {"kernels", alternative.kernels},
                 {"collectives", alternative.collectives},
                 {"fidelity", alternative.fidelity},
                 {"packages", alternative.packages},
                 {"ranks", alternative.ranks},
                 {"ranks_per_chip", alternative.ranks_per_chip},
                 {"iteration_seconds", number(alternative.iteration_seconds)},
                 {"metrics", metrics},
                 {"breakdown", list(alternative.breakdown)},
                 {"operators", list(alternative.operators)},
                 {"resources", list(alternative.resources)},
                 {"memory", list(alternative.memory)},
                 {"bounds", to_json(alternative.bounds)},
                 {"totals", to_json(alternative.totals)},
                 {"energy", list(alternative.energy)},
                 {"cost", list(alternative.cost)},
                 {"audit", list(alternative.audit)},
                 {"warnings", alternative.warnings},
                 {"neighbour", neighbour}};
    if (!alternative.host_memory.empty()) json["host_memory"] = list(alternative.host_memory);
    if (alternative.served) json["served"] = to_json(*alternative.served);
    if (!alternative.jobs.empty()) json["jobs"] = list(alternative.jobs);
    return json;
}

Json to_json(const RunSwitches& switches) {
    return {{"driver", switches.driver},
            {"cache", switches.cache},
            {"host_seconds", number(switches.host_seconds)},
            {"peak_memory_bytes", number(switches.peak_memory_bytes)},
            {"events", switches.events},
            {"cache_hits", switches.cache_hits},
            {"cache_misses", switches.cache_misses},
            {"cache_stored_hits", switches.cache_stored_hits}};
}

// RFC 4180: fields that hold a comma, a quote or a line break stand in quotes, quotes doubled.
std::string csv_field(const std::string& text) {
    if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"') quoted += '"';
        quoted += c;
    }
    return quoted + "\"";
}

}  // namespace

const Metric* AlternativeResult::metric(const std::string& metric_name) const {
    const auto same = [&](const Metric& m) { return m.name == metric_name; };
    const auto it = std::find_if(metrics.begin(), metrics.end(), same);
    return it == metrics.end() ? nullptr : &*it;
}

bool Result::audit_passed() const {
    for (const AlternativeResult& alternative : alternatives) {
        for (const AuditFinding& finding : alternative.audit) {
            if (!finding.passed) return false;
        }
    }
    return true;
}

nlohmann::ordered_json to_json(const Result& result) {
    return {{"schema_version", kResultSchemaVersion},
            {"model_code_version", result.model_code},
            {"experiment", result.experiment},
            {"kind", result.kind},
            {"seed", result.seed},
            {"alternatives", list(result.alternatives)},
            {"configuration", result.configuration},
            {"switches", to_json(result.switches)}};
}

std::string memory_csv(const Result& result) {
    std::string csv;
    for (const AlternativeResult& alternative : result.alternatives) {
        for (const MemoryUse& use : alternative.memory) {
            if (use.peak_during.empty()) continue;
            for (const MemoryPart& part : use.parts) {
                csv += fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_field(alternative.name),
                                   csv_field(use.rank_class), use.ranks, csv_field(part.part),
                                   part.bytes, use.total, use.capacity, use.peak_seconds,
                                   csv_field(use.peak_during));
            }
        }
    }
    if (csv.empty()) return "";
    return "alternative,rank_class,ranks,part,bytes,total,capacity,peak_seconds,peak_during\n" +
           csv;
}

std::string operators_csv(const Result& result) {
    std::string csv =
        "alternative,name,kind,rank_class,stream,shape,choice,basis,count,seconds_each,"
        "seconds_total,seconds_critical,flops_each,bytes_each,achieved_flops,"
        "achieved_bandwidth,share_of_peak,roofline_seconds,critical_count,critical_gap,"
        "critical_launch,critical_latency,critical_skew,critical_work,critical_contention,"
        "warning\n";
    for (const AlternativeResult& alternative : result.alternatives) {
        for (const OperatorRow& row : alternative.operators) {
            for (const std::string* text :
                 {&alternative.name, &row.name, &row.kind, &row.rank_class, &row.stream, &row.shape,
                  &row.choice, &row.basis}) {
                csv += csv_field(*text) + ",";
            }
            csv += fmt::format("{},", row.count);
            for (const double value :
                 {row.seconds_each, row.seconds_total, row.seconds_critical, row.flops_each,
                  row.bytes_each, row.achieved_flops, row.achieved_bandwidth, row.share_of_peak,
                  row.roofline_seconds}) {
                csv += fmt::format("{},", value);
            }
            const CriticalTime& critical = row.critical;
            csv +=
                fmt::format("{},{},{},{},{},{},{},", critical.count, critical.gap, critical.launch,
                            critical.latency, critical.skew, critical.work, critical.contention);
            csv += csv_field(row.warning) + "\n";
        }
    }
    return csv;
}

}  // namespace podsim
