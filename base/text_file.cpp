#include "base/text_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace podsim {
namespace {

constexpr std::size_t largest_file = std::size_t{16} << 20;

// Bytes of the UTF-8 sequence at the start of `text`, 0 when it is none: overlong forms,
// surrogates and code points above U+10FFFF are none (RFC 3629).
std::size_t sequence_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return 0;
    }
    if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return 0;
    if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return 0;
    return length;
}

}  // namespace

std::string read_text_file(const std::string& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) throw InputError({path}, "", "no such file");
    if (std::filesystem::is_directory(status)) {
        throw InputError({path}, "", "is a directory, a file was expected");
    }
    std::ifstream stream(path, std::ios::binary);
    std::string text;
    // Reads from pipes too, whose size is not known before.
    while (stream && text.size() <= largest_file) {
        char block[4096];
        stream.read(block, sizeof block);
        text.append(block, static_cast<std::size_t>(stream.gcount()));
    }
    if (text.size() > largest_file) throw InputError({path}, "", "is larger than 16 MiB");
    if (!stream.eof()) throw InputError({path}, "", "cannot be read");
    return plain_text(text, path);
}

std::string plain_text(std::string_view text, const std::string& file) {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.substr(0, byte_order_mark.size()) == byte_order_mark) {
        text.remove_prefix(byte_order_mark.size());
    }
    std::string plain;
    plain.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
            ++i;
            continue;
        }
        const auto code = static_cast<unsigned char>(c);
        if ((code < 0x20 && c != '\n' && c != '\t') || code == 0x7f) {
            throw InputError(
                place_at(text, i, file), "",
                fmt::format("a control character (0x{:02x}), text was expected", code));
        }
        const std::size_t length = sequence_length(text.substr(i, 4));
        if (length == 0) {
            throw InputError(place_at(text, i, file), "",
                             fmt::format("byte 0x{:02x} is not UTF-8 text", code));
        }
        plain.append(text.substr(i, length));
        i += length;
    }
    return plain;
}

Place place_at(std::string_view text, std::size_t offset, const std::string& file) {
    const std::string_view before = text.substr(0, offset);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const auto start = before.rfind('\n');
    const std::size_t column =
        start == std::string_view::npos ? before.size() + 1 : before.size() - start;
    return {file, static_cast<int>(lines) + 1, static_cast<int>(column)};
}

}  // namespace podsim
