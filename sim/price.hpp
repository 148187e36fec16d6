// What a chip-hour costs: by renting it, and by owning it.
//
//   owned, per hour = ((chip + its share of the system) x CRF / (8766 h x use)
//                      + all-in power x PUE x electricity) x (1 + operations)
//   CRF = r (1 + r)^n / ((1 + r)^n - 1)   capital recovery over n years at interest r
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/chip.hpp"
#include "chips/silicon_cost.hpp"
#include "interconnect/system.hpp"
#include "sim/alternative_result.hpp"

namespace podsim {

struct ChipPrice {
    std::optional<Sourced<UsdPerSecond>> rental;
    std::optional<Sourced<Usd>> purchase;
};

struct SystemPrice {
    Sourced<Usd> share_per_chip;  // host, switches, optics, racks, for one chip
};

// Memory and drives beside the chips: what caches of sessions are kept in.
struct MediumPrice {
    Sourced<UsdPerByte> purchase;
};

struct PriceSpec {
    std::string name, title;
    Sourced<UsdPerJoule> electricity;
    Sourced<double> power_usage_effectiveness, interest, life_years, use, operations;
    std::optional<SiliconPrices> silicon;  // what silicon costs, for chips without a price
    std::map<std::string, ChipPrice> chips;
    std::map<std::string, SystemPrice> systems;
    std::map<std::string, MediumPrice> media;
};

PriceSpec read_prices(const Node& document, const std::string& name);

double capital_recovery_factor(double interest, double years);

// The bases that are known for this chip in this system, rental first. A variant without a price
// of its own takes that of the machine it started from; `notes` says so, and names what is missing
// for a basis that cannot be given. A chip without a price of its own that says what it is built of
// has one that follows from its silicon, with a band: basis "silicon", owned at that price.
std::vector<CostBasis> cost_bases(const PriceSpec& prices, const ChipSpec& chip,
                                  const SystemSpec& system, std::vector<std::string>& notes);

// The basis of a name; "silicon", which is ownership too, where `owned` is asked for and not there.
std::optional<CostBasis> basis_named(const std::vector<CostBasis>& bases, const std::string& name);

// Of pools that are paid for together, the bases that all of them have (basis_named): rent and
// ownership do not add up. Where they differ a note says what each pool has.
std::vector<std::string> common_bases(
    const std::vector<std::pair<std::string, std::vector<CostBasis>>>& pools,
    std::vector<std::string>& notes);

// What an hour of so much of a medium costs who owns it: capital and operations; its power is the
// system's. Low and high where the price has them. Throws std::out_of_range for a medium that has
// no price.
struct MediumCost {
    double usd_per_hour = 0, low = 0, high = 0;
};
MediumCost medium_cost(const PriceSpec& prices, const std::string& medium, Bytes capacity);

// What an hour of a chip that is paid for costs: its power with cooling, and operations on that.
double running_usd_per_hour(const PriceSpec& prices, const SystemSpec& system);

nlohmann::ordered_json price_schema();

}  // namespace podsim
