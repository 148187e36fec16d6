#include "sim/collective_calibration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <type_traits>
#include <variant>

#include "base/names.hpp"

namespace podsim {

namespace {

constexpr double us = 1e-6, gb = 1e9;
constexpr std::size_t enough_for_tenth = 300;

// A value of a set of habits and where it stands.
struct Movable {
    FitParameter parameter;
    std::variant<double*, Seconds*, BytesPerSecond*> where;
};

Movable time(const std::string& name, double low, double high, Seconds& where) {
    return {{name, low * us, high * us, "us", us}, &where};
}
Movable share(const std::string& name, double& where) {
    return {{name, 0.001, 1, "", 1}, &where};
}

std::vector<Movable> movable(TransferHabits& habits) {
    std::vector<Movable> all;
    for (TransferProtocol& one : habits.protocols) {
        const std::string of = one.name + ".";
        all.push_back(time(of + "base", 0.01, 300, one.base));
        all.push_back(time(of + "per_peer", 0.001, 20, one.per_peer));
        all.push_back(share(of + "scale_up_efficiency", one.scale_up_efficiency));
        all.push_back(share(of + "scale_out_efficiency", one.scale_out_efficiency));
        all.push_back(
            {{of + "peer_bandwidth", 0.1 * gb, 1000 * gb, "GB/s", gb}, &one.peer_bandwidth});
        all.push_back(time(of + "per_chunk", 0.001, 100, one.per_chunk));
        all.push_back(
            {{of + "copy_bandwidth", 10 * gb, 10000 * gb, "GB/s", gb}, &one.copy_bandwidth});
    }
    if (habits.protocols.empty()) {
        all.push_back(time("base", 0.01, 300, habits.base));
        all.push_back(time("per_peer", 0.001, 20, habits.per_peer));
        all.push_back(time("per_doubling", 0.001, 50, habits.per_doubling));
        all.push_back(share("scale_up_efficiency", habits.scale_up_efficiency));
        all.push_back(share("scale_out_efficiency", habits.scale_out_efficiency));
    }
    all.push_back(time("per_expert", 0.0001, 1, habits.per_expert));
    all.push_back(time("per_message", 0.00001, 1, habits.per_message));
    all.push_back(time("per_token", 0.00001, 30, habits.per_token));
    return all;
}

double value_of(const Movable& one) {
    return std::visit(
        [](const auto* where) {
            if constexpr (std::is_same_v<decltype(where), const double*>)
                return *where;
            else
                return where->value();
        },
        one.where);
}

void set_value(const Movable& one, double value) {
    std::visit([&](auto* where) { *where = std::decay_t<decltype(*where)>(value); }, one.where);
}

TransferHabits& habits_of(CollectiveLibrarySpec& library, const std::string& part) {
    const auto type = value_named<TransferType>(part);
    const auto found = type ? library.transfers.find(*type) : library.transfers.end();
    if (found == library.transfers.end())
        throw std::invalid_argument("collective library " + library.name + " has no " + part);
    return found->second;
}

std::vector<Movable> moved_by(const CalibrationPart& part, CollectiveLibrarySpec& library) {
    std::vector<Movable> moved;
    for (const Movable& one : movable(habits_of(library, part.part))) {
        if (std::find(part.free.begin(), part.free.end(), one.parameter.name) != part.free.end())
            moved.push_back(one);
    }
    return moved;
}

void set_values(const std::vector<Movable>& moved, const std::vector<double>& values) {
    for (std::size_t i = 0; i < moved.size(); ++i) set_value(moved[i], values[i]);
}

TableErrors errors_at(const std::vector<CollectiveRow>& rows, const RowTimes& times) {
    std::vector<ComparedRow> compared;
    for (std::size_t i = 0; i < times.rows.size(); ++i) {
        const CollectiveRow& row = rows[times.rows[i]];
        compared.push_back(
            {row.line, shape_of(row.transfer), row.measured, Seconds(times.simulated[i])});
    }
    return errors_of(compared);
}

}  // namespace

std::vector<FitParameter> fit_parameters(const TransferHabits& habits) {
    TransferHabits copy = habits;
    std::vector<FitParameter> all;
    for (const Movable& one : movable(copy)) all.push_back(one.parameter);
    return all;
}

std::vector<CalibrationPart> read_calibration(const CollectiveLibrarySpec& library) {
    Registry<CollectiveAdapter> adapters("table adapter");
    register_collective_adapters(adapters);
    CollectiveLibrarySpec copy = library;
    return read_parts(library.calibration, adapters.names(), [&](const CalibrationPart& part) {
        std::vector<std::string> known;
        for (const auto& one : movable(habits_of(copy, part.part)))
            known.push_back(one.parameter.name);
        return known;
    });
}

std::vector<CollectiveRow> rows_of(const CalibrationPart& part, const std::string& folder) {
    std::vector<CollectiveRow> rows;
    for (const TableSource& table : part.tables) {
        const auto more =
            read_collective_table(table, folder, part.place, value_named<TransferType>(part.part));
        rows.insert(rows.end(), more.begin(), more.end());
    }
    return rows;
}

std::vector<std::pair<CalibrationPart, std::vector<CollectiveRow>>> parts_of(
    const std::vector<CollectiveRow>& rows, const CollectiveLibrarySpec& library,
    const Place& asked_at) {
    std::map<TransferType, std::vector<CollectiveRow>> by_type;
    for (const CollectiveRow& row : rows) by_type[row.transfer.type].push_back(row);
    std::vector<std::pair<CalibrationPart, std::vector<CollectiveRow>>> result;
    for (auto& [type, own] : by_type) {
        CalibrationPart part;
        part.part = to_string(type);
        part.place = asked_at;
        part.held_out = own.size() >= enough_for_tenth ? HeldOut::tenth : HeldOut::folds;
        // What the library uses may move, and the terms that every library has.
        CollectiveLibrarySpec copy = library;
        try {
            for (const Movable& one : movable(habits_of(copy, part.part))) {
                const std::string& name = one.parameter.name;
                const bool always = name == "base" || name == "per_peer";
                const bool out = name.find("scale_out") != std::string::npos;
                if (always || (value_of(one) > 0 && !out)) part.free.push_back(name);
            }
        } catch (const std::invalid_argument& error) {
            throw InputError(asked_at, part.part, error.what());
        }
        result.emplace_back(std::move(part), std::move(own));
    }
    return result;
}

PartFit fit_part(const CalibrationPart& part, const std::vector<CollectiveRow>& rows,
                 const RankFabric& fabric, CollectiveLibrarySpec& library,
                 const FitOptions& options) {
    CollectiveLibrarySpec trial = library;
    const std::vector<Movable> moved = moved_by(part, trial);
    FitTask task;
    task.name = part.part;
    task.place = part.place;
    task.held_out = part.held_out;
    task.at_most = part.at_most;
    for (const Movable& one : moved) {
        task.parameters.push_back(one.parameter);
        task.start.push_back(value_of(one));
    }
    for (const CollectiveRow& row : rows) task.measured.push_back(row.measured);
    task.simulate = [&](const std::vector<double>& values, const std::vector<std::size_t>& which) {
        set_values(moved, values);
        std::vector<double> times;
        for (const std::size_t i : which)
            times.push_back(simulated_time(rows[i], fabric, trial).value());
        return times;
    };
    const FitOutcome outcome = search_fit(task, options);
    set_values(moved_by(part, library), outcome.values);
    std::vector<Transfer> transfers;
    for (const CollectiveRow& row : rows) transfers.push_back(row.transfer);
    // The first range is that of the table; further ones are of what it does not decide.
    auto& ranges = habits_of(library, part.part).ranges;
    ranges.resize(std::max<std::size_t>(1, ranges.size()));
    ranges.front() = range_of(transfers);

    PartFit fit;
    fit.part = part.part;
    for (std::size_t i = 0; i < moved.size(); ++i) {
        fit.values[task.parameters[i].name] = outcome.values[i];
        if (outcome.at_bound[i]) fit.at_bounds.push_back(task.parameters[i].name);
    }
    fit.fitted = errors_at(rows, outcome.fitted);
    fit.held_out = errors_at(rows, outcome.held_out);
    return fit;
}

std::string values_text(const PartFit& fit, const CollectiveLibrarySpec& library) {
    std::string text;
    CollectiveLibrarySpec copy = library;
    for (const FitParameter& one : fit_parameters(habits_of(copy, fit.part))) {
        const auto value = fit.values.find(one.name);
        if (value == fit.values.end()) continue;
        text += (text.empty() ? "" : ", ") + one.name + " " + quantity_text(value->second, one);
    }
    return text;
}

void write_fit(Node& document, const PartFit& fit, const CollectiveLibrarySpec& library,
               const std::string& date) {
    const Place place{"podsim calibrate", 0, 0};
    const std::string of = "transfers." + fit.part + ".";
    CollectiveLibrarySpec copy = library;
    const TransferHabits& habits = habits_of(copy, fit.part);
    if (!habits.protocols.empty()) {
        const Node* node = document.find("transfers");
        if (node != nullptr) node = node->find(fit.part);
        if (node == nullptr || node->find("protocols") == nullptr) {
            throw InputError(place, of + "protocols", "are those of the library's base",
                             "fit that one, or state them here");
        }
    }
    for (const FitParameter& one : fit_parameters(habits)) {
        const auto value = fit.values.find(one.name);
        if (value == fit.values.end()) continue;
        const bool own = one.name.find('.') == std::string::npos;
        set_path(document, of + (own ? "" : "protocols.") + one.name,
                 quantity_text(value->second, one), place);
    }
    std::string ranges;
    for (const FittedRange& range : habits.ranges)
        ranges += (ranges.empty() ? "" : ", ") + to_string(range);
    if (!ranges.empty()) set_path(document, of + "ranges", "[" + ranges + "]", place);
    const std::string record = of + "record.";
    set_path(document, record + "basis", "measured", place);
    set_path(document, record + "rows", std::to_string(fit.fitted.rows), place);
    set_path(document, record + "held_out_error", fmt::format("{:.3g}", fit.held_out.mape), place);
    set_path(document, record + "date", date, place);
}

}  // namespace podsim
