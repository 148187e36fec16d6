// Traces as bytes, written by the field numbers of Chakra's schema and by hand, apart from the
// writer that is tested.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "workloads/trace_files.hpp"

namespace podsim {

inline std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
    return bytes + static_cast<char>(value);
}

inline std::string number_field(int field, std::uint64_t value) {
    return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}

inline std::string text_field(int field, const std::string& text) {
    return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(text.size()) + text;
}

// A message with its length in front.
inline std::string framed(const std::string& message) {
    return varint(message.size()) + message;
}

inline std::string whole_attribute(const std::string& name, int oneof, std::uint64_t value) {
    return text_field(10, text_field(1, name) + number_field(oneof, value));
}
inline std::string text_attribute(const std::string& name, const std::string& value) {
    return text_field(10, text_field(1, name) + text_field(29, value));
}

inline std::string packed_ids(int field, const std::vector<std::uint64_t>& ids) {
    std::string bytes;
    for (const std::uint64_t id : ids) bytes += varint(id);
    return text_field(field, bytes);
}

inline const std::string kChakraHeader = framed(text_field(1, "0.0.4"));

inline std::string chakra_node(std::uint64_t id, const std::string& name, int type,
                               const std::string& rest = "") {
    return framed(number_field(1, id) + text_field(2, name) + number_field(3, type) + rest);
}
inline std::string chakra_compute(std::uint64_t id, std::uint64_t micros,
                                  const std::vector<std::uint64_t>& after = {}) {
    return chakra_node(id, "compute", 4, packed_ids(5, after) + number_field(7, micros));
}
inline std::string chakra_collective(std::uint64_t id, std::uint64_t type, std::uint64_t bytes,
                                     const std::string& group = "",
                                     const std::vector<std::uint64_t>& after = {}) {
    return chakra_node(id, "collective", 7,
                       packed_ids(5, after) + whole_attribute("is_cpu_op", 27, 0) +
                           whole_attribute("comm_type", 9, type) +
                           whole_attribute("comm_size", 9, bytes) +
                           (group.empty() ? "" : text_attribute("pg_name", group)));
}
inline std::string chakra_message(std::uint64_t id, bool sends, std::uint64_t peer,
                                  std::uint64_t bytes, std::uint64_t tag = 0) {
    return chakra_node(id, "message", sends ? 5 : 6,
                       whole_attribute(sends ? "comm_dst" : "comm_src", 7, peer) +
                           whole_attribute("comm_tag", 7, tag) +
                           whole_attribute("comm_size", 9, bytes));
}

// A folder that is gone when the test is.
class TraceFolder {
  public:
    TraceFolder()
        : path_((std::filesystem::temp_directory_path() /
                 ("podsim-trace-" + std::to_string(getpid())))
                    .string()) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~TraceFolder() { std::filesystem::remove_all(path_); }
    TraceFolder(const TraceFolder&) = delete;
    TraceFolder& operator=(const TraceFolder&) = delete;

    std::string write(const std::string& name, const std::string& bytes) const {
        std::string path = path_ + "/" + name;
        std::ofstream(path, std::ios::binary) << bytes;
        return path;
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace podsim
