#include "app/result_schema.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "sim/result.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;
using Properties = std::vector<std::pair<std::string, Json>>;

Json text(const std::string& description) {
    return {{"type", "string"}, {"description", description}};
}

Json number(const std::string& description) {
    // What isn't finite is null.
    return {{"type", {"number", "null"}}, {"description", description}};
}

Json whole(const std::string& description) {
    return {{"type", "integer"}, {"description", description}};
}

Json flag(const std::string& description) {
    return {{"type", "boolean"}, {"description", description}};
}

Json list(const Json& items, const std::string& description) {
    return {{"type", "array"}, {"description", description}, {"items", items}};
}

Json any_key(const Json& value, const std::string& description) {
    return {{"type", "object"}, {"description", description}, {"additionalProperties", value}};
}

// All properties are there always, but the named optional ones.
Json object(const Properties& properties, const std::vector<std::string>& optional = {}) {
    Json json = {{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
    for (const auto& [key, value] : properties) {
        json["properties"][key] = value;
        if (std::find(optional.begin(), optional.end(), key) == optional.end()) {
            json["required"].push_back(key);
        }
    }
    json["additionalProperties"] = false;
    return json;
}

Json metric() {
    const Json rests_on = object(
        {{"shares", any_key(number(""), "share of the time by what it rests on, summing to 1")},
         {"measured_error", number("mean held-out error of the measured share")}});
    return object({{"value", number("in unit")},
                   {"unit", text("tok/s, ms, USD/Mtok, ...")},
                   {"low", number("lowest value the inputs allow")},
                   {"high", number("highest value the inputs allow")},
                   {"rests_on", rests_on}},
                  {"low", "high"});
}

Json operator_row() {
    const Json critical = object({{"count", whole("executions on the critical path")},
                                  {"gap", number("before kernels")},
                                  {"launch", number("of kernels")},
                                  {"latency", number("of transfers")},
                                  {"skew", number("wait for the slowest rank")},
                                  {"work", number("computing or on the wire, as fast as alone")},
                                  {"contention", number("slower than alone")}});
    return object(
        {{"name", text("what the model calls it")},
         {"kind", text("gemm, attention, vector, pipeline, dispatch, ...")},
         {"rank_class", text("ranks that run it")},
         {"stream", text("stream of the rank")},
         {"shape", text("sizes and formats")},
         {"choice", text("tile and split chosen")},
         {"basis", text("what its time rests on")},
         {"warning", text("a shape outside what a calibration covers")},
         {"count", whole("executions on one rank in the step")},
         {"seconds_each", number("alone")},
         {"seconds_total", number("occupied, waiting and contention included")},
         {"seconds_critical", number("of the critical path: all of critical")},
         {"critical", critical},
         {"flops_each", number("work of one execution")},
         {"bytes_each", number("bytes of one execution")},
         {"achieved_flops", number("per second, alone")},
         {"achieved_bandwidth", number("bytes per second, alone")},
         {"share_of_peak", number("of the matrix or the memory peak, the higher")},
         {"roofline_seconds", number("no implementation is faster")},
         {"energy_each", number("joules of one execution, what it draws at rest apart")}});
}

Json resource() {
    return object({{"resource", text("matrix units, HBM, a direction of a link")},
                   {"rank_class", text("of one rank of this class")},
                   {"mean", number("share of the data sheet's rate over the step")},
                   {"peak", number("largest share of any window")},
                   {"amount", number("what was used")},
                   {"unit", text("of amount")},
                   {"capacity", number("data-sheet rate in unit per second")},
                   {"windows", list(number(""), "share in each of equal parts of the step")}});
}

Json memory() {
    const Json part = object({{"part", text("what fills it")}, {"bytes", number("")}});
    const Json peak = object({{"seconds", number("of the step, when it is first so full")},
                              {"during", text("the pass that begins then")}});
    return object({{"rank_class", text("of one rank of this class")},
                   {"ranks", whole("in the class")},
                   {"parts", list(part, "summing to total")},
                   {"total", number("bytes")},
                   {"capacity", number("bytes")},
                   {"peak", peak}},
                  {"peak"});
}

Json totals() {
    return object({{"flops", number("work of all operators")},
                   {"matrix_flops", number("work of the matrix units")},
                   {"hbm_bytes", number("across memory")},
                   {"sent_bytes", number("out of all ports")},
                   {"received_bytes", number("into all ports")},
                   {"tokens_in", number("query tokens entered")},
                   {"tokens_out", number("tokens emitted")},
                   {"sequences", number("")},
                   {"tasks", whole("")},
                   {"unfinished", whole("0, or the run did not end")}});
}

Json alternative() {
    const Json breakdown = object({{"part", text("part of the critical path")},
                                   {"seconds", number("")},
                                   {"share", number("of the whole")}});
    const Json bounds = object({{"roofline", number("busiest resource at data-sheet rates")},
                                {"critical_path", number("longest chain, each task alone")},
                                {"perfect_overlap", number("busiest stream")},
                                {"serial", number("one after the other")}});
    const Json cost = object({{"basis", text("rental, owned or silicon")},
                              {"usd_per_hour_per_chip", number("")},
                              {"confidence", text("of the price")},
                              {"source", text("of the price")},
                              {"parts", any_key(number("USD/h"), "summing to the whole")},
                              {"low", number("lowest it may be, USD/h")},
                              {"high", number("highest it may be, USD/h")}},
                             {"low", "high"});
    const Json energy = object({{"part", text("matrix units, HBM, static, ...")},
                                {"joules", number("of one iteration, all packages")},
                                {"share", number("of the whole")},
                                {"in_package", flag("drawn by the package, under its power cap")}});
    const Json audit =
        object({{"law", text("")}, {"passed", flag("")}, {"detail", text("the numbers compared")}});
    Json neighbour = object({{"fidelity", text("the neighbouring fidelity")},
                             {"gap", number("its time over this one, less 1")}});
    neighbour["type"] = {"object", "null"};
    Json served = served_traffic_schema();
    served["description"] = "of kind serving: requests, tokens, pools, curve over load";
    const Json job = object({{"name", text("of the job")},
                             {"ranks", whole("of its trace")},
                             {"first_rank", whole("of the pool")},
                             {"stride", whole("its rank i is first_rank + i x stride")},
                             {"start_seconds", number("when it begins")},
                             {"iteration_seconds", number("from there on")},
                             {"alone_seconds", number("the same without the other jobs")},
                             {"communication_seconds", number("mean over its ranks")},
                             {"waiting_seconds", number("for its other ranks, the same")}});
    return object(
        {{"name", text("column of the comparison")},
         {"system", text("of configs/systems")},
         {"chip", text("of configs/chips")},
         {"engine", text("of configs/engines")},
         {"kernels", text("of configs/kernels")},
         {"collectives", text("of configs/collectives")},
         {"fidelity", text("analytic, tile or cycle")},
         {"packages", whole("chips as their vendor sells them")},
         {"ranks", whole("programs they run")},
         {"ranks_per_chip", whole("")},
         {"iteration_seconds", number("of the step, operator or collective")},
         {"metrics", any_key(metric(), "by name; podsim list metrics")},
         {"breakdown", list(breakdown, "where the time goes, summing to the whole")},
         {"operators", list(operator_row(), "one row per distinct operator")},
         {"resources", list(resource(), "how full each was")},
         {"memory", list(memory(), "by class of ranks")},
         {"host_memory",
          list(memory(),
               "of the fullest host, where experts or cache tiers lie in it; ranks counts hosts")},
         {"bounds", bounds},
         {"totals", totals()},
         {"energy", list(energy, "what draws it, summing to the whole")},
         {"cost", list(cost, "by basis")},
         {"audit", list(audit, "every law, held or broken")},
         {"warnings", list(text(""), "")},
         {"served", served},
         {"jobs", list(job, "of a replay of several jobs, or of several collectives")},
         {"neighbour", neighbour}},
        {"host_memory", "served", "jobs"});
}

}  // namespace

nlohmann::ordered_json result_schema() {
    const Json switches = object(
        {{"driver", text("systemc or plain")},
         {"cache", flag("")},
         {"host_seconds", number("")},
         {"peak_memory_bytes", number("")},
         {"events", whole("")},
         {"cache_hits", whole("")},
         {"cache_misses", whole("")},
         {"cache_stored_hits", whole("of the misses, those found in a file of an earlier run")}});
    Json configuration = {{"type", "object"},
                          {"description", "every input, with the file and line of each value"}};
    Json json = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "podsim result"}};
    json.update(object({{"schema_version", {{"const", kResultSchemaVersion}}},
                        {"model_code_version", text("changes when an answer may change")},
                        {"experiment", text("what is compared")},
                        {"kind", text("decode, operator, collective, ...")},
                        {"seed", whole("of the random numbers")},
                        {"alternatives", list(alternative(), "columns of the comparison")},
                        {"configuration", configuration},
                        {"switches", switches}}));
    json["properties"]["switches"]["description"] =
        "facts that may differ between equal runs; everything else is the same, byte for byte";
    return json;
}

}  // namespace podsim
