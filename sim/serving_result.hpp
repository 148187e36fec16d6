// What a result says of served traffic beside its metrics.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/lifecycle.hpp"

namespace podsim {

// Steps while so much of a pool's fabric was broken.
struct ServedCondition {
    std::vector<std::string> broken;  // none: whole
    double seconds = 0, steps = 0;    // of steps, summed over replicas
};

struct ServedPool {
    std::string name, role, system, chip;
    int replicas = 1, chips = 0, ranks = 0;  // of the whole pool
    long kv_blocks = 0, block_size = 0, max_num_seqs = 0, max_num_batched_tokens = 0;  // a replica
    double kv_bytes_per_token = 0;  // on the fullest rank
    double busy_seconds = 0;        // summed over replicas
    double steps = 0, mixed_steps = 0;
    double decode_steps = 0, decode_step_seconds = 0;  // steps without prompt tokens, their time
    double mean_batch = 0, mean_context = 0;           // of all steps that decode
    double prefill_tokens = 0, written_tokens = 0;
    double prefill_seconds = 0;  // of busy_seconds, for reading prompts
    double flops = 0, memory_bytes = 0;
    long failures = 0;
    double down_seconds = 0;                  // summed over replicas
    std::vector<ServedCondition> conditions;  // of its fabric, where that changed
    double paid_seconds = 0;                  // summed over replicas
    int min_replicas = 1;                     // `replicas` where none come and go
    long starts = 0, stops = 0;
    double start_up_seconds = 0;             // of one
    long waited_for_start = 0;               // requests
    std::vector<double> replicas_over_time;  // paid for, means over equal parts of the span
    long preemptions = 0, peak_blocks = 0, peak_sequences = 0;
    double hit_tokens = 0, looked_up_tokens = 0, tier_tokens = 0, shared_tokens = 0;
    double early_tokens = 0;  // of prefixes that a step took before they had come up
    double idle_chips = 0;    // of hosts used in part, that are paid for
    long step_points = 0;     // of its step table, worked out
    double step_error_mean = 0, step_error_worst = 0;
    long step_error_samples = 0;
};

// Memory that replicas share.
struct ServedTier {
    std::string name;
    double capacity = 0, bandwidth = 0;  // bytes, bytes a second
    long blocks = 0, peak_blocks = 0;    // of the traffic's names
    double read_tokens = 0, written_tokens = 0, read_bytes = 0, written_bytes = 0;
    double busy_seconds = 0, busy_until_seconds = 0;  // of its bandwidth
};

// Requests of one service class.
struct ServedClass {
    std::string name;
    long arrived = 0, finished = 0, rejected = 0, timed_out = 0, in_flight = 0;
    double promised_ttft = 0, promised_tpot = 0;  // seconds; 0: nothing is promised
    double goodput_share = 0;                     // of those that arrived
    double output_tokens = 0;
    double ttft_p50 = 0, ttft_p99 = 0, tpot_p50 = 0, tpot_p99 = 0;  // seconds
};

// A run of the same traffic at another rate.
struct LoadPoint {
    double rate_scale = 1;
    double requests_per_second = 0, output_tokens_per_second_per_chip = 0,
           tokens_per_second_per_user = 0, goodput_requests_per_second = 0;
    double ttft_p50 = 0, ttft_p99 = 0, tpot_p50 = 0, tpot_p99 = 0;  // seconds
    double busy = 0, usd_per_million_output_tokens = 0;
    long finished = 0, rejected = 0, timed_out = 0;
    bool on_frontier = false;  // no other point has more of both
};

struct ServedTraffic {
    bool partial = false;  // ended by a signal: all else is of what had ended by then
    double span_seconds = 0;
    long arrived = 0, finished = 0, rejected = 0, timed_out = 0, in_flight = 0;
    long late_first = 0, late_tokens = 0;  // finished, but without the one or the other promise
    long retried = 0;                      // begun again after a failure of their replica
    long skipped_rows = 0;
    long skipped_long = 0;  // requests longer than max_model_len
    double input_tokens = 0, cached_tokens = 0, output_tokens = 0, recomputed_tokens = 0;
    double number_integral = 0, sojourn_sum = 0;  // of Little's law, request-seconds
    double transferred_tokens = 0, transferred_bytes = 0;
    std::vector<std::string> notes;
    std::vector<ServedClass> classes;  // empty where the traffic has one alone
    std::vector<ServedPool> pools;
    std::vector<ServedTier> shared_tiers;
    std::vector<LoadPoint> curve;
    std::vector<LifecyclePoint> lifecycle;
    // Of a result that an earlier version wrote: what it did not say, which is 0 here.
    std::vector<std::string> lacks;
};

nlohmann::ordered_json to_json(const ServedTraffic& served);
// Throws std::runtime_error with the path of what is missing or of another type.
ServedTraffic served_traffic_of(const nlohmann::ordered_json& json, const std::string& path);
nlohmann::ordered_json served_traffic_schema();

// Marks the points that no other one surpasses in both rates.
void mark_frontier(std::vector<LoadPoint>& curve);

}  // namespace podsim
