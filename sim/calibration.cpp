#include "sim/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "base/form.hpp"
#include "base/minimise.hpp"
#include "base/random.hpp"
#include "sim/fit_parameters.hpp"

namespace podsim {

const std::vector<std::pair<const char*, HeldOut>>& names_of(const HeldOut*) {
    static const std::vector<std::pair<const char*, HeldOut>> names = {{"tenth", HeldOut::tenth},
                                                                       {"folds", HeldOut::folds}};
    return names;
}

template <class Form>
void describe(Form& form, CalibrationPart& part) {
    form.required("part", part.part, "which habits: gemm.bf16, attention_decode ...");
    form.required("free", part.free, "values that may move");
    form.required("tables", part.tables, "measurements they are fitted on");
    form.optional("held_out", part.held_out,
                  "tenth: every tenth row is never fitted on; folds: ten fits, each without one");
    form.optional("at_most", part.at_most, "rows fitted on, evenly taken", at_least(20));
    if (form.ok() && part.free.empty()) form.problem("free", "names no parameter");
    if (form.ok() && part.tables.empty()) form.problem("tables", "names no table");
}

namespace {

constexpr std::size_t folds = 10;
constexpr double usual = 0.05;  // errors beyond it count by their amount

// Few measurements hold few values: 40 rows, five values (more overfit: +49 % on one table).
constexpr std::size_t enough_for_all = 300;
std::vector<std::string> few_parameters() {
    return {"launch", "matrix_efficiency", "memory_efficiency", "tile_overhead",
            "k_step", "split_overhead",    "block_latency",     "vector_efficiency"};
}

// What a fit moves, in logarithms: all parameters are above 0 and of very different sizes.
struct Free {
    std::string part, name;  // name as the calibration has it
    FitParameter parameter;
};
struct Search {
    std::vector<Free> free;
    Box box;
};

// What a name stands for: a value of the part, or "vector.launch" of the kernels around it.
std::vector<Free> free_of(const std::string& part) {
    std::vector<Free> all;
    for (const FitParameter& one : fit_parameters(part)) all.push_back({part, one.name, one});
    for (const char* around : {"vector", "expert_vector"}) {
        if (part == around) continue;
        for (const FitParameter& one : fit_parameters(around)) {
            all.push_back({around, std::string(around) + "." + one.name, one});
        }
    }
    return all;
}

Search search_of(const CalibrationPart& part) {
    Search search;
    for (const Free& one : free_of(part.part)) {
        if (std::find(part.free.begin(), part.free.end(), one.name) == part.free.end()) continue;
        search.free.push_back(one);
        search.box.low.push_back(std::log(one.parameter.low));
        search.box.high.push_back(std::log(one.parameter.high));
    }
    return search;
}

void apply(const Search& search, const std::vector<double>& point, KernelLibrarySpec& library) {
    for (std::size_t i = 0; i < search.free.size(); ++i) {
        const Free& one = search.free[i];
        set_parameter(library, one.part, one.parameter.name, std::exp(point[i]));
    }
}

std::vector<double> start_of(const Search& search, const KernelLibrarySpec& library) {
    std::vector<double> point;
    for (std::size_t i = 0; i < search.free.size(); ++i) {
        const double value =
            get_parameter(library, search.free[i].part, search.free[i].parameter.name);
        // A value of zero, or out of range, starts inside: a search cannot leave a wall's log 0.
        const double at = value > 0 ? std::log(value) : search.box.low[i];
        const double margin = 0.02 * (search.box.high[i] - search.box.low[i]);
        point.push_back(std::clamp(at, search.box.low[i] + margin, search.box.high[i] - margin));
    }
    return point;
}

// Pseudo-Huber: the square of small errors, the amount of large ones.
double misfit(const std::vector<const KernelRow*>& rows, const RankHardware& hardware,
              const KernelLibrarySpec& library) {
    double sum = 0;
    for (const KernelRow* row : rows) {
        const double error = std::log(simulated_time(*row, hardware, library) / row->measured);
        sum += 2 * usual * usual * (std::sqrt(1 + error * error / (usual * usual)) - 1);
    }
    return sum / static_cast<double>(rows.size());
}

Minimum best_fit(const Search& search, const CalibrationPart& part,
                 const std::vector<const KernelRow*>& rows, const RankHardware& hardware,
                 const KernelLibrarySpec& library, const FitOptions& options, int starts) {
    KernelLibrarySpec trial = library;
    const auto function = [&](const std::vector<double>& point) {
        apply(search, point, trial);
        return misfit(rows, hardware, trial);
    };
    const std::vector<double> own = start_of(search, library);
    Minimum best;
    for (int k = 0; k < starts; ++k) {
        std::vector<double> start = own;
        if (k > 0) {
            for (std::size_t i = 0; i < start.size(); ++i) {
                const double factor = 1.5 * (uniform(1, k, i) * 2 - 1);  // up to 4.5 either way
                start[i] = std::clamp(start[i] + factor, search.box.low[i], search.box.high[i]);
            }
        }
        Minimum found = minimise(function, start, search.box, options.evaluations, 1e-5);
        if (options.progress) {
            options.progress(fmt::format("{} start {} of {}: {:.2f} %", part.part, k + 1, starts,
                                         100 * std::sqrt(found.value)));
        }
        if (k == 0 || found.value < best.value) best = std::move(found);
    }
    return best;
}

// Evenly spaced ones, at most `limit`.
std::vector<const KernelRow*> thinned(std::vector<const KernelRow*> rows, long limit) {
    const auto count = static_cast<std::size_t>(limit);
    if (rows.size() <= count) return rows;
    std::vector<const KernelRow*> kept;
    for (std::size_t i = 0; i < count; ++i) kept.push_back(rows[i * rows.size() / count]);
    return kept;
}

std::vector<KernelRow> copies(const std::vector<const KernelRow*>& rows) {
    std::vector<KernelRow> result;
    for (const KernelRow* row : rows) result.push_back(*row);
    return result;
}

// Rows with and without those at fold, fold + 10, ...
std::pair<std::vector<const KernelRow*>, std::vector<const KernelRow*>> without_fold(
    const std::vector<KernelRow>& rows, std::size_t fold) {
    std::vector<const KernelRow*> kept, left;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        (i % folds == fold ? left : kept).push_back(&rows[i]);
    }
    return {kept, left};
}

// The model's times of each tenth after a fit to the other nine, started where all nine and the
// tenth together led.
TableErrors cross_validated(const CalibrationPart& part, const Search& search,
                            const std::vector<KernelRow>& rows, const RankHardware& hardware,
                            const KernelLibrarySpec& fitted, const FitOptions& options) {
    std::vector<KernelRow> all;
    std::vector<double> simulated;
    for (std::size_t fold = 0; fold < folds; ++fold) {
        const auto [kept, left] = without_fold(rows, fold);
        KernelLibrarySpec trial = fitted;
        const Minimum best =
            best_fit(search, part, thinned(kept, part.at_most), hardware, fitted, options, 1);
        apply(search, best.at, trial);
        for (const KernelRow* row : left) {
            all.push_back(*row);
            simulated.push_back(simulated_time(*row, hardware, trial).value());
        }
    }
    return errors_of(all, simulated);
}

std::string quantity_text(double value, const FitParameter& parameter) {
    const std::string number = fmt::format("{:.4g}", value / parameter.scale);
    return parameter.unit.empty() ? number : number + " " + parameter.unit;
}

}  // namespace

std::vector<CalibrationPart> read_calibration(const KernelLibrarySpec& library) {
    const Node* list = &library.calibration;
    if (list->kind == Node::Kind::null) return {};
    std::vector<CalibrationPart> parts;
    Problems problems;
    form_detail::read_value(*list, "calibration", {}, parts, problems);
    Registry<TableAdapter> adapters("table adapter");
    register_table_adapters(adapters);
    for (std::size_t i = 0; problems.empty() && i < parts.size(); ++i) {
        CalibrationPart& part = parts[i];
        part.place = list->items[i].place;
        const std::string path = fmt::format("calibration.{}", i);
        try {
            record_of(library, part.part);
            std::vector<std::string> known;
            for (const auto& one : free_of(part.part)) known.push_back(one.name);
            for (const auto& name : part.free) {
                if (std::find(known.begin(), known.end(), name) != known.end()) {
                    const std::size_t dot = name.find('.');  // "expert_vector.launch"
                    if (dot != std::string::npos) record_of(library, name.substr(0, dot));
                    continue;
                }
                problems.push_back(
                    unknown_name(part.place, path + ".free", "parameter", name, known));
            }
        } catch (const std::invalid_argument& error) {
            problems.push_back({part.place, path + ".part", error.what(), ""});
        }
        for (const auto& table : part.tables) {
            if (adapters.entries().count(table.adapter) > 0) continue;
            problems.push_back(unknown_name(part.place, path + ".tables", "table adapter",
                                            table.adapter, adapters.names()));
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return parts;
}

std::vector<std::pair<CalibrationPart, std::vector<KernelRow>>> parts_of(
    const std::vector<KernelRow>& rows, const KernelLibrarySpec& library, const Place& asked_at) {
    std::map<std::string, std::vector<KernelRow>> by_part;
    for (const KernelRow& row : rows) {
        by_part[part_of(library, row.operators.back())].push_back(row);
    }
    std::vector<std::pair<CalibrationPart, std::vector<KernelRow>>> result;
    for (auto& [name, own] : by_part) {
        CalibrationPart part;
        part.part = name;
        part.place = asked_at;
        const bool many = own.size() >= enough_for_all;
        part.held_out = many ? HeldOut::tenth : HeldOut::folds;
        for (const FitParameter& one : fit_parameters(name)) {
            const auto few = few_parameters();
            const bool among = std::find(few.begin(), few.end(), one.name) != few.end();
            if (many || among) part.free.push_back(one.name);
        }
        result.emplace_back(std::move(part), std::move(own));
    }
    return result;
}

PartFit fit_part(const CalibrationPart& part, const std::vector<KernelRow>& rows,
                 const RankHardware& hardware, KernelLibrarySpec& library,
                 const FitOptions& options) {
    const Search search = search_of(part);
    const bool cross = part.held_out == HeldOut::folds;
    if (rows.size() < 2 * folds) {
        throw InputError(
            part.place, part.part,
            fmt::format("{} rows are too few to fit on and hold some out", rows.size()));
    }
    for (const KernelRow& row : rows) {
        const std::string decides = part_of(library, row.operators.back());
        if (decides == part.part) continue;
        throw InputError(part.place, part.part,
                         fmt::format("line {} of a table ({}) is decided by {}", row.line,
                                     shape_of(row.operators.back()), decides),
                         "the filter has to leave such rows out");
    }
    auto [kept, left] = without_fold(rows, 0);
    if (cross) kept.insert(kept.begin(), left.begin(), left.end());
    const std::vector<const KernelRow*> used = thinned(kept, part.at_most);
    const Minimum best = best_fit(search, part, used, hardware, library, options, options.starts);
    apply(search, best.at, library);

    PartFit fit;
    fit.part = part.part;
    for (std::size_t i = 0; i < search.free.size(); ++i) {
        fit.values[search.free[i].name] = std::exp(best.at[i]);
        const double margin = 0.01 * (search.box.high[i] - search.box.low[i]);
        if (best.at[i] < search.box.low[i] + margin || best.at[i] > search.box.high[i] - margin) {
            fit.at_bounds.push_back(search.free[i].name);
        }
    }
    fit.fitted = compare_rows(copies(used), hardware, library);
    fit.held_out = cross ? cross_validated(part, search, rows, hardware, library, options)
                         : compare_rows(copies(left), hardware, library);
    return fit;
}

void write_fit(Node& document, const PartFit& fit, const std::string& date) {
    const Place place{"podsim calibrate", 0, 0};
    std::set<std::string> parts = {fit.part};
    for (const Free& one : free_of(fit.part)) {
        const auto value = fit.values.find(one.name);
        if (value == fit.values.end()) continue;
        parts.insert(one.part);
        set_path(document, one.part + "." + one.parameter.name,
                 quantity_text(value->second, one.parameter), place);
    }
    for (const std::string& part : parts) {
        const std::string record = part + ".record.";
        set_path(document, record + "basis", "measured", place);
        set_path(document, record + "rows", std::to_string(fit.fitted.rows), place);
        set_path(document, record + "held_out_error", fmt::format("{:.3g}", fit.held_out.mape),
                 place);
        set_path(document, record + "date", date, place);
    }
}

std::string values_text(const PartFit& fit) {
    std::string text;
    for (const Free& one : free_of(fit.part)) {
        const auto value = fit.values.find(one.name);
        if (value == fit.values.end()) continue;
        text += (text.empty() ? "" : ", ") + one.name + " " +
                quantity_text(value->second, one.parameter);
    }
    return text;
}

}  // namespace podsim
