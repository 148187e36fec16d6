// What a run draws, by component. Work and bytes are counted in the program, energies come from the
// chip (chips/energy.hpp), times from the machine:
//
//   E = ranks x (sum of FLOPs x e_flop + bytes x e_level + sent bytes x e_link)
//       + packages x (P_static + P_node) x T
//
// P_node, what the host, network and fans draw for one chip, is the system's nameplate less the
// design power of the chip it is built around, taken as constant. A kernel that would draw more
// than the cap at full voltage draws the cap: clock and voltage have fallen (chips/power.hpp).
#pragma once

#include <vector>

#include "sim/alternative_result.hpp"
#include "sim/assemble.hpp"
#include "sim/resolve.hpp"

namespace podsim {

// Parts that go with time, whether or not there is work.
inline constexpr const char* kStaticEnergy = "static";
inline constexpr const char* kHostEnergy = "host, network, fans";
bool is_at_rest(const EnergyPart& part);
double energy_at_rest(const std::vector<EnergyPart>& parts);  // J

// Of all packages in one iteration, and of the packages alone.
struct EnergyTotal {
    double whole = 0, package = 0;
};
// With all energies at the low end of their bands and at the high one.
struct EnergyBand {
    EnergyTotal low, high;
};

// What a run draws by component, shares left open.
std::vector<EnergyPart> energy_parts(const AssemblyInput& input,
                                     const ResolvedAlternative& alternative, bool busy);

// Fills result.energy and energy_each of its rows, which are in the order of operator_rows(). A
// rank long busy is held to its cap, one that rested is not yet.
EnergyBand add_energy(AlternativeResult& result, const AssemblyInput& input,
                      const ResolvedAlternative& alternative, bool busy);

// The same of programs that ran so many times each within `seconds`, without rows.
struct EnergyRun {
    const AssemblyInput* input = nullptr;
    double times = 1;
};
EnergyBand add_energy_of_runs(AlternativeResult& result, const std::vector<EnergyRun>& runs,
                              double seconds, const ResolvedAlternative& alternative, bool busy);

// power_per_chip, power_package, power_nameplate_per_chip, and energy_per_token for so many tokens
// an iteration (0: none); then what racks and site allow, with warnings.
void add_power_metrics(AlternativeResult& result, const EnergyBand& band,
                       const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                       double tokens);

}  // namespace podsim
