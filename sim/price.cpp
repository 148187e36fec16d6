#include "sim/price.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/form.hpp"
#include "chips/silicon_form.hpp"
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
void describe(Form& form, MediumPrice& price) {
    form.required("purchase", price.purchase, "what a byte of it costs to buy: 12 USD/GB",
                  non_negative());
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
    form.optional("silicon", prices.silicon,
                  "what silicon costs, for chips that are neither rented nor sold");
    form.optional("chips", prices.chips, "by chip name");
    form.optional("systems", prices.systems, "by system name");
    form.optional("media", prices.media,
                  "memory and drives beside the chips, by the names that cache tiers give as "
                  "medium");
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

namespace {

// The price of `name`, or of the machine it is a variant of.
template <class Price>
const Price* price_of(const std::map<std::string, Price>& prices, const std::string& kind,
                      const std::string& name, const std::string& variant_of,
                      std::vector<std::string>& notes) {
    const auto own = prices.find(name);
    if (own != prices.end()) return &own->second;
    const auto parent = prices.find(variant_of);
    if (variant_of.empty() || parent == prices.end()) return nullptr;
    notes.push_back(
        fmt::format("{} {} has no price of its own: that of {} stands in", kind, name, variant_of));
    return &parent->second;
}

// What owning costs an hour, for a chip of `chip` and a share of the system of `system`.
std::vector<std::pair<std::string, double>> owning(const PriceSpec& prices,
                                                   const SystemSpec& machine, Usd chip,
                                                   Usd system) {
    constexpr double kHoursPerYear = 8766.0;
    const double per_usd = capital_recovery_factor(prices.interest.value, prices.life_years.value) /
                           (kHoursPerYear * prices.use.value);
    const double chip_share = chip.value() * per_usd;
    const double system_share = system.value() * per_usd;
    const double power =
        per_hour(machine.power_per_chip.value * prices.power_usage_effectiveness.value *
                 prices.electricity.value);
    const double operations = prices.operations.value * (chip_share + system_share + power);
    return {{"chip", chip_share},
            {"system", system_share},
            {"power", power},
            {"operations", operations}};
}

double sum_of(const std::vector<std::pair<std::string, double>>& parts) {
    double sum = 0;
    for (const auto& [part, usd] : parts) sum += usd;
    return sum;
}

// Owning at the price that follows from the chip's silicon; nothing, and a note, where the model
// has no answer.
std::optional<CostBasis> silicon_basis(const PriceSpec& prices, const ChipSpec& chip,
                                       const SystemSpec& system, const SystemPrice* system_price,
                                       std::vector<std::string>& notes) {
    Sourced<Usd> share = prices.silicon->system_share;
    if (system_price != nullptr) {
        share = system_price->share_per_chip;
    } else if (system.built_share) {
        share = *system.built_share;
    }
    const auto parts_at = [&](Band band) {
        const SiliconCost cost =
            silicon_cost(chip, *chip.silicon, *chip.process, *prices.silicon, band);
        return owning(prices, system, cost.price, dearer(share, band));
    };
    try {
        const auto parts = parts_at(Band::value);
        const double low = sum_of(parts_at(Band::low)), high = sum_of(parts_at(Band::high));
        notes.push_back(fmt::format(
            "prices {} know no chip {}: a price follows from its silicon, {:.2f} to {:.2f} USD/h",
            prices.name, chip.name, low, high));
        if (chip.silicon->die_mm2 && !chip.variant_of.empty()) {
            notes.push_back(fmt::format(
                "silicon.die_mm2 of {} is that of {}: silicon.die_mm2=null has the area follow "
                "from the parts of the changed chip",
                chip.name, chip.variant_of));
        }
        return CostBasis{
            "silicon", sum_of(parts), low, high, "estimate", "its silicon (docs/power.md)", parts};
    } catch (const std::invalid_argument& error) {
        notes.push_back(
            fmt::format("no price follows from the silicon of {}: {}", chip.name, error.what()));
        return std::nullopt;
    }
}

}  // namespace

std::vector<CostBasis> cost_bases(const PriceSpec& prices, const ChipSpec& chip,
                                  const SystemSpec& system, std::vector<std::string>& notes) {
    std::vector<CostBasis> bases;
    const ChipPrice* chip_price = price_of(prices.chips, "chip", chip.name, chip.variant_of, notes);
    const SystemPrice* system_price =
        price_of(prices.systems, "system", system.name, system.variant_of, notes);
    const bool own_price = prices.chips.count(chip.name) > 0 && chip.variant_of != chip.name;
    const bool has_silicon = chip.silicon && chip.process && prices.silicon;
    if (chip_price != nullptr && chip.variant_of == chip.name) {
        notes.push_back(fmt::format("the price is that of an unchanged {}", chip.name));
    }
    if (chip_price == nullptr && !has_silicon) {
        notes.push_back(
            fmt::format("prices {} know no chip {}: no cost is given; add "
                        "chips.{}.rental or .purchase to a price list",
                        prices.name, chip.name, chip.name));
        return bases;
    }
    if (chip_price != nullptr && chip_price->rental) {
        const auto& rental = *chip_price->rental;
        const double hourly = per_hour(rental.value);
        bases.push_back({"rental",
                         hourly,
                         {},
                         {},
                         to_string(rental.confidence),
                         rental.source,
                         {{"rental", hourly}}});
    }
    const bool built = system_price == nullptr && system.built_share.has_value();
    if (chip_price != nullptr && chip_price->purchase && built) {
        notes.push_back(
            fmt::format("prices {} know no system {}: its share is worked out from parts",
                        prices.name, system.name));
    } else if (chip_price != nullptr && chip_price->purchase && system_price == nullptr) {
        notes.push_back(
            fmt::format("prices {} know no system {}: the cost of owning is not given; "
                        "add systems.{}.share_per_chip to a price list",
                        prices.name, system.name, system.name));
    }
    if (chip_price != nullptr && chip_price->purchase && (built || system_price != nullptr)) {
        const auto& purchase = *chip_price->purchase;
        const Usd share = built ? system.built_share->value : system_price->share_per_chip.value;
        const auto parts = owning(prices, system, purchase.value, share);
        bases.push_back({"owned",
                         sum_of(parts),
                         {},
                         {},
                         to_string(purchase.confidence),
                         purchase.source,
                         parts});
    }
    if (has_silicon && !own_price) {
        if (auto basis = silicon_basis(prices, chip, system, system_price, notes))
            bases.push_back(*std::move(basis));
    }
    return bases;
}

std::optional<CostBasis> basis_named(const std::vector<CostBasis>& bases, const std::string& name) {
    for (const std::string& one : {name, std::string(name == "owned" ? "silicon" : "")}) {
        for (const CostBasis& basis : bases) {
            if (basis.name == one) return basis;
        }
    }
    return {};
}

std::vector<std::string> common_bases(
    const std::vector<std::pair<std::string, std::vector<CostBasis>>>& pools,
    std::vector<std::string>& notes) {
    std::vector<std::string> names;
    std::string text;
    bool is_owned = false, differ = false;
    for (const auto& [pool, bases] : pools) {
        text += fmt::format("{}{}:", text.empty() ? "" : "; ", pool);
        for (const CostBasis& one : bases) {
            text += " " + one.name;
            is_owned = is_owned || one.name == "owned";
            if (std::find(names.begin(), names.end(), one.name) == names.end())
                names.push_back(one.name);
        }
        if (bases.empty()) text += " no price";
    }
    std::vector<std::string> common;
    for (const std::string& name : names) {
        const auto has = [&](const auto& pool) {
            return basis_named(pool.second, name).has_value();
        };
        const bool is_exact = std::all_of(pools.begin(), pools.end(), [&](const auto& pool) {
            const auto basis = basis_named(pool.second, name);
            return basis && basis->name == name;
        });
        differ = differ || !is_exact;
        if (name == "silicon" && is_owned) continue;
        if (std::all_of(pools.begin(), pools.end(), has)) common.push_back(name);
    }
    if (!differ) return common;
    std::string given;
    for (const std::string& name : common) given += (given.empty() ? "" : ", ") + name;
    notes.push_back(fmt::format(
        "prices of the pools rest on different bases ({}); rent and ownership are not added up: {}",
        text,
        given.empty() ? "no cost is given for all of them"
                      : given + " is given" +
                            (is_owned ? ", a price that follows from silicon standing in for one "
                                        "that was paid"
                                      : "")));
    return common;
}

MediumCost medium_cost(const PriceSpec& prices, const std::string& medium, Bytes capacity) {
    constexpr double kHoursPerYear = 8766.0;
    const Sourced<UsdPerByte>& price = prices.media.at(medium).purchase;
    const double per_usd = capital_recovery_factor(prices.interest.value, prices.life_years.value) /
                           (kHoursPerYear * prices.use.value) * (1 + prices.operations.value);
    const auto hourly = [&](UsdPerByte each) { return (each * capacity).value() * per_usd; };
    return {hourly(price.value), hourly(price.low.value_or(price.value)),
            hourly(price.high.value_or(price.value))};
}

double running_usd_per_hour(const PriceSpec& prices, const SystemSpec& system) {
    return sum_of(owning(prices, system, Usd(0.0), Usd(0.0)));
}

nlohmann::ordered_json price_schema() {
    return schema<PriceSpec>("podsim prices").json();
}

}  // namespace podsim
