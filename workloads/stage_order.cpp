#include "workloads/stage_order.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "base/at.hpp"

namespace podsim {

namespace {

void add_once(std::vector<int>& after, int task) {
    if (task >= 0 && std::find(after.begin(), after.end(), task) == after.end())
        after.push_back(task);
}

}  // namespace

void order_by_turn(Program& program, const std::vector<int>& turns, int stream) {
    const std::size_t count = program.tasks.size();
    if (turns.size() != count) {
        throw std::invalid_argument(
            fmt::format("{} turns for {} tasks, expected one each", turns.size(), count));
    }
    std::vector<int> order(count), place(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return at(turns, a) < at(turns, b); });
    for (std::size_t i = 0; i < count; ++i) at(place, order[i]) = static_cast<int>(i);

    std::vector<Task> sorted;
    sorted.reserve(count);
    std::vector<int> last(program.classes.size(), -1);  // kernel on `stream`, by class
    for (std::size_t i = 0; i < count; ++i) {
        Task task = std::move(at(program.tasks, order[i]));
        for (int& before : task.after) {
            before = at(place, before);
            if (before >= static_cast<int>(i)) {
                throw std::invalid_argument(
                    fmt::format("task {} of turn {} waits for one of a later turn", order[i],
                                at(turns, order[i])));
            }
        }
        const bool is_kernel = task.stream == stream && task.kind != TaskKind::transfer;
        if (is_kernel || task.kind == TaskKind::transfer)
            add_once(task.after, at(last, task.rank_class));
        if (is_kernel) at(last, task.rank_class) = static_cast<int>(i);
        sorted.push_back(std::move(task));
    }
    program.tasks = std::move(sorted);
    for (TransferInstance& instance : program.instances) {
        for (int& task : instance.tasks) task = at(place, task);
    }
}

}  // namespace podsim
