// What is broken of a fabric in one alternative of an experiment.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/form.hpp"
#include "interconnect/system.hpp"

namespace podsim {

enum class FabricLevel { scale_up, scale_out };
const std::vector<std::pair<const char*, FabricLevel>>& names_of(const FabricLevel*);

struct PoolFault {
    FaultSpec part;
    FabricLevel level = FabricLevel::scale_up;
};

template <class Form>
void describe(Form& form, PoolFault& fault) {
    form.optional("level", fault.level, "of which links it is a part: scale_up or scale_out");
    describe_fault(form, fault.part);
}

// Adds them to the system's own. What is wrong with one, a part that is not there or that cuts the
// fabric in two, stands at its place. Returns what is broken, in words.
std::vector<std::string> break_parts(SystemSpec& system, const std::vector<PoolFault>& faults,
                                     const std::string& path, Problems& problems);

}  // namespace podsim
