#include "sim/cost_file.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/plain_bytes.hpp"
#include "sim/kept_file.hpp"

namespace podsim {

namespace {

// Together 256 MiB at most. A file of this size holds some 1,200 costs and is read in 0.1 ms.
constexpr std::uint64_t kPlaces = 1024;
constexpr std::size_t kLargestFile = std::size_t{256} << 10;

}  // namespace

CostFile::CostFile(const std::string& folder, CostCache& cache) {
    if (folder.empty() || !cache.keeps()) return;
    std::string setting = cache.setting();
    path_ = fmt::format("{}/costs-{:03x}", folder, fingerprint(setting) % kPlaces);
    cache.recall(StoredCosts(std::move(setting), kept_content(path_, kLargestFile)));
}

void CostFile::keep(const CostCache& cache) const {
    const std::string content = path_.empty() ? "" : cache.file(kLargestFile);
    if (content.empty()) return;
    keep_content(path_, content);
}

}  // namespace podsim
