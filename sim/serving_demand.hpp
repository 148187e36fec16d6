// What traffic asks for, counted from its requests without an engine: tokens, contexts, and what
// prompts have in common at most.
#pragma once

#include <functional>
#include <vector>

#include "base/units.hpp"
#include "workloads/serving.hpp"
#include "workloads/traffic.hpp"

namespace podsim {

// One of the sampled requests, with what it is promised; infinite where nothing is.
struct DemandSample {
    long input = 0, output = 0, cached = 0;
    double first_token = 0, each_token = 0;  // seconds
};

struct ServingDemand {
    long requests = 0;
    double seconds = 0;            // from the first arrival to the last
    double last_promised = 0;      // from the first arrival to the latest end that keeps a promise
    double input = 0, output = 0;  // tokens
    double computed = 0;           // of the prompts, with every block kept that was ever seen
    double input_contexts = 0;     // tokens that each computed one sees, summed
    double output_contexts = 0;    // tokens before each written one, summed
    long longest = 0;              // prompt and answer
    bool stopped = false;
    // An even sample of the requests, at most kMostSamples.
    std::vector<DemandSample> samples;
    static constexpr std::size_t kMostSamples = 2048;

    double requests_per_second() const;
    double prompt_context() const { return computed > 0 ? input_contexts / computed : 1; }
    double answer_context() const { return output > 0 ? output_contexts / output : 1; }
    // The promise that the loosest of the requests has, 0 for none.
    double loosest_token = 0;
};

// Reads the stream once. A request that others follow ends when its promise says, which is the
// slowest and so the least that a closed loop or a session can ask for. Throws InputError as
// make_stream does.
ServingDemand demand_of(const TrafficSpec& traffic, std::uint64_t seed,
                        const ServiceObjective& objective, long max_model_len, bool keeps_prefixes,
                        const std::function<bool()>& stop);

}  // namespace podsim
