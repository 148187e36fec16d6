// Physical values as types: which operations between times, bytes, work, money and energy
// make sense. A Quantity is one double in the unit of its dimension's base (second, byte,
// FLOP, US dollar, joule, token); the exponents live in the type, so that a rate cannot be
// added to a volume and a quotient of like things is a plain number.
//
// Comparisons are written out: a defaulted <=> made max() branch on doubles.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <string_view>

namespace podsim {

// Exponents of the six base dimensions, also used at run time by the unit parser.
struct Dimension {
    int time = 0, bytes = 0, flops = 0, usd = 0, energy = 0, tokens = 0;
    constexpr bool operator==(const Dimension&) const = default;
};

template <int T, int B, int F, int U, int E, int K>
class Quantity {
  public:
    static constexpr Dimension dimension{T, B, F, U, E, K};

    constexpr Quantity() = default;
    constexpr explicit Quantity(double base_value) : value_(base_value) {}

    // The number in base units: seconds, bytes, FLOP, USD, joules, tokens.
    constexpr double value() const { return value_; }

    constexpr Quantity operator-() const { return Quantity(-value_); }
    constexpr Quantity& operator+=(Quantity o) {
        value_ += o.value_;
        return *this;
    }
    constexpr Quantity& operator-=(Quantity o) {
        value_ -= o.value_;
        return *this;
    }
    constexpr Quantity& operator*=(double k) {
        value_ *= k;
        return *this;
    }
    constexpr Quantity& operator/=(double k) {
        value_ /= k;
        return *this;
    }

    friend constexpr Quantity operator+(Quantity a, Quantity b) {
        return Quantity(a.value_ + b.value_);
    }
    friend constexpr Quantity operator-(Quantity a, Quantity b) {
        return Quantity(a.value_ - b.value_);
    }
    friend constexpr Quantity operator*(Quantity a, double k) { return Quantity(a.value_ * k); }
    friend constexpr Quantity operator*(double k, Quantity a) { return Quantity(a.value_ * k); }
    friend constexpr Quantity operator/(Quantity a, double k) { return Quantity(a.value_ / k); }
    friend constexpr double operator/(Quantity a, Quantity b) { return a.value_ / b.value_; }

    friend constexpr bool operator==(Quantity a, Quantity b) { return a.value_ == b.value_; }
    friend constexpr bool operator!=(Quantity a, Quantity b) { return a.value_ != b.value_; }
    friend constexpr bool operator<(Quantity a, Quantity b) { return a.value_ < b.value_; }
    friend constexpr bool operator>(Quantity a, Quantity b) { return a.value_ > b.value_; }
    friend constexpr bool operator<=(Quantity a, Quantity b) { return a.value_ <= b.value_; }
    friend constexpr bool operator>=(Quantity a, Quantity b) { return a.value_ >= b.value_; }

  private:
    double value_ = 0.0;
};

// Products and quotients of unlike quantities. Where every exponent cancels (bytes x 1/bytes)
// the result is a plain double.
template <int T, int B, int F, int U, int E, int K>
constexpr auto make_quantity(double base_value) {
    if constexpr (T == 0 && B == 0 && F == 0 && U == 0 && E == 0 && K == 0) {
        return base_value;
    } else {
        return Quantity<T, B, F, U, E, K>(base_value);
    }
}

template <int T1, int B1, int F1, int U1, int E1, int K1, int T2, int B2, int F2, int U2, int E2,
          int K2>
constexpr auto operator*(Quantity<T1, B1, F1, U1, E1, K1> a, Quantity<T2, B2, F2, U2, E2, K2> b) {
    return make_quantity<T1 + T2, B1 + B2, F1 + F2, U1 + U2, E1 + E2, K1 + K2>(a.value() *
                                                                               b.value());
}

template <int T1, int B1, int F1, int U1, int E1, int K1, int T2, int B2, int F2, int U2, int E2,
          int K2>
requires(!(T1 == T2 && B1 == B2 && F1 == F2 && U1 == U2 && E1 == E2 && K1 == K2)) constexpr auto
operator/(Quantity<T1, B1, F1, U1, E1, K1> a, Quantity<T2, B2, F2, U2, E2, K2> b) {
    return make_quantity<T1 - T2, B1 - B2, F1 - F2, U1 - U2, E1 - E2, K1 - K2>(a.value() /
                                                                               b.value());
}

using Seconds = Quantity<1, 0, 0, 0, 0, 0>;
using Hertz = Quantity<-1, 0, 0, 0, 0, 0>;
using Bytes = Quantity<0, 1, 0, 0, 0, 0>;
using BytesPerSecond = Quantity<-1, 1, 0, 0, 0, 0>;
using Flops = Quantity<0, 0, 1, 0, 0, 0>;            // work, not a rate
using FlopsPerSecond = Quantity<-1, 0, 1, 0, 0, 0>;  // FLOP/s, or integer OP/s
using Usd = Quantity<0, 0, 0, 1, 0, 0>;
using UsdPerSecond = Quantity<-1, 0, 0, 1, 0, 0>;  // printed as USD/h
using UsdPerToken = Quantity<0, 0, 0, 1, 0, -1>;   // printed as USD per million tokens
using UsdPerFlop = Quantity<0, 0, -1, 1, 0, 0>;    // printed as USD per EFLOP-hour (3.6e21 FLOP)
using Joules = Quantity<0, 0, 0, 0, 1, 0>;
using Watts = Quantity<-1, 0, 0, 0, 1, 0>;
using UsdPerJoule = Quantity<0, 0, 0, 1, -1, 0>;  // printed as USD/kWh
using Tokens = Quantity<0, 0, 0, 0, 0, 1>;
using TokensPerSecond = Quantity<-1, 0, 0, 0, 0, 1>;

constexpr Seconds seconds(double v) {
    return Seconds(v);
}
constexpr Seconds microseconds(double v) {
    return Seconds(v * 1e-6);
}
constexpr Bytes bytes(double v) {
    return Bytes(v);
}
constexpr Flops flops(double v) {
    return Flops(v);
}

template <int T, int B, int F, int U, int E, int K>
constexpr Quantity<T, B, F, U, E, K> max(Quantity<T, B, F, U, E, K> a,
                                         Quantity<T, B, F, U, E, K> b) {
    return a < b ? b : a;
}
template <int T, int B, int F, int U, int E, int K>
constexpr Quantity<T, B, F, U, E, K> min(Quantity<T, B, F, U, E, K> a,
                                         Quantity<T, B, F, U, E, K> b) {
    return b < a ? b : a;
}

// Thrown by parse_quantity with a reason that names what was expected.
struct UnitError {
    std::string what;      // "bare number 3.2: a unit belongs here"
    std::string expected;  // "a rate of bytes such as 3.2 TB/s"
};

// The base-unit number written in `text`, which must carry a unit of `dimension`
// ("3.2 TB/s", "400 Gb/s", "929 ns", "2.00 USD/h", "12 %" for no dimension).
// Throws UnitError: no number, no unit, an unknown unit, a unit of another dimension, NaN or
// infinity. The sign is left to the caller's own check.
double parse_quantity(std::string_view text, Dimension dimension);

// A number of base units as text with a fitting prefix and four significant digits,
// "3.2 TB/s"; reads back through parse_quantity.
std::string format_quantity(double base_value, Dimension dimension);

// "a rate of bytes such as 3.2 TB/s": what a key of this dimension wants, for error texts.
std::string describe_dimension(Dimension dimension);

// A regular expression (ECMA 262, anchored) of the texts parse_quantity takes for `dimension`,
// for JSON Schemas; units with more than one '/' are left out of it.
std::string quantity_pattern(Dimension dimension);

template <int T, int B, int F, int U, int E, int K>
std::string to_string(Quantity<T, B, F, U, E, K> q) {
    return format_quantity(q.value(), Quantity<T, B, F, U, E, K>::dimension);
}

}  // namespace podsim
