#include "app/inventory_plan_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

std::string cut(const std::string& name, std::size_t width) {
    return name.size() > width ? name.substr(0, width - 1) + "." : name;
}

std::string service_text(const InventoryService& service) {
    std::string text = hanging("", fmt::format("{}: {}", service.name, service.model));
    if (service.pools.empty()) return text + hanging("  unmet: ", service.unmet);
    const ServingAnswer& answer = *service.plan.answer;
    text +=
        hanging("  ", fmt::format("goes to {}: {} chips, {} kW with cooling, {} kUSD a month; "
                                  "bound {} chips; {} % good",
                                  service.plan.name, answer.chips, significant(answer.watts / 1e3),
                                  significant(service.usd_per_month / 1e3), answer.bound_chips,
                                  significant(answer.good * 100)));
    text += fmt::format("  {:<12}{:<9}{:<22}{:>6}{:>9}{:>6}{:>7}\n", "pool", "role", "system",
                        "chips", "replicas", "here", "bought");
    for (const PlacedPool& pool : service.pools) {
        text += fmt::format("  {:<12}{:<9}{:<22}{:>6}{:>9}{:>6}{:>7}\n", cut(pool.name, 11),
                            pool.role.empty() ? "serve" : pool.role, cut(pool.system, 21),
                            pool.chips, pool.replicas, pool.owned, pool.replicas - pool.owned);
    }
    return text;
}

std::string systems_text(const InventoryReport& report) {
    std::string text = fmt::format("{:<24}{:<16}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "system", "chip",
                                   "owned", "used", "left", "to buy", "USD/h");
    for (const InventorySystem& system : report.systems) {
        if (system.owned == 0 && system.bought == 0) continue;
        text += fmt::format("{:<24}{:<16}{:>8}{:>8}{:>8}{:>8}{:>8}\n", cut(system.system, 23),
                            cut(system.chip, 15), system.owned, system.used,
                            system.owned - system.used, system.bought,
                            system.owned > 0 ? significant(system.usd_per_chip_hour, 3) : "-");
    }
    return text;
}

Json pool_json(const PlacedPool& pool) {
    return {{"name", pool.name},
            {"role", pool.role},
            {"system", pool.system},
            {"chip", pool.chip},
            {"chips_per_replica", pool.chips},
            {"replicas", pool.replicas},
            {"here", pool.owned},
            {"bought", pool.replicas - pool.owned},
            {"usd_per_month", pool.usd_per_month}};
}

}  // namespace

std::string inventory_text(const InventoryReport& report) {
    std::string text = report.inventory.name + "\n\n";
    if (report.interrupted) text += "interrupted: what is best so far\n\n";
    for (const InventoryService& service : report.services) text += service_text(service) + "\n";
    text += systems_text(report);
    text += hanging("all: ", fmt::format("{} kUSD a month, {} kW with cooling",
                                         significant(report.usd_per_month / 1e3),
                                         significant(report.watts / 1e3)));
    text += hanging(
        "search: ",
        fmt::format("{} alternatives, {} of them searched, {} ways to place, {} runs",
                    report.options, report.counts.solved, report.counts.choices, report.runs));
    for (const std::string& warning : report.warnings) text += hanging("warning: ", warning);
    return text;
}

Json inventory_json(const InventoryReport& report) {
    Json json = {{"plan", 1},
                 {"kind", "inventory"},
                 {"inventory", report.inventory.name},
                 {"partial", report.partial()},
                 {"services", Json::array()},
                 {"systems", Json::array()}};
    for (const InventoryService& service : report.services) {
        Json one = {{"name", service.name}, {"model", service.model}};
        if (service.pools.empty()) {
            one["unmet"] = service.unmet;
        } else {
            const ServingAnswer& answer = *service.plan.answer;
            one["alternative"] = service.plan.name;
            one["chips"] = answer.chips;
            one["bound_chips"] = answer.bound_chips;
            one["watts"] = answer.watts;
            one["good"] = answer.good;
            one["usd_per_month"] = service.usd_per_month;
            one["pools"] = Json::array();
            for (const PlacedPool& pool : service.pools) one["pools"].push_back(pool_json(pool));
        }
        json["services"].push_back(std::move(one));
    }
    for (const InventorySystem& system : report.systems) {
        json["systems"].push_back({{"system", system.system},
                                   {"chip", system.chip},
                                   {"owned", system.owned},
                                   {"used", system.used},
                                   {"left", system.owned - system.used},
                                   {"to_buy", system.bought},
                                   {"usd_per_chip_hour", system.usd_per_chip_hour}});
    }
    json["usd_per_month"] = report.usd_per_month;
    json["watts"] = report.watts;
    json["options"] = report.options;
    json["searched"] = report.counts.solved;
    json["choices"] = report.counts.choices;
    json["runs"] = report.runs;
    json["warnings"] = report.warnings;
    return json;
}

}  // namespace podsim
