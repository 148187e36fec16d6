#include "sim/metrics.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace podsim {

namespace {

template <class Q>
Q positive(Q value, const char* what) {
    if (!(value > Q(0.0)) || !std::isfinite(value.value())) {
        throw std::invalid_argument(
            fmt::format("{} is {}, expected more than 0", what, value.value()));
    }
    return value;
}

double at_least_one(double tokens_per_step) {
    if (!(tokens_per_step >= 1.0)) {
        throw std::invalid_argument(
            fmt::format("{} tokens a step, expected at least 1", tokens_per_step));
    }
    return tokens_per_step;
}

}  // namespace

TokensPerSecond tokens_per_second(double sequences, Seconds time_per_output_token) {
    return Tokens(sequences) / positive(time_per_output_token, "time per output token");
}

Seconds time_per_output_token(Seconds iteration, double tokens_per_step) {
    return iteration / at_least_one(tokens_per_step);
}

Seconds iteration_time(Seconds time_per_output_token, double tokens_per_step) {
    return time_per_output_token * at_least_one(tokens_per_step);
}

double sequences_for(TokensPerSecond rate, TokensPerSecond per_user) {
    return rate / positive(per_user, "rate per user");
}

double nodes_for(Tokens tokens, Seconds span, TokensPerSecond rate_per_node) {
    return tokens / (positive(rate_per_node, "rate per node") * positive(span, "span"));
}

UsdPerToken usd_per_token(UsdPerSecond price, TokensPerSecond rate) {
    return price / positive(rate, "token rate");
}

UsdPerFlop usd_per_flop(UsdPerSecond price, FlopsPerSecond rate) {
    return price / positive(rate, "rate of work");
}

double per_hour(UsdPerSecond price) {
    return price.value() * 3600.0;
}

double per_million_tokens(UsdPerToken price) {
    return price.value() * 1e6;
}

double per_eflop_hour(UsdPerFlop price) {
    return price.value() * 1e18 * 3600.0;
}

}  // namespace podsim
