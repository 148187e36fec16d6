#include "sim/traffic_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace podsim {

namespace {

namespace fs = std::filesystem;

class FileFinder {
  public:
    explicit FileFinder(const std::vector<std::string>& folders) : folders_(folders) {}

    void find(std::string& path, const Place& place, const char* key) {
        if (path.empty()) return;
        std::error_code none;
        if (fs::path(path).is_absolute()) {
            if (!fs::exists(path, none)) missing(path, place, key);
            return;
        }
        std::vector<fs::path> places = {fs::path(place.file).parent_path() / path, path};
        for (const std::string& folder : folders_) places.push_back(fs::path(folder) / path);
        for (const fs::path& one : places) {
            if (!fs::exists(one, none)) continue;
            path = one.lexically_normal().string();
            return;
        }
        missing(path, place, key);
    }
    void throw_problems() {
        if (!problems_.empty()) throw InputError(std::move(problems_));
    }

  private:
    void missing(const std::string& path, const Place& place, const char* key) {
        problems_.push_back(
            {place, key, "there is no file " + path,
             folders_.empty() ? std::string("a path from this file's folder, or from the working "
                                            "directory")
                              : fmt::format("a path from this file's folder, from the working "
                                            "directory, or from {}",
                                            fmt::join(folders_, " or "))});
    }

    const std::vector<std::string>& folders_;
    Problems problems_;
};

// More than a run could ever serve is a slip of the pen, and gaps of no time would never end.
void require_countable(const StreamSpec& stream) {
    constexpr double kMostRequests = 1e10;
    if (!stream.arrivals || stream.arrivals->law == ArrivalLaw::closed) return;
    const double rate = stream.arrivals->rate.value() * stream.rate_scale;
    const double count = stream.duration ? rate * stream.duration->value() : 0;
    if (count <= kMostRequests && rate <= kMostRequests) return;
    throw InputError(stream.place, "arrivals.rate",
                     fmt::format("{:.3g} requests a second, {:.3g} in all", rate, count),
                     fmt::format("at most {:.0e} of either", kMostRequests));
}

}  // namespace

void find_traffic_files(TrafficSpec& spec, const std::vector<std::string>& folders) {
    FileFinder finder(folders);
    for (StreamSpec& stream : spec.streams) {
        require_countable(stream);
        finder.find(stream.trace, stream.trace_place, "trace");
        finder.find(stream.lengths, stream.lengths_place, "lengths");
        for (auto* lengths : {&stream.input, &stream.output})
            if (*lengths) finder.find((*lengths)->trace, (*lengths)->trace_place, "trace");
        if (stream.sessions && stream.sessions->tools) {
            LengthSpec& result = stream.sessions->tools->result;
            finder.find(result.trace, result.trace_place, "trace");
        }
    }
    finder.throw_problems();
}

TrafficSpec scaled(TrafficSpec traffic, double scale) {
    for (StreamSpec& stream : traffic.streams) {
        if (!stream.arrivals || stream.arrivals->law != ArrivalLaw::closed) {
            stream.rate_scale *= scale;
            continue;
        }
        long& users = stream.arrivals->concurrency;
        users = std::max(1L, std::lround(static_cast<double>(users) * scale));
    }
    return traffic;
}

}  // namespace podsim
