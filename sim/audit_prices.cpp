#include <fmt/format.h>

#include "sim/audit_laws.hpp"

namespace podsim {

// Each basis has its own set of metrics; those of the first go without its name.
//   USD per token = USD per hour / (3600 s x tokens per second)
//   USD per FLOP  = USD per hour / (3600 s x FLOP per second), printed per 3.6e21 FLOP
void audit_prices(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const auto& published_peak = audited.facts.hardware.published_peak;
    const double machine_seconds = result.iteration_seconds * audited.facts.chips;
    const double tokens = result.totals.tokens_out / machine_seconds;
    const double achieved = result.totals.flops / machine_seconds;
    std::string culprit;
    for (std::size_t i = 0; i < result.cost.size(); ++i) {
        const CostBasis& basis = result.cost[i];
        const double price = basis.usd_per_hour_per_chip / 3600;
        const std::string suffix = i == 0 ? "" : "_" + basis.name;
        double parts = 0;
        for (const auto& [part, usd] : basis.parts) parts += usd;
        if (culprit.empty() && !same(parts, basis.usd_per_hour_per_chip)) {
            culprit = fmt::format("{}: parts sum to {:.6g} of {:.6g} USD/h", basis.name, parts,
                                  basis.usd_per_hour_per_chip);
        }
        const auto compare = [&](const char* name, Dimension dimension, double expected) {
            const auto given = audited.metric(name + suffix, dimension);
            if (!culprit.empty() || (given && same(*given, expected))) return;
            culprit = fmt::format("{}{}: {} in the result, {} follows", name, suffix,
                                  given ? format_quantity(*given, dimension) : "nothing",
                                  format_quantity(expected, dimension));
        };
        compare("usd_per_hour_per_chip", UsdPerSecond::dimension, price);
        if (audited.kind == "decode") {
            compare("usd_per_million_output_tokens", UsdPerToken::dimension, price / tokens);
        }
        if (achieved > 0) {
            compare("usd_per_eflop_hour_achieved", UsdPerFlop::dimension, price / achieved);
        }
        if (published_peak) {
            compare("usd_per_eflop_hour_peak", UsdPerFlop::dimension, price / *published_peak);
        }
    }
    findings.check_none("prices follow from rates", culprit,
                        fmt::format("{} price bases", result.cost.size()));
}

}  // namespace podsim
