#include "sim/serving_result.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>

#include "sim/json_numbers.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// Each struct names its fields once; writer, reader and schema walk them. `later`: results of
// earlier versions do without it.
template <class Visitor>
void fields(Visitor& visit, ServedCondition& condition) {
    visit("broken", condition.broken, "parts of the fabric, in words; none: it is whole");
    visit("seconds", condition.seconds, "of steps, summed over replicas");
    visit("steps", condition.steps, "of all replicas");
}

template <class Visitor>
void fields(Visitor& visit, ServedPool& pool) {
    visit("name", pool.name, "of the pool");
    visit("role", pool.role, "serve, prefill or decode");
    visit("system", pool.system, "of configs/systems");
    visit("chip", pool.chip, "of configs/chips");
    visit("replicas", pool.replicas, "engines");
    visit("chips", pool.chips, "packages of all replicas");
    visit("ranks", pool.ranks, "of all replicas");
    visit("kv_blocks", pool.kv_blocks, "of a replica's KV cache");
    visit("block_size", pool.block_size, "tokens of a block");
    visit("max_num_seqs", pool.max_num_seqs, "of a replica");
    visit("max_num_batched_tokens", pool.max_num_batched_tokens, "of a replica");
    visit("kv_bytes_per_token", pool.kv_bytes_per_token, "on the fullest rank");
    visit("busy_seconds", pool.busy_seconds, "summed over replicas");
    visit("steps", pool.steps, "of all replicas");
    visit("mixed_steps", pool.mixed_steps, "with prompt tokens");
    visit("decode_steps", pool.decode_steps, "without prompt tokens");
    visit("decode_step_seconds", pool.decode_step_seconds, "of these");
    visit("mean_batch", pool.mean_batch, "sequences of a replica in a step without prompt tokens");
    visit("mean_context", pool.mean_context, "cached tokens of such a sequence");
    visit("prefill_tokens", pool.prefill_tokens, "computed");
    visit("written_tokens", pool.written_tokens, "of answers");
    visit("prefill_seconds", pool.prefill_seconds, "of busy_seconds, for prompts");
    visit("flops", pool.flops, "of all steps");
    visit("memory_bytes", pool.memory_bytes, "across memory in all steps");
    visit("failures", pool.failures, "of its replicas");
    visit("down_seconds", pool.down_seconds, "without service, summed over replicas");
    visit("conditions", pool.conditions, "of its fabric; empty where that never changes");
    visit("paid_seconds", pool.paid_seconds, "summed over replicas, starts and drains included");
    visit("min_replicas", pool.min_replicas, "that are always there");
    visit("starts", pool.starts, "of replicas, by autoscaling");
    visit("stops", pool.stops, "of replicas, drained or called off");
    visit("start_up_seconds", pool.start_up_seconds, "from the decision until a replica serves");
    visit("waited_for_start", pool.waited_for_start,
          "requests that had not begun when a replica came");
    visit("replicas_over_time", pool.replicas_over_time,
          "paid for, means over equal parts of the span; empty where none come and go");
    visit("preemptions", pool.preemptions, "sequences that lost their blocks");
    visit("peak_blocks", pool.peak_blocks, "in use at once on a replica");
    visit("peak_sequences", pool.peak_sequences, "at once on a replica");
    visit("hit_tokens", pool.hit_tokens, "of prompts, found in the cache");
    visit("looked_up_tokens", pool.looked_up_tokens, "of prompts");
    visit.later("tier_tokens", pool.tier_tokens,
                "of those found, in tiers below the chips' memory");
    visit.later("shared_tokens", pool.shared_tokens, "of these, in tiers that replicas share");
    visit.later("early_tokens", pool.early_tokens,
                "of those found, that a step took before they had come up; 0");
    visit.later("idle_chips", pool.idle_chips, "of hosts used in part, that are paid for");
    visit("step_points", pool.step_points, "steps worked out for the table");
    visit("step_error_mean", pool.step_error_mean, "interpolated against worked out, mean");
    visit("step_error_worst", pool.step_error_worst, "the largest of them");
    visit("step_error_samples", pool.step_error_samples, "steps compared");
}

template <class Visitor>
void fields(Visitor& visit, ServedTier& tier) {
    visit("name", tier.name, "of the tier");
    visit("capacity", tier.capacity, "bytes");
    visit("bandwidth", tier.bandwidth, "bytes a second, of all of it");
    visit("blocks", tier.blocks, "of the traffic's names, that it has room for");
    visit("peak_blocks", tier.peak_blocks, "held at once");
    visit("read_tokens", tier.read_tokens, "whose cache came up from it");
    visit("written_tokens", tier.written_tokens, "whose cache was written to it");
    visit("read_bytes", tier.read_bytes, "that it gave, to each rank what it holds");
    visit("written_bytes", tier.written_bytes, "that it took");
    visit("busy_seconds", tier.busy_seconds, "of its bandwidth");
    visit("busy_until_seconds", tier.busy_until_seconds, "the end of the last transfer");
}

template <class Visitor>
void fields(Visitor& visit, ServedClass& own) {
    visit("name", own.name, "of the stream");
    visit("arrived", own.arrived, "requests");
    visit("finished", own.finished, "requests");
    visit("rejected", own.rejected, "requests");
    visit("timed_out", own.timed_out, "requests");
    visit("in_flight", own.in_flight, "requests, where the run was ended");
    visit("promised_ttft", own.promised_ttft, "seconds; 0: nothing is promised");
    visit("promised_tpot", own.promised_tpot, "seconds; 0: nothing is promised");
    visit("goodput_share", own.goodput_share, "finished as promised, of those that arrived");
    visit("output_tokens", own.output_tokens, "of finished requests");
    visit("ttft_p50", own.ttft_p50, "seconds");
    visit("ttft_p99", own.ttft_p99, "seconds");
    visit("tpot_p50", own.tpot_p50, "seconds");
    visit("tpot_p99", own.tpot_p99, "seconds");
}

template <class Visitor>
void fields(Visitor& visit, LifecyclePoint& point) {
    visit("days", point.days, "of serving");
    visit("usd", point.usd, "of training and these days");
    visit("training_share", point.training_share, "of that bill");
    visit("usd_per_million_tokens", point.usd_per_million_tokens, "of it, tokens in and out");
}

template <class Visitor>
void fields(Visitor& visit, LoadPoint& point) {
    visit("rate_scale", point.rate_scale, "times the rate of the traffic");
    visit("requests_per_second", point.requests_per_second, "finished");
    visit("output_tokens_per_second_per_chip", point.output_tokens_per_second_per_chip,
          "over the chips of all pools");
    visit("tokens_per_second_per_user", point.tokens_per_second_per_user, "1 / mean TPOT");
    visit("goodput_requests_per_second", point.goodput_requests_per_second,
          "finished within the objective");
    visit("ttft_p50", point.ttft_p50, "seconds");
    visit("ttft_p99", point.ttft_p99, "seconds");
    visit("tpot_p50", point.tpot_p50, "seconds");
    visit("tpot_p99", point.tpot_p99, "seconds");
    visit("busy", point.busy, "share of time that engines work, mean over chips");
    visit("usd_per_million_output_tokens", point.usd_per_million_output_tokens,
          "the whole bill; 0 without a price");
    visit("finished", point.finished, "requests");
    visit("rejected", point.rejected, "requests");
    visit("timed_out", point.timed_out, "requests");
    visit("on_frontier", point.on_frontier, "no other point surpasses it in both rates");
}

template <class Visitor>
void fields(Visitor& visit, ServedTraffic& served) {
    visit("partial", served.partial, "ended by a signal: of what had ended by then");
    visit("span_seconds", served.span_seconds, "from the first arrival to the last end");
    visit("arrived", served.arrived, "requests");
    visit("finished", served.finished, "requests");
    visit("rejected", served.rejected, "requests");
    visit("timed_out", served.timed_out, "requests");
    visit("in_flight", served.in_flight, "requests, where the run was ended");
    visit.later("late_first", served.late_first,
                "finished, the first token later than was promised");
    visit.later("late_tokens", served.late_tokens,
                "finished, their tokens slower than was promised");
    visit("retried", served.retried, "begun again after a failure, each time counted");
    visit("skipped_rows", served.skipped_rows, "of the trace, with something wrong");
    visit.later("skipped_long", served.skipped_long,
                "requests longer than max_model_len, left out of the traffic");
    visit("input_tokens", served.input_tokens, "of finished requests");
    visit("cached_tokens", served.cached_tokens, "of these, found in the cache");
    visit("output_tokens", served.output_tokens, "of finished requests");
    visit("recomputed_tokens", served.recomputed_tokens, "read again after a preemption");
    visit("number_integral", served.number_integral, "requests in the system, over time");
    visit("sojourn_sum", served.sojourn_sum, "time in the system, over requests");
    visit("transferred_tokens", served.transferred_tokens, "whose cache went to another pool");
    visit("transferred_bytes", served.transferred_bytes, "of them");
    visit("notes", served.notes, "of the traffic");
    visit.later("classes", served.classes, "of requests; empty where there is one alone");
    visit("pools", served.pools, "engines by pool");
    visit.later("shared_tiers", served.shared_tiers, "memory that replicas share");
    visit("lifecycle", served.lifecycle, "training and the bills of days like this run");
    visit("curve", served.curve, "the same traffic at other rates");
}

struct Writer {
    Json json = Json::object();

    template <class T>
    static Json value_of(const T& value) {
        if constexpr (std::is_same_v<T, double>) {
            return std::isfinite(value) ? Json(value) : Json(nullptr);
        } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
            return value;
        } else {
            Writer writer;
            T copy = value;
            fields(writer, copy);
            return writer.json;
        }
    }
    template <class T>
    void operator()(const char* name, T& value, const char*) {
        json[name] = value_of(value);
    }
    template <class T>
    void operator()(const char* name, std::vector<T>& values, const char*) {
        json[name] = Json::array();
        for (const T& value : values) json[name].push_back(value_of(value));
    }
    template <class T>
    void later(const char* name, T& value, const char* help) {
        (*this)(name, value, help);
    }
};

struct Reader {
    const Json& json;
    std::string path;
    std::vector<std::string>& lacks;  // of what came later

    template <class T>
    static void read(const Json& from, const std::string& path, std::vector<std::string>& lacks,
                     T& value) {
        if constexpr (std::is_same_v<T, double>) {
            if (!from.is_number() && !from.is_null())
                throw std::runtime_error(path + ": expected a number");
            value = from.is_null() ? std::numeric_limits<double>::quiet_NaN() : from.get<double>();
        } else if constexpr (std::is_same_v<T, bool>) {
            if (!from.is_boolean()) throw std::runtime_error(path + ": expected true or false");
            value = from.get<bool>();
        } else if constexpr (std::is_arithmetic_v<T>) {
            const auto whole = whole_number(from);
            if (!whole) throw std::runtime_error(path + ": expected a whole number");
            value = static_cast<T>(*whole);
        } else if constexpr (std::is_same_v<T, std::string>) {
            if (!from.is_string()) throw std::runtime_error(path + ": expected text");
            value = from.get<std::string>();
        } else {
            Reader reader{from, path, lacks};
            fields(reader, value);
        }
    }
    const Json& at(const char* name) const {
        const auto found = json.is_object() ? json.find(name) : json.end();
        if (!json.is_object() || found == json.end())
            throw std::runtime_error(path + "." + name + ": is missing");
        return *found;
    }
    template <class T>
    void operator()(const char* name, T& value, const char*) {
        read(at(name), path + "." + name, lacks, value);
    }
    template <class T>
    void operator()(const char* name, std::vector<T>& values, const char*) {
        const Json& items = at(name);
        if (!items.is_array()) throw std::runtime_error(path + "." + name + ": expected a list");
        values.clear();
        for (const Json& item : items)
            read(item, path + "." + name + "." + std::to_string(values.size()), lacks,
                 values.emplace_back());
    }
    // Another version's result without it keeps what the field begins with.
    template <class T>
    void later(const char* name, T& value, const char* help) {
        if (json.is_object() && !json.contains(name)) {
            if (std::find(lacks.begin(), lacks.end(), name) == lacks.end()) lacks.push_back(name);
            return;
        }
        (*this)(name, value, help);
    }
};

struct SchemaWriter {
    Json properties = Json::object();
    Json required = Json::array();

    Json take() const {
        return {{"type", "object"},
                {"properties", properties},
                {"required", required},
                {"additionalProperties", false}};
    }
    template <class T>
    static Json schema_of() {
        if constexpr (std::is_same_v<T, double>) {
            return {{"type", {"number", "null"}}};
        } else if constexpr (std::is_same_v<T, bool>) {
            return {{"type", "boolean"}};
        } else if constexpr (std::is_arithmetic_v<T>) {
            return {{"type", "integer"}};
        } else if constexpr (std::is_same_v<T, std::string>) {
            return {{"type", "string"}};
        } else {
            SchemaWriter writer;
            T value;
            fields(writer, value);
            return writer.take();
        }
    }
    void add(const char* name, Json schema, const char* help) {
        schema["description"] = help;
        properties[name] = std::move(schema);
        required.push_back(name);
    }
    template <class T>
    void operator()(const char* name, T&, const char* help) {
        add(name, schema_of<T>(), help);
    }
    template <class T>
    void operator()(const char* name, std::vector<T>&, const char* help) {
        add(name, {{"type", "array"}, {"items", schema_of<T>()}}, help);
    }
    template <class T>
    void later(const char* name, T& value, const char* help) {
        (*this)(name, value, help);
        required.erase(std::prev(required.end()));
    }
};

}  // namespace

nlohmann::ordered_json to_json(const ServedTraffic& served) {
    return Writer::value_of(served);
}

ServedTraffic served_traffic_of(const nlohmann::ordered_json& json, const std::string& path) {
    ServedTraffic served;
    Reader::read(json, path, served.lacks, served);
    return served;
}

nlohmann::ordered_json served_traffic_schema() {
    return SchemaWriter::schema_of<ServedTraffic>();
}

void mark_frontier(std::vector<LoadPoint>& curve) {
    for (LoadPoint& point : curve) {
        point.on_frontier = true;
        for (const LoadPoint& other : curve) {
            const double throughput = other.output_tokens_per_second_per_chip -
                                      point.output_tokens_per_second_per_chip,
                         speed =
                             other.tokens_per_second_per_user - point.tokens_per_second_per_user;
            if (throughput >= 0 && speed >= 0 && (throughput > 0 || speed > 0))
                point.on_frontier = false;
        }
    }
}

}  // namespace podsim
