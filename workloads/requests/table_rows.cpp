// Tables of requests with a header: Azure, BurstGPT, vidur, LLMServingSim. Separated by commas or
// by tabs, whichever the header has.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "workloads/requests/rows.hpp"

namespace podsim {

namespace {

enum class Clock { none, wall, seconds, nanoseconds };

// What the columns of one kind of table are called. `total` is checked to be their sum; the others
// are known and not needed.
struct TableKind {
    RequestFormat format;
    Clock clock;
    const char* time;
    std::vector<std::string> input, output;
    const char* total;
    std::vector<std::string> others;
};

const std::vector<TableKind>& table_kinds() {
    static const std::vector<TableKind> kinds = {
        {RequestFormat::azure,
         Clock::wall,
         "TIMESTAMP",
         {"ContextTokens"},
         {"GeneratedTokens"},
         "",
         {}},
        {RequestFormat::burstgpt,
         Clock::seconds,
         "Timestamp",
         {"Request tokens"},
         {"Response tokens"},
         "Total tokens",
         {"Model", "Log Type", "Session ID", "Elapsed time"}},
        {RequestFormat::vidur,
         Clock::seconds,
         "arrived_at",
         {"num_prefill_tokens"},
         {"num_decode_tokens"},
         "num_total_tokens",
         {"pd_ratio"}},
        {RequestFormat::vidur_lengths,
         Clock::none,
         "",
         {"num_prefill_tokens"},
         {"num_decode_tokens"},
         "num_total_tokens",
         {"pd_ratio"}},
        {RequestFormat::llmservingsim,
         Clock::nanoseconds,
         "arrival_time_ns",
         {"input_tokens", "input_toks"},
         {"output_tokens", "output_toks"},
         "",
         {}},
        {RequestFormat::llmservingsim_run,
         Clock::seconds,
         "arrival_s",
         {"input_tokens", "input_toks"},
         {"output_tokens", "output_toks"},
         "",
         {"request", "queued_s", "scheduled_s", "first_token_s", "last_token_s"}},
    };
    return kinds;
}

using Cells = std::vector<std::string_view>;

// The fields of a line. A field in quotes ends at the next one (none of these tables has quotes
// within quotes).
void split(std::string_view line, char separator, Cells& cells) {
    cells.clear();
    while (true) {
        std::size_t stop = 0, after = 0;
        if (!line.empty() && line.front() == '"') {
            line.remove_prefix(1);
            stop = std::min(line.find('"'), line.size());
            after = std::min(line.find(separator, stop), line.size());
        } else {
            stop = after = std::min(line.find(separator), line.size());
        }
        cells.push_back(line.substr(0, stop));
        if (after == line.size()) return;
        line.remove_prefix(after + 1);
    }
}

int column(const Cells& header, const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < header.size(); ++i)
        if (std::find(names.begin(), names.end(), header[i]) != names.end())
            return static_cast<int>(i);
    return -1;
}

// Digits alone would be read by anything; what else is no number of tokens is named.
long whole_number(std::string_view text, const std::string& what, const Place& place) {
    long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return value;
    throw InputError(place, what,
                     text.empty() ? std::string("is missing")
                                  : fmt::format("\"{}\" is no whole number", text.substr(0, 40)),
                     "a number of tokens was expected");
}

class TableParser {
  public:
    TableParser(const TableKind& kind, const Cells& header, char separator)
        : clock_(kind.clock),
          time_(column(header, {kind.time})),
          input_(column(header, kind.input)),
          output_(column(header, kind.output)),
          total_(column(header, {kind.total})),
          fields_(header.size()),
          separator_(separator),
          fails_(kind.format == RequestFormat::burstgpt) {
        names_[0] = kind.time;
        names_[1] = input_ < 0 ? "" : std::string(header[static_cast<std::size_t>(input_)]);
        names_[2] = output_ < 0 ? "" : std::string(header[static_cast<std::size_t>(output_)]);
        names_[3] = kind.total;
    }

    void operator()(std::string_view line, const Place& place, TraceRow& row) {
        split(line, separator_, cells_);
        if (cells_.size() != fields_)
            throw InputError(place, "",
                             fmt::format("{} {}, the header names {}", cells_.size(),
                                         cells_.size() == 1 ? "field" : "fields", fields_));
        row.time = clock_ == Clock::none ? 0 : time(cell(time_), place);
        row.input = whole_number(cell(input_), names_[1], place);
        row.output = whole_number(cell(output_), names_[2], place);
        if (total_ >= 0) {
            const long total = whole_number(cell(total_), names_[3], place);
            // Unsigned: what does not fit wraps, and is refused by its length.
            if (static_cast<unsigned long>(row.input) + static_cast<unsigned long>(row.output) !=
                static_cast<unsigned long>(total))
                throw InputError(place, names_[3],
                                 fmt::format("{} is not {} + {}", total, row.input, row.output));
        }
        row.blocks.clear();
        row.session = -1;
        row.turn = 0;
        // "Response tokens 0: the request failed" (BurstGPT).
        row.failed = fails_ && row.output == 0;
    }

  private:
    std::string_view cell(int index) const { return cells_[static_cast<std::size_t>(index)]; }
    std::int64_t time(std::string_view text, const Place& place) const {
        const auto read = clock_ == Clock::wall      ? wall_clock_ns(text)
                          : clock_ == Clock::seconds ? scaled_decimal(text, 9)
                                                     : scaled_decimal(text, 0);
        if (read) return *read;
        throw InputError(place, names_[0],
                         text.empty() ? std::string("is missing")
                                      : fmt::format("\"{}\" is no time", text.substr(0, 40)),
                         clock_ == Clock::wall      ? "such as 2023-11-16 18:17:03.9799600"
                         : clock_ == Clock::seconds ? "a number of seconds was expected"
                                                    : "a number of nanoseconds was expected");
    }

    Clock clock_;
    int time_, input_, output_, total_;
    std::size_t fields_;
    char separator_;
    bool fails_;
    std::array<std::string, 4> names_;
    Cells cells_;
};

}  // namespace

std::optional<RowFormat> table_rows(std::string_view first, const std::string& path) {
    const char separator = first.find('\t') != std::string_view::npos ? '\t' : ',';
    Cells header;
    split(first, separator, header);
    for (const TableKind& kind : table_kinds()) {
        const bool timed = kind.clock != Clock::none;
        if ((timed && column(header, {kind.time}) < 0) || column(header, kind.input) < 0 ||
            column(header, kind.output) < 0)
            continue;
        RowFormat rows;
        rows.format = kind.format;
        rows.timed = timed;
        rows.wall_clock = kind.clock == Clock::wall;
        rows.header = true;
        std::vector<std::string> known = kind.others;
        known.insert(known.end(), kind.input.begin(), kind.input.end());
        known.insert(known.end(), kind.output.begin(), kind.output.end());
        for (const char* name : {kind.time, kind.total})
            if (*name != '\0') known.emplace_back(name);
        for (const std::string_view name : header) {
            if (std::find(known.begin(), known.end(), name) != known.end()) continue;
            rows.unknown.push_back(
                unknown_name({path, 1, 0}, "", "column", std::string(name.substr(0, 60)), known));
        }
        rows.parse = TableParser(kind, header, separator);
        return rows;
    }
    return std::nullopt;
}

}  // namespace podsim
