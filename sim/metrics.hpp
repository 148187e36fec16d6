// From the time of a step to what users ask: rates, fleet sizes, prices. The arithmetic that
// published tables use too, so that each can be worked backwards.
#pragma once

#include "base/units.hpp"

namespace podsim {

// `sequences` that each gain a token every `time_per_output_token`.
TokensPerSecond tokens_per_second(double sequences, Seconds time_per_output_token);

// A step in which each sequence gains `tokens_per_step` tokens (speculation: 1 + a + a^2 + ...):
// its time per emitted token, and back.
Seconds time_per_output_token(Seconds iteration, double tokens_per_step);
Seconds iteration_time(Seconds time_per_output_token, double tokens_per_step);

// Sequences that must run side by side for `rate` in all when each user sees `per_user`.
double sequences_for(TokensPerSecond rate, TokensPerSecond per_user);

// Machines that `tokens` within `span` keep busy, whole ones not asked for.
double nodes_for(Tokens tokens, Seconds span, TokensPerSecond rate_per_node);

UsdPerToken usd_per_token(UsdPerSecond price, TokensPerSecond rate);
UsdPerFlop usd_per_flop(UsdPerSecond price, FlopsPerSecond rate);

// Units in which prices are printed.
constexpr UsdPerSecond usd_per_hour(double usd) {
    return UsdPerSecond(usd / 3600.0);
}
double per_hour(UsdPerSecond price);
double per_million_tokens(UsdPerToken price);
double per_eflop_hour(UsdPerFlop price);  // of 1e18 FLOP/s over an hour, 3.6e21 FLOP

}  // namespace podsim
