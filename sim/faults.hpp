// What is broken of a fabric in one alternative of an experiment.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/diagnostic.hpp"
#include "base/form.hpp"
#include "base/units.hpp"
#include "interconnect/system.hpp"

namespace podsim {

enum class FabricLevel { scale_up, scale_out };
const std::vector<std::pair<const char*, FabricLevel>>& names_of(const FabricLevel*);

struct PoolFault {
    FaultSpec part;
    FabricLevel level = FabricLevel::scale_up;
    // serving: when, on the traffic's clock, and of which replicas; always and of all if absent.
    std::optional<Seconds> from, until;
    std::vector<int> replicas;
    bool is_timed() const { return from || until || !replicas.empty(); }
};

template <class Form>
void describe(Form& form, PoolFault& fault) {
    form.optional("level", fault.level, "of which links it is a part: scale_up or scale_out");
    form.optional("from", fault.from, "serving: since when it is broken, on the traffic's clock",
                  non_negative());
    form.optional("until", fault.until, "serving: when it is whole again; to the end if absent",
                  positive());
    form.optional("replicas", fault.replicas,
                  "serving: that have it, counted from 0; all of the pool if absent",
                  non_negative());
    if (form.ok() && fault.until && fault.from.value_or(Seconds(0.0)) >= *fault.until)
        form.problem("until", "is not after from");
    describe_fault(form, fault.part);
}

// Adds those that always hold to the system's own; the others are tried alone, on a copy. What is
// wrong with one, a part that is not there or that cuts the fabric in two, stands at its place.
// Returns what is broken, in words.
std::vector<std::string> break_parts(SystemSpec& system, const std::vector<PoolFault>& faults,
                                     const std::string& path, Problems& problems);
// The same for those of these numbers, whatever their time.
std::vector<std::string> break_timed(SystemSpec& system, const std::vector<PoolFault>& faults,
                                     const std::vector<std::size_t>& which, const std::string& path,
                                     Problems& problems);

}  // namespace podsim
