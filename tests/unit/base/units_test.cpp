#include "base/units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace podsim {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

template <class Q>
double parsed(const std::string& text) {
    return parse_quantity(text, Q::dimension);
}

// what + expected of the error that reading `text` as a Q gives, "" when it reads.
std::string error_of(const std::string& text, Dimension dimension) {
    try {
        parse_quantity(text, dimension);
    } catch (const UnitError& error) {
        return error.what + " | " + error.expected;
    }
    return "";
}

TEST(Units, TimesAreExactDecimals) {
    // 929 ns is the double nearest to 929e-9, as written in code, not one beside it.
    EXPECT_EQ(parsed<Seconds>("929 ns"), 929e-9);
    EXPECT_EQ(parsed<Seconds>("3 ps"), 3e-12);
    EXPECT_EQ(parsed<Seconds>("2.5 us"), 2.5e-6);
    EXPECT_EQ(parsed<Seconds>("2.5 \u00b5s"), 2.5e-6);
    EXPECT_EQ(parsed<Seconds>("50ms"), 0.05);
    EXPECT_EQ(parsed<Seconds>("1 min"), 60.0);
    EXPECT_EQ(parsed<Seconds>("1.5 h"), 5400.0);
    EXPECT_EQ(parsed<Seconds>("2 day"), 172800.0);
    EXPECT_EQ(parsed<Seconds>("4 year"), 4.0 * 365 * 86400);
}

TEST(Units, BytesBitsAndBinaryPrefixesDiffer) {
    EXPECT_EQ(parsed<Bytes>("1 GB"), 1e9);
    EXPECT_EQ(parsed<Bytes>("1 GiB"), 1073741824.0);
    EXPECT_EQ(parsed<Bytes>("192 KiB"), 192.0 * 1024);
    EXPECT_EQ(parsed<Bytes>("24 Gb"), 3e9);  // a DRAM die
    EXPECT_EQ(parsed<BytesPerSecond>("3.2 TB/s"), 3.2e12);
    // 400 Gb/s = 400e9 / 8 bytes per second
    EXPECT_EQ(parsed<BytesPerSecond>("400 Gb/s"), 50e9);
    EXPECT_EQ(parsed<BytesPerSecond>("400 Gbit/s"), 50e9);
    EXPECT_EQ(parsed<BytesPerSecond>("1 GB / s"), 1e9);
    EXPECT_EQ(parsed<BytesPerSecond>("1 GB/ms"), 1e12);
}

TEST(Units, WorkMoneyEnergyAndTokens) {
    EXPECT_EQ(parsed<FlopsPerSecond>("752 TFLOPS"), 752e12);
    EXPECT_EQ(parsed<FlopsPerSecond>("752 TFLOP/s"), 752e12);
    EXPECT_EQ(parsed<FlopsPerSecond>("1504 TOPS"), 1504e12);
    EXPECT_EQ(parsed<Flops>("2 PFLOP"), 2e15);
    EXPECT_EQ(parsed<UsdPerSecond>("2.00 USD/h"), 2.0 / 3600);
    EXPECT_EQ(parsed<UsdPerToken>("0.30 USD/Mtok"), 0.30 / 1e6);
    // 1 kWh = 3.6e6 J
    EXPECT_DOUBLE_EQ(parsed<UsdPerJoule>("0.08 USD/kWh"), 0.08 / 3.6e6);
    EXPECT_EQ(parsed<Joules>("1 kWh"), 3.6e6);
    EXPECT_EQ(parsed<Watts>("1.2 kW"), 1200.0);
    EXPECT_EQ(parsed<Watts>("600 J/s"), 600.0);
    // an EFLOP-hour is 1e18 x 3600 FLOP
    EXPECT_DOUBLE_EQ(parsed<UsdPerFlop>("3.6 USD/EFLOP-h"), 3.6 / 3.6e21);
    EXPECT_EQ(parsed<Tokens>("4096 tokens"), 4096.0);
    EXPECT_EQ(parsed<Tokens>("1 token"), 1.0);
    EXPECT_EQ(parsed<Tokens>("14.8 Ttok"), 14.8e12);
    EXPECT_EQ(parsed<TokensPerSecond>("1943 tok/s"), 1943.0);
    EXPECT_EQ(parsed<Hertz>("1.8 GHz"), 1.8e9);
    EXPECT_EQ(parsed<Hertz>("5 req/s"), 5.0);
    EXPECT_EQ(parsed<Hertz>("5 1/s"), 5.0);
    // 4 pJ/bit = 32 pJ a byte
    EXPECT_DOUBLE_EQ(parse_quantity("4 pJ/bit", {0, -1, 0, 0, 1, 0}), 32e-12);
}

TEST(Units, NumberForms) {
    EXPECT_EQ(parsed<Bytes>("+1e3 GB"), 1e12);
    EXPECT_EQ(parsed<Bytes>("-1.5E+2 B"), -150.0);
    EXPECT_EQ(parsed<Bytes>(".5 GB"), 0.5e9);
    EXPECT_EQ(parsed<Bytes>("  0.5 GB "), 0.5e9);
    EXPECT_EQ(parsed<Flops>("5EFLOP"), 5e18);  // an E that is no exponent
    EXPECT_EQ(parse_quantity("12 %", {}), 0.12);
    EXPECT_EQ(parse_quantity("12%", {}), 0.12);
    EXPECT_EQ(parse_quantity("0.12", {}), 0.12);
}

TEST(Units, ErrorsNameWhatIsWrongAndWhatWasExpected) {
    const Dimension rate = BytesPerSecond::dimension;
    EXPECT_EQ(error_of("3.2", rate),
              "bare number 3.2: a unit belongs here | a rate of bytes such as 3.2 TB/s");
    EXPECT_EQ(error_of("3.2 TB", rate),
              "\"3.2 TB\" is an amount of bytes | a rate of bytes such as 3.2 TB/s");
    EXPECT_EQ(error_of("989 TFLOP", FlopsPerSecond::dimension),
              "\"989 TFLOP\" is an amount of work | a rate of work such as 752 TFLOPS");
    EXPECT_THAT(error_of("12 %", rate), HasSubstr("\"12 %\" is a share"));
    EXPECT_THAT(error_of("3 GB", {}), HasSubstr("\"3 GB\" has a unit, none belongs here"));
    EXPECT_THAT(error_of("", rate), HasSubstr("nothing is written here"));
    EXPECT_THAT(error_of("fast", rate), HasSubstr("\"fast\" does not begin with a number"));
    EXPECT_THAT(error_of("- 3 GB/s", rate), HasSubstr("does not begin with a number"));
    for (const char* text : {"nan GB/s", "-inf GB/s", ".inf", "+.NaN GB/s", "Infinity GB/s"}) {
        EXPECT_THAT(error_of(text, rate), HasSubstr("is not a finite number")) << text;
    }
    EXPECT_THAT(error_of("0x10 GB/s", rate), HasSubstr("hexadecimal"));
    EXPECT_THAT(error_of("010 GB/s", rate), HasSubstr("no leading zeros"));
    EXPECT_THAT(error_of("1e999 GB/s", rate), HasSubstr("beyond the range"));
    EXPECT_THAT(error_of("1e300 GB/s", rate), HasSubstr("beyond the range"));
    EXPECT_THAT(error_of("1,000 GB/s", rate), HasSubstr("without separators"));
    EXPECT_THAT(error_of("1_000 GB/s", rate), HasSubstr("without separators"));
}

TEST(Units, UnknownUnitsGetAHint) {
    const Dimension rate = BytesPerSecond::dimension;
    EXPECT_THAT(
        error_of("3 gb/s", rate),
        HasSubstr("unknown unit \"gb\" in \"gb/s\": did you mean GB (bytes) or Gb (bits)?"));
    EXPECT_THAT(error_of("3 Tb/S", rate),
                HasSubstr("unknown unit \"S\" in \"Tb/S\": did you mean s?"));
    EXPECT_THAT(error_of("400 Gbps", rate), HasSubstr("did you mean Gb/s?"));
    EXPECT_THAT(error_of("3 KB/s", rate), HasSubstr("kB (1000 bytes) or KiB (1024 bytes)"));
    EXPECT_THAT(error_of("3 TFLOPs", FlopsPerSecond::dimension), HasSubstr("TFLOPS"));
    EXPECT_THAT(error_of("3 mw", Watts::dimension), HasSubstr("did you mean mW or MW?"));
    EXPECT_THAT(error_of("3 GBit/s", rate), HasSubstr("did you mean Gbit (bits)?"));
    EXPECT_THAT(error_of("3 toks", Tokens::dimension), HasSubstr("did you mean tok"));
    EXPECT_THAT(error_of("3 GB/", rate), HasSubstr("\"GB/\" is not a unit"));
    EXPECT_THAT(error_of("3 /s", rate), HasSubstr("\"/s\" is not a unit"));
    EXPECT_EQ(error_of("3 furlong", rate),
              "unknown unit \"furlong\" | a rate of bytes such as 3.2 TB/s");
}

TEST(Units, FormatsWithFourDigitsAndAFittingPrefix) {
    EXPECT_EQ(to_string(BytesPerSecond(3.2e12)), "3.2 TB/s");
    EXPECT_EQ(to_string(Seconds(929e-9)), "929 ns");
    EXPECT_EQ(to_string(Seconds(12.3456e-3)), "12.35 ms");
    EXPECT_EQ(to_string(Seconds(7200)), "2 h");
    EXPECT_EQ(to_string(Bytes(999.96e6)), "1 GB");  // not 1000 MB
    EXPECT_EQ(to_string(Bytes(0)), "0 B");
    EXPECT_EQ(to_string(Seconds(0)), "0 s");
    EXPECT_EQ(to_string(Bytes(-64e9)), "-64 GB");
    EXPECT_EQ(to_string(FlopsPerSecond(752e12)), "752 TFLOPS");
    EXPECT_EQ(to_string(UsdPerSecond(2.0 / 3600)), "2 USD/h");
    EXPECT_EQ(to_string(UsdPerToken(0.3e-6)), "0.3 USD/Mtok");
    EXPECT_EQ(to_string(UsdPerFlop(1.0 / 3.6e21)), "1 USD/EFLOP-h");
    EXPECT_EQ(to_string(UsdPerJoule(0.08 / 3.6e6)), "0.08 USD/kWh");
    EXPECT_EQ(to_string(Tokens(4096)), "4096 tok");
    EXPECT_EQ(to_string(Tokens(131072)), "131.1 ktok");
    EXPECT_EQ(to_string(TokensPerSecond(1943)), "1943 tok/s");
    EXPECT_EQ(to_string(Watts(600)), "600 W");
    EXPECT_EQ(format_quantity(0.12, {}), "12 %");
    EXPECT_EQ(format_quantity(2e-3, {2, 0, 0, -1, 0, 0}), "0.002 s*s/USD");
    EXPECT_EQ(format_quantity(5, {-1, -1, 0, 0, 0, 0}), "5 1/B/s");
    EXPECT_EQ(to_string(Seconds(INFINITY)), "inf ps");
}

TEST(Units, DescribesWhatAKeyWants) {
    EXPECT_EQ(describe_dimension(Seconds::dimension), "a time such as 929 ns");
    EXPECT_EQ(describe_dimension({}), "a plain number or a share such as 12 %");
    EXPECT_EQ(describe_dimension({0, 2, 0, 0, 0, 0}), "a value in B*B such as 1 B*B");
    // every example reads back in its own dimension
    for (const Dimension d : {Seconds::dimension, Bytes::dimension, UsdPerFlop::dimension,
                              Dimension{0, -1, 0, 0, 1, 0}, Dimension{0, 2, -1, 0, 0, 0}}) {
        const std::string text = describe_dimension(d);
        EXPECT_NO_THROW(parse_quantity(text.substr(text.find("such as ") + 8), d)) << text;
    }
}

TEST(Units, PatternTakesWhatTheParserTakes) {
    const std::string rate = quantity_pattern(BytesPerSecond::dimension);
    for (const char* text : {"3.2 TB/s", "400 Gb/s", "1e3 KiB/ms", "-.5B/s"}) {
        EXPECT_THAT(text, MatchesRegex(rate));
        EXPECT_NO_THROW(parsed<BytesPerSecond>(text)) << text;
    }
    for (const char* text : {"3.2", "3.2 TB", "3 gb/s", "nan TB/s", "3.2 TB/s x", "3 tok/s"}) {
        EXPECT_THAT(text, Not(MatchesRegex(rate)));
        EXPECT_THROW(parsed<BytesPerSecond>(text), UnitError) << text;
    }
    EXPECT_THAT("12 %", MatchesRegex(quantity_pattern({})));
    EXPECT_THAT("600 W", MatchesRegex(quantity_pattern(Watts::dimension)));
    EXPECT_THAT("2 USD/h", MatchesRegex(quantity_pattern(UsdPerSecond::dimension)));
}

TEST(Quantity, TypesCombineLikePhysics) {
    // 64 GB at 3.2 TB/s take 20 ms; a quotient of like things is a plain number.
    const Seconds t = Bytes(64e9) / BytesPerSecond(3.2e12);
    EXPECT_DOUBLE_EQ(t.value(), 0.02);
    const double ratio = Seconds(3) / Seconds(2);
    EXPECT_EQ(ratio, 1.5);
    const double count = Seconds(3) * Hertz(2);
    EXPECT_EQ(count, 6.0);
    EXPECT_EQ(max(Seconds(1), Seconds(2)), Seconds(2));
    EXPECT_EQ(min(Seconds(1), Seconds(2)), Seconds(1));
    EXPECT_EQ((Watts(600) * Seconds(3600)).value(), (0.6 * Joules(3.6e6)).value());
}

}  // namespace
}  // namespace podsim
