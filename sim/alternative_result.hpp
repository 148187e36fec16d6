// What one alternative of a run answers: plain data, complete enough to be printed, audited and
// compared without the simulator.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/serving_result.hpp"

namespace podsim {

// Shares of a metric's time by what it rests on ("measured", "specified", "assumed", ...), summing
// to 1, and the mean held-out error of the measured part.
struct Provenance {
    std::map<std::string, double> shares;
    double measured_error = 0;
};

struct Metric {
    std::string name;  // design names, "decode_tokens_per_second_per_chip"
    double value = 0;  // in `unit`
    std::string unit;  // "tok/s", "ms", "USD/Mtok", ...
    std::optional<double> low, high;
    Provenance rests_on;
};

// Parts of the critical path by what they are; they sum to the whole.
struct BreakdownPart {
    std::string part;
    double seconds = 0;
    double share = 0;
};

// Executions on the critical path and where their time went, in seconds that sum to all of it.
struct CriticalTime {
    long count = 0;
    double gap = 0, launch = 0;    // of kernels
    double latency = 0, skew = 0;  // of transfers; skew: the wait for the slowest rank
    double work = 0;               // computing or on the wire, as fast as alone
    double contention = 0;         // slower than alone, because others worked beside it
};

// One row per distinct operator, pipeline or transfer of a class.
struct OperatorRow {
    std::string name, kind, rank_class, stream, shape, choice, basis, warning;
    long count = 0;               // executions on one rank in the step
    double seconds_each = 0;      // alone
    double seconds_total = 0;     // occupied in the run, waiting and contention included
    double seconds_critical = 0;  // of the critical path: all of `critical`
    CriticalTime critical;
    double flops_each = 0, bytes_each = 0;
    double achieved_flops = 0, achieved_bandwidth = 0;  // alone; per second
    double share_of_peak = 0;  // of the matrix peak or, if higher, of the memory bandwidth
    double roofline_seconds = 0;
    double energy_each = 0;  // joules of one execution on one rank, without what it draws at rest
};

// Of one rank of a class: mean over the step of what was used, against the data sheet, and the
// largest value of any window.
struct ResourceUse {
    std::string resource, rank_class;
    double mean = 0, peak = 0;
    double amount = 0;  // FLOP-seconds at peak, bytes: what the mean counts
    std::string unit;
    double capacity = 0;  // data-sheet rate per second of the amount's unit
    std::vector<double> windows;
};

struct MemoryPart {
    std::string part;
    double bytes = 0;
};

struct MemoryUse {
    std::string rank_class;
    int ranks = 0;
    std::vector<MemoryPart> parts;
    double total = 0, capacity = 0;
    // Of training: when in the step it first holds so much, and what begins then. "": all the time.
    double peak_seconds = 0;
    std::string peak_during{};
};

// What ranks of a stage hold over a step, for the timeline.
struct MemoryTrack {
    std::string name;
    std::vector<std::string> parts;
    struct Point {
        double seconds = 0;         // from then on
        std::vector<double> bytes;  // by part
    };
    std::vector<Point> points;
};

struct Bounds {
    double roofline = 0;       // no implementation is faster: busiest resource at data-sheet rates
    double critical_path = 0;  // the longest chain of dependent tasks, each alone
    double perfect_overlap = 0;  // the busiest resource, with this library's efficiencies
    double serial = 0;           // everything one after the other on its rank
};

// Joules of one iteration, of all packages and what else the system draws for them; the parts sum
// to the whole.
struct EnergyPart {
    std::string part;  // "matrix units", "static", "host, network, fans", ...
    double joules = 0;
    double share = 0;
    bool in_package = true;  // counts against the package's power cap
};

struct AuditFinding {
    std::string law;  // "no resource above 100 %"
    bool passed = true;
    std::string detail;  // numbers
};

// A task of one rank, for the timeline.
struct TimelineEvent {
    std::string name, track, part;   // part: "gap", "launch", "latency", "skew", "work"
    double start = 0, duration = 0;  // seconds
    int layer = -1, micro_batch = 0;
};

// What the audit recomputes from: totals over all ranks of one step.
struct Totals {
    double flops = 0;  // of all operators
    double matrix_flops = 0;
    double hbm_bytes = 0;
    double sent_bytes = 0, received_bytes = 0;  // over all ports
    double tokens_in = 0, tokens_out = 0;       // query tokens entered, tokens emitted
    double sequences = 0;
    long tasks = 0, unfinished = 0;
};

struct CostBasis {
    std::string name;  // "rental", "owned" or "silicon"
    double usd_per_hour_per_chip = 0;
    std::optional<double> low, high;                    // of it
    std::string confidence, source;                     // printed where it is a rumour
    std::vector<std::pair<std::string, double>> parts;  // "chip", "system", "power", ... USD/h
};

// One of several jobs that a replay ran side by side, or of several collectives; times as means
// over its ranks.
struct ReplayedJob {
    std::string name;
    int ranks = 0, first_rank = 0, stride = 1;
    double start_seconds = 0;                         // when it begins
    double iteration_seconds = 0, alone_seconds = 0;  // from there on; the same without the others
    double communication_seconds = 0, waiting_seconds = 0;
};

struct AlternativeResult {
    std::string name, system, chip, engine, kernels, collectives, fidelity;
    int packages = 0, ranks = 0, ranks_per_chip = 1;
    double iteration_seconds = 0;
    std::vector<Metric> metrics;
    std::vector<BreakdownPart> breakdown;
    std::vector<OperatorRow> operators;
    std::vector<ResourceUse> resources;
    std::vector<MemoryUse> memory;
    std::vector<MemoryUse> host_memory;  // experts, cache tiers; `ranks` counts hosts
    Bounds bounds;
    Totals totals;
    std::vector<EnergyPart> energy;
    std::vector<CostBasis> cost;
    std::vector<AuditFinding> audit;
    std::vector<std::string> warnings;
    std::optional<ServedTraffic> served;        // of kind serving
    std::vector<ReplayedJob> jobs;              // of a replay of several, of collectives
    std::vector<TimelineEvent> timeline;        // filled when asked for; not part of result.json
    std::vector<MemoryTrack> memory_over_time;  // the same
    double neighbour_gap = 0;                   // time at the neighbouring fidelity / this one - 1
    std::string neighbour;                      // "analytic"

    const Metric* metric(const std::string& metric_name) const;
};

}  // namespace podsim
