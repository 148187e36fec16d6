#include "app/text_table.hpp"

#include <algorithm>

namespace podsim {

namespace {

bool begins_code_point(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
}

// Bytes of the first `columns` code points.
std::size_t bytes_of_columns(const std::string& text, std::size_t columns) {
    std::size_t i = 0;
    for (; i < text.size(); ++i) {
        if (!begins_code_point(text[i])) continue;
        if (columns == 0) break;
        --columns;
    }
    return i;
}

// Where to cut a text that is wider than `width`: (end of the line, begin of the next).
std::pair<std::size_t, std::size_t> cut(const std::string& text, std::size_t width) {
    const std::size_t limit = bytes_of_columns(text, width);
    const std::size_t space = text.rfind(' ', limit);
    if (space != std::string::npos && space > 0) return {space, space + 1};
    const std::size_t joint = text.find_last_of("-/_", limit - 1);
    if (joint != std::string::npos && joint > 0) return {joint + 1, joint + 1};
    return {limit, limit};
}

std::string without_trailing_spaces(std::string text) {
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

}  // namespace

std::size_t display_width(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_code_point));
}

std::vector<std::string> wrap(const std::string& text, std::size_t width) {
    std::vector<std::string> lines;
    std::string rest = text;
    std::replace(rest.begin(), rest.end(), '\n', ' ');
    while (display_width(rest) > width) {
        const auto [end, next] = cut(rest, width);
        lines.push_back(without_trailing_spaces(rest.substr(0, end)));
        rest = rest.substr(next);
        rest.erase(0, std::min(rest.find_first_not_of(' '), rest.size()));
    }
    if (lines.empty() || !rest.empty()) lines.push_back(without_trailing_spaces(rest));
    return lines;
}

std::string hanging(const std::string& first, const std::string& text, std::size_t width) {
    const std::size_t indent = display_width(first);
    std::string result;
    for (const std::string& line : wrap(text, width - std::min(indent, width - 20))) {
        result += (result.empty() ? first : std::string(indent, ' ')) + line + "\n";
    }
    return result;
}

std::string pad_right(const std::string& text, std::size_t width) {
    const std::size_t wide = display_width(text);
    return wide < width ? text + std::string(width - wide, ' ') : text;
}

std::string pad_left(const std::string& text, std::size_t width) {
    const std::size_t wide = display_width(text);
    return wide < width ? std::string(width - wide, ' ') + text : text;
}

void TextTable::row(const std::string& label, const std::vector<std::string>& cells) {
    std::vector<std::vector<std::string>> columns;
    const std::size_t indent = std::min(label.find_first_not_of(' '), label.size());
    std::vector<std::string> labels =
        wrap(label.substr(indent), label_width_ - std::min(indent, label_width_ / 2));
    std::size_t height = labels.size();
    for (const std::string& cell : cells) {
        // Words that fill a column would read as one with those of the column before it.
        const bool words = cell.find(' ') != std::string::npos;
        columns.push_back(wrap(cell, words ? cell_width_ - 1 : cell_width_));
        height = std::max(height, columns.back().size());
    }
    for (std::size_t i = 0; i < height; ++i) {
        std::string line = std::string(indent, ' ') + (i < labels.size() ? labels[i] : "");
        line = pad_right(line, label_width_);
        for (const auto& column : columns) {
            line += " " + pad_left(i < column.size() ? column[i] : "", cell_width_);
        }
        text_ += without_trailing_spaces(line) + "\n";
    }
}

void TextTable::line(const std::string& text) {
    text_ += without_trailing_spaces(text) + "\n";
}

}  // namespace podsim
