#include "program/followers.hpp"

#include <numeric>

#include "base/at.hpp"

namespace podsim {

TaskFollowers::TaskFollowers(const Program& program) : first_(program.tasks.size() + 1, 0) {
    for (const Task& task : program.tasks)
        for (const int before : task.after) ++at(first_, before + 1);
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    followers_.resize(first_.back());
    std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
    for (std::size_t i = 0; i < program.tasks.size(); ++i)
        for (const int before : program.tasks[i].after)
            followers_[at(next, before)++] = static_cast<int>(i);
}

}  // namespace podsim
