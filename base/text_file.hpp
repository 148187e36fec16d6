// Text as users give it: whole files, checked to be plain UTF-8 before any parser sees them,
// and places in them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/diagnostic.hpp"

namespace podsim {

// The content of a file with lines ended by '\n' and without a byte order mark. Throws
// InputError: missing, unreadable, a directory, more than 16 MiB, or not plain_text().
std::string read_text_file(const std::string& path);

// `text` with "\r\n" as '\n' and without a byte order mark. Throws InputError at the first byte
// that is not UTF-8 or is a control character (yaml-cpp takes some for the end of the file).
std::string plain_text(std::string_view text, const std::string& file);

// Line and column (in bytes, from 1) of an offset into `text`.
Place place_at(std::string_view text, std::size_t offset, const std::string& file);

}  // namespace podsim
