#include <fmt/format.h>

#include <algorithm>

#include "sim/audit_laws.hpp"

namespace podsim {

namespace {

// Operators of one kernel from rest may draw more until the controller responds; side by side, what
// links and memory move comes on top of kernels that are each held to the cap.
constexpr double busy_allowance = 1.15, rested_allowance = 2.5;

}  // namespace

//   sum of components = power x packages x time = energy of a token x tokens
//   power of the package <= its design power x an allowance
void audit_energy(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    if (result.energy.empty()) {
        findings.not_checked("energy is the sum of its parts", "the result says nothing of energy");
        return;
    }
    const double machine_seconds = result.iteration_seconds * audited.facts.chips;
    double whole = 0, package = 0, shares = 0;
    std::string culprit;
    for (const EnergyPart& part : result.energy) {
        whole += part.joules;
        shares += part.share;
        if (part.in_package) package += part.joules;
        if (!(part.joules >= 0)) culprit = fmt::format("{}: {} J", part.part, part.joules);
    }
    const auto compare = [&](const char* name, Dimension dimension, double expected) {
        if (culprit.empty()) culprit = audited.difference(name, dimension, expected);
    };
    if (culprit.empty() && whole > 0 && !same(shares, 1))
        culprit = fmt::format("shares sum to {:.6g}", shares);
    compare("power_per_chip", Watts::dimension, whole / machine_seconds);
    compare("power_package", Watts::dimension, package / machine_seconds);
    using JoulesPerToken = Quantity<0, 0, 0, 0, 1, -1>;
    if (audited.kind == "decode")
        compare("energy_per_token", JoulesPerToken::dimension, whole / result.totals.tokens_out);
    if (audited.kind == "prefill" || audited.kind == "training")
        compare("energy_per_token", JoulesPerToken::dimension, whole / result.totals.tokens_in);
    findings.check_none("energy is the sum of its parts", culprit,
                        fmt::format("{:.6g} J in {} parts", whole, result.energy.size()));

    const double power = package / machine_seconds;
    const double allowance =
        audited.facts.step || audited.facts.training ? busy_allowance : rested_allowance;
    findings.check(
        "a package draws no more than it is built for",
        at_least(audited.facts.hardware.power * allowance, power),
        fmt::format("{} on the mean, design power {}", format_quantity(power, Watts::dimension),
                    format_quantity(audited.facts.hardware.power, Watts::dimension)));
}

}  // namespace podsim
