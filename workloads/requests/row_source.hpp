// A trace's good rows in order, with what is wrong with the others counted or refused.
#pragma once

#include <memory>
#include <string>

#include "workloads/requests/line_reader.hpp"
#include "workloads/requests/rows.hpp"

namespace podsim {

class RowSource {
  public:
    // Throws InputError: no format of rows; in a file that is refused, unknown columns.
    RowSource(const std::string& path, BadRows bad_rows, std::shared_ptr<RequestCounts> counts);

    const RowFormat& format() const { return format_; }
    // Throws InputError with all wrong rows from there to the end, where rows may not be skipped.
    bool next(TraceRow& row);
    // Columns that are not read, as far as they were met.
    std::vector<std::string> notes() const;

  private:
    bool take(TraceRow& row);
    void check_time(const TraceRow& row, const Place& place);
    void wrong(const std::vector<Diagnostic>& problems);
    [[noreturn]] void refuse_rest();

    std::string path_;
    BadRows bad_rows_;
    std::shared_ptr<RequestCounts> counts_;
    LineReader lines_;
    RowFormat format_;
    std::string first_;  // a line that is a row and not a header
    bool has_first_ = false, any_ = false, broken_counted_ = false;
    std::int64_t begin_ = 0, last_ = 0;
};

// The first line's format; nothing where there is none.
std::optional<RowFormat> rows_of(std::string_view first, const std::string& path);

}  // namespace podsim
