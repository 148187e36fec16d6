#include "workloads/requests/row_source.hpp"

#include <fmt/format.h>

namespace podsim {

namespace {

// No trace of requests is longer; a time beyond is a slip that would make all after it late.
constexpr std::int64_t kLongestTrace = std::int64_t{3660} * 86400 * 1'000'000'000;
// The year 2223; differences of times up to here stay whole numbers.
constexpr std::int64_t kLatestTime = 8'000'000'000'000'000'000;

constexpr const char* kKnownFormats =
    "Azure, BurstGPT, vidur and LLMServingSim tables, Mooncake and Qwen-Bailian JSON lines, "
    "ServeGen clients";

}  // namespace

std::optional<RowFormat> rows_of(std::string_view first, const std::string& path) {
    if (auto rows = json_rows(first)) return rows;
    return table_rows(first, path);
}

RowSource::RowSource(const std::string& path, BadRows bad_rows,
                     std::shared_ptr<RequestCounts> counts)
    : path_(path), bad_rows_(bad_rows), counts_(std::move(counts)), lines_(path) {
    std::string_view first;
    if (!lines_.next(first)) {
        if (lines_.broken()) throw InputError({*lines_.broken()});
        throw InputError({path}, "", "is empty", kKnownFormats);
    }
    auto rows = rows_of(first, path);
    if (!rows)
        throw InputError({path, 1, 0}, "", "is of no known format of requests", kKnownFormats);
    format_ = std::move(*rows);
    if (!format_.unknown.empty() && bad_rows_ == BadRows::refuse) {
        std::string& hint = format_.unknown.back().hint;
        hint += std::string(hint.empty() ? "" : "; ") + "bad_rows: skip leaves such columns out";
        throw InputError(format_.unknown);
    }
    if (!format_.header) {
        first_ = first;
        has_first_ = true;
    }
}

void RowSource::wrong(const std::vector<Diagnostic>& problems) {
    for (const Diagnostic& one : problems)
        if (counts_->problems.size() < RequestCounts::kMostProblems)
            counts_->problems.push_back(one);
}

void RowSource::check_time(const TraceRow& row, const Place& place) {
    if (!format_.timed) return;
    if (row.time < -kLongestTrace || row.time > kLatestTime)
        throw InputError(
            place, "",
            fmt::format("{:.4g} s is an absurd time", 1e-9 * static_cast<double>(row.time)));
    if (!any_) {
        any_ = true;
        begin_ = last_ = row.time;
    }
    if (row.time < last_)
        throw InputError(place, "",
                         fmt::format("the time runs backwards, {:.6g} s",
                                     1e-9 * static_cast<double>(last_ - row.time)),
                         "requests stand in the order they came");
    if (row.time - begin_ > kLongestTrace)
        throw InputError(place, "",
                         fmt::format("{:.0f} days after the first row",
                                     1e-9 / 86400 * static_cast<double>(row.time - begin_)),
                         "3660 days are the most");
    last_ = row.time;
}

bool RowSource::take(TraceRow& row) {
    std::string_view line;
    while (true) {
        Place place;
        if (has_first_) {
            has_first_ = false;
            line = first_;
            place = {path_, 1, 0};
        } else {
            if (!lines_.next(line)) break;
            place = lines_.place();
        }
        ++counts_->rows;
        row.line = place.line;
        const std::size_t met = format_.met->size();
        try {
            format_.parse(line, place, row);
            if (format_.met->size() > met && bad_rows_ == BadRows::refuse) {
                const auto& all = *format_.met;
                throw InputError(
                    std::vector<Diagnostic>(all.begin() + static_cast<long>(met), all.end()));
            }
            if (!row.failed) check_lengths(row, format_.block_tokens, place);
            check_time(row, place);
        } catch (const InputError& error) {
            ++counts_->skipped;
            wrong(error.diagnostics());
            if (bad_rows_ == BadRows::refuse) refuse_rest();
            continue;
        }
        if (!row.failed) return true;
        ++counts_->failed;
    }
    if (!lines_.broken() || broken_counted_) return false;
    // The line that is cut off, and whatever came after it, count as one.
    broken_counted_ = true;
    ++counts_->rows;
    ++counts_->skipped;
    wrong({*lines_.broken()});
    if (bad_rows_ == BadRows::refuse) refuse_rest();
    return false;
}

// One by one would have the user run once for each wrong row.
void RowSource::refuse_rest() {
    bad_rows_ = BadRows::skip;
    TraceRow row;
    while (take(row)) {
    }
    bad_rows_ = BadRows::refuse;
    std::vector<Diagnostic> problems = counts_->problems;
    const long more = counts_->skipped - static_cast<long>(problems.size());
    if (more > 0)
        problems.push_back({{path_, 0, 0},
                            "",
                            fmt::format("{} of {} rows are wrong, these are the first",
                                        counts_->skipped, counts_->rows),
                            "bad_rows: skip leaves them out and counts them"});
    else if (problems.back().hint.find("bad_rows") == std::string::npos)
        problems.back().hint += problems.back().hint.empty()
                                    ? "bad_rows: skip leaves such rows out"
                                    : "; bad_rows: skip leaves such rows out";
    throw InputError(std::move(problems));
}

bool RowSource::next(TraceRow& row) {
    return take(row);
}

std::vector<std::string> RowSource::notes() const {
    std::vector<std::string> notes;
    for (const auto& list : {format_.unknown, *format_.met})
        for (const Diagnostic& one : list) notes.push_back(to_string(one) + ", not read");
    return notes;
}

}  // namespace podsim
