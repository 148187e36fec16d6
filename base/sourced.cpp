#include "base/sourced.hpp"

#include <utility>

#include "base/names.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Confidence>>& names_of(const Confidence*) {
    static const std::vector<std::pair<const char*, Confidence>> names{
        {"vendor", Confidence::vendor},   {"measured", Confidence::measured},
        {"derived", Confidence::derived}, {"estimate", Confidence::estimate},
        {"rumour", Confidence::rumour},   {"assumed", Confidence::assumed}};
    return names;
}

std::string to_string(Confidence confidence) {
    return name_of(confidence);
}

}  // namespace podsim
