#include "sim/fit_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/minimise.hpp"
#include "base/random.hpp"

namespace podsim {

const std::vector<std::pair<const char*, HeldOut>>& names_of(const HeldOut*) {
    static const std::vector<std::pair<const char*, HeldOut>> names = {{"tenth", HeldOut::tenth},
                                                                       {"folds", HeldOut::folds}};
    return names;
}

std::string quantity_text(double value, const FitParameter& parameter) {
    const std::string number = fmt::format("{:.4g}", value / parameter.scale);
    return parameter.unit.empty() ? number : number + " " + parameter.unit;
}

namespace {

constexpr std::size_t folds = 10;
constexpr double usual = 0.05;  // errors beyond it count by their amount

using Rows = std::vector<std::size_t>;

// What a fit moves, in logarithms: all parameters are above 0 and of very different sizes.
Box box_of(const FitTask& task) {
    Box box;
    for (const FitParameter& one : task.parameters) {
        box.low.push_back(std::log(one.low));
        box.high.push_back(std::log(one.high));
    }
    return box;
}

std::vector<double> start_of(const Box& box, const std::vector<double>& values) {
    std::vector<double> point;
    for (std::size_t i = 0; i < values.size(); ++i) {
        // A value of zero, or out of range, starts inside: a search cannot leave a wall's log 0.
        const double at = values[i] > 0 ? std::log(values[i]) : box.low[i];
        const double margin = 0.02 * (box.high[i] - box.low[i]);
        point.push_back(std::clamp(at, box.low[i] + margin, box.high[i] - margin));
    }
    return point;
}

std::vector<double> values_at(const std::vector<double>& point) {
    std::vector<double> values;
    for (const double x : point) values.push_back(std::exp(x));
    return values;
}

// Pseudo-Huber: the square of small errors, the amount of large ones.
double misfit(const FitTask& task, const Rows& rows, const std::vector<double>& values) {
    const std::vector<double> simulated = task.simulate(values, rows);
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const double error = std::log(simulated[i] / task.measured[rows[i]].value());
        sum += 2 * usual * usual * (std::sqrt(1 + error * error / (usual * usual)) - 1);
    }
    return sum / static_cast<double>(rows.size());
}

std::vector<double> best_values(const FitTask& task, const Rows& rows,
                                const std::vector<double>& from, const FitOptions& options,
                                int starts) {
    const Box box = box_of(task);
    const auto function = [&](const std::vector<double>& point) {
        return misfit(task, rows, values_at(point));
    };
    const std::vector<double> own = start_of(box, from);
    Minimum best;
    for (int k = 0; k < starts; ++k) {
        std::vector<double> start = own;
        if (k > 0) {
            for (std::size_t i = 0; i < start.size(); ++i) {
                const double factor = 1.5 * (uniform(1, k, i) * 2 - 1);  // up to 4.5 either way
                start[i] = std::clamp(start[i] + factor, box.low[i], box.high[i]);
            }
        }
        Minimum found = minimise(function, start, box, options.evaluations, 1e-5);
        if (options.progress) {
            options.progress(fmt::format("{} start {} of {}: {:.2f} %", task.name, k + 1, starts,
                                         100 * std::sqrt(found.value)));
        }
        if (k == 0 || found.value < best.value) best = std::move(found);
    }
    return values_at(best.at);
}

// Evenly spaced ones, at most `limit`.
Rows thinned(Rows rows, long limit) {
    const auto count = static_cast<std::size_t>(limit);
    if (rows.size() <= count) return rows;
    Rows kept;
    for (std::size_t i = 0; i < count; ++i) kept.push_back(rows[i * rows.size() / count]);
    return kept;
}

// Rows without and with only those at fold, fold + 10, ...
std::pair<Rows, Rows> without_fold(std::size_t count, std::size_t fold) {
    Rows kept, left;
    for (std::size_t i = 0; i < count; ++i) (i % folds == fold ? left : kept).push_back(i);
    return {kept, left};
}

// The model's times of each tenth after a fit to the other nine, started where all nine and the
// tenth together led.
RowTimes cross_validated(const FitTask& task, const std::vector<double>& fitted,
                         const FitOptions& options) {
    RowTimes all;
    for (std::size_t fold = 0; fold < folds; ++fold) {
        const auto [kept, left] = without_fold(task.measured.size(), fold);
        const auto values = best_values(task, thinned(kept, task.at_most), fitted, options, 1);
        const std::vector<double> simulated = task.simulate(values, left);
        all.rows.insert(all.rows.end(), left.begin(), left.end());
        all.simulated.insert(all.simulated.end(), simulated.begin(), simulated.end());
    }
    return all;
}

}  // namespace

FitOutcome search_fit(const FitTask& task, const FitOptions& options) {
    const bool cross = task.held_out == HeldOut::folds;
    if (task.measured.size() < 2 * folds) {
        throw InputError(
            task.place, task.name,
            fmt::format("{} rows are too few to fit on and hold some out", task.measured.size()));
    }
    auto [kept, left] = without_fold(task.measured.size(), 0);
    if (cross) kept.insert(kept.begin(), left.begin(), left.end());

    FitOutcome outcome;
    outcome.fitted.rows = thinned(kept, task.at_most);
    outcome.values = best_values(task, outcome.fitted.rows, task.start, options, options.starts);
    outcome.fitted.simulated = task.simulate(outcome.values, outcome.fitted.rows);
    const Box box = box_of(task);
    for (std::size_t i = 0; i < outcome.values.size(); ++i) {
        const double at = std::log(outcome.values[i]);
        const double margin = 0.01 * (box.high[i] - box.low[i]);
        outcome.at_bound.push_back(at < box.low[i] + margin || at > box.high[i] - margin);
    }
    outcome.held_out = cross ? cross_validated(task, outcome.values, options)
                             : RowTimes{left, task.simulate(outcome.values, left)};
    return outcome;
}

}  // namespace podsim
