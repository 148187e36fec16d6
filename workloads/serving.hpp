// Serving: requests come, wait, are read, written and leave, on replicas of an engine that batches
// continuously. Knows no chips: what a step takes is asked of a function, so that the same engine
// runs on a step table of any machine or on a service time of a textbook.
//
// Decoding sequences all gain the same tokens in a step. A virtual clock counts those tokens; a
// sequence that joins at clock v leaves at v + what it is to write, so that between two changes of
// the batch any number of steps is one event:
//
//   T(k steps) = sum of step(batch, context + i g), i < k, g tokens a step gains,
//
// with step() taken as linear in the context over a stretch of at most an eighth of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "workloads/autoscaling.hpp"
#include "workloads/expert_drift.hpp"
#include "workloads/kv_cache.hpp"
#include "workloads/request.hpp"

namespace podsim {

// What one step of one replica works on.
struct StepLoad {
    double decodes = 0;          // sequences that each gain tokens
    double decode_context = 0;   // tokens in the cache of each, mean
    double prefill_tokens = 0;   // of prompts, computed in this step
    double prefill_context = 0;  // tokens that each of them sees, itself included, mean
    double moved = 0;            // of the popularity that experts were placed for
    // Of the prompts' tokens, those of the data-parallel group that reads the most; 0: all alike.
    double fullest_prefill = 0;
};
using StepTime = std::function<Seconds(const StepLoad&)>;

// What becomes of a sequence that loses its blocks to an older one: its tokens are computed again,
// or its cache goes to the host's memory and comes back.
enum class Preemption { recompute, swap };
const std::vector<std::pair<const char*, Preemption>>& names_of(const Preemption*);

// Who is served first: who came first, or the class of the highest priority.
enum class SchedulingPolicy { fcfs, priority };
const std::vector<std::pair<const char*, SchedulingPolicy>>& names_of(const SchedulingPolicy*);

// Who is taken in. max_utilization: whose prompt fits now, and blocks run out later (vLLM).
// guaranteed_no_evict: who has room to its last token beside all others to theirs, as it says how
// many those may be (TensorRT-LLM's default).
enum class CapacityPolicy { max_utilization, guaranteed_no_evict };
const std::vector<std::pair<const char*, CapacityPolicy>>& names_of(const CapacityPolicy*);

enum class Routing { round_robin, least_loaded, prefix_aware };
const std::vector<std::pair<const char*, Routing>>& names_of(const Routing*);

// serve: prompts are read and answers written by the same replica. prefill hands each sequence with
// its cache to a replica of a decode pool after the first token.
enum class PoolRole { serve, prefill, decode };
const std::vector<std::pair<const char*, PoolRole>>& names_of(const PoolRole*);

// Of a replica, under the names that vLLM gives them.
struct SchedulerKnobs {
    long max_num_seqs = 256;
    long max_num_batched_tokens = 8192;
    long block_size = 16;  // tokens
    bool enable_chunked_prefill = true;
    bool enable_prefix_caching = true;
    long long_prefill_token_threshold = 0;  // of one prompt in a step, 0: all that fit
    Preemption preemption = Preemption::recompute;
    SchedulingPolicy scheduling_policy = SchedulingPolicy::fcfs;
    CapacityPolicy capacity_policy = CapacityPolicy::max_utilization;
};

// A replica fails now and then: what it had in memory is lost, what it worked on is begun again
// elsewhere, and it comes back after the repair. Times between failures are exponential.
struct ReplicaFailures {
    Seconds mean_time_between{0.0};  // of a replica; 0: never
    Seconds repair{0.0};             // until it serves again, start-up included
};

// From then on a replica's steps take what they take under this condition of its fabric.
struct ConditionChange {
    Seconds at{0.0};
    int replica = 0;
    std::size_t condition = 0;  // 0: whole
};

// A replica without one of its chips, until it is back; to the end if absent.
struct ReplicaOutage {
    Seconds at{0.0};
    std::optional<Seconds> until;
    int replica = 0;
};

// What a replica's ranks have of memory that replicas share: each data-parallel group comes to it
// over its own ranks' ports.
struct SharedPath {
    Seconds read_each{0.0}, write_each{0.0};  // of one token's cache, over the ports of a group
    Bytes read_bytes{0.0};  // that the memory gives for a token: each rank gets what it holds
};

struct ServingPool {
    std::string name;
    PoolRole role = PoolRole::serve;
    int replicas = 1;
    SchedulerKnobs knobs;
    long groups = 1;     // data-parallel ones that work in step: each prompt is read by one
    long kv_blocks = 0;  // of a replica
    std::vector<CacheTierSpec> tiers;  // below the chips' memory, for prefixes; in named blocks
    std::optional<SharedPath> shared;  // to the tiers that replicas share, below these
    // The step that needs a prefix waits until it has come up, and all in it; else its prompt
    // alone.
    bool fetches_in_step = false;
    double tokens_per_step = 1;  // that a decoding sequence gains: above 1 with accepted drafts
    long query_tokens = 1;       // that it brings into a step: one and its drafts
    StepTime step_time;
    std::vector<StepTime> degraded;  // under condition 1 and so on
    std::vector<ConditionChange> changes;
    std::vector<ReplicaOutage> outages;
    Seconds swap_each{0.0};  // of one token's cache between the chips and their host
    // KV transfer: what a replica sends, or takes in, at most.
    BytesPerSecond link{0.0};
    std::vector<BytesPerSecond> degraded_links;  // under condition 1 and so on; empty: as whole
    ReplicaFailures failures;
    std::optional<ExpertBalancing> experts;      // whose popularity drifts
    std::optional<AutoscalingRule> autoscaling;  // between its least and `replicas`
};

// What requests are held to for goodput; a class's own promise goes first.
struct ServiceObjective {
    std::optional<Seconds> time_to_first_token, time_per_output_token;
};

struct ServingCase {
    std::vector<ServingPool> pools;
    // Of all replicas whose pools have a path to it: what one has written others find. Each tier's
    // bandwidth is of all together, reads and writes.
    std::vector<CacheTierSpec> shared_tiers;
    Routing routing = Routing::least_loaded;
    long max_model_len = 0;   // prompt and answer together
    long max_queue = 0;       // requests that wait at a replica, 0: any number
    Bytes kv_per_token{0.0};  // of all ranks: that is transferred, or comes up from a tier
    Seconds transfer_latency{0.0};
    ServiceObjective objective;
    std::uint64_t seed = 1;  // of failures
    // Told of all that was worked: a replica of pool `pool` ran `steps` steps of this load.
    std::function<void(std::size_t pool, std::size_t condition, const StepLoad&, double steps)>
        worked;
    // Asked now and then; true ends the run with what there is. May be empty.
    std::function<bool()> stop;
};

// The objective of a service class: its own promises before those of all.
ServiceObjective promised(const ServiceObjective& all, const std::vector<ServiceClass>& classes,
                          int service_class);

// Mean and percentiles, linear between order statistics.
struct Distribution {
    double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, largest = 0;
    double count = 0;
};

// What requests waited for, summed over them, seconds.
struct WaitSums {
    double queue = 0;      // before the first step that reads them
    double prefill = 0;    // until the first token
    double transfer = 0;   // of the cache to a decode pool, the wait for room there included
    double decode = 0;     // until the last token
    double preempted = 0;  // without blocks after they had some
    double total() const { return queue + prefill + transfer + decode + preempted; }
};

struct PoolOutcome {
    double busy = 0;                    // seconds of steps, summed over replicas
    double steps = 0, mixed_steps = 0;  // mixed: with prompt tokens
    double prefill_tokens = 0;          // computed, again after preemption included
    double written_tokens = 0;          // of answers
    double decode_steps = 0;            // without prompt tokens
    double decode_seconds = 0;          // of these
    double decode_sequences = 0;        // sequences times steps, of these
    double decode_contexts = 0;         // cached tokens of all of them, summed over steps
    double sequence_seconds = 0;        // integral of running sequences
    double block_seconds = 0;           // integral of blocks in use by running sequences
    long peak_blocks = 0, peak_sequences = 0;
    long preemptions = 0;
    std::vector<double> condition_seconds, condition_steps;  // of steps, by condition
    long failures = 0;
    long rebalances = 0;       // of experts
    double rebalancing = 0;    // seconds that steps waited for it
    double moved_seconds = 0;  // of steps, times what of the popularity moved
    double down = 0;           // seconds without service, summed over replicas
    double paid = 0;  // seconds, summed over replicas: from the decision to start until the stop
    long starts = 0, stops = 0;                   // by autoscaling
    long waited_for_start = 0;                    // requests that had not begun when one came
    double hit_tokens = 0, looked_up_tokens = 0;  // of prompts, found in the cache
    double tier_tokens = 0;                       // of those found, in tiers below the chips'
    double shared_tokens = 0;                     // of these, in tiers that replicas share
    double early_tokens = 0;  // of those found, that a step took before they had come up
    double fetching = 0;      // seconds that steps waited for prefixes from below (fetches_in_step)
    // Over equal parts of the run: shares of what is paid for, and how many replicas are.
    std::vector<double> busy_windows, block_windows, paid_windows;
};

// Of a tier that replicas share.
struct SharedTierOutcome {
    double read_tokens = 0, written_tokens = 0;
    double read_bytes = 0, written_bytes = 0;
    double busy = 0, busy_until = 0;  // seconds of its bandwidth, and when the last of them ends
    long peak_blocks = 0;
    std::vector<double> busy_windows;  // over equal parts of the run
};

// Requests of one service class, where there are several.
struct ClassOutcome {
    std::string name;
    ServiceObjective objective;
    long arrived = 0, finished = 0, rejected = 0, timed_out = 0, in_flight = 0;
    double good = 0;  // finished requests that kept the objective
    double output_tokens = 0;
    Distribution time_to_first_token, time_per_output_token;
};

struct ServingOutcome {
    double span = 0;  // from the first arrival to the last end, seconds
    long arrived = 0, finished = 0, rejected = 0, timed_out = 0;
    long in_flight = 0;    // left when the run was stopped
    bool stopped = false;  // by a signal: everything below is of what had ended by then
    double input_tokens = 0, cached_tokens = 0, output_tokens = 0;  // of finished requests
    double recomputed_tokens = 0;  // of finished requests: read again after a preemption
    Distribution time_to_first_token, time_per_output_token, inter_token_latency, end_to_end;
    double good = 0;                       // finished requests that kept the objective
    double good_tokens = 0;                // output tokens of these
    long late_first = 0, late_tokens = 0;  // finished, but without the one or the other promise
    WaitSums waits;                        // of finished requests
    double transferred_tokens = 0;
    double number_integral = 0;  // of requests in the system over time
    double sojourn_sum = 0;      // of all that left, or were there at the end
    long retried = 0;  // requests that were begun again after a failure, each time counted
    std::vector<ClassOutcome> classes;  // of the stream; empty where it has one alone
    std::vector<PoolOutcome> pools;
    std::vector<SharedTierOutcome> shared;
    std::uint64_t events = 0;
    std::vector<std::string> reasons;  // of rejections, each once
};

// Runs a stream to its end. Throws std::invalid_argument for a case that cannot run: no pool for
// prompts, prefill without decode, no blocks; std::domain_error where failures end one request so
// often that it would run for ever.
ServingOutcome simulate_serving(const ServingCase& serving, RequestStream& requests);

}  // namespace podsim
