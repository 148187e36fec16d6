#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sim/audit_facts.hpp"
#include "sim/audit_tree.hpp"

namespace podsim {

namespace {

std::string executed_format(const std::map<std::string, double>& peaks, const std::string& format) {
    if (peaks.count(format) != 0) return format;
    if (format == "bf16" && peaks.count("fp16") != 0) return "fp16";  // models are converted
    const std::string* wider = nullptr;
    for (const auto& [other, peak] : peaks) {
        if (format_bytes(other) <= format_bytes(format)) continue;
        if (wider == nullptr || format_bytes(other) < format_bytes(*wider)) wider = &other;
    }
    if (wider == nullptr) throw std::runtime_error("the chip has no matrix peak for " + format);
    return *wider;
}

const AuditFormat& wider(const AuditFormat& a, const AuditFormat& b) {
    return a.bytes >= b.bytes ? a : b;
}

}  // namespace

double AuditHardware::matrix_peak(const std::string& format) const {
    return matrix_peaks.at(executed_format(matrix_peaks, format));
}

double AuditHardware::published_peak(const std::string& format) const {
    const std::string executed = executed_format(matrix_peaks, format);
    const auto published = published_peaks.find(executed);
    const double units = matrix_peaks.at(executed);
    // Less than the units do by more than rounding: another chip's, of which this is a variant.
    const bool own = published != published_peaks.end() && published->second >= 0.95 * units;
    return own ? published->second : units;
}

double AuditHardware::fastest_matrix_peak() const {
    double fastest = 0;
    for (const auto& [format, peak] : matrix_peaks) fastest = std::max(fastest, peak);
    return fastest;
}

AuditFormat AuditFormats::linear() const {
    return wider(activations, weights);
}

AuditFormat AuditFormats::expert_products() const {
    return wider(activations, experts);
}

std::string operator_format(const nlohmann::ordered_json& the_operator) {
    const AuditTree op{&the_operator, "workload.operator"};
    const std::string type = op.get("type").text();
    const auto formats = op.find("dtypes");
    const auto named = [&](const char* key, const std::string& absent) {
        const auto found = formats ? formats->find(key) : std::optional<AuditTree>();
        return found ? found->text() : absent;
    };
    if (type == "attention" || type == "index_scores") return named("compute", "bf16");
    if (type == "mhc") return named("stream", "bf16");
    if (type == "moe") {
        const std::string weights = named("weights", "bf16"),
                          inputs = named("activations", weights);
        return format_bytes(weights) >= format_bytes(inputs) ? weights : inputs;
    }
    if (type != "gemm") return "bf16";
    const std::string a = named("a", "bf16"), b = named("b", a);
    return format_bytes(a) >= format_bytes(b) ? a : b;
}

}  // namespace podsim
