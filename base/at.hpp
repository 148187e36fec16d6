// An element by an int index: programs name their parts by int, with -1 for none.
#pragma once

#include <cstddef>

namespace podsim {

template <class Container>
decltype(auto) at(Container& container, int index) {
    return container[static_cast<std::size_t>(index)];
}

}  // namespace podsim
