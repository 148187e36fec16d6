#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <string>

#include "base/units.hpp"

namespace podsim {
namespace {

Dimension any_dimension() {
    const Dimension named[] = {{},
                               Seconds::dimension,
                               Hertz::dimension,
                               Bytes::dimension,
                               BytesPerSecond::dimension,
                               Flops::dimension,
                               FlopsPerSecond::dimension,
                               Usd::dimension,
                               UsdPerSecond::dimension,
                               UsdPerToken::dimension,
                               UsdPerFlop::dimension,
                               Joules::dimension,
                               Watts::dimension,
                               UsdPerJoule::dimension,
                               Tokens::dimension,
                               TokensPerSecond::dimension};
    if (*rc::gen::inRange(0, 3) > 0) return named[*rc::gen::inRange(0, 16)];
    const auto exponent = [] { return *rc::gen::inRange(-2, 3); };
    return {exponent(), exponent(), exponent(), exponent(), exponent(), exponent()};
}

// Printing keeps four significant digits: parse(format(x)) is within 5e-4 of x, and printing
// what was read changes nothing more.
TEST(UnitsProperty, WhatIsPrintedReadsBack) {
    EXPECT_TRUE(rc::check([] {
        const Dimension dimension = any_dimension();
        const double mantissa = *rc::gen::inRange(-99999, 100000) / 1000.0;
        const double value = mantissa * std::pow(10.0, *rc::gen::inRange(-20, 25));
        const std::string text = format_quantity(value, dimension);
        const double again = parse_quantity(text, dimension);
        RC_LOG() << value << " -> " << text << " -> " << again << "\n";
        RC_ASSERT(std::abs(again - value) <= 5.0001e-4 * std::abs(value));
        RC_ASSERT(format_quantity(again, dimension) == text);
    }));
}

// A text is either a finite number or a UnitError with both halves filled; never anything else.
TEST(UnitsProperty, AnyTextIsAValueOrAUnitError) {
    EXPECT_TRUE(rc::check([] {
        const auto text = *rc::gen::container<std::string>(
            rc::gen::oneOf(rc::gen::elementOf(std::string("0123456789.eE+-/%* kMGTbBsWhin")),
                           rc::gen::arbitrary<char>()));
        try {
            RC_ASSERT(std::isfinite(parse_quantity(text, any_dimension())));
        } catch (const UnitError& error) {
            RC_ASSERT(!error.what.empty());
            RC_ASSERT(!error.expected.empty());
        }
    }));
}

}  // namespace
}  // namespace podsim
