#include "sim/result_read.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <stdexcept>

#include "sim/json_numbers.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// A value and where it stands.
struct Value {
    const Json& json;
    std::string path;

    [[noreturn]] void fail(const std::string& what) const {
        throw std::runtime_error((path.empty() ? "result" : path) + ": " + what);
    }
    std::string below(const std::string& key) const {
        return path.empty() ? key : path + "." + key;
    }

    Value at(const std::string& key) const {
        if (!json.is_object()) fail("expected a map of keys");
        const auto found = json.find(key);
        if (found == json.end()) throw std::runtime_error(below(key) + ": is missing");
        return {*found, below(key)};
    }
    double number() const {
        if (json.is_null()) return std::numeric_limits<double>::quiet_NaN();
        if (!json.is_number()) fail("expected a number");
        return json.get<double>();
    }
    std::string text() const {
        if (!json.is_string()) fail("expected text");
        return json.get<std::string>();
    }
    template <class Whole>
    Whole whole() const {
        const auto fits = [](auto value) {
            return static_cast<double>(value) <=
                       static_cast<double>(std::numeric_limits<Whole>::max()) &&
                   static_cast<double>(value) >=
                       static_cast<double>(std::numeric_limits<Whole>::min());
        };
        const auto whole = whole_number(json);
        if (!whole && !json.is_number_integer()) fail("expected a whole number");
        if (!fits(json.get<double>())) fail("is too large a number");
        return whole ? static_cast<Whole>(*whole) : json.get<Whole>();
    }

    double number(const char* key) const { return at(key).number(); }
    std::string text(const char* key) const { return at(key).text(); }
    int count(const char* key) const { return at(key).whole<int>(); }
    long long_count(const char* key) const { return at(key).whole<long>(); }

    // f(value) of each item.
    template <class Read>
    auto list(const char* key, Read read) const {
        const Value items = at(key);
        if (!items.json.is_array()) items.fail("expected a list");
        std::vector<decltype(read(items))> all;
        for (std::size_t i = 0; i < items.json.size(); ++i) {
            all.push_back(read(Value{items.json[i], fmt::format("{}.{}", items.path, i)}));
        }
        return all;
    }
    // f(key, value) of each entry.
    template <class Read>
    void entries(const char* key, Read read) const {
        const Value map = at(key);
        if (!map.json.is_object()) map.fail("expected a map of keys");
        for (const auto& [name, item] : map.json.items()) read(name, Value{item, map.below(name)});
    }
};

Metric metric_of(const std::string& name, const Value& value) {
    Metric metric;
    metric.name = name;
    metric.value = value.number("value");
    metric.unit = value.text("unit");
    if (value.json.contains("low")) metric.low = value.number("low");
    if (value.json.contains("high")) metric.high = value.number("high");
    const Value rests_on = value.at("rests_on");
    metric.rests_on.measured_error = rests_on.number("measured_error");
    rests_on.entries("shares", [&](const std::string& what, const Value& share) {
        metric.rests_on.shares[what] = share.number();
    });
    return metric;
}

BreakdownPart breakdown_part(const Value& value) {
    return {value.text("part"), value.number("seconds"), value.number("share")};
}

CriticalTime critical_time(const Value& value) {
    return {value.long_count("count"), value.number("gap"),  value.number("launch"),
            value.number("latency"),   value.number("skew"), value.number("work"),
            value.number("contention")};
}

OperatorRow operator_row(const Value& value) {
    OperatorRow row;
    row.name = value.text("name");
    row.kind = value.text("kind");
    row.rank_class = value.text("rank_class");
    row.stream = value.text("stream");
    row.shape = value.text("shape");
    row.choice = value.text("choice");
    row.basis = value.text("basis");
    row.warning = value.text("warning");
    row.count = value.long_count("count");
    row.seconds_each = value.number("seconds_each");
    row.seconds_total = value.number("seconds_total");
    row.seconds_critical = value.number("seconds_critical");
    row.critical = critical_time(value.at("critical"));
    row.flops_each = value.number("flops_each");
    row.bytes_each = value.number("bytes_each");
    row.achieved_flops = value.number("achieved_flops");
    row.achieved_bandwidth = value.number("achieved_bandwidth");
    row.share_of_peak = value.number("share_of_peak");
    row.roofline_seconds = value.number("roofline_seconds");
    if (value.json.contains("energy_each")) row.energy_each = value.number("energy_each");
    return row;
}

ResourceUse resource_use(const Value& value) {
    ResourceUse use;
    use.resource = value.text("resource");
    use.rank_class = value.text("rank_class");
    use.mean = value.number("mean");
    use.peak = value.number("peak");
    use.amount = value.number("amount");
    use.unit = value.text("unit");
    use.capacity = value.number("capacity");
    use.windows = value.list("windows", [](const Value& window) { return window.number(); });
    return use;
}

MemoryUse memory_use(const Value& value) {
    MemoryUse use;
    use.rank_class = value.text("rank_class");
    use.ranks = value.count("ranks");
    use.parts = value.list("parts", [](const Value& part) {
        return MemoryPart{part.text("part"), part.number("bytes")};
    });
    use.total = value.number("total");
    use.capacity = value.number("capacity");
    if (value.json.contains("peak")) {
        use.peak_seconds = value.at("peak").number("seconds");
        use.peak_during = value.at("peak").text("during");
    }
    return use;
}

Bounds bounds_of(const Value& value) {
    return {value.number("roofline"), value.number("critical_path"),
            value.number("perfect_overlap"), value.number("serial")};
}

Totals totals_of(const Value& value) {
    Totals totals;
    totals.flops = value.number("flops");
    totals.matrix_flops = value.number("matrix_flops");
    totals.hbm_bytes = value.number("hbm_bytes");
    totals.sent_bytes = value.number("sent_bytes");
    totals.received_bytes = value.number("received_bytes");
    totals.tokens_in = value.number("tokens_in");
    totals.tokens_out = value.number("tokens_out");
    totals.sequences = value.number("sequences");
    totals.tasks = value.long_count("tasks");
    totals.unfinished = value.long_count("unfinished");
    return totals;
}

EnergyPart energy_part(const Value& value) {
    const Value inside = value.at("in_package");
    if (!inside.json.is_boolean()) inside.fail("expected true or false");
    return {value.text("part"), value.number("joules"), value.number("share"),
            inside.json.get<bool>()};
}

CostBasis cost_basis(const Value& value) {
    CostBasis cost;
    cost.name = value.text("basis");
    cost.usd_per_hour_per_chip = value.number("usd_per_hour_per_chip");
    cost.confidence = value.text("confidence");
    cost.source = value.text("source");
    if (value.json.contains("low")) cost.low = value.number("low");
    if (value.json.contains("high")) cost.high = value.number("high");
    value.entries("parts", [&](const std::string& part, const Value& usd) {
        cost.parts.emplace_back(part, usd.number());
    });
    return cost;
}

AuditFinding audit_finding(const Value& value) {
    const Value passed = value.at("passed");
    if (!passed.json.is_boolean()) passed.fail("expected true or false");
    return {value.text("law"), passed.json.get<bool>(), value.text("detail")};
}

ReplayedJob replayed_job(const Value& value) {
    return {value.text("name"),
            value.count("ranks"),
            value.count("first_rank"),
            value.count("stride"),
            value.number("start_seconds"),
            value.number("iteration_seconds"),
            value.number("alone_seconds"),
            value.number("communication_seconds"),
            value.number("waiting_seconds")};
}

AlternativeResult alternative_result(const Value& value) {
    AlternativeResult result;
    result.name = value.text("name");
    result.system = value.text("system");
    result.chip = value.text("chip");
    result.engine = value.text("engine");
    result.kernels = value.text("kernels");
    result.collectives = value.text("collectives");
    result.fidelity = value.text("fidelity");
    result.packages = value.count("packages");
    result.ranks = value.count("ranks");
    result.ranks_per_chip = value.count("ranks_per_chip");
    result.iteration_seconds = value.number("iteration_seconds");
    value.entries("metrics", [&](const std::string& name, const Value& metric) {
        result.metrics.push_back(metric_of(name, metric));
    });
    result.breakdown = value.list("breakdown", breakdown_part);
    result.operators = value.list("operators", operator_row);
    result.resources = value.list("resources", resource_use);
    result.memory = value.list("memory", memory_use);
    result.bounds = bounds_of(value.at("bounds"));
    result.totals = totals_of(value.at("totals"));
    // Results of earlier versions say nothing of energy.
    if (value.json.contains("energy")) result.energy = value.list("energy", energy_part);
    result.cost = value.list("cost", cost_basis);
    result.audit = value.list("audit", audit_finding);
    result.warnings = value.list("warnings", [](const Value& warning) { return warning.text(); });
    if (value.json.contains("served"))
        result.served = served_traffic_of(value.at("served").json, value.below("served"));
    if (result.served && !result.served->lacks.empty())
        result.warnings.push_back(
            fmt::format("written by an earlier version, which said nothing of {}: none is counted",
                        fmt::join(result.served->lacks, ", ")));
    if (value.json.contains("host_memory"))
        result.host_memory = value.list("host_memory", memory_use);
    if (value.json.contains("jobs")) result.jobs = value.list("jobs", replayed_job);
    const Value neighbour = value.at("neighbour");
    if (!neighbour.json.is_null()) {
        result.neighbour = neighbour.text("fidelity");
        result.neighbour_gap = neighbour.number("gap");
    }
    return result;
}

}  // namespace

Result read_result(const nlohmann::ordered_json& json) {
    const Value value{json, ""};
    const int version = value.count("schema_version");
    if (version != kResultSchemaVersion) {
        throw std::runtime_error(
            fmt::format("schema_version: {}, expected {}", version, kResultSchemaVersion));
    }
    Result result;
    result.experiment = value.text("experiment");
    result.kind = value.text("kind");
    result.model_code = value.text("model_code_version");
    result.seed = value.at("seed").whole<std::uint64_t>();
    result.alternatives = value.list("alternatives", alternative_result);
    result.configuration = value.at("configuration").json;
    return result;
}

}  // namespace podsim
