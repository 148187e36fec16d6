// A text file's lines, plain or gzip, one at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/diagnostic.hpp"

struct gzFile_s;

namespace podsim {

class LineReader {
  public:
    // Throws InputError: missing, unreadable, a folder.
    explicit LineReader(const std::string& path);
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    // The next line that is not blank, without its end; it stands until the next call. False at
    // the end, and where the file breaks off: of a line that is cut off nothing is handed on.
    bool next(std::string_view& line);
    long number() const { return number_; }  // of the line last handed on, from 1
    Place place() const;                     // of it
    // Why the file ended before its end: gzip cut off or broken, a line without an end.
    const std::optional<Diagnostic>& broken() const { return broken_; }

  private:
    void fill();

    std::string path_;
    gzFile_s* file_;
    std::string text_;  // read and not handed on yet, from at_ on
    std::size_t at_ = 0;
    long number_ = 0;
    bool ended_ = false;
    std::optional<Diagnostic> broken_;
};

}  // namespace podsim
