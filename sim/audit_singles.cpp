// What one operator or one collective must do, as the experiment writes it.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/audit_closed_form.hpp"

namespace podsim {

namespace {

double at(const nlohmann::ordered_json& tree, const char* key) {
    const auto found = tree.find(key);
    if (found == tree.end() || !found->is_number()) {
        throw std::runtime_error(std::string("workload: has no number ") + key);
    }
    return found->get<double>();
}

double at_or(const nlohmann::ordered_json& tree, const char* key, double absent) {
    return tree.contains(key) ? at(tree, key) : absent;
}

std::string word(const nlohmann::ordered_json& tree, const char* key) {
    const auto found = tree.find(key);
    if (found == tree.end() || !found->is_string()) {
        throw std::runtime_error(std::string("workload: has no ") + key);
    }
    return found->get<std::string>();
}

// Three matrices of hidden x inter for each row an expert is asked.
FlopRange expert_flops(const nlohmann::ordered_json& op) {
    const double ranks = at_or(op, "ranks", 1), experts = at(op, "experts") / ranks;
    const double tokens = at(op, "tokens"), chosen = at(op, "top_k");
    const double row = 2 * 3 * at(op, "hidden") * at(op, "inter");
    const double mean = tokens * chosen / ranks;
    const auto popularity = op.find("popularity");
    if (popularity == op.end() || *popularity == "balanced") {
        const double rows = mean < experts ? std::ceil(mean) : experts * std::ceil(mean / experts);
        return {row * rows, row * rows};
    }
    return {row * mean, row * (tokens * std::min(chosen, experts) + experts)};
}

}  // namespace

FlopRange operator_flops(const nlohmann::ordered_json& the_operator) {
    const auto& op = the_operator;
    const std::string type = word(op, "type");
    const auto exactly = [](double flops) { return FlopRange{flops, flops}; };
    if (type == "gemm") {
        return exactly(2 * at(op, "m") * at(op, "n") * at(op, "k") * at_or(op, "groups", 1));
    }
    if (type == "moe") return expert_flops(op);
    if (type != "attention") return {};
    const double query = at(op, "query"), context = at(op, "context");
    // Causal prefill: token i of the new ones sees those before it and itself.
    const double pairs = word(op, "phase") == "decode"
                             ? query * context
                             : query * (context - query) + query * (query + 1) / 2;
    const auto dims = op.find("head_dims");
    if (dims == op.end() || dims->size() != 2) throw std::runtime_error("workload: no head_dims");
    return exactly(2 * ((*dims)[0].get<double>() + (*dims)[1].get<double>()) * at(op, "heads") *
                   at(op, "batch") * pairs);
}

std::optional<double> collective_bytes(const nlohmann::ordered_json& collective) {
    const std::string type = word(collective, "type");
    if (type != "dispatch" && type != "combine") return {};
    const double block = at_or(collective, "scale_block", 0), hidden = at(collective, "hidden");
    const double scales = block > 0 ? 4 * std::ceil(hidden / block) : 0;
    const double token = hidden * at_or(collective, "element_bytes", 2) + scales;
    const double ranks = at(collective, "ranks");
    return at(collective, "tokens_per_rank") * at(collective, "top_k") * token * (ranks - 1) /
           ranks;
}

double merged_share(const nlohmann::ordered_json& collective, double domains) {
    const double limit = at_or(collective, "domain_limit", 0), copies = at(collective, "top_k");
    const double part = limit > 0 ? std::min(1.0, limit / domains) : 1.0;
    const double all = at(collective, "ranks"), ranks = all * part;
    const double stated = at_or(collective, "experts", 0);
    const double experts = std::max(copies, (stated > 0 ? stated : all) * part);
    // log C(E - E/R, k) - log C(E, k); without that many experts elsewhere no rank is missed.
    const double elsewhere = experts - experts / ranks;
    double missed = 0;
    if (elsewhere >= copies) {
        missed = std::exp(std::lgamma(elsewhere + 1) - std::lgamma(elsewhere - copies + 1) -
                          std::lgamma(experts + 1) + std::lgamma(experts - copies + 1));
    }
    return ranks / copies * (1 - missed);
}

}  // namespace podsim
