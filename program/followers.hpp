// Which tasks wait for each task, in one list for the whole program: a large one has ten million.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "program/program.hpp"

namespace podsim {

class TaskFollowers {
  public:
    // Dependencies must be tasks of the program.
    explicit TaskFollowers(const Program& program);
    std::span<const int> of(int task) const {
        const auto i = static_cast<std::size_t>(task);
        return std::span(followers_).subspan(first_[i], first_[i + 1] - first_[i]);
    }

  private:
    std::vector<std::size_t> first_;  // of a task, in followers_; one more at the end
    std::vector<int> followers_;
};

}  // namespace podsim
