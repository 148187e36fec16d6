#include "sim/faults.hpp"

#include <fmt/format.h>

namespace podsim {

const std::vector<std::pair<const char*, FabricLevel>>& names_of(const FabricLevel*) {
    static const std::vector<std::pair<const char*, FabricLevel>> names = {
        {"scale_up", FabricLevel::scale_up}, {"scale_out", FabricLevel::scale_out}};
    return names;
}

namespace {

// What is broken, in words; "" where that is an error.
std::string break_part(SystemSpec& system, const PoolFault& fault, const std::string& where,
                       Problems& problems) {
    const bool up = fault.level == FabricLevel::scale_up;
    LinkLevelSpec& level = up ? system.scale_up : system.scale_out;
    const char* name = up ? "scale_up" : "scale_out";
    if (!level.topology) {
        problems.push_back(
            {fault.part.place, where,
             fmt::format("{} of {} is ports alone: it has no parts", name, system.name),
             fmt::format("a system whose {} has a topology (docs/fabric.md), or "
                         "{}.planes_down",
                         name, name)});
        return "";
    }
    level.topology->faults.push_back(fault.part);
    try {
        (void)topology_of(system, up);
    } catch (const InputError& error) {
        level.topology->faults.pop_back();
        for (const Diagnostic& one : error.diagnostics())
            problems.push_back({fault.part.place, where, one.what, one.hint});
        return "";
    }
    return fmt::format("{} of {} {}", name_of(fault.part), name,
                       fault.part.capacity > 0
                           ? fmt::format("has {:.4g} % of its bandwidth", fault.part.capacity * 100)
                           : std::string("is dead"));
}

}  // namespace

std::vector<std::string> break_parts(SystemSpec& system, const std::vector<PoolFault>& faults,
                                     const std::string& path, Problems& problems) {
    std::vector<std::string> broken;
    for (std::size_t i = 0; i < faults.size(); ++i) {
        const std::string where = fmt::format("{}.faults[{}]", path, i);
        SystemSpec copy;
        if (faults[i].is_timed()) copy = system;
        const std::string what =
            break_part(faults[i].is_timed() ? copy : system, faults[i], where, problems);
        if (!what.empty() && !faults[i].is_timed()) broken.push_back(what);
    }
    return broken;
}

std::vector<std::string> break_timed(SystemSpec& system, const std::vector<PoolFault>& faults,
                                     const std::vector<std::size_t>& which, const std::string& path,
                                     Problems& problems) {
    std::vector<std::string> broken;
    for (const std::size_t i : which) {
        const std::string what =
            break_part(system, faults[i], fmt::format("{}.faults[{}]", path, i), problems);
        if (!what.empty()) broken.push_back(what);
    }
    return broken;
}

}  // namespace podsim
