// Tables as comma-separated text (RFC 4180): a header, then rows of as many fields, plain or in
// gzip. Strict: a row that is short, a quote that never closes or a header without a name is an
// error with its line, because a table that is quietly misread becomes a wrong calibration.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace podsim {

struct CsvRow {
    int line = 0;                    // where it begins, from 1
    std::vector<std::string> cells;  // as many as the header names
};

// Reads row by row, so that a table of a million cells need not stand in memory as text objects.
class CsvReader {
  public:
    // `text` as read by read_table_file; `file` is for messages. Throws InputError: no header, a
    // column without a name or named twice, and what next() throws.
    CsvReader(std::string text, std::string file);

    const std::vector<std::string>& header() const { return header_; }
    const std::string& file() const { return file_; }
    // The column of that name. Throws InputError with the nearest one.
    std::size_t column(const std::string& name) const;

    // Puts the next row into `row`; false at the end. Blank lines are passed over. Throws
    // InputError: another number of fields, a quote inside a plain field or one left open.
    bool next(CsvRow& row);

  private:
    bool next_cells(std::vector<std::string>& cells, int& line);
    void quoted_field(std::string& cell, int begin);

    std::string text_, file_;
    std::size_t at_ = 0;
    int line_ = 1;
    std::vector<std::string> header_;
};

// The text of a table, inflated where it is gzip (told by its first two bytes). Throws InputError:
// missing, unreadable, a directory, broken or truncated gzip, more than 256 MiB, not plain_text().
std::string read_table_file(const std::string& path);

// `data` inflated (RFC 1952), no longer than `limit`. Throws InputError.
std::string gunzip(const std::string& data, const std::string& file, std::size_t limit);

}  // namespace podsim
