#include "workloads/requests/line_reader.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace podsim {

namespace {

constexpr std::size_t kStep = std::size_t{1} << 18;
// A row of ten million tokens names 625,000 blocks of 16: less than this.
constexpr std::size_t kLongestLine = std::size_t{64} << 20;

}  // namespace

LineReader::LineReader(const std::string& path) : path_(path), file_(nullptr) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) throw InputError({path}, "", "no such file");
    if (std::filesystem::is_directory(status))
        throw InputError({path}, "", "is a folder, a file was expected");
    errno = 0;
    file_ = gzopen(path.c_str(), "rb");
    if (file_ == nullptr)
        throw InputError({path}, "", fmt::format("cannot be read: {}", std::strerror(errno)));
    gzbuffer(file_, kStep);
}

LineReader::~LineReader() {
    gzclose(file_);
}

Place LineReader::place() const {
    return {path_, static_cast<int>(std::min(number_, 2'000'000'000L)), 0};
}

void LineReader::fill() {
    text_.erase(0, at_);
    at_ = 0;
    const std::size_t begin = text_.size();
    text_.resize(begin + kStep);
    const int got = gzread(file_, text_.data() + begin, kStep);
    text_.resize(begin + static_cast<std::size_t>(std::max(got, 0)));
    ended_ = got < static_cast<int>(kStep);
    if (!ended_) return;
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    if (code == Z_OK || code == Z_STREAM_END) return;
    // Which line it is shows once those before it have been handed on.
    broken_ = Diagnostic{{path_, 0, 0},
                         "",
                         code == Z_BUF_ERROR ? std::string("the gzip is cut off in this line")
                                             : fmt::format("broken gzip from here on: {}", message),
                         "copy the file again; bad_rows: skip takes what is whole"};
}

bool LineReader::next(std::string_view& line) {
    std::size_t searched = 0;
    while (true) {
        const std::size_t end = text_.find('\n', at_ + searched);
        if (end == std::string::npos) {
            if (!ended_) {
                searched = text_.size() - at_;
                if (searched <= kLongestLine) {
                    fill();
                    continue;
                }
                ended_ = true;
                broken_ = Diagnostic{{path_, 0, 0},
                                     "",
                                     fmt::format("a line of more than {} MiB", kLongestLine >> 20),
                                     "is this a table of requests?"};
            }
            if (broken_ || at_ >= text_.size()) {
                if (broken_ && broken_->place.line == 0)
                    broken_->place.line = static_cast<int>(std::min(number_ + 1, 2'000'000'000L));
                at_ = text_.size();
                return false;
            }
        }
        const std::size_t stop = std::min(end, text_.size());
        line = std::string_view(text_).substr(at_, stop - at_);
        at_ = std::min(stop + 1, text_.size());
        searched = 0;
        ++number_;
        constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
        if (number_ == 1 && line.substr(0, 3) == byte_order_mark) line.remove_prefix(3);
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
        if (!line.empty()) return true;
    }
}

}  // namespace podsim
