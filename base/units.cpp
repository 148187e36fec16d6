// Reads and prints physical values. One table of unit families gives every known symbol; a
// unit text is symbols joined by '/' and '*', so that USD/Mtok or pJ/bit need no entry of
// their own.
#include "base/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>
#include <vector>

#include "base/diagnostic.hpp"

namespace podsim {
namespace {

constexpr Dimension none{};
constexpr Dimension a_time{1, 0, 0, 0, 0, 0};
constexpr Dimension a_frequency{-1, 0, 0, 0, 0, 0};
constexpr Dimension a_size{0, 1, 0, 0, 0, 0};
constexpr Dimension a_work{0, 0, 1, 0, 0, 0};
constexpr Dimension a_work_rate{-1, 0, 1, 0, 0, 0};
constexpr Dimension a_price{0, 0, 0, 1, 0, 0};
constexpr Dimension an_energy{0, 0, 0, 0, 1, 0};
constexpr Dimension a_power{-1, 0, 0, 0, 1, 0};
constexpr Dimension a_token{0, 0, 0, 0, 0, 1};

Dimension sum(Dimension a, Dimension b, int sign) {
    return {a.time + sign * b.time, a.bytes + sign * b.bytes,   a.flops + sign * b.flops,
            a.usd + sign * b.usd,   a.energy + sign * b.energy, a.tokens + sign * b.tokens};
}

// The scale is kept as a quotient of two numbers that doubles hold exactly, so that "929 ns"
// is the double nearest to 929e-9 and not one next to it.
struct Unit {
    std::string symbol;
    double numerator = 1.0, denominator = 1.0;
    Dimension dimension;
};

struct Family {
    const char* symbol;
    double numerator, denominator;
    Dimension dimension;
    const char* prefixes;  // those in use; '.' is the bare symbol, 'i' the binary ones
};

// A bit is an eighth of a byte. An OP of integer arithmetic counts as a FLOP. A "FLOP-h" is
// what one FLOP/s does in an hour, the unit in which compute is sold; a year has 365 days.
constexpr Family families[] = {
    {"s", 1, 1, a_time, "pnum."},
    {"min", 60, 1, a_time, "."},
    {"h", 3600, 1, a_time, "."},
    {"day", 86400, 1, a_time, "."},
    {"year", 31536000, 1, a_time, "."},
    {"Hz", 1, 1, a_frequency, ".kMG"},
    {"B", 1, 1, a_size, ".kMGTPi"},
    {"b", 1, 8, a_size, ".kMGTP"},
    {"bit", 1, 8, a_size, ".kMGTP"},
    {"FLOP", 1, 1, a_work, ".kMGTPEZ"},
    {"OP", 1, 1, a_work, ".kMGTPE"},
    {"FLOP-h", 3600, 1, a_work, "TPE"},
    {"FLOPS", 1, 1, a_work_rate, ".kMGTPEZ"},
    {"OPS", 1, 1, a_work_rate, ".kMGTPE"},
    {"USD", 1, 1, a_price, ".kMG"},
    {"J", 1, 1, an_energy, "pnum.kMG"},
    {"Wh", 3600, 1, an_energy, ".kMG"},
    {"W", 1, 1, a_power, "um.kMG"},
    {"tok", 1, 1, a_token, ".kMGT"},
    {"token", 1, 1, a_token, "."},
    {"tokens", 1, 1, a_token, "."},
    {"req", 1, 1, none, "."},
    {"requests", 1, 1, none, "."},
};

Unit prefixed(const Family& family, char prefix) {
    static constexpr std::pair<char, double> up[] = {
        {'k', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}, {'P', 1e15}, {'E', 1e18}, {'Z', 1e21}};
    static constexpr std::pair<char, double> down[] = {
        {'p', 1e12}, {'n', 1e9}, {'u', 1e6}, {'m', 1e3}};
    Unit unit{family.symbol, family.numerator, family.denominator, family.dimension};
    if (prefix == '.') return unit;
    unit.symbol.insert(unit.symbol.begin(), prefix);
    for (const auto& [letter, factor] : up) {
        if (letter == prefix) unit.numerator *= factor;
    }
    for (const auto& [letter, factor] : down) {
        if (letter == prefix) unit.denominator *= factor;
    }
    return unit;
}

std::vector<Unit> make_units() {
    std::vector<Unit> units;
    for (const Family& family : families) {
        for (const char* prefix = family.prefixes; *prefix != '\0'; ++prefix) {
            if (*prefix != 'i') {
                units.push_back(prefixed(family, *prefix));
                continue;
            }
            double factor = 1.0;
            for (const char* letter = "KMGTP"; *letter != '\0'; ++letter) {
                factor *= 1024.0;
                units.push_back(
                    {fmt::format("{}i{}", *letter, family.symbol), factor, 1.0, family.dimension});
            }
        }
    }
    return units;
}

const std::vector<Unit>& known_units() {
    static const std::vector<Unit> units = make_units();
    return units;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string gloss(const Unit& unit) {
    if (unit.dimension != a_size) return unit.symbol;
    return unit.symbol + (unit.symbol.back() == 'B' ? " (bytes)" : " (bits)");
}

// What somebody who wrote the unknown `symbol` may have meant; "" when nothing is near.
std::string hint_for(const std::string& symbol) {
    static const std::pair<const char*, const char*> habits[] = {
        {"KB", "kB (1000 bytes) or KiB (1024 bytes)"},
        {"K", "kB (1000 bytes) or KiB (1024 bytes)"},
        {"m", "ms (milliseconds) or min (minutes)"},
        {"sec", "s"},
        {"second", "s"},
        {"seconds", "s"},
        {"minute", "min"},
        {"minutes", "min"},
        {"hr", "h"},
        {"hour", "h"},
        {"hours", "h"},
        {"d", "day"},
        {"days", "day"},
        {"years", "year"},
        {"Mbps", "Mb/s"},
        {"Gbps", "Gb/s"},
        {"Tbps", "Tb/s"},
        {"MBps", "MB/s"},
        {"GBps", "GB/s"},
        {"TBps", "TB/s"},
        {"bytes", "B"},
        {"bits", "bit"},
        {"$", "USD"},
        {"watts", "W"},
        {"tps", "tok/s"},
        {"rps", "req/s"},
        {"TF", "TFLOPS"},
        {"PF", "PFLOPS"},
    };
    for (const auto& [habit, meant] : habits) {
        if (symbol == habit) return meant;
    }
    std::string same_letters;
    std::vector<std::string> symbols;
    for (const Unit& unit : known_units()) {
        symbols.push_back(unit.symbol);
        if (lower(unit.symbol) != lower(symbol)) continue;
        same_letters += (same_letters.empty() ? "" : " or ") + gloss(unit);
    }
    return same_letters.empty() ? nearest_name(symbol, symbols) : same_letters;
}

// "GB/s", "pJ/bit", "1/s", "J*s": symbols joined by '*' and '/', each '/' dividing by the next.
Unit parse_unit(std::string_view text, const std::string& expected) {
    Unit result{std::string(text), 1.0, 1.0, none};
    std::size_t begin = 0;
    for (int sign = 1; begin <= text.size();) {
        const std::size_t end = std::min(text.find_first_of("/*", begin), text.size());
        std::string symbol(trim(text.substr(begin, end - begin)));
        if (symbol == "\u00b5s" || symbol == "\u03bcs") symbol = "us";
        const auto& units = known_units();
        const auto unit = std::find_if(units.begin(), units.end(),
                                       [&](const Unit& u) { return u.symbol == symbol; });
        const bool is_one = symbol == "1" && begin == 0 && end < text.size();
        if (unit == units.end() && !is_one) {
            std::string what = symbol.empty() ? fmt::format("\"{}\" is not a unit", text)
                                              : fmt::format("unknown unit \"{}\"", symbol);
            if (!symbol.empty() && symbol != text) what += fmt::format(" in \"{}\"", text);
            const std::string hint = hint_for(symbol);
            if (!hint.empty()) what += ": did you mean " + hint + "?";
            throw UnitError{what, expected};
        }
        if (unit != units.end()) {
            result.numerator *= sign > 0 ? unit->numerator : unit->denominator;
            result.denominator *= sign > 0 ? unit->denominator : unit->numerator;
            result.dimension = sum(result.dimension, unit->dimension, sign);
        }
        if (end == text.size()) break;
        sign = text[end] == '/' ? -1 : 1;
        begin = end + 1;
    }
    return result;
}

// The number `text` begins with; `text` is left at what follows it.
double take_number(std::string_view& text, const std::string& expected) {
    const std::string whole(text);
    const auto fail = [&](const std::string& what) -> double { throw UnitError{what, expected}; };
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (text.empty()) return fail("nothing is written here");
    std::string_view digits = text;
    const bool negative = digits.front() == '-';
    if (digits.front() == '-' || digits.front() == '+') digits.remove_prefix(1);
    const std::string start = lower(digits.substr(0, 4));
    for (const char* word : {"nan", "inf", ".nan", ".inf"}) {
        if (start.rfind(word, 0) == 0)
            return fail(fmt::format("\"{}\" is not a finite number", whole));
    }
    const std::size_t first = !digits.empty() && digits.front() == '.' ? 1 : 0;
    if (digits.size() <= first || !is_digit(digits[first])) {
        return fail(fmt::format("\"{}\" does not begin with a number", whole));
    }
    if (digits.size() > 1 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
        return fail(fmt::format("\"{}\": hexadecimal numbers are not read", whole));
    }
    if (digits.size() > 1 && digits[0] == '0' && is_digit(digits[1])) {
        return fail(fmt::format("\"{}\": a number has no leading zeros", whole));
    }
    double value = 0.0;
    const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc())
        return fail(fmt::format("\"{}\" is beyond the range of numbers", whole));
    text = digits.substr(static_cast<std::size_t>(rest - digits.data()));
    if (!text.empty() && (text.front() == ',' || text.front() == '_' || text.front() == '\'')) {
        return fail(fmt::format("\"{}\": write the number without separators", whole));
    }
    return negative ? -value : value;
}

// How values of a dimension are named and printed.
struct Display {
    Dimension dimension;
    const char* name;                // "a rate of bytes"
    const char* example;             // "3.2 TB/s"
    std::vector<const char*> units;  // ascending
    double step_up = 1.0;  // a unit is taken from this many of it on: 4096 tok, not 4.096 ktok
};

const std::vector<Display>& displays() {
    static const std::vector<Display> table = {
        {none, "a plain number or a share", "12 %", {"%"}},
        {a_time, "a time", "929 ns", {"ps", "ns", "us", "ms", "s", "h", "day"}},
        {a_frequency,
         "a frequency",
         "1.8 GHz, or of requests 2 req/s",
         {"Hz", "kHz", "MHz", "GHz"}},
        {a_size, "an amount of bytes", "64 GB", {"B", "kB", "MB", "GB", "TB", "PB"}},
        {BytesPerSecond::dimension,
         "a rate of bytes",
         "3.2 TB/s",
         {"B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s"}},
        {a_work,
         "an amount of work",
         "30 GFLOP",
         {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP"}},
        {a_work_rate,
         "a rate of work",
         "752 TFLOPS",
         {"FLOPS", "kFLOPS", "MFLOPS", "GFLOPS", "TFLOPS", "PFLOPS", "EFLOPS"}},
        {a_price, "an amount of money", "25000 USD", {"USD", "kUSD", "MUSD", "GUSD"}, 10.0},
        {UsdPerSecond::dimension,
         "a price per time",
         "2.00 USD/h",
         {"USD/h", "kUSD/h", "MUSD/h"},
         10.0},
        {UsdPerToken::dimension, "a price of tokens", "0.30 USD/Mtok", {"USD/Mtok"}},
        {UsdPerFlop::dimension, "a price of work", "1.2 USD/EFLOP-h", {"USD/EFLOP-h"}},
        {an_energy, "an energy", "3 kWh", {"pJ", "nJ", "uJ", "mJ", "J", "kJ", "MJ", "GJ"}},
        {a_power, "a power", "600 W", {"uW", "mW", "W", "kW", "MW", "GW"}},
        {UsdPerJoule::dimension, "a price of energy", "0.08 USD/kWh", {"USD/kWh"}},
        {a_token,
         "a number of tokens",
         "4096 tokens",
         {"tok", "ktok", "Mtok", "Gtok", "Ttok"},
         10.0},
        {TokensPerSecond::dimension,
         "a rate of tokens",
         "1943 tok/s",
         {"tok/s", "ktok/s", "Mtok/s", "Gtok/s"},
         10.0},
        {sum(an_energy, a_size, -1), "an energy per byte", "4 pJ/bit", {"pJ/B", "nJ/B"}},
        {sum(an_energy, a_work, -1), "an energy per work", "0.6 pJ/FLOP", {"pJ/FLOP", "nJ/FLOP"}},
        {sum(an_energy, a_token, -1),
         "an energy per token",
         "0.5 J/tok",
         {"uJ/tok", "mJ/tok", "J/tok", "kJ/tok"}},
        {sum(a_size, a_token, -1),
         "an amount of bytes per token",
         "70 kB/tok",
         {"B/tok", "kB/tok", "MB/tok", "GB/tok"}},
        {sum(a_work, a_token, -1),
         "an amount of work per token",
         "74 GFLOP/tok",
         {"FLOP/tok", "MFLOP/tok", "GFLOP/tok", "TFLOP/tok"}},
        {sum(a_work, a_size, -1), "work per byte", "240 FLOP/B", {"FLOP/B", "kFLOP/B"}, 10.0},
    };
    return table;
}

const Display* display_of(Dimension dimension) {
    for (const Display& display : displays()) {
        if (display.dimension == dimension) return &display;
    }
    return nullptr;
}

// "B/s", "1/tok", "s*s/USD": base units for a dimension without a row in the table.
std::string base_unit(Dimension dimension) {
    const std::pair<int, const char*> parts[] = {
        {dimension.bytes, "B"},  {dimension.flops, "FLOP"}, {dimension.usd, "USD"},
        {dimension.energy, "J"}, {dimension.tokens, "tok"}, {dimension.time, "s"}};
    std::string above, below;
    for (const auto& [exponent, symbol] : parts) {
        for (int i = 0; i < exponent; ++i)
            above += (above.empty() ? "" : "*") + std::string(symbol);
        for (int i = 0; i < -exponent; ++i) below += "/" + std::string(symbol);
    }
    return (above.empty() ? "1" : above) + below;
}

std::string name_of(Dimension dimension) {
    const Display* display = display_of(dimension);
    return display ? display->name : "a value in " + base_unit(dimension);
}

}  // namespace

double parse_quantity(std::string_view text, Dimension dimension) {
    const std::string expected = describe_dimension(dimension);
    const std::string whole(trim(text));
    std::string_view rest = trim(text);
    const double number = take_number(rest, expected);
    rest = trim(rest);
    if (rest.empty()) {
        if (dimension == none) return number;
        throw UnitError{fmt::format("bare number {}: a unit belongs here", whole), expected};
    }
    if (rest == "%" && dimension == none) return number / 100.0;
    if (rest == "%") throw UnitError{fmt::format("\"{}\" is a share", whole), expected};
    const Unit unit = parse_unit(rest, expected);
    if (dimension == none) {
        throw UnitError{fmt::format("\"{}\" has a unit, none belongs here", whole), expected};
    }
    if (unit.dimension != dimension) {
        throw UnitError{fmt::format("\"{}\" is {}", whole, name_of(unit.dimension)), expected};
    }
    const double value = number * unit.numerator / unit.denominator;
    if (!std::isfinite(value)) {
        throw UnitError{fmt::format("\"{}\" is beyond the range of numbers", whole), expected};
    }
    return value;
}

std::string format_quantity(double base_value, Dimension dimension) {
    const Display* display = display_of(dimension);
    const std::string base = base_unit(dimension);
    if (!display) return fmt::format("{:.4g} {}", base_value, base);
    if (!std::isfinite(base_value)) return fmt::format("{} {}", base_value, display->units.front());
    if (dimension == none) return fmt::format("{:.4g} %", base_value * 100.0);
    // Zero prints in the base unit where the list has it, else in its first unit.
    std::string best = display->units.front();
    if (base_value == 0.0) {
        for (const char* unit : display->units) {
            if (base == unit) best = unit;
        }
        return "0 " + best;
    }
    double shown = 0.0;
    for (const char* text : display->units) {
        const Unit unit = parse_unit(text, "");
        const double value = base_value * unit.denominator / unit.numerator;
        // 999.96 MB is 1000 MB in four digits and is to print as 1 GB.
        const double rounding = 0.5e-3 * 0.1;
        if (shown != 0.0 && std::abs(value) < display->step_up * (1.0 - rounding)) break;
        best = text;
        shown = value;
    }
    return fmt::format("{:.4g} {}", shown, best);
}

std::string describe_dimension(Dimension dimension) {
    const Display* display = display_of(dimension);
    if (!display) return name_of(dimension) + " such as 1 " + base_unit(dimension);
    return fmt::format("{} such as {}", display->name, display->example);
}

std::string quantity_pattern(Dimension dimension) {
    const std::string number = R"(^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)? *)";
    if (dimension == none) return number + "%?$";
    // Symbols by their dimension, joined by '|'.
    std::vector<std::pair<Dimension, std::string>> groups;
    for (const Unit& unit : known_units()) {
        auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const auto& g) { return g.first == unit.dimension; });
        if (group == groups.end()) {
            groups.emplace_back(unit.dimension, unit.symbol);
        } else {
            group->second += "|" + unit.symbol;
        }
    }
    std::string units;
    const auto add = [&](const std::string& text) { units += (units.empty() ? "" : "|") + text; };
    for (const auto& [above, symbols] : groups) {
        if (above == dimension) add(symbols);
        for (const auto& [below, divisors] : groups) {
            if (below == none || sum(above, below, -1) != dimension) continue;
            add("(" + symbols + ")/(" + divisors + ")");
        }
    }
    return number + (units.empty() ? "[^0-9 ].*" : "(" + units + ")") + "$";
}

}  // namespace podsim
