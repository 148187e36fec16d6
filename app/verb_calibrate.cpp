#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "app/number_text.hpp"
#include "app/output_files.hpp"
#include "app/text_table.hpp"
#include "app/verbs.hpp"
#include "base/text_file.hpp"
#include "base/yaml_writer.hpp"
#include "chips/chip.hpp"
#include "interconnect/system.hpp"
#include "sim/calibration.hpp"
#include "sim/collective_calibration.hpp"
#include "sim/resolve.hpp"

namespace podsim {

namespace {

const Place here{"podsim calibrate", 0, 0};

// A part to fit: how, and where its values go.
struct Fitting {
    CalibrationPart part;
    std::function<PartFit(const FitOptions&)> fit;
    std::function<void(Node&, const PartFit&)> write;
    std::function<std::string(const PartFit&)> values;
};

// "COLUMN=TEXT" each.
std::map<std::string, std::string> assignments(const std::vector<std::string>& texts,
                                               const char* option) {
    std::map<std::string, std::string> result;
    for (const std::string& text : texts) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw InputError(here, option, fmt::format("\"{}\" is not COLUMN=TEXT", text));
        }
        result[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return result;
}

TableSource table_of(const CalibrateCommand& calibrate) {
    TableSource source;
    const std::size_t colon = calibrate.table.find(':');
    if (colon == std::string::npos) {
        throw InputError(here, "--table", "expected ADAPTER:FILE, such as podsim:my-kernels.csv");
    }
    source.adapter = calibrate.table.substr(0, colon);
    // As the user wrote it, seen from the working directory.
    source.file = std::filesystem::absolute(calibrate.table.substr(colon + 1)).string();
    source.filter = assignments(calibrate.filters, "--filter");
    source.columns = assignments(calibrate.columns, "--column");
    return source;
}

void require_tables(bool some, const std::string& library) {
    if (some) return;
    throw InputError(here, "", library + " names no tables under `calibration`",
                     "--table ADAPTER:FILE gives one");
}

// One after the other: a fit sets values that the next rests on.
std::vector<Fitting> kernel_tasks(const CalibrateCommand& calibrate, const std::string& data,
                                  const std::string& date, const RankHardware& hardware,
                                  const std::shared_ptr<KernelLibrarySpec>& library) {
    std::vector<std::pair<CalibrationPart, std::vector<KernelRow>>> parts;
    if (!calibrate.table.empty()) {
        parts = parts_of(read_kernel_table(table_of(calibrate), "", here), *library, here);
    } else {
        for (CalibrationPart& part : read_calibration(*library)) {
            std::vector<KernelRow> rows;
            for (const TableSource& table : part.tables) {
                const auto more = read_kernel_table(table, data, part.place);
                rows.insert(rows.end(), more.begin(), more.end());
            }
            parts.emplace_back(std::move(part), std::move(rows));
        }
        require_tables(!parts.empty(), library->name);
    }
    std::vector<Fitting> tasks;
    for (auto& [part, rows] : parts) {
        tasks.push_back(
            {part,
             [=, own = std::move(rows), how = part](const FitOptions& options) {
                 return fit_part(how, own, hardware, *library, options);
             },
             [date](Node& document, const PartFit& fit) { write_fit(document, fit, date); },
             [](const PartFit& fit) { return values_text(fit); }});
    }
    return tasks;
}

std::vector<Fitting> collective_tasks(const CalibrateCommand& calibrate, const std::string& data,
                                      const std::string& date, const RankFabric& fabric,
                                      const std::shared_ptr<CollectiveLibrarySpec>& library) {
    std::vector<std::pair<CalibrationPart, std::vector<CollectiveRow>>> parts;
    if (!calibrate.table.empty()) {
        parts = parts_of(read_collective_table(table_of(calibrate), "", here), *library, here);
    } else {
        for (CalibrationPart& part : read_calibration(*library)) {
            auto rows = rows_of(part, data);
            parts.emplace_back(std::move(part), std::move(rows));
        }
        require_tables(!parts.empty(), library->name);
    }
    std::vector<Fitting> tasks;
    for (auto& [part, rows] : parts) {
        tasks.push_back(
            {part,
             [=, own = std::move(rows), how = part](const FitOptions& options) {
                 return fit_part(how, own, fabric, *library, options);
             },
             [=](Node& document, const PartFit& fit) { write_fit(document, fit, *library, date); },
             [=](const PartFit& fit) { return values_text(fit, *library); }});
    }
    return tasks;
}

// A name of both kinds is a kernel library's unless a system is given, a path a collective
// library's where one is.
bool of_collectives(const CalibrateCommand& calibrate, const Catalog& catalog) {
    if (!calibrate.chip.empty()) return false;
    if (!calibrate.system.empty()) return true;
    const auto known = catalog.names("kernels"), others = catalog.names("collectives");
    return std::find(known.begin(), known.end(), calibrate.library) == known.end() &&
           std::find(others.begin(), others.end(), calibrate.library) != others.end();
}

std::vector<Fitting> tasks_of(const CalibrateCommand& calibrate, Catalog& catalog,
                              const std::string& data, const std::string& date) {
    const std::string& name = calibrate.library;
    if (of_collectives(calibrate, catalog)) {
        auto library = std::make_shared<CollectiveLibrarySpec>(
            read_collective_library(catalog.load("collectives", name, here, "LIBRARY"), name));
        const std::string on = calibrate.system.empty() ? library->system : calibrate.system;
        if (on.empty()) {
            throw InputError(here, "--system", name + " names no system it was measured on");
        }
        const SystemSpec system = read_system(catalog.load("system", on, here, "--system"), on);
        const ChipSpec chip = load_chip(catalog, system.chip, here, "--system");
        catalog.require_all_settings_used();
        return collective_tasks(calibrate, data, date, rank_fabric(system, chip.ranks), library);
    }
    auto library = std::make_shared<KernelLibrarySpec>(
        read_kernel_library(catalog.load("kernels", name, here, "LIBRARY"), name));
    const std::string on = calibrate.chip.empty() ? library->chip : calibrate.chip;
    const RankHardware hardware = rank_hardware(load_chip(catalog, on, here, "--chip"));
    catalog.require_all_settings_used();
    return kernel_tasks(calibrate, data, date, hardware, library);
}

void keep_parts(std::vector<Fitting>& tasks, const std::vector<std::string>& wanted) {
    if (wanted.empty()) return;
    std::vector<std::string> known;
    for (const Fitting& task : tasks) known.push_back(task.part.part);
    for (const std::string& name : wanted) {
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            throw InputError({unknown_name(here, "--part", "part", name, known)});
        }
    }
    tasks.erase(std::remove_if(tasks.begin(), tasks.end(),
                               [&](const Fitting& task) {
                                   return std::find(wanted.begin(), wanted.end(), task.part.part) ==
                                          wanted.end();
                               }),
                tasks.end());
}

// The comment that a file begins with: a tree has no comments, and this one says what it is.
std::string head_comment(const std::string& text) {
    std::size_t end = 0;
    while (end < text.size() && text[end] == '#') {
        end = std::min(text.find('\n', end), text.size() - 1) + 1;
    }
    return text.substr(0, end);
}

std::string today() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    return fmt::format("{:04}-{:02}-{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

std::string percent(double fraction) {
    return significant(fraction * 100, 3) + " %";
}

std::string fit_text(const PartFit& fit, HeldOut how, const std::string& values) {
    std::string text =
        fmt::format("{}: {} on {} rows fitted on, {} on {} rows {}\n", fit.part,
                    percent(fit.fitted.mape), fit.fitted.rows, percent(fit.held_out.mape),
                    fit.held_out.rows, how == HeldOut::folds ? "by ten folds" : "held out");
    text += hanging(
        "    ",
        fmt::format("median {}, bias {} %, sum of times {} %, worst {} % ({})",
                    percent(fit.held_out.median), signed_significant(100 * fit.held_out.bias),
                    signed_significant(100 * fit.held_out.total),
                    signed_significant(100 * fit.held_out.worst), fit.held_out.worst_shape));
    text += hanging("    ", values);
    for (const std::string& name : fit.at_bounds) {
        text += "    " + name + " stands where its range ends\n";
    }
    return text;
}

nlohmann::ordered_json errors_json(const TableErrors& errors) {
    return {{"rows", errors.rows}, {"mape", errors.mape},   {"median", errors.median},
            {"bias", errors.bias}, {"total", errors.total}, {"worst", errors.worst}};
}

}  // namespace

ExitCode do_calibrate(const CalibrateCommand& calibrate, const Surroundings& surroundings,
                      Streams streams) {
    Catalog catalog = open_catalog(calibrate.inputs, surroundings);
    const std::string root = find_configs_root(calibrate.inputs.configs, surroundings);
    const std::string data = find_data_folder(calibrate.data, root, surroundings);
    const std::string date = calibrate.date.empty() ? today() : calibrate.date;
    const bool collectives = of_collectives(calibrate, catalog);
    std::vector<Fitting> tasks = tasks_of(calibrate, catalog, data, date);
    keep_parts(tasks, calibrate.parts);

    // The file's own words, so that what it takes from its `base:` stays there.
    const std::string file =
        catalog.file_of(collectives ? "collectives" : "kernels", calibrate.library);
    const std::string source = read_text_file(file);
    Node document = parse_yaml(source, file);
    const std::string stem = std::filesystem::path(file).stem().string();
    const std::filesystem::path out = calibrate.out.empty()
                                          ? std::filesystem::path("results") / (stem + ".yaml")
                                          : std::filesystem::path(calibrate.out);
    require_writable(out.has_parent_path() ? out.parent_path().string() : ".");

    FitOptions options;
    if (surroundings.terminal) {
        options.progress = [&](const std::string& text) {
            streams.err << "\r\033[K" << text << std::flush;
        };
    }
    nlohmann::ordered_json report = nlohmann::ordered_json::array();
    for (const Fitting& task : tasks) {
        const PartFit fit = task.fit(options);
        task.write(document, fit);
        if (surroundings.terminal) streams.err << "\r\033[K" << std::flush;
        if (!calibrate.json)
            streams.out << fit_text(fit, task.part.held_out, task.values(fit)) << std::flush;
        report.push_back({{"part", fit.part},
                          {"values", fit.values},
                          {"fitted", errors_json(fit.fitted)},
                          {"held_out", errors_json(fit.held_out)},
                          {"at_bounds", fit.at_bounds}});
    }
    write_files({{out.string(), head_comment(source) + to_yaml(document)}});
    if (calibrate.json) {
        streams.out << nlohmann::ordered_json{{"library", calibrate.library},
                                              {"file", out.string()},
                                              {"fits", report}}
                           .dump(2)
                    << "\n";
    } else {
        streams.out << out.string() << "\n";
    }
    return ExitCode::ok;
}

}  // namespace podsim
