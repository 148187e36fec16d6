// What the audit's laws share: the case, and how findings are written down.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "sim/alternative_result.hpp"
#include "sim/audit_facts.hpp"

namespace podsim {

struct AuditCase {
    const AlternativeResult& result;
    std::string kind;
    AuditFacts facts;

    double ranks() const { return facts.chips * facts.hardware.ranks_per_chip; }
    // At work: a collective may leave some idle.
    double working_ranks() const;
    double of_rank(double of_package) const { return of_package / facts.hardware.ranks_per_chip; }

    // Ranks that a row of a class stands for.
    double ranks_of(const std::string& rank_class) const;

    // A metric in base units; nothing when the result does not give it, NaN when it is no number
    // of this dimension.
    std::optional<double> metric(const std::string& name, Dimension dimension) const;
    // Of a metric that follows from what else the result says: how it differs, "" where it does
    // not.
    std::string difference(const std::string& name, Dimension dimension, double expected) const;

    // Matrix work of all ranks by format, at least: by closed form where there is one, else all
    // that was executed in the chip's fastest format ("").
    std::map<std::string, double> matrix_work() const;
    double matrix_peak_of_rank(const std::string& format) const;
    // Formats whose peaks stand beside what the run achieves.
    std::vector<std::string> formats() const;
};

class AuditFindings {
  public:
    void check(const char* law, bool passed, std::string detail);
    // A law over many things: `culprit` says what breaks it, "" when nothing does.
    void check_none(const char* law, const std::string& culprit, const std::string& otherwise);
    // Where the audit has nothing of its own to compare with: said, so that nobody counts it.
    void not_checked(const std::string& law, const std::string& why);
    std::vector<AuditFinding> take() { return std::move(findings_); }

  private:
    std::vector<AuditFinding> findings_;
};

// Sums of some ten thousand doubles agree to about 1e-12.
constexpr double exact_tolerance = 1e-9;
// Times are whole picoseconds: a chain of ten thousand tasks may be off by as many of them.
constexpr double rounded_tolerance = 1e-6;

// False for a NaN on either side.
bool same(double a, double b, double tolerance = exact_tolerance);
bool at_least(double value, double bound);

std::string time_text(double seconds);
std::string bytes_text(double bytes);
std::string rate_text(double bytes_per_second);
std::string work_text(double flops);

bool begins_with(const std::string& text, const char* start);

// Of a class of ranks among so many pipeline stages, counted from 0, by its name "stage 2 ...";
// nothing where it names none of them. With one stage, that.
std::optional<std::size_t> stage_of(const std::string& rank_class, double stages);

// The laws, by what they look at.
void audit_resources(const AuditCase& audited, AuditFindings& findings);  // bounds, use, ports
void audit_step(const AuditCase& audited, AuditFindings& findings);       // one step of a model
void audit_training(const AuditCase& audited, AuditFindings& findings);   // one training step
void audit_memory(const AuditCase& audited, AuditFindings& findings);
// Hosts of `replicas` such mappings have the routed experts that are said to lie there.
void hosts_hold(const AuditFacts& facts, const AlternativeResult& result, double replicas,
                AuditFindings& findings);
void memory_fits(const AuditCase& audited, AuditFindings& findings);  // and nothing about what
void audit_energy(const AuditCase& audited, AuditFindings& findings);
void audit_prices(const AuditCase& audited, AuditFindings& findings);

}  // namespace podsim
