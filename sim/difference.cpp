#include "sim/difference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

namespace podsim {

namespace {

struct Wait {
    const char* name;
    double CriticalTime::*seconds;
};

constexpr std::array<Wait, 5> kWaits = {{{"kernel gaps", &CriticalTime::gap},
                                         {"kernel launches", &CriticalTime::launch},
                                         {"transfer latency", &CriticalTime::latency},
                                         {"wait for the slowest rank", &CriticalTime::skew},
                                         {"contention", &CriticalTime::contention}}};

// Doubles count picoseconds one by one up to here, and a sum of them stays a whole number.
constexpr double kLongest = 9000;  // seconds, 2^53 ps

Picoseconds whole(double seconds, const std::string& what) {
    if (!(seconds >= 0) || seconds > kLongest) {
        throw std::invalid_argument(
            fmt::format("{} takes {} s of the critical path", what, seconds));
    }
    return to_picoseconds(Seconds(seconds));
}

Picoseconds time_of(const OperatorRow& row) {
    Picoseconds sum = whole(row.critical.work, row.name);
    for (const Wait& wait : kWaits) sum += whole(row.critical.*wait.seconds, row.name);
    return sum;
}

void require_sums(const AlternativeResult& result) {
    const Picoseconds step = whole(result.iteration_seconds, "the step");
    Picoseconds sum = 0;
    for (const OperatorRow& row : result.operators) {
        sum += time_of(row);
        if (sum > step) break;
    }
    if (sum == step) return;
    throw std::invalid_argument(
        fmt::format("the operators of {} sum to {}{} ps on the critical path, its step is {} ps",
                    result.name, sum > step ? "at least " : "", sum, step));
}

// Where the critical path runs each operator: classes and streams.
using Places = std::map<std::string, std::set<std::pair<std::string, std::string>>>;

Places places_of(const AlternativeResult& result) {
    Places all;
    for (const OperatorRow& row : result.operators) {
        auto& places = all[row.name];
        if (row.critical.count > 0) places.insert({row.rank_class, row.stream});
    }
    return all;
}

// Waits sort apart from work that may bear the same name.
using Key = std::tuple<bool, std::string, std::string, std::string>;  // wait, name, class, stream

struct Part {
    PartTime time;
    std::string kind;
    double executions = 0;  // of all classes, of which seconds_each is the mean
    std::map<std::string, long> of_class;
};
using Parts = std::map<Key, Part>;

void add_work(const OperatorRow& row, Part& part) {
    part.kind = row.kind;
    const double before = part.executions;
    part.executions += static_cast<double>(row.count);
    if (part.executions > 0) {
        part.time.seconds_each +=
            (row.seconds_each - part.time.seconds_each) * (1 - before / part.executions);
    }
    part.time.count = std::max(part.time.count, part.of_class[row.rank_class] += row.count);
    part.time.on_path += row.critical.count;
    part.time.time += whole(row.critical.work, row.name);
}

// `apart`: the operators whose classes and streams are kept apart.
Parts parts_of(const AlternativeResult& result, const std::set<std::string>& apart) {
    Parts parts;
    for (const OperatorRow& row : result.operators) {
        const bool keep = apart.count(row.name) > 0;
        add_work(row, parts[{row.kind == "host", row.name, keep ? row.rank_class : "",
                             keep ? row.stream : ""}]);
        for (const Wait& wait : kWaits) {
            const Picoseconds waited = whole(row.critical.*wait.seconds, row.name);
            if (waited == 0) continue;
            Part& part = parts[{true, wait.name, "", ""}];
            part.kind = "wait";
            part.time.time += waited;
            part.time.on_path += row.critical.count;
        }
    }
    return parts;
}

// The operators that the paths of both run in the same places, and those that one of them lacks.
std::set<std::string> same_places(const AlternativeResult& a, const AlternativeResult& b) {
    const Places in_a = places_of(a), in_b = places_of(b);
    std::set<std::string> same;
    for (const auto& [name, places] : in_a) {
        const auto other = in_b.find(name);
        if (other == in_b.end() || other->second == places) same.insert(name);
    }
    for (const auto& [name, places] : in_b) {
        if (in_a.count(name) == 0) same.insert(name);
    }
    return same;
}

}  // namespace

StepDifference step_difference(const AlternativeResult& a, const AlternativeResult& b) {
    require_sums(a);
    require_sums(b);
    const std::set<std::string> apart = same_places(a, b);
    std::map<Key, PartDifference> rows;
    const auto add = [&](const AlternativeResult& result,
                         std::optional<PartTime> PartDifference::*side) {
        for (const auto& [key, part] : parts_of(result, apart)) {
            PartDifference& row = rows[key];
            std::tie(row.wait, row.name, row.rank_class, row.stream) = key;
            row.kind = part.kind;
            row.*side = part.time;
        }
    };
    add(a, &PartDifference::a);
    add(b, &PartDifference::b);
    StepDifference result;
    result.a = whole(a.iteration_seconds, "the step");
    result.b = whole(b.iteration_seconds, "the step");
    for (auto& [key, row] : rows) {
        row.difference = (row.b ? row.b->time : 0) - (row.a ? row.a->time : 0);
        result.parts.push_back(std::move(row));
    }
    std::stable_sort(result.parts.begin(), result.parts.end(), [](const auto& x, const auto& y) {
        return std::abs(x.difference) > std::abs(y.difference);
    });
    return result;
}

}  // namespace podsim
