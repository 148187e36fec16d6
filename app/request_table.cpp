#include "app/request_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

using nlohmann::ordered_json;

void add_text(TextTable& table, const std::string& text) {
    for (const std::string& line : wrap(text, kTerminalWidth)) table.line(line);
}

std::string percent(double share) {
    return fmt::format("{:.1f} %", 100 * share);
}

std::string rows_text(const RequestSummary& summary) {
    std::string text = fmt::format("{}, {} requests", summary.format, summary.requests);
    if (summary.sessions > 0) text += fmt::format(" of {} sessions", summary.sessions);
    if (summary.counts.rows > 0) text += fmt::format(" in {} rows", summary.counts.rows);
    if (summary.counts.skipped > 0)
        text += fmt::format(", {} skipped with something wrong", summary.counts.skipped);
    if (summary.counts.failed > 0)
        text += fmt::format(", {} left out that failed, says the trace", summary.counts.failed);
    return text;
}

void add_times(TextTable& table, const RequestSummary& summary) {
    if (!summary.timed || summary.requests < 2) return;
    const GapSummary& gaps = summary.as_written;
    table.row("span", {significant((summary.last - summary.first).value()) + " s"});
    table.row("rate", {significant(summary.rate()) + " req/s"});
    table.row("mean gap", {significant(gaps.mean) + " s"});
    table.row("variation of gaps (cv)", {significant(gaps.cv)});
    const double zero = static_cast<double>(gaps.zero) / static_cast<double>(gaps.gaps);
    table.row("gaps of zero", {percent(zero)});
    if (summary.spread.cv != gaps.cv) table.row("cv once spread", {significant(summary.spread.cv)});
}

void add_lengths(TextTable& table, const char* label, const LengthCount& lengths) {
    const auto at = [&](double share) { return significant(lengths.percentile(share)); };
    table.row(label, {significant(lengths.mean()), at(5), at(50), at(90), at(99),
                      fmt::format("{:.0f}", lengths.percentile(100)),
                      fmt::format("{:.0f}", lengths.total())});
}

ordered_json to_json(const LengthCount& lengths) {
    ordered_json json{{"total", lengths.total()}, {"mean", lengths.mean()}};
    for (const int share : {1, 5, 25, 50, 75, 90, 95, 99, 100})
        json[fmt::format("p{}", share)] = lengths.percentile(share);
    return json;
}

ordered_json to_json(const GapSummary& gaps) {
    return {{"gaps", gaps.gaps}, {"zero", gaps.zero}, {"mean", gaps.mean}, {"cv", gaps.cv}};
}

}  // namespace

std::string request_table(const RequestSummary& summary, const std::string& title) {
    TextTable table(24, 7);
    table.line(title);
    add_text(table, rows_text(summary));
    for (const std::string& note : summary.notes) add_text(table, note);
    TextTable times(24, 16);
    add_times(times, summary);
    if (summary.requests == 0) return table.text();
    TextTable lengths(8, 9);
    lengths.line("");
    lengths.row("tokens", {"mean", "p5", "p50", "p90", "p99", "most", "in all"});
    add_lengths(lengths, "input", summary.input);
    add_lengths(lengths, "output", summary.output);
    TextTable reuse(24, 16);
    if (!summary.reuse.empty()) {
        reuse.line("");
        add_text(reuse, fmt::format("{} references to {} blocks of {} tokens; found in a store of",
                                    summary.references, summary.distinct, summary.block_tokens));
        reuse.row("", {"blocks", "input tokens"});
        for (const ReuseSummary& one : summary.reuse)
            reuse.row(one.blocks == kUnlimitedBlocks ? "  any size"
                                                     : fmt::format("  {} blocks", one.blocks),
                      {percent(one.block_hits), percent(one.token_hits)});
    }
    return table.text() + times.text() + lengths.text() + reuse.text();
}

nlohmann::ordered_json to_json(const RequestSummary& summary) {
    ordered_json json{{"format", summary.format},
                      {"requests", summary.requests},
                      {"rows", summary.counts.rows},
                      {"skipped", summary.counts.skipped},
                      {"failed", summary.counts.failed}};
    if (summary.sessions > 0) json["sessions"] = summary.sessions;
    if (summary.timed && summary.requests > 1) {
        json["span_seconds"] = (summary.last - summary.first).value();
        json["requests_per_second"] = summary.rate();
        json["gaps"] = to_json(summary.as_written);
        json["gaps_once_spread"] = to_json(summary.spread);
    }
    json["input_tokens"] = to_json(summary.input);
    json["output_tokens"] = to_json(summary.output);
    if (!summary.reuse.empty()) {
        json["block_tokens"] = summary.block_tokens;
        json["block_references"] = summary.references;
        json["distinct_blocks"] = summary.distinct;
        json["reuse"] = ordered_json::array();
        for (const ReuseSummary& one : summary.reuse) {
            ordered_json store;
            // null: without a bound.
            store["store_blocks"] =
                one.blocks == kUnlimitedBlocks ? ordered_json() : ordered_json(one.blocks);
            store["block_hits"] = one.block_hits;
            store["token_hits"] = one.token_hits;
            json["reuse"].push_back(store);
        }
    }
    json["notes"] = summary.notes;
    json["problems"] = ordered_json::array();
    for (const Diagnostic& one : summary.counts.problems)
        json["problems"].push_back(to_string(one));
    return json;
}

}  // namespace podsim
