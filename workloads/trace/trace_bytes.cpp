#include "workloads/trace/trace_bytes.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/diagnostic.hpp"

namespace podsim {

TraceBytes::TraceBytes(const std::string& path) : path_(path), file_(nullptr) {
    if (std::filesystem::is_directory(path))
        throw InputError({path, 0, 0}, "", "is a folder, expected a file");
    errno = 0;
    file_ = gzopen(path.c_str(), "rb");
    if (file_ == nullptr)
        throw InputError({path, 0, 0}, "", fmt::format("cannot be read: {}", std::strerror(errno)));
    gzbuffer(file_, 1 << 18);
}

TraceBytes::~TraceBytes() {
    gzclose(file_);
}

int TraceBytes::read(char* buffer, int size) {
    const int got = gzread(file_, buffer, static_cast<unsigned>(size));
    int code = Z_OK;
    const char* message = gzerror(file_, &code);
    // A file that ends within its gzip is told at its end, as Z_BUF_ERROR.
    if (got < 0 || (got < size && code != Z_OK && code != Z_STREAM_END)) {
        throw InputError({path_, 0, 0}, fmt::format("byte {}", gztell(file_)),
                         code == Z_BUF_ERROR ? std::string("the gzip is cut off")
                                             : fmt::format("broken gzip: {}", message),
                         "copy the file again");
    }
    return got;
}

std::string TraceBytes::rest(std::size_t limit) {
    constexpr int step = 1 << 20;
    std::string text;
    while (true) {
        const std::size_t begin = text.size();
        text.resize(begin + step);
        const int got = read(text.data() + begin, step);
        text.resize(begin + static_cast<std::size_t>(got));
        if (got < step) return text;
        if (text.size() > limit) {
            throw InputError({path_, 0, 0}, "",
                             fmt::format("more than {} MiB of text", limit >> 20),
                             "write it as Chakra protobuf, which is read as a stream");
        }
    }
}

std::string first_bytes(const std::string& path, int size) {
    TraceBytes bytes(path);
    std::string first(static_cast<std::size_t>(size), '\0');
    first.resize(static_cast<std::size_t>(bytes.read(first.data(), size)));
    return first;
}

bool looks_like_text(const std::string& bytes) {
    return std::none_of(bytes.begin(), bytes.end(), [](char c) {
        const auto code = static_cast<unsigned char>(c);
        return code < 0x20 && c != '\t' && c != '\n' && c != '\r';
    });
}

}  // namespace podsim
