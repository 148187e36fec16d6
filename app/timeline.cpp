#include "app/timeline.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// Whole picoseconds, so that the text stays short and the same everywhere.
double microseconds_of(double seconds) {
    return std::round(seconds * 1e12) / 1e6;
}

Json metadata(const char* what, int process, int thread, const Json& value) {
    return {{"name", what}, {"ph", "M"}, {"pid", process}, {"tid", thread}, {"args", value}};
}

void add_tracks(Json& events, const AlternativeResult& alternative, int process) {
    std::vector<std::string> tracks;  // in the order of their first event
    for (const TimelineEvent& event : alternative.timeline) {
        auto it = std::find(tracks.begin(), tracks.end(), event.track);
        if (it == tracks.end()) {
            it = tracks.insert(tracks.end(), event.track);
            const int thread = static_cast<int>(tracks.size());
            events.push_back(metadata("thread_name", process, thread, {{"name", event.track}}));
            events.push_back(
                metadata("thread_sort_index", process, thread, {{"sort_index", thread}}));
        }
        Json args = {{"part", event.part}, {"micro_batch", event.micro_batch}};
        if (event.layer >= 0) args["layer"] = event.layer;
        const bool work = event.part == "work";
        events.push_back({{"name", work ? event.name : event.name + " (" + event.part + ")"},
                          {"cat", event.part},
                          {"ph", "X"},
                          {"pid", process},
                          {"tid", static_cast<int>(it - tracks.begin()) + 1},
                          {"ts", microseconds_of(event.start)},
                          {"dur", microseconds_of(event.duration)},
                          {"args", std::move(args)}});
    }
}

void add_counters(Json& events, const AlternativeResult& alternative, int process) {
    for (const ResourceUse& use : alternative.resources) {
        if (use.windows.empty()) continue;
        const std::string name = use.rank_class + ": " + use.resource + ", %";
        const double window =
            alternative.iteration_seconds / static_cast<double>(use.windows.size());
        const auto add = [&](std::size_t i, double value) {
            events.push_back({{"name", name},
                              {"ph", "C"},
                              {"pid", process},
                              {"ts", microseconds_of(window * static_cast<double>(i))},
                              {"args", {{"used", value}}}});
        };
        for (std::size_t i = 0; i < use.windows.size(); ++i) {
            add(i, std::round(use.windows[i] * 1e4) / 1e2);
        }
        add(use.windows.size(), 0.0);  // a counter keeps its last value for ever
    }
}

// What ranks of each stage hold, part by part on top of each other.
void add_memory(Json& events, const AlternativeResult& alternative, int process) {
    constexpr double giga = 1e9;
    for (const MemoryTrack& track : alternative.memory_over_time) {
        const std::string name = track.name + ": memory, GB";
        for (const MemoryTrack::Point& point : track.points) {
            Json held = Json::object();
            for (std::size_t i = 0; i < track.parts.size(); ++i)
                held[track.parts[i]] = std::round(point.bytes[i] / giga * 1e6) / 1e6;
            events.push_back({{"name", name},
                              {"ph", "C"},
                              {"pid", process},
                              {"ts", microseconds_of(point.seconds)},
                              {"args", std::move(held)}});
        }
    }
}

}  // namespace

std::string timeline_json(const Result& result) {
    Json events = Json::array();
    int process = 0;
    for (const AlternativeResult& alternative : result.alternatives) {
        ++process;
        events.push_back(metadata("process_name", process, 0, {{"name", alternative.name}}));
        events.push_back(metadata("process_sort_index", process, 0, {{"sort_index", process}}));
        add_tracks(events, alternative, process);
        add_counters(events, alternative, process);
        add_memory(events, alternative, process);
    }
    const Json trace = {{"displayTimeUnit", "ns"},
                        {"otherData", {{"experiment", result.experiment}}},
                        {"traceEvents", std::move(events)}};
    return trace.dump() + "\n";
}

}  // namespace podsim
