// Text in columns for a terminal of 80: wrapping, and tables whose columns never grow past it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace podsim {

inline constexpr std::size_t kTerminalWidth = 80;

// Columns a text takes: code points, which for the names of our files is right.
std::size_t display_width(const std::string& text);

// `text` in lines of at most `width` columns, broken at spaces, else after - or /, else anywhere.
// At least one line.
std::vector<std::string> wrap(const std::string& text, std::size_t width);

// The same as one text: the first line begins with `first`, the others with as many spaces.
std::string hanging(const std::string& first, const std::string& text,
                    std::size_t width = kTerminalWidth);

std::string pad_right(const std::string& text, std::size_t width);
std::string pad_left(const std::string& text, std::size_t width);

// A label column and columns of cells flush right, in lines of at most 80. Cells that are too
// long go on in the next line.
class TextTable {
  public:
    TextTable(std::size_t label_width, std::size_t cell_width)
        : label_width_(label_width), cell_width_(cell_width) {}

    void row(const std::string& label, const std::vector<std::string>& cells);
    void line(const std::string& text);
    const std::string& text() const { return text_; }

  private:
    std::size_t label_width_, cell_width_;
    std::string text_;
};

}  // namespace podsim
