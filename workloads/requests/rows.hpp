// Rows of request traces as they are written, before times are made arrivals of.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/request_trace.hpp"

namespace podsim {

struct TraceRow {
    std::int64_t time = 0;  // ns of the trace's clock
    long input = 0, output = 0;
    std::vector<std::uint64_t> blocks;
    long session = -1;
    int turn = 0;
    bool failed = false;  // says the trace
    long line = 0;
};

// How the lines of one file are rows.
struct RowFormat {
    RequestFormat format = RequestFormat::azure;
    bool timed = true;
    bool wall_clock = false;
    long block_tokens = 0;
    bool header = false;              // the first line names the columns
    std::vector<Diagnostic> unknown;  // columns that are not read
    // Fills the row but for its line. Throws InputError: the line is no row.
    std::function<void(std::string_view line, const Place& place, TraceRow& row)> parse;
    // Unknown keys that parse() met (JSON has no header), once each.
    std::shared_ptr<std::vector<Diagnostic>> met = std::make_shared<std::vector<Diagnostic>>();
};

// Of a file by its first line; nothing where the line is of no format of the kind.
std::optional<RowFormat> table_rows(std::string_view first, const std::string& path);
std::optional<RowFormat> json_rows(std::string_view first);

// A number in decimal as so many of 10^-digits of it ("1.5" with 9 digits: 1,500,000,000), cut off
// beyond; nothing where it is no number or does not fit.
std::optional<std::int64_t> scaled_decimal(std::string_view text, int digits);
// "2023-11-16 18:17:03.9799600", with T for the blank and Z or an offset of hours and minutes after
// it, as ns from 1970; nothing where it is no time.
std::optional<std::int64_t> wall_clock_ns(std::string_view text);

// What no request may be: nothing in, nothing out, longer than kMostRequestTokens, or with another
// number of blocks than its prompt has. Throws InputError.
void check_lengths(const TraceRow& row, long block_tokens, const Place& place);

}  // namespace podsim
