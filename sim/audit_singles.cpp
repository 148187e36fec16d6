// What one operator or one collective must do, as the experiment writes it.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_layout.hpp"
#include "sim/audit_tree.hpp"

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
        const double rows = rounded_up(mean);
        return {row * rows, row * rows};
    }
    return {row * mean, row * (tokens * std::min(chosen, experts) + experts)};
}

// Query-key pairs of one sequence, counted entry by entry: the first `most` (all: 0) of one in
// `tokens` tokens. Entry j, complete at token j x tokens, is seen by all queries where they come
// later, else by those from there to the end; in decode every query stands at the end.
double pairs_of(const nlohmann::ordered_json& op, double tokens, double most) {
    const double query = at(op, "query"), end = at(op, "context");
    const double there = std::floor(end / tokens);
    const double entries = most > 0 ? std::min(most, there) : there;
    if (word(op, "phase") == "decode") return query * entries;
    const double by_all = std::min(entries, std::floor((end - query + 1) / tokens));
    const double by_some = entries - by_all;
    // The sum of end - j tokens + 1 over j = by_all + 1 .. entries.
    const double mean_entry = (by_all + 1 + entries) / 2;
    return query * by_all + by_some * (end + 1 - tokens * mean_entry);
}

// Pairs that a form of attention sees, with the defaults that an experiment has.
double seen_by_form(const nlohmann::ordered_json& op) {
    const std::string form = word(op, "form");
    if (form == "window") return pairs_of(op, 1, at(op, "window"));
    if (form == "dsa") return pairs_of(op, 1, at(op, "selected"));
    if (form != "csa" && form != "hca") return pairs_of(op, 1, 0);
    const bool chosen = form == "csa";
    return pairs_of(op, at_or(op, "compression", chosen ? 4 : 128),
                    chosen ? at(op, "selected") : 0) +
           pairs_of(op, 1, at_or(op, "window", 128));
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
    if (type == "mhc") {
        // [streams x hidden] times [streams^2 + 2 streams] numbers, on the way in.
        const double n = at_or(op, "streams", 4);
        return exactly(2 * at(op, "tokens") * n * at(op, "hidden") * (n * n + 2 * n));
    }
    if (type == "index_scores") {
        const double pairs = pairs_of(op, at_or(op, "compression", 1), 0);
        return exactly(2 * at(op, "head_dim") * at(op, "heads") * at(op, "batch") * pairs);
    }
    if (type != "attention") return {};
    const auto dims = op.find("head_dims");
    if (dims == op.end() || dims->size() != 2) throw std::runtime_error("workload: no head_dims");
    const double key = (*dims)[0].get<double>(), value = (*dims)[1].get<double>();
    if (word(op, "form") == "linear") {
        // Decay once, and three products of key by value; one token is vector work.
        const double cells = at(op, "value_heads") * key * value;
        return exactly(
            word(op, "phase") == "decode" ? 0 : 7 * cells * at(op, "batch") * at(op, "query"));
    }
    return exactly(2 * (key + value) * at(op, "heads") * at(op, "batch") * seen_by_form(op));
}

FlopRange layer_flops(const nlohmann::ordered_json& op) {
    const double row = 2 * 3 * at(op, "hidden") * at(op, "inter");
    const double rows = at(op, "tokens") * at(op, "top_k");
    return {row * rows, row * (rows + at_or(op, "ranks", 1))};
}

double layer_bytes_sent(const nlohmann::ordered_json& op) {
    const auto format = [&](const char* key, double absent) {
        const auto dtypes = op.find("dtypes");
        return dtypes != op.end() && dtypes->contains(key) ? format_bytes(word(*dtypes, key))
                                                           : absent;
    };
    const double activation = format("activations", format("weights", 2));
    const double element = format("dispatch", activation) + format("combine", 2);
    const double ranks = at_or(op, "ranks", 1);
    return at(op, "tokens") * at(op, "top_k") * at(op, "hidden") * element * (ranks - 1) / ranks;
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
