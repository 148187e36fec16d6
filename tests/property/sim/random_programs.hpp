// Random programs with hand-made costs, for what holds whatever runs.
#pragma once

#include <rapidcheck.h>

#include <algorithm>

#include "tests/unit/sim/small_programs.hpp"

namespace podsim {

inline int any(int least, int most) {
    return *rc::gen::inRange(least, most + 1);
}

// A number of tenths between 0 and 1.
inline double tenths(int least = 0) {
    return any(least, 10) / 10.0;
}

// Some of `earlier`, the last few of them: what a new task waits for.
inline std::vector<int> some_of(const std::vector<int>& earlier) {
    std::vector<int> chosen;
    const auto from = earlier.size() > 4 ? earlier.size() - 4 : 0;
    for (std::size_t i = from; i < earlier.size(); ++i) {
        if (any(0, 2) == 0) chosen.push_back(earlier[i]);
    }
    return chosen;
}

// Classes x streams x tasks of every kind. Kernels ask for shares of the memory and of the cores
// that may add up to more than there is; transfers join any set of classes, each on the same
// stream of theirs or not, and may be listed in different orders in different classes.
inline SmallProgram any_program(int classes) {
    SmallProgram p;
    p.program.kernel_gap = microseconds(any(0, 3) * 0.5);
    p.program.rank_skew = any(0, 2) * 0.05;
    for (int c = 0; c < classes; ++c) p.rank_class(any(1, 8));
    const int streams = any(1, 4);
    for (int s = 0; s < streams; ++s) p.stream(any(1, 10) / 10.0);
    std::vector<int> operators, transfers;
    for (int i = any(1, 4); i > 0; --i) {
        const double time = any(0, 40) * 0.25;
        operators.push_back(p.operation(time, {.memory = tenths(),
                                               .launch = any(0, 4) * 0.5,
                                               .matrix = 0.1 * time,
                                               .on_vector_cores = any(0, 3) == 0}));
    }
    for (int i = any(1, 3); i > 0; --i) {
        std::vector<double> wires;
        for (int c = 0; c < classes; ++c) wires.push_back(any(0, 20) * 0.25);
        transfers.push_back(p.transfer(any(0, 8) * 0.25, wires));
        for (auto& share : p.costs.coflows.back().shares) {
            const auto port = static_cast<std::size_t>(any(0, 3));
            std::swap(share.port_time[0], share.port_time[port]);
            std::swap(share.bytes[0], share.bytes[port]);
        }
    }
    std::vector<std::vector<int>> of_class(static_cast<std::size_t>(classes));
    const auto tasks_of = [&](int c) -> std::vector<int>& {
        return of_class[static_cast<std::size_t>(c)];
    };
    for (int i = any(1, 30); i > 0; --i) {
        const int kind = any(0, 9);
        if (kind < 2) {
            // Where it is entered in another order in another class, it still may not wait for
            // itself: its parts wait for what was there before any of them.
            const int instance = p.enter(transfers[static_cast<std::size_t>(
                any(0, static_cast<int>(transfers.size()) - 1))]);
            std::vector<int> order;
            for (int c = 0; c < classes; ++c) order.insert(order.begin() + any(0, c), c);
            std::vector<int> parts(static_cast<std::size_t>(classes));
            for (const int c : order) {
                const int id = p.part(instance, c, any(0, streams - 1), some_of(tasks_of(c)));
                tasks_of(c).push_back(id);
                parts[static_cast<std::size_t>(c)] = id;
            }
            // Participants stand in the order of the shares.
            p.program.instances[static_cast<std::size_t>(instance)].tasks = parts;
            continue;
        }
        const int c = any(0, classes - 1), s = any(0, streams - 1);
        const auto after = some_of(tasks_of(c));
        const int id = kind == 2 ? p.host(c, s, any(0, 10), after)
                                 : p.task(c, s,
                                          operators[static_cast<std::size_t>(
                                              any(0, static_cast<int>(operators.size()) - 1))],
                                          after);
        p.of(id).priority = any(0, 5) == 0 ? 1 : 0;
        p.of(id).micro_batch = any(0, 1);
        tasks_of(c).push_back(id);
    }
    return p;
}

// The same tasks listed class by class in an order of each class's own, as far as their
// dependencies allow: transfers then stand in different orders in different classes.
inline SmallProgram reordered(const SmallProgram& p) {
    SmallProgram result = p;
    const auto& tasks = p.program.tasks;
    std::vector<int> new_id(tasks.size(), -1);
    std::vector<int> left;
    for (int i = 0; i < static_cast<int>(tasks.size()); ++i) left.push_back(i);
    result.program.tasks.clear();
    while (!left.empty()) {
        // Of the first few whose dependencies are placed, any.
        std::vector<std::size_t> ready;
        for (std::size_t i = 0; i < left.size() && ready.size() < 6; ++i) {
            const auto& after = tasks[static_cast<std::size_t>(left[i])].after;
            if (std::all_of(after.begin(), after.end(),
                            [&](int b) { return new_id[static_cast<std::size_t>(b)] >= 0; }))
                ready.push_back(i);
        }
        const std::size_t chosen =
            ready[static_cast<std::size_t>(any(0, static_cast<int>(ready.size()) - 1))];
        Task task = tasks[static_cast<std::size_t>(left[chosen])];
        for (int& before : task.after) before = new_id[static_cast<std::size_t>(before)];
        new_id[static_cast<std::size_t>(left[chosen])] =
            static_cast<int>(result.program.tasks.size());
        result.program.tasks.push_back(task);
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(chosen));
    }
    for (auto& instance : result.program.instances) {
        for (int& id : instance.tasks) id = new_id[static_cast<std::size_t>(id)];
    }
    return result;
}

}  // namespace podsim
