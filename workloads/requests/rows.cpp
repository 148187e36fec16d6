#include "workloads/requests/rows.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace podsim {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// Exactly `count` digits at the beginning of `text`, which they are taken from.
bool take_digits(std::string_view& text, std::size_t count, int& value) {
    if (text.size() < count) return false;
    value = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (!is_digit(text[i])) return false;
        value = 10 * value + (text[i] - '0');
    }
    text.remove_prefix(count);
    return true;
}

bool take_char(std::string_view& text, std::string_view one_of) {
    if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

// Days from 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date
// algorithms").
std::int64_t days_from_civil(int year, int month, int day) {
    const int y = month <= 2 ? year - 1 : year;
    const int era = y / 400, of_era = y - era * 400;
    const int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    const int days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return std::int64_t{era} * 146097 + days - 719468;
}

}  // namespace

std::optional<std::int64_t> scaled_decimal(std::string_view text, int digits) {
    if (text.find_first_of("eE") != std::string_view::npos) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const double scaled = value * std::pow(10.0, digits);
        if (error != std::errc() || end != text.data() + text.size() || !(std::abs(scaled) < 9e18))
            return std::nullopt;
        return std::llround(scaled);
    }
    const bool negative = take_char(text, "-");
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    std::int64_t value = 0;
    bool any = false, fraction = false;
    int left = digits;
    for (const char c : text) {
        if (c == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit(c)) return std::nullopt;
        any = true;
        if (fraction && left == 0) continue;
        if (fraction) --left;
        if (value > (most - 9) / 10) return std::nullopt;
        value = 10 * value + (c - '0');
    }
    if (!any) return std::nullopt;
    for (; left > 0; --left) {
        if (value > most / 10) return std::nullopt;
        value *= 10;
    }
    return negative ? -value : value;
}

std::optional<std::int64_t> wall_clock_ns(std::string_view text) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
    const bool read =
        take_digits(text, 4, year) && take_char(text, "-") && take_digits(text, 2, month) &&
        take_char(text, "-") && take_digits(text, 2, day) && take_char(text, " T") &&
        take_digits(text, 2, hour) && take_char(text, ":") && take_digits(text, 2, minute) &&
        take_char(text, ":") && take_digits(text, 2, second);
    if (!read || year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 || day > 31 ||
        hour > 23 || minute > 59 || second > 60)
        return std::nullopt;
    std::int64_t fraction = 0;
    if (take_char(text, ".")) {
        int places = 0;
        while (!text.empty() && is_digit(text.front())) {
            if (places++ < 9) fraction = 10 * fraction + (text.front() - '0');
            text.remove_prefix(1);
        }
        if (places == 0) return std::nullopt;
        for (; places < 9; ++places) fraction *= 10;
    }
    std::int64_t offset = 0;
    if (!text.empty() && text != "Z") {
        const int sign = text.front() == '-' ? -1 : 1;
        int hours = 0, minutes = 0;
        if (!take_char(text, "+-") || !take_digits(text, 2, hours) || !take_char(text, ":") ||
            !take_digits(text, 2, minutes) || !text.empty() || hours > 14 || minutes > 59)
            return std::nullopt;
        offset = sign * (hours * 3600 + minutes * 60);
    }
    const std::int64_t seconds =
        days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    return seconds * 1'000'000'000 + fraction;
}

void check_lengths(const TraceRow& row, long block_tokens, const Place& place) {
    const auto check = [&](long tokens, const char* which) {
        if (tokens >= 1 && tokens <= kMostRequestTokens) return;
        throw InputError(place, which,
                         tokens < 0    ? fmt::format("a length of {} tokens", tokens)
                         : tokens == 0 ? std::string("no tokens")
                                       : fmt::format("{} tokens are absurd", tokens),
                         fmt::format("1 to {} tokens were expected", kMostRequestTokens));
    };
    check(row.input, "input");
    check(row.output, "output");
    if (block_tokens == 0 || row.blocks.empty()) return;
    const auto named = static_cast<long>(row.blocks.size());
    const long whole = row.input / block_tokens;
    if (named == whole || named == (row.input + block_tokens - 1) / block_tokens) return;
    throw InputError(
        place, "hash_ids",
        fmt::format("{} blocks of {} tokens for a prompt of {}", named, block_tokens, row.input),
        fmt::format("{} would hold it", (row.input + block_tokens - 1) / block_tokens));
}

}  // namespace podsim
