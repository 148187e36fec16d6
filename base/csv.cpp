#include "base/csv.hpp"

#include <zlib.h>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/diagnostic.hpp"
#include "base/text_file.hpp"

namespace podsim {

namespace {

constexpr std::size_t largest_table = std::size_t{256} << 20;

std::string read_bytes(const std::string& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) throw InputError({path}, "", "no such file");
    if (std::filesystem::is_directory(status)) {
        throw InputError({path}, "", "is a directory, a table was expected");
    }
    std::ifstream stream(path, std::ios::binary);
    std::string data;
    while (stream && data.size() <= largest_table) {
        char block[65536];
        stream.read(block, sizeof block);
        data.append(block, static_cast<std::size_t>(stream.gcount()));
    }
    if (data.size() > largest_table) throw InputError({path}, "", "is larger than 256 MiB");
    if (!stream.eof()) throw InputError({path}, "", "cannot be read");
    return data;
}

}  // namespace

CsvReader::CsvReader(std::string text, std::string file)
    : text_(std::move(text)), file_(std::move(file)) {
    int line = 1;
    if (!next_cells(header_, line)) {
        throw InputError({file_, 1, 0}, "", "empty, a header with the columns' names was expected");
    }
    std::set<std::string> names;
    for (const std::string& name : header_) {
        if (name.empty()) throw InputError({file_, line, 0}, "", "a column has no name");
        if (!names.insert(name).second) {
            throw InputError({file_, line, 0}, "", "two columns are called " + name);
        }
    }
}

std::size_t CsvReader::column(const std::string& name) const {
    const auto found = std::find(header_.begin(), header_.end(), name);
    if (found == header_.end()) {
        throw InputError({unknown_name({file_, 1, 0}, "", "column", name, header_)});
    }
    return static_cast<std::size_t>(found - header_.begin());
}

bool CsvReader::next(CsvRow& row) {
    if (!next_cells(row.cells, row.line)) return false;
    if (row.cells.size() != header_.size()) {
        throw InputError({file_, row.line, 0}, "",
                         fmt::format("{} {}, the header names {}", row.cells.size(),
                                     row.cells.size() == 1 ? "field" : "fields", header_.size()));
    }
    return true;
}

bool CsvReader::next_cells(std::vector<std::string>& cells, int& line) {
    while (at_ < text_.size() && text_[at_] == '\n') {
        ++at_;
        ++line_;
    }
    if (at_ >= text_.size()) return false;
    line = line_;
    std::size_t count = 0;
    for (;;) {
        if (count == cells.size()) cells.emplace_back();
        std::string& cell = cells[count++];
        cell.clear();
        if (at_ < text_.size() && text_[at_] == '"') {
            quoted_field(cell, line_);
        } else {
            const std::size_t end = std::min(text_.find_first_of(",\n\"", at_), text_.size());
            cell.assign(text_, at_, end - at_);
            at_ = end;
        }
        if (at_ < text_.size() && text_[at_] == ',') {
            ++at_;
            continue;
        }
        if (at_ < text_.size() && text_[at_] != '\n') {
            throw InputError({file_, line_, 0}, "",
                             fmt::format("field {}: a quote has to begin the field, and a comma or "
                                         "the end of the line to follow its end",
                                         count));
        }
        break;
    }
    if (at_ < text_.size()) {
        ++at_;
        ++line_;
    }
    cells.resize(count);
    return true;
}

void CsvReader::quoted_field(std::string& cell, int begin) {
    for (++at_; at_ < text_.size(); ++at_) {
        const char c = text_[at_];
        if (c == '"') {
            if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
                ++at_;
            } else {
                ++at_;
                return;
            }
        }
        if (c == '\n') ++line_;
        cell += c;
    }
    throw InputError({file_, begin, 0}, "", "a quoted field begins here and never ends");
}

std::string gunzip(const std::string& data, const std::string& file, std::size_t limit) {
    z_stream stream{};
    // 15 bits of window, plus 16: the gzip format alone.
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
        throw InputError({file}, "", "zlib cannot be set up");
    }
    std::string text;
    const auto end = [&](const char* what) {
        inflateEnd(&stream);
        if (what != nullptr) throw InputError({file}, "", what);
    };
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    int status = Z_OK;
    while (status != Z_STREAM_END) {
        char block[65536];
        stream.next_out = reinterpret_cast<Bytef*>(block);
        stream.avail_out = sizeof block;
        status = inflate(&stream, Z_NO_FLUSH);
        text.append(block, sizeof block - stream.avail_out);
        if (text.size() > limit) end("is too large when unpacked");
        if (status == Z_STREAM_END && stream.avail_in > 0) status = inflateReset(&stream);
        if (status == Z_BUF_ERROR) end("gzip data that stop before their end");
        if (status != Z_OK && status != Z_STREAM_END) end("broken gzip data");
    }
    end(nullptr);
    return text;
}

std::string read_table_file(const std::string& path) {
    std::string data = read_bytes(path);
    const bool packed = data.size() >= 2 && data[0] == '\x1f' && data[1] == '\x8b';
    return plain_text(packed ? gunzip(data, path, largest_table) : data, path);
}

}  // namespace podsim
