// Small traffic and engines for tests of serving.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "workloads/serving.hpp"

namespace podsim {

struct Listed {
    double arrival;
    long input, output;
};

inline RequestStream listed(std::vector<Listed> requests, long block_tokens = 0,
                            std::function<std::vector<std::uint64_t>(long)> blocks = {}) {
    RequestStream stream;
    stream.block_tokens = block_tokens;
    auto next = std::make_shared<std::size_t>(0);
    stream.next = [requests = std::move(requests), blocks = std::move(blocks),
                   next](Request& request) {
        if (*next == requests.size()) return false;
        const Listed& one = requests[*next];
        request = Request();
        request.arrival = Seconds(one.arrival);
        request.input_tokens = one.input;
        request.output_tokens = one.output;
        if (blocks) request.prefix_blocks = blocks(static_cast<long>(*next));
        ++*next;
        return true;
    };
    return stream;
}

// Poisson arrivals; `lengths` gives tokens in and out of the i-th.
inline RequestStream poisson(double rate, long count,
                             const std::function<std::pair<long, long>(long)>& lengths) {
    RequestStream stream;
    auto next = std::make_shared<long>(0);
    auto time = std::make_shared<double>(0);
    stream.next = [=](Request& request) {
        if (*next == count) return false;
        *time -= std::log(uniform(17, *next)) / rate;
        request = Request();
        request.arrival = Seconds(*time);
        const auto [input, output] = lengths(*next);
        request.input_tokens = input;
        request.output_tokens = output;
        ++*next;
        return true;
    };
    return stream;
}

inline ServingCase one_pool(StepTime step_time) {
    ServingCase serving;
    ServingPool pool;
    pool.name = "pool";
    pool.kv_blocks = 1'000'000;
    pool.step_time = std::move(step_time);
    serving.pools = {std::move(pool)};
    return serving;
}

}  // namespace podsim
