#include "sim/api_prices.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

ApiPriceList shipped() {
    Catalog catalog(configs_root);
    return read_api_prices(catalog.load("api_prices", "public", {}, ""), "public");
}

// DeepSeek's day of February 2025 (open-infra-index, day 6): 608 G tokens in, 342 G of them found
// on disk, 168 G out, at R1's prices 562,027 USD. 266 G x 0.55 + 342 G x 0.14 + 168 G x 2.19 USD/M
// = 562,100 USD; the lengths are given in whole billions.
TEST(ApiPrices, DeepSeeksDayAtR1sPrices) {
    const ApiPrice price = shipped().prices.at("deepseek-r1");
    const Usd day = price.of(Tokens(608e9), Tokens(342e9), Tokens(168e9));
    EXPECT_NEAR(day.value(), 562100, 0.01);
    EXPECT_NEAR(day.value() / 562027, 1, 2e-4);
}

TEST(ApiPrices, WithoutAPriceOfItsOwnCachedInputCostsAsMuch) {
    const ApiPrice price = shipped().prices.at("deepseek-v4-flash-earlier");
    EXPECT_DOUBLE_EQ(price.of(Tokens(1e6), Tokens(5e5), Tokens(1e6)).value(), 0.14 + 0.28);
}

// Prices belong to models that are there.
TEST(ApiPrices, ModelsAreKnown) {
    const auto models = names_in_configs("model");
    for (const auto& [name, price] : shipped().prices) {
        if (price.model.empty()) continue;
        EXPECT_THAT(models, testing::Contains(price.model)) << name;
    }
}

TEST(ApiPrices, WhatIsWrong) {
    const auto refusal = [](const std::string& text) {
        return refusal_of([&] { (void)read_api_prices(parse_yaml(text, "a.yaml"), "a"); });
    };
    const std::string good =
        "title: t\napi_prices:\n  m: {vendor: v, date: 2026-08, input: 1 USD/Mtok, "
        "cached_input: 0.1 USD/Mtok, output: 2 USD/Mtok}\n";
    EXPECT_EQ(refusal(good), "accepted");
    EXPECT_THAT(refusal(replaced(good, "2026-08", "August")), HasSubstr("\"August\" is no date"));
    EXPECT_THAT(refusal(replaced(good, "0.1 USD", "3 USD")),
                HasSubstr("a.yaml:3:66: api_prices.m.cached_input: is above the price"));
    EXPECT_THAT(refusal(replaced(good, "1 USD/Mtok", "0 USD/Mtok")), HasSubstr("a value above 0"));
    EXPECT_THAT(refusal(replaced(good, "vendor: v, ", "")), HasSubstr("vendor: is missing"));
}

}  // namespace
}  // namespace podsim
