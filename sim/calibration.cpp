#include "sim/calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "base/form.hpp"
#include "chips/cost.hpp"
#include "sim/fit_parameters.hpp"

namespace podsim {

namespace {

// Few measurements hold few values: 40 rows, five values (more overfit: +49 % on one table).
constexpr std::size_t enough_for_all = 300;
std::vector<std::string> few_parameters() {
    return {"launch", "matrix_efficiency", "memory_efficiency", "tile_overhead",
            "k_step", "split_overhead",    "block_latency",     "vector_efficiency"};
}

// A value that a fit may move.
struct Free {
    std::string part, name;  // name as the calibration has it
    FitParameter parameter;
};

// What a name stands for: a value of the part, or "vector.launch" of the library's others.
std::vector<Free> free_of(const KernelLibrarySpec& library, const std::string& part) {
    std::vector<Free> all;
    for (const FitParameter& one : fit_parameters(part)) all.push_back({part, one.name, one});
    for (const std::string& other : parts_of(library)) {
        if (part == other) continue;
        for (const FitParameter& one : fit_parameters(other)) {
            all.push_back({other, other + "." + one.name, one});
        }
    }
    return all;
}

bool is_part(const std::string& name) {
    try {
        return !fit_parameters(name).empty();
    } catch (const std::invalid_argument&) {
        return false;
    }
}

// The values of a fit, those of the part first: its names say the rest.
std::vector<Free> values_of(const PartFit& fit) {
    std::vector<Free> all;
    for (const FitParameter& one : fit_parameters(fit.part)) {
        if (fit.values.count(one.name) > 0) all.push_back({fit.part, one.name, one});
    }
    for (const auto& [name, value] : fit.values) {
        const std::size_t dot = name.rfind('.');
        if (dot == std::string::npos) continue;
        for (const FitParameter& one : fit_parameters(name.substr(0, dot))) {
            if (one.name == name.substr(dot + 1)) all.push_back({name.substr(0, dot), name, one});
        }
    }
    return all;
}

std::vector<Free> moved_by(const KernelLibrarySpec& library, const CalibrationPart& part) {
    std::vector<Free> moved;
    for (const Free& one : free_of(library, part.part)) {
        if (std::find(part.free.begin(), part.free.end(), one.name) != part.free.end())
            moved.push_back(one);
    }
    return moved;
}

void apply(const std::vector<Free>& moved, const std::vector<double>& values,
           KernelLibrarySpec& library) {
    for (std::size_t i = 0; i < moved.size(); ++i)
        set_parameter(library, moved[i].part, moved[i].parameter.name, values[i]);
}

// A row whose operators that no free value decides about were costed once: blocks of a whole module
// are mostly these.
struct SplitRow {
    KernelRow moving;
    RowTime fixed;
};

SplitRow split_row(const KernelRow& row, const std::vector<Free>& moved,
                   const RankHardware& hardware, const KernelLibrarySpec& library) {
    SplitRow split{row, {}};
    split.moving.operators.clear();
    for (const OperatorBody& body : row.operators) {
        const std::string decides = part_of(library, body);
        const bool moves = std::any_of(moved.begin(), moved.end(),
                                       [&](const Free& one) { return one.part == decides; });
        if (moves)
            split.moving.operators.push_back(body);
        else
            split.fixed.add(operator_cost(body, hardware, library, Fidelity::tile, 1.0));
    }
    return split;
}

TableErrors errors_at(const std::vector<KernelRow>& rows, const RowTimes& times) {
    std::vector<KernelRow> meant;
    for (const std::size_t i : times.rows) meant.push_back(rows[i]);
    return errors_of(meant, times.simulated);
}

}  // namespace

std::vector<CalibrationPart> read_parts(const Node& calibration,
                                        const std::vector<std::string>& adapters,
                                        const KnownParameters& known_of) {
    if (calibration.kind == Node::Kind::null) return {};
    std::vector<CalibrationPart> parts;
    Problems problems;
    form_detail::read_value(calibration, "calibration", {}, parts, problems);
    const auto require = [&](const Place& place, const std::string& path, const char* kind,
                             const std::string& name, const std::vector<std::string>& known) {
        if (std::find(known.begin(), known.end(), name) == known.end())
            problems.push_back(unknown_name(place, path, kind, name, known));
    };
    for (std::size_t i = 0; problems.empty() && i < parts.size(); ++i) {
        CalibrationPart& part = parts[i];
        part.place = calibration.items[i].place;
        const std::string path = fmt::format("calibration.{}", i);
        try {
            const std::vector<std::string> known = known_of(part);
            for (const auto& name : part.free)
                require(part.place, path + ".free", "parameter", name, known);
        } catch (const std::invalid_argument& error) {
            problems.push_back({part.place, path + ".part", error.what(), ""});
        }
        for (const auto& table : part.tables)
            require(part.place, path + ".tables", "table adapter", table.adapter, adapters);
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return parts;
}

std::vector<CalibrationPart> read_calibration(const KernelLibrarySpec& library) {
    Registry<TableAdapter> adapters("table adapter");
    register_table_adapters(adapters);
    return read_parts(library.calibration, adapters.names(), [&](const CalibrationPart& part) {
        record_of(library, part.part);
        std::vector<std::string> known;
        for (const auto& one : free_of(library, part.part)) known.push_back(one.name);
        // "expert_vector.launch": of a part that there is, but not in this library.
        for (const auto& name : part.free) {
            const std::size_t dot = name.rfind('.');
            if (dot != std::string::npos && is_part(name.substr(0, dot)))
                record_of(library, name.substr(0, dot));
        }
        return known;
    });
}

std::vector<std::pair<CalibrationPart, std::vector<KernelRow>>> parts_of(
    const std::vector<KernelRow>& rows, const KernelLibrarySpec& library, const Place& asked_at) {
    std::map<std::string, std::vector<KernelRow>> by_part;
    for (const KernelRow& row : rows) {
        by_part[part_of(library, row)].push_back(row);
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
    for (const KernelRow& row : rows) {
        const std::string decides = part_of(library, row);
        if (decides == part.part) continue;
        throw InputError(part.place, part.part,
                         fmt::format("line {} of a table ({}) is decided by {}", row.line,
                                     shape_of(row.operators.back()), decides),
                         "the filter has to leave such rows out");
    }
    const std::vector<Free> moved = moved_by(library, part);
    KernelLibrarySpec trial = library;
    FitTask task;
    task.name = part.part;
    task.place = part.place;
    task.held_out = part.held_out;
    task.at_most = part.at_most;
    for (const Free& one : moved) {
        task.parameters.push_back(one.parameter);
        task.start.push_back(get_parameter(library, one.part, one.parameter.name));
    }
    for (const KernelRow& row : rows) task.measured.push_back(row.measured);
    std::vector<SplitRow> split;
    for (const KernelRow& row : rows) split.push_back(split_row(row, moved, hardware, library));
    task.simulate = [&](const std::vector<double>& values, const std::vector<std::size_t>& which) {
        apply(moved, values, trial);
        std::vector<double> times;
        for (const std::size_t i : which) {
            times.push_back(
                simulated_time(split[i].moving, hardware, trial, split[i].fixed).value());
        }
        return times;
    };
    const FitOutcome outcome = search_fit(task, options);
    apply(moved, outcome.values, library);

    PartFit fit;
    fit.part = part.part;
    for (std::size_t i = 0; i < moved.size(); ++i) {
        fit.values[moved[i].name] = outcome.values[i];
        if (outcome.at_bound[i]) fit.at_bounds.push_back(moved[i].name);
    }
    fit.fitted = errors_at(rows, outcome.fitted);
    fit.held_out = errors_at(rows, outcome.held_out);
    return fit;
}

void write_fit(Node& document, const PartFit& fit, const std::string& date) {
    const Place place{"podsim calibrate", 0, 0};
    std::set<std::string> parts = {fit.part};
    for (const Free& one : values_of(fit)) {
        parts.insert(one.part);
        set_path(document, one.part + "." + one.parameter.name,
                 quantity_text(fit.values.at(one.name), one.parameter), place);
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
    for (const Free& one : values_of(fit)) {
        text += (text.empty() ? "" : ", ") + one.name + " " +
                quantity_text(fit.values.at(one.name), one.parameter);
    }
    return text;
}

}  // namespace podsim
