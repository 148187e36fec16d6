// Numbers that were measured on a model, as the bytes of a small file: what they depend on in
// front, compared byte for byte, and a checksum over all of it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/plain_bytes.hpp"

namespace podsim {

std::string measured_file(std::string_view magic, const std::string& setting,
                          const std::string& values);

// The values, valid as long as the file is; nothing where it is of another setting, torn or edited.
std::optional<std::string_view> measured_values(std::string_view file, std::string_view magic,
                                                const std::string& setting);

// Reads back a list of numbers. Returns whether it was all there.
bool take_numbers(ByteReader& reader, std::vector<double>& numbers);

}  // namespace podsim
