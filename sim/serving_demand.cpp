#include "sim/serving_demand.hpp"

#include <algorithm>
#include <limits>
#include <queue>
#include <unordered_set>

#include "base/random.hpp"

namespace podsim {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr long kRequestsBetweenLooks = 4096;

struct Later {
    bool operator()(const Request& a, const Request& b) const { return a.arrival > b.arrival; }
};

class Counter {
  public:
    Counter(const TrafficSpec& traffic, std::uint64_t seed, const ServiceObjective& objective,
            long max_model_len, bool keeps_prefixes)
        : stream_(make_stream(traffic, seed)),
          objective_(objective),
          seed_(seed),
          longest_(max_model_len),
          keeps_(keeps_prefixes) {}

    ServingDemand count(const std::function<bool()>& stop);

  private:
    void take(const Request& request);
    long known_tokens(const Request& request);

    RequestStream stream_;
    const ServiceObjective& objective_;
    std::uint64_t seed_;
    long longest_;
    bool keeps_;
    std::unordered_set<std::uint64_t> seen_;
    std::priority_queue<Request, std::vector<Request>, Later> following_;
    double first_ = 0;
    ServingDemand demand_;
};

// Leading tokens whose blocks came before; the last token of a prompt is always computed.
long Counter::known_tokens(const Request& request) {
    if (!keeps_ || request.prefix_blocks.empty() || stream_.block_tokens == 0) return 0;
    long blocks = 0;
    for (const std::uint64_t block : request.prefix_blocks) {
        if (seen_.count(block) == 0) break;
        ++blocks;
    }
    seen_.insert(request.prefix_blocks.begin(), request.prefix_blocks.end());
    seen_.insert(request.reply_blocks.begin(), request.reply_blocks.end());
    return std::min(blocks * stream_.block_tokens, request.input_tokens - 1);
}

void Counter::take(const Request& request) {
    const long whole = request.input_tokens + request.output_tokens;
    const bool served = request.input_tokens >= 1 && request.output_tokens >= 1 &&
                        (longest_ == 0 || whole <= longest_);
    const ServiceObjective objective = promised(objective_, stream_.classes, request.service_class);
    const auto seconds = [](const std::optional<Seconds>& time, double absent) {
        return time ? time->value() : absent;
    };
    const double arrival = request.arrival.value();
    const auto input = static_cast<double>(request.input_tokens),
               output = static_cast<double>(request.output_tokens);
    const double end = arrival + seconds(objective.time_to_first_token, 0) +
                       (output - 1) * seconds(objective.time_per_output_token, 0);
    if (demand_.requests == 0) first_ = arrival;
    ++demand_.requests;
    demand_.seconds = std::max(demand_.seconds, arrival - first_);
    if (served) {
        const auto known = static_cast<double>(known_tokens(request));
        demand_.last_promised = std::max(demand_.last_promised, end - first_);
        demand_.input += input;
        demand_.output += output;
        demand_.computed += input - known;
        demand_.input_contexts += (input * (input + 1) - known * (known + 1)) / 2;
        demand_.output_contexts += output * (input + (output - 1) / 2);
        demand_.longest = std::max(demand_.longest, whole);
        const DemandSample sample{request.input_tokens, request.output_tokens,
                                  static_cast<long>(known),
                                  seconds(objective.time_to_first_token, kNever),
                                  seconds(objective.time_per_output_token, kNever)};
        demand_.loosest_token = std::max(demand_.loosest_token, sample.each_token);
        if (demand_.samples.size() < ServingDemand::kMostSamples) {
            demand_.samples.push_back(sample);
        } else {
            const std::uint64_t place =
                random_bits(seed_, demand_.requests) % static_cast<std::uint64_t>(demand_.requests);
            if (place < ServingDemand::kMostSamples)
                demand_.samples[static_cast<std::size_t>(place)] = sample;
        }
    }
    if (!request.continues || !stream_.follow) return;
    Request next;
    if (stream_.follow(request, Seconds(end), next)) following_.push(std::move(next));
}

ServingDemand Counter::count(const std::function<bool()>& stop) {
    Request next;
    bool more = stream_.next(next);
    for (long i = 0; more || !following_.empty(); ++i) {
        if (i % kRequestsBetweenLooks == 0 && stop && stop()) {
            demand_.stopped = true;
            break;
        }
        if (!following_.empty() && (!more || following_.top().arrival <= next.arrival)) {
            const Request one = following_.top();
            following_.pop();
            take(one);
            continue;
        }
        take(next);
        more = stream_.next(next);
    }
    return demand_;
}

}  // namespace

double ServingDemand::requests_per_second() const {
    return seconds > 0 ? static_cast<double>(requests) / seconds : 0;
}

ServingDemand demand_of(const TrafficSpec& traffic, std::uint64_t seed,
                        const ServiceObjective& objective, long max_model_len, bool keeps_prefixes,
                        const std::function<bool()>& stop) {
    return Counter(traffic, seed, objective, max_model_len, keeps_prefixes).count(stop);
}

}  // namespace podsim
