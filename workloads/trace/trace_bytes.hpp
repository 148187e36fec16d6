// The bytes of a trace file, plain or gzip, read as a stream.
#pragma once

#include <string>

struct gzFile_s;

namespace podsim {

class TraceBytes {
  public:
    // Throws InputError: missing, unreadable, a directory.
    explicit TraceBytes(const std::string& path);
    ~TraceBytes();
    TraceBytes(const TraceBytes&) = delete;
    TraceBytes& operator=(const TraceBytes&) = delete;

    const std::string& path() const { return path_; }
    // Up to `size` bytes; fewer at the end alone. Throws InputError: broken or truncated gzip.
    int read(char* buffer, int size);
    // All that is left. Throws InputError above `limit`.
    std::string rest(std::size_t limit);

  private:
    std::string path_;
    gzFile_s* file_;
};

// The first `size` bytes, for telling formats apart.
std::string first_bytes(const std::string& path, int size);

// Whether these bytes are text: none of them a control character but tabs and ends of lines.
bool looks_like_text(const std::string& bytes);

}  // namespace podsim
