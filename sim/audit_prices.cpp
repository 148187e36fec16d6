#include <fmt/format.h>

#include <algorithm>

#include "sim/audit_laws.hpp"

namespace podsim {

namespace {

// Of the package as sold, in the fastest of the formats in use.
double published_peak(const AuditCase& audited) {
    double peak = 0;
    for (const std::string& format : audited.formats()) {
        peak = std::max(peak, audited.facts.hardware.published_peak(format));
    }
    return peak;
}

// A chip does no more than its peak, and a FLOP done costs no less than one at peak.
void achieved_at_most_peak(const AuditCase& audited, AuditFindings& findings) {
    if (audited.kind == "collective") return;
    const auto& result = audited.result;
    double peak = published_peak(audited);
    for (const std::string& format : audited.formats()) {
        peak = std::max(peak, audited.facts.hardware.matrix_peak(format));
    }
    const double achieved = audited.metric("achieved_flops", FlopsPerSecond::dimension).value_or(0);
    std::string culprit;
    if (!at_least(peak, achieved)) {
        culprit = fmt::format("{} a chip, its peak is {}",
                              format_quantity(achieved, FlopsPerSecond::dimension),
                              format_quantity(peak, FlopsPerSecond::dimension));
    }
    for (std::size_t i = 0; i < result.cost.size(); ++i) {
        const std::string suffix = i == 0 ? "" : "_" + result.cost[i].name;
        const auto done =
            audited.metric("usd_per_eflop_hour_achieved" + suffix, UsdPerFlop::dimension);
        const auto at_peak =
            audited.metric("usd_per_eflop_hour_peak" + suffix, UsdPerFlop::dimension);
        if (!culprit.empty() || !done || !at_peak || at_least(*done, *at_peak)) continue;
        culprit = fmt::format("{}: {} achieved, {} at peak", result.cost[i].name,
                              format_quantity(*done, UsdPerFlop::dimension),
                              format_quantity(*at_peak, UsdPerFlop::dimension));
    }
    findings.check_none(
        "achieved is at most peak", culprit,
        fmt::format("{} a chip of {}", format_quantity(achieved, FlopsPerSecond::dimension),
                    format_quantity(peak, FlopsPerSecond::dimension)));
}

}  // namespace

// Each basis has its own set of metrics; those of the first go without its name.
//   USD per token = USD per hour / (3600 s x tokens per second)
//   USD per FLOP  = USD per hour / (3600 s x FLOP per second), printed per 3.6e21 FLOP
void audit_prices(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double machine_seconds = result.iteration_seconds * audited.facts.chips;
    const double tokens = result.totals.tokens_out / machine_seconds;
    const double achieved = result.totals.flops / machine_seconds;
    const double peak = published_peak(audited);
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
            if (culprit.empty()) culprit = audited.difference(name + suffix, dimension, expected);
        };
        compare("usd_per_hour_per_chip", UsdPerSecond::dimension, price);
        if (audited.kind == "prefill") {
            compare("usd_per_million_input_tokens", UsdPerToken::dimension,
                    price * machine_seconds / result.totals.tokens_in);
        }
        if (audited.kind == "decode") {
            compare("usd_per_million_output_tokens", UsdPerToken::dimension, price / tokens);
        }
        if (achieved > 0) {
            compare("usd_per_eflop_hour_achieved", UsdPerFlop::dimension, price / achieved);
        }
        compare("usd_per_eflop_hour_peak", UsdPerFlop::dimension, price / peak);
    }
    findings.check_none("prices follow from rates", culprit,
                        fmt::format("{} price bases", result.cost.size()));
    achieved_at_most_peak(audited, findings);
}

}  // namespace podsim
