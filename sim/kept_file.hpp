// Small files kept between runs. Nothing of it can fail: a file that cannot be read is as good as
// none, one that cannot be written is left out.
#pragma once

#include <cstddef>
#include <string>

namespace podsim {

// "" where there is no such regular file, or a larger one.
std::string kept_content(const std::string& path, std::size_t largest);

// Writes it under another name, then renames it: of two programs at once the later one's file
// stands, and neither sees half of one. The folder is made where it is not there.
void keep_content(const std::string& path, const std::string& content);

}  // namespace podsim
