#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <stdexcept>

#include "app/number_text.hpp"
#include "app/output_files.hpp"
#include "app/svg_plot.hpp"
#include "app/text_table.hpp"
#include "app/verbs.hpp"
#include "chips/variant_notes.hpp"
#include "sim/characterize.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

std::string percent(double share) {
    return fmt::format("{:.1f}", share * 100);
}

std::string nanoseconds(Seconds time) {
    return fmt::format("{:.0f}", time.value() * 1e9);
}

// Products of one format and sides: the rows of a table, the curves of a plot.
std::map<std::string, std::vector<const GemmRow*>> by_sides(const ChipCharacter& character) {
    std::map<std::string, std::vector<const GemmRow*>> groups;
    for (const GemmRow& row : character.gemms) {
        groups[fmt::format("{} n {} k {}", to_string(row.gemm.a), row.gemm.n, row.gemm.k)]
            .push_back(&row);
    }
    return groups;
}

std::string text_of(const ChipCharacter& c) {
    std::string text =
        fmt::format("{}{}, kernels {}\n\n", c.chip,
                    c.ranks > 1 ? fmt::format(", one of {} ranks", c.ranks) : "", c.library);
    TextTable roofline(30, 16);
    roofline.row(fmt::format("roofline at {}", to_string(c.bandwidth)),
                 {"peak, TFLOPS", "ridge, FLOP/B"});
    for (const RooflineRow& row : c.roofline) {
        roofline.row("  " + to_string(row.format),
                     {significant(row.peak.value() / 1e12), significant(row.ridge)});
    }
    text += roofline.text();

    if (c.memory.empty()) {
        text +=
            hanging("\nmemory: ", c.sram_only ? "SRAM beside the cores, without banks or stacks"
                                              : "the chip does not say which devices it carries "
                                                "(memory: device, stacks, pin_rate)");
    } else {
        TextTable memory(32, 11);
        std::vector<std::string> heads;
        for (const double writes : characterized_writes())
            heads.push_back(fmt::format("{:g} % wr.", writes * 100));
        memory.row(fmt::format("memory {}, % of peak", c.memory), heads);
        for (const MemoryRow& row : c.memory_rows) {
            std::vector<std::string> cells;
            for (const double share : row.shares) cells.push_back(percent(share));
            memory.row("  " + row.use, cells);
        }
        TextTable latency(32, 11);
        latency.row("latency under load, ns", {"mean", "p99"});
        for (const LatencyRow& row : c.latency) {
            latency.row(fmt::format("  {:g} % of peak", row.load * 100),
                        {nanoseconds(row.mean), nanoseconds(row.p99)});
        }
        text += "\n" + memory.text() + "\n" + latency.text();
    }

    for (const auto& [sides, rows] : by_sides(c)) {
        TextTable gemm(30, 9);
        std::vector<std::string> heads = {"roofline"};
        heads.insert(heads.end(), c.levels.begin(), c.levels.end());
        gemm.row("products " + sides + ", %", heads);
        for (const GemmRow* row : rows) {
            std::vector<std::string> cells = {percent(row->bound)};
            for (const double share : row->efficiency) cells.push_back(percent(share));
            gemm.row(fmt::format("  m {}", row->gemm.m), cells);
        }
        text += "\n" + gemm.text();
    }
    for (const LevelGap& gap : c.gaps) {
        text += "\n" + hanging(fmt::format("{} above {}: ", gap.upper, gap.lower),
                               fmt::format("{} % of the time on average, {} % at most ({})",
                                           signed_significant(gap.mean * 100),
                                           signed_significant(gap.worst * 100), gap.worst_shape));
    }
    return text;
}

Json json_of(const ChipCharacter& c) {
    Json json = {{"chip", c.chip},
                 {"ranks", c.ranks},
                 {"kernels", c.library},
                 {"hbm_bandwidth", {{"value", c.bandwidth.value()}, {"unit", "B/s"}}}};
    json["roofline"] = Json::array();
    for (const RooflineRow& row : c.roofline) {
        json["roofline"].push_back({{"format", to_string(row.format)},
                                    {"peak", {{"value", row.peak.value()}, {"unit", "FLOP/s"}}},
                                    {"ridge", {{"value", row.ridge}, {"unit", "FLOP/B"}}}});
    }
    if (!c.memory.empty()) {
        Json uses = Json::array(), latency = Json::array();
        for (const MemoryRow& row : c.memory_rows)
            uses.push_back({{"use", row.use}, {"share_of_peak", row.shares}});
        for (const LatencyRow& row : c.latency) {
            latency.push_back({{"load", row.load},
                               {"mean_seconds", row.mean.value()},
                               {"p99_seconds", row.p99.value()}});
        }
        json["memory"] = {{"device", c.memory},
                          {"write_shares", characterized_writes()},
                          {"uses", uses},
                          {"loaded_latency", latency}};
    }
    json["levels"] = c.levels;
    json["products"] = Json::array();
    for (const GemmRow& row : c.gemms) {
        json["products"].push_back({{"format", to_string(row.gemm.a)},
                                    {"m", row.gemm.m},
                                    {"n", row.gemm.n},
                                    {"k", row.gemm.k},
                                    {"roofline", row.bound},
                                    {"share_of_peak", row.efficiency}});
    }
    json["gaps"] = Json::array();
    for (const LevelGap& gap : c.gaps) {
        json["gaps"].push_back({{"lower", gap.lower},
                                {"upper", gap.upper},
                                {"mean", gap.mean},
                                {"worst", gap.worst},
                                {"worst_shape", gap.worst_shape}});
    }
    return json;
}

Plot roofline_plot(const ChipCharacter& c) {
    Plot plot{"Roofline of one rank of " + c.chip,
              "arithmetic intensity, FLOP/B",
              "attainable rate, TFLOP/s",
              true,
              true,
              true,
              {}};
    std::map<double, std::string> peaks;  // formats of one rate are one line
    double highest = 0;
    for (const RooflineRow& row : c.roofline) {
        std::string& names = peaks[row.peak.value()];
        names += (names.empty() ? "" : ", ") + to_string(row.format);
        highest = std::max(highest, row.ridge);
    }
    for (const auto& [peak, names] : peaks) {
        const double ridge = peak / c.bandwidth.value();
        plot.series.push_back(
            {fmt::format("{}: {} TFLOP/s", names, significant(peak / 1e12)),
             {{1, c.bandwidth.value() / 1e12}, {ridge, peak / 1e12}, {highest * 10, peak / 1e12}},
             plot.series.size() % 2 == 1});
    }
    return plot;
}

Plot surface_plot(const ChipCharacter& c) {
    Plot plot{"What " + c.memory + " of " + c.chip + " sustains",
              "random chunk, B",
              "share of the peak, %",
              true,
              false,
              true,
              {}};
    const std::vector<double>& writes = characterized_writes();
    for (std::size_t i = 0; i < writes.size(); ++i) {
        PlotSeries series{fmt::format("{:g} % writes", writes[i] * 100), {}, false, true};
        for (const MemoryRow& row : c.memory_rows) {
            if (row.chunk > 0) series.points.emplace_back(row.chunk, row.shares[i] * 100);
        }
        plot.series.push_back(std::move(series));
    }
    return plot;
}

Plot latency_plot(const ChipCharacter& c) {
    Plot plot{"Latency of " + c.memory + " under load",
              "offered load, % of the peak",
              "time of a request, ns",
              false,
              true,
              true,
              {}};
    PlotSeries mean{"mean", {}, false, true}, p99{"99th percentile", {}, true, true};
    for (const LatencyRow& row : c.latency) {
        mean.points.emplace_back(row.load * 100, row.mean.value() * 1e9);
        p99.points.emplace_back(row.load * 100, row.p99.value() * 1e9);
    }
    plot.series = {mean, p99};
    return plot;
}

Plot gemm_plot(const ChipCharacter& c, const std::string& sides,
               const std::vector<const GemmRow*>& rows) {
    Plot plot{"Products on one rank of " + c.chip + ", " + sides,
              "rows m",
              "share of the peak, %",
              true,
              false,
              true,
              {}};
    PlotSeries bound{"roofline", {}, true};
    for (const GemmRow* row : rows)
        bound.points.emplace_back(static_cast<double>(row->gemm.m), row->bound * 100);
    plot.series.push_back(bound);
    for (std::size_t level = 0; level < c.levels.size(); ++level) {
        // Where the pipeline and its closed form agree, both are to be seen.
        PlotSeries series{c.levels[level], {}, c.levels[level] == "cycle", true};
        for (const GemmRow* row : rows) {
            series.points.emplace_back(static_cast<double>(row->gemm.m),
                                       row->efficiency[level] * 100);
        }
        plot.series.push_back(std::move(series));
    }
    return plot;
}

std::vector<OutputFile> plots_of(const ChipCharacter& c, const std::string& folder) {
    std::vector<OutputFile> files;
    const auto add = [&](std::string name, const Plot& plot) {
        for (char& letter : name) letter = letter == ' ' ? '-' : letter;
        files.push_back({(std::filesystem::path(folder) / (name + ".svg")).string(), svg_of(plot)});
    };
    add("roofline", roofline_plot(c));
    if (!c.memory.empty()) {
        add("memory", surface_plot(c));
        add("latency", latency_plot(c));
    }
    for (const auto& [sides, rows] : by_sides(c))
        add("products " + sides, gemm_plot(c, sides, rows));
    return files;
}

}  // namespace

ExitCode do_characterize(const CharacterizeCommand& command, const Surroundings& surroundings,
                         Streams streams) {
    if (!command.svg.empty()) require_writable(command.svg);
    Catalog catalog = open_catalog(command.inputs, surroundings);
    const Place here{"podsim characterize", 0, 0};
    const Node document = catalog.load("chip", command.chip, here, "");
    const ChipSpec chip = read_chip(document, command.chip);
    const Place at = command.kernels.empty() ? document.find("kernels")->place : here;
    const std::string name = command.kernels.empty() ? chip.kernels : command.kernels;
    const KernelLibrarySpec library =
        read_kernel_library(catalog.load("kernels", name, at, "kernels"), name);
    print_warnings(doubtful_values(chip, document), streams);
    print_warnings(unseen_changes(chip, document, library), streams);
    std::optional<MemoryDevice> device;
    if (chip.memory) {
        const Place place = document.find("memory")->place;
        device = read_memory(catalog.load("memory", chip.memory->device, place, "memory.device"),
                             chip.memory->device);
        print_warnings(check_memory(chip, *device, document), streams);
    }
    catalog.require_all_settings_used();
    const ChipCharacter character = [&] {
        try {
            return characterize(chip, library, device, command.cache ? surroundings.cache : "");
        } catch (const std::invalid_argument& error) {
            throw InputError(document.place, "", error.what(),
                             "podsim check " + command.chip + " looks at the whole file");
        }
    }();
    std::vector<OutputFile> files;
    if (!command.svg.empty()) files = plots_of(character, command.svg);
    write_files(files);
    if (command.json) {
        streams.out << json_of(character).dump(2) << "\n";
        return ExitCode::ok;
    }
    streams.out << text_of(character);
    if (!files.empty()) streams.out << "\n";
    for (const OutputFile& file : files) streams.out << file.path << "\n";
    return ExitCode::ok;
}

}  // namespace podsim
