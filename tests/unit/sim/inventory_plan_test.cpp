// Services on chips that are owned: what each takes is what it takes alone, what it costs is where
// it stands.
#include "sim/inventory_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/plan_run.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

// Replicas of 16 chips.
Node service(const std::string& name, const std::string& rate) {
    Node experiment = serving_experiment();
    for (const auto& [path, value] :
         {std::pair("experiment", name),
          std::pair("workload.traffic.arrivals", "{law: constant, rate: " + rate + "}"),
          std::pair("workload.traffic.requests", std::string("2000")),
          std::pair("workload.slo", std::string("{ttft: 1 s, tpot: 50 ms}")),
          std::pair("alternatives.A.mapping", std::string("{tensor_parallel: 1}")),
          std::pair("plan", std::string("{spare_replicas: 1}"))})
        experiment = with(std::move(experiment), path, value);
    return experiment;
}

Node rooms(const std::string& owned, const std::string& rest = "") {
    return parse_yaml("inventory: Rooms\nowned:\n  - " + owned + "\n" + rest, "rooms.yaml");
}

InventoryReport placed(const Node& inventory, const std::vector<Node>& services) {
    Catalog catalog = test_catalog();
    return plan_inventory(inventory, services, catalog, {});
}

std::string problem(const std::string& owned, const std::vector<Node>& services,
                    const std::string& rest = "") {
    try {
        placed(rooms(owned, rest), services);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

// A used chip costs 1 kW x 1.2 x 0.10 USD/kWh and 20 % on top: 0.144 USD an hour. What is bought
// costs 2 USD.
TEST(InventoryPlan, WhatStandsAndWhatIsBought) {
    const std::vector<Node> both = {service("one", "400 req/s"), service("two", "100 req/s")};
    std::vector<int> alone;
    for (const Node& one : both) {
        Catalog catalog = test_catalog();
        alone.push_back(plan_serving(one, catalog, {}).alternatives[0].answer->chips);
    }
    const int all = alone[0] + alone[1];
    ASSERT_GE(alone[0], 48);
    const auto owned = [](int chips) {
        return rooms("{system: test-system, chips: " + std::to_string(chips) + "}");
    };
    const InventoryReport ample = placed(owned(all + 64), both);
    EXPECT_NEAR(ample.usd_per_month, 0.144 * all * 730.5, 1e-6);
    ASSERT_EQ(ample.systems.size(), 1U);
    EXPECT_EQ(ample.systems[0].used, all);
    EXPECT_EQ(ample.systems[0].bought, 0);
    for (std::size_t s = 0; s < 2; ++s) {
        EXPECT_EQ(ample.services[s].plan.answer->chips, alone[s]);
        EXPECT_EQ(ample.services[s].pools[0].owned * 16, alone[s]);
    }
    // One replica too few, and seven chips on which none fits.
    const InventoryReport tight = placed(owned(all - 16 + 7), both);
    EXPECT_EQ(tight.systems[0].used, all - 16);
    EXPECT_EQ(tight.systems[0].bought, 16);
    EXPECT_NEAR(tight.usd_per_month, (0.144 * (all - 16) + 2 * 16) * 730.5, 1e-6);

    // Nothing may be had: the smaller is served, the other says what it lacks.
    const InventoryReport none =
        placed(rooms("{system: test-system, chips: " + std::to_string(alone[1] + 15) +
                         ", price: 0.5 USD/h}",
                     "buy: false\n"),
               both);
    EXPECT_TRUE(none.services[0].pools.empty());
    EXPECT_THAT(none.services[0].unmet, HasSubstr("chips of test-system, "));
    EXPECT_NEAR(none.usd_per_month, 0.5 * alone[1] * 730.5, 1e-6);
}

// 1.2 kW a chip with its cooling: room for the second service's chips and no more.
TEST(InventoryPlan, ASiteFeedsSoManyChips) {
    const std::vector<Node> both = {service("one", "400 req/s"), service("two", "100 req/s")};
    const InventoryReport report =
        placed(rooms("{system: test-system, chips: 384}", "site_power: 300 kW\n"), both);
    EXPECT_TRUE(report.services[0].pools.empty());
    EXPECT_THAT(report.services[0].unmet, HasSubstr("kW of 300 kW of site_power"));
    ASSERT_TRUE(report.services[1].plan.answer.has_value());
    const int chips = report.services[1].plan.answer->chips;
    EXPECT_NEAR(report.watts, 1200.0 * chips, 1e-6);
    EXPECT_LE(report.watts, 300e3);
}

// What is owned of another system does not help; a service whose promise nobody keeps says so.
TEST(InventoryPlan, AServiceThatNobodyCanServe) {
    const Node slow = with(service("slow", "10 req/s"), "workload.slo", "{ttft: 1 s, tpot: 1 ms}");
    std::string text;
    try {
        const InventoryReport report = placed(rooms("{system: cloudmatrix384, chips: 384}"),
                                              {service("one", "10 req/s"), slow});
        text = report.services[1].unmet;
        EXPECT_EQ(report.systems[0].used, 0);
        EXPECT_GT(report.services[0].pools[0].replicas, 0);
        EXPECT_EQ(report.services[0].pools[0].owned, 0);
    } catch (const InputError& error) {
        text = error.what();
    }
    EXPECT_THAT(text, HasSubstr("1 ms"));
}

TEST(InventoryPlan, WhatIsWrongIsToldAtItsPlace) {
    const std::vector<Node> one = {service("one", "10 req/s")};
    EXPECT_THAT(problem("{system: test-sistem, chips: 8}", one),
                HasSubstr("rooms.yaml:3:5: owned.0.system: unknown system test-sistem"));
    EXPECT_THAT(problem("{system: test-system, chip: nothing, chips: 8}", one),
                HasSubstr("owned.0.chip"));
    EXPECT_THAT(problem("{system: test-system, chips: 0}", one), HasSubstr("owned.0.chips"));
    EXPECT_THAT(
        problem("{system: test-system, chips: 8}\n  - {system: test-system, chips: 8}", one),
        HasSubstr("has test-system twice"));
    EXPECT_THAT(problem("{system: test-system, chips: 8}", one, "sell: true\n"), HasSubstr("sell"));
    EXPECT_THAT(problem("{system: test-system, chips: 8}",
                        {without(service("one", "10 req/s"), "", "plan")}),
                HasSubstr("plan: missing: what is searched"));
    const Node scaled = with(one[0], "alternatives.A.autoscaling", "{target_requests: 8}");
    EXPECT_THAT(problem("{system: test-system, chips: 8}", {scaled}),
                HasSubstr("alternatives.A.autoscaling: says nothing to podsim plan"));
    const Node broken = with(with(one[0], "alternatives.A.system", "cloudmatrix384"),
                             "alternatives.A.faults", "[{plane: 1, until: 3 s}]");
    EXPECT_THAT(problem("{system: test-system, chips: 8}",
                        {with(with(broken, "alternatives.A.chip", "test-chip"),
                              "alternatives.A.collectives", "test-collectives")}),
                HasSubstr("alternatives.A.faults: have a time or replicas"));
}

}  // namespace
}  // namespace podsim
