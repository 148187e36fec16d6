#include "app/trace_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "app/text_table.hpp"
#include "base/names.hpp"

namespace podsim {

namespace {

// With the decimal prefix that leaves one to three digits in front: 1.05 MB.
std::string scaled(double value, const char* unit) {
    static const char* const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    int prefix = 0;
    while (value >= 999.5 && prefix < 6) {
        value /= 1000;
        ++prefix;
    }
    if (prefix == 0 && value == std::floor(value)) return fmt::format("{:.0f} {}", value, unit);
    return fmt::format("{:.3g} {}{}", value, prefixes[prefix], unit);
}

std::string time_text(double seconds) {
    if (seconds < 0) return "-";
    if (seconds == 0) return "0";
    if (seconds < 1e-3) return fmt::format("{:.4g} us", seconds * 1e6);
    if (seconds < 1) return fmt::format("{:.4g} ms", seconds * 1e3);
    return fmt::format("{:.4g} s", seconds);
}

std::string amount(double value, const char* unit) {
    return value > 0 ? scaled(value, unit) : "-";
}

// Wrapped to the terminal's width.
void add_text(TextTable& table, const std::string& indent, const std::string& text) {
    for (const std::string& line : wrap(text, kTerminalWidth - indent.size()))
        table.line(indent + line);
}

void add_path(TextTable& table, const char* label, const TracePath& path) {
    table.row(label, {fmt::format("{} nodes", path.nodes), time_text(path.seconds),
                      fmt::format("rank {}", path.rank)});
}

nlohmann::ordered_json to_json(const TracePath& path) {
    return {{"rank", path.rank},
            {"nodes", path.nodes},
            {"seconds", path.seconds},
            {"longest_nodes", path.names}};
}

}  // namespace

std::string trace_table(const TraceSummary& summary, const std::string& title) {
    TextTable table(24, 13);
    table.line(title);
    table.line(fmt::format("{}, {} rank{} in {} file{}", name_of(summary.format), summary.ranks,
                           summary.ranks == 1 ? "" : "s", summary.files,
                           summary.files == 1 ? "" : "s"));
    add_text(table, "",
             fmt::format("{} nodes in the files ({} over all ranks), {} dependencies, no circle",
                         summary.file_nodes, summary.nodes, summary.edges));
    table.line("");
    table.row("nodes, all ranks", {"nodes", "recorded", "bytes", "FLOP"});
    for (const TraceKindSum& sum : summary.kinds)
        table.row("  " + sum.kind,
                  {std::to_string(sum.nodes), sum.timed > 0 ? time_text(sum.seconds) : "-",
                   amount(sum.bytes, "B"), amount(sum.flops, "FLOP")});
    if (!summary.transfers.empty()) {
        table.line("");
        table.row("transfers", {"bytes", "ranks", "times", "recorded, mean"});
        constexpr std::size_t shown = 24;
        for (std::size_t i = 0; i < std::min(shown, summary.transfers.size()); ++i) {
            const TraceTransferSum& one = summary.transfers[i];
            table.row("  " + one.type, {amount(one.payload, "B"), std::to_string(one.ranks),
                                        fmt::format("{:.6g}", one.times), time_text(one.seconds)});
        }
        if (summary.transfers.size() > shown)
            table.line(fmt::format("  and {} more shapes (--json has all)",
                                   summary.transfers.size() - shown));
    }
    table.line("");
    table.row("longest within one rank", {"length", "recorded", "of"});
    add_path(table, "  chain of nodes", summary.longest_chain);
    if (summary.critical_path.seconds > 0) {
        add_path(table, "  critical path", summary.critical_path);
        for (const std::string& name : summary.critical_path.names)
            add_text(table, "    ", name.substr(0, 200));
    }
    if (summary.first_to_last > 0)
        table.row("  first start to end", {"", time_text(summary.first_to_last), ""});
    if (!summary.missing.empty()) {
        table.line("");
        table.line("not in the trace");
        for (const std::string& one : summary.missing) add_text(table, "  ", one);
    }
    return table.text();
}

nlohmann::ordered_json to_json(const TraceSummary& summary) {
    nlohmann::ordered_json json{{"format", name_of(summary.format)},
                                {"files", summary.files},
                                {"ranks", summary.ranks},
                                {"nodes", summary.nodes},
                                {"nodes_in_files", summary.file_nodes},
                                {"dependencies", summary.edges},
                                {"control_dependencies", summary.control_edges},
                                {"control_dependencies_left_out", summary.dangling},
                                {"recorded_span_seconds", summary.first_to_last}};
    json["kinds"] = nlohmann::ordered_json::array();
    for (const TraceKindSum& sum : summary.kinds)
        json["kinds"].push_back({{"kind", sum.kind},
                                 {"nodes", sum.nodes},
                                 {"with_duration", sum.timed},
                                 {"seconds", sum.seconds},
                                 {"bytes", sum.bytes},
                                 {"flops", sum.flops}});
    json["transfers"] = nlohmann::ordered_json::array();
    for (const TraceTransferSum& one : summary.transfers)
        json["transfers"].push_back({{"type", one.type},
                                     {"ranks", one.ranks},
                                     {"bytes", one.payload},
                                     {"times", one.times},
                                     {"mean_seconds", one.seconds}});
    json["longest_chain"] = to_json(summary.longest_chain);
    json["critical_path"] = to_json(summary.critical_path);
    json["missing"] = summary.missing;
    json["warnings"] = summary.warnings;
    return json;
}

}  // namespace podsim
