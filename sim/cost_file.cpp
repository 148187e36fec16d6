#include "sim/cost_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/plain_bytes.hpp"
#include "base/signals_held.hpp"

namespace podsim {

namespace {

namespace fs = std::filesystem;

// Together 256 MiB at most. A file of this size holds some 1,200 costs and is read in 0.1 ms.
constexpr std::uint64_t kPlaces = 1024;
constexpr std::size_t kLargestFile = std::size_t{256} << 10;

std::string content_of(const std::string& path) {
    // Not waiting where somebody has put a pipe.
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return "";
    struct stat status {};
    std::string content;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
        static_cast<std::size_t>(status.st_size) <= kLargestFile) {
        content.resize(static_cast<std::size_t>(status.st_size));
        const ssize_t got = read(file, content.data(), content.size());
        content.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    }
    close(file);
    return content;
}

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

CostFile::CostFile(const std::string& folder, CostCache& cache) {
    if (folder.empty() || !cache.keeps()) return;
    std::string setting = cache.setting();
    path_ = fmt::format("{}/costs-{:03x}", folder, fingerprint(setting) % kPlaces);
    cache.recall(StoredCosts(std::move(setting), content_of(path_)));
}

void CostFile::keep(const CostCache& cache) const {
    const std::string content = path_.empty() ? "" : cache.file(kLargestFile);
    if (content.empty()) return;
    std::error_code failed;
    fs::create_directories(fs::path(path_).parent_path(), failed);
    std::string temporary = path_ + ".XXXXXX";
    const SignalsHeld held;
    const int file = mkstemp(temporary.data());
    if (file < 0) return;
    const bool written = write_all(file, content);
    // A full disk may only be noticed at the end.
    const bool closed = close(file) == 0;
    if (!written || !closed || std::rename(temporary.c_str(), path_.c_str()) != 0)
        unlink(temporary.c_str());
}

}  // namespace podsim
