#include "sim/kept_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/signals_held.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

bool write_all(int file, const std::string& content) {
    std::size_t done = 0;
    while (done < content.size()) {
        const ssize_t some = write(file, content.data() + done, content.size() - done);
        if (some <= 0) return false;
        done += static_cast<std::size_t>(some);
    }
    return true;
}

}  // namespace

std::string kept_content(const std::string& path, std::size_t largest) {
    // Not waiting where somebody has put a pipe.
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return "";
    struct stat status {};
    std::string content;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        static_cast<std::size_t>(status.st_size) <= largest) {
        content.resize(static_cast<std::size_t>(status.st_size));
        const ssize_t got = read(file, content.data(), content.size());
        content.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    close(file);
    return content;
}

void keep_content(const std::string& path, const std::string& content) {
    std::error_code failed;
    fs::create_directories(fs::path(path).parent_path(), failed);
    std::string temporary = path + ".XXXXXX";
    const SignalsHeld held;
    const int file = mkstemp(temporary.data());
    if (file < 0) return;
    const bool written = write_all(file, content);
    // A full disk may only be noticed at the end.
    const bool closed = close(file) == 0;
    if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0)
        unlink(temporary.c_str());
}

}  // namespace podsim
