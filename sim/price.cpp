#include "sim/price.hpp"

#include <cmath>

#include "base/form.hpp"
#include "sim/metrics.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, ChipPrice& price) {
    form.optional("rental", price.rental, "what an hour of the package rents for", positive());
    form.optional("purchase", price.purchase, "what the package costs to buy", positive());
}

template <class Form>
void describe(Form& form, SystemPrice& price) {
    form.required("share_per_chip", price.share_per_chip,
                  "host, switches, optics and racks for one chip", non_negative());
}

template <class Form>
void describe(Form& form, PriceSpec& prices) {
    form.required("title", prices.title, "name in words");
    form.required("electricity", prices.electricity, "price of energy", non_negative());
    form.required("power_usage_effectiveness", prices.power_usage_effectiveness,
                  "facility power over machine power", at_least(1));
    form.required("interest", prices.interest, "cost of capital a year", non_negative());
    form.required("life_years", prices.life_years, "years until it is written off", positive());
    form.required("use", prices.use, "share of hours it is up and sold", share_above_zero());
    form.required("operations", prices.operations, "people, space, spares, on top of everything",
                  non_negative());
    form.optional("chips", prices.chips, "by chip name");
    form.optional("systems", prices.systems, "by system name");
}

PriceSpec read_prices(const Node& document, const std::string& name) {
    PriceSpec prices = read<PriceSpec>(document, "");
    prices.name = name;
    return prices;
}

double capital_recovery_factor(double interest, double years) {
    if (interest == 0) return 1.0 / years;
    const double growth = std::pow(1.0 + interest, years);
    return interest * growth / (growth - 1.0);
}

std::vector<CostBasis> cost_bases(const PriceSpec& prices, const std::string& chip,
                                  const std::string& system, const Sourced<Watts>& power_per_chip) {
    std::vector<CostBasis> bases;
    const auto chip_price = prices.chips.find(chip);
    if (chip_price == prices.chips.end()) return bases;
    if (chip_price->second.rental) {
        const auto& rental = *chip_price->second.rental;
        const double hourly = per_hour(rental.value);
        bases.push_back(
            {"rental", hourly, to_string(rental.confidence), rental.source, {{"rental", hourly}}});
    }
    const auto system_price = prices.systems.find(system);
    if (chip_price->second.purchase && system_price != prices.systems.end()) {
        const auto& purchase = *chip_price->second.purchase;
        constexpr double kHoursPerYear = 8766.0;
        const double per_usd =
            capital_recovery_factor(prices.interest.value, prices.life_years.value) /
            (kHoursPerYear * prices.use.value);
        const double chip_share = purchase.value.value() * per_usd;
        const double system_share = system_price->second.share_per_chip.value.value() * per_usd;
        const double power =
            per_hour(power_per_chip.value * prices.power_usage_effectiveness.value *
                     prices.electricity.value);
        const double operations = prices.operations.value * (chip_share + system_share + power);
        bases.push_back({"owned",
                         chip_share + system_share + power + operations,
                         to_string(purchase.confidence),
                         purchase.source,
                         {{"chip", chip_share},
                          {"system", system_share},
                          {"power", power},
                          {"operations", operations}}});
    }
    return bases;
}

nlohmann::ordered_json price_schema() {
    return schema<PriceSpec>("podsim prices");
}

}  // namespace podsim
