#include "sim/cost_metrics.hpp"

#include <fmt/format.h>

#include <utility>

#include "sim/host_charge.hpp"
#include "sim/metrics.hpp"

namespace podsim {

namespace {

// Of several formats in use the one with the highest peak: what is achieved cannot exceed it.
FlopsPerSecond fastest_peak(const ChipSpec& chip, const std::vector<DType>& formats) {
    FlopsPerSecond peak(0.0);
    for (const DType format : formats) peak = max(peak, published_peak_for(chip, format));
    return peak;
}

}  // namespace

void add_cost_metrics(AlternativeResult& result, const PriceSpec& prices,
                      const ResolvedAlternative& alternative, const std::vector<DType>& formats) {
    result.cost = charged(cost_bases(prices, alternative.chip, alternative.system, result.warnings),
                          alternative);
    if (result.cost.empty()) return;
    const Provenance provenance =
        result.metrics.empty() ? Provenance{} : result.metrics.front().rests_on;
    const Metric* rate = result.metric("decode_tokens_per_second_per_chip");
    const Metric* prompt_rate = result.metric("prefill_tokens_per_second_per_chip");
    const Metric* achieved = result.metric("achieved_flops");
    const double tokens = rate != nullptr ? rate->value : 0.0,
                 prompts = prompt_rate != nullptr ? prompt_rate->value : 0.0,
                 flops_achieved = achieved != nullptr ? achieved->value * 1e12 : 0.0;
    const FlopsPerSecond peak = fastest_peak(alternative.chip, formats);
    for (std::size_t i = 0; i < result.cost.size(); ++i) {
        const CostBasis& basis = result.cost[i];
        const std::string suffix = i == 0 ? "" : "_" + basis.name;
        const UsdPerSecond price = usd_per_hour(basis.usd_per_hour_per_chip);
        // Everything is proportional to the price.
        const auto add = [&](const std::string& name, double value, const char* unit) {
            Metric metric{name + suffix, value, unit, {}, {}, provenance};
            const double each = value / basis.usd_per_hour_per_chip;
            if (basis.low) metric.low = each * *basis.low;
            if (basis.high) metric.high = each * *basis.high;
            result.metrics.push_back(std::move(metric));
        };
        add("usd_per_hour_per_chip", basis.usd_per_hour_per_chip, "USD/h");
        if (tokens > 0)
            add("usd_per_million_output_tokens",
                per_million_tokens(usd_per_token(price, TokensPerSecond(tokens))), "USD/Mtok");
        if (prompts > 0)
            add("usd_per_million_input_tokens",
                per_million_tokens(usd_per_token(price, TokensPerSecond(prompts))), "USD/Mtok");
        add("usd_per_eflop_hour_peak", per_eflop_hour(usd_per_flop(price, peak)), "USD/EFLOP-h");
        if (flops_achieved > 0)
            add("usd_per_eflop_hour_achieved",
                per_eflop_hour(usd_per_flop(price, FlopsPerSecond(flops_achieved))), "USD/EFLOP-h");
        if (basis.confidence == "rumour")
            result.warnings.push_back(fmt::format("the {} price of {} is a rumour ({})", basis.name,
                                                  alternative.chip.name, basis.source));
    }
}

}  // namespace podsim
