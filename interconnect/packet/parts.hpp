// What a module is made of, unmade from the last on: SystemC looks for what goes in its registries
// from their ends, and from the first on a network of ten thousand ports would look a hundred
// million times.
#pragma once

#include <memory>
#include <vector>

namespace podsim {

template <class T>
class Parts : public std::vector<std::unique_ptr<T>> {
  public:
    Parts() = default;
    Parts(const Parts&) = delete;
    Parts& operator=(const Parts&) = delete;
    ~Parts() {
        while (!this->empty()) this->pop_back();
    }
};

}  // namespace podsim
