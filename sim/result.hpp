// What a run answers: plain data, complete enough to be printed, audited, compared and run again
// without the simulator. Reports read this and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "sim/alternative_result.hpp"

namespace podsim {

inline constexpr int kResultSchemaVersion = 2;
// Changes whenever a model's answer may change; part of every result and of `podsim --version`.
inline constexpr const char* kModelCodeVersion = "0.1.0";

// Facts of the run that may differ between equal runs.
struct RunSwitches {
    std::string driver;
    bool cache = true;
    double host_seconds = 0;
    double peak_memory_bytes = 0;
    long events = 0, cache_hits = 0, cache_misses = 0;
    long cache_stored_hits = 0;  // of the misses, those found in a file of an earlier run
};

struct Result {
    std::string experiment, kind;
    std::string model_code = kModelCodeVersion;  // that it was made with
    std::uint64_t seed = 0;
    std::vector<AlternativeResult> alternatives;
    // Resolved configuration: {"experiment": tree, "documents": {"chip/ascend-910c": tree, ...}}
    // and the origin of each value, "chip/ascend-910c.hbm.bandwidth" -> "configs/...:12".
    nlohmann::ordered_json configuration;
    RunSwitches switches;

    bool audit_passed() const;
};

nlohmann::ordered_json to_json(const Result& result);

// Per-operator rows of all alternatives as CSV with a header line (RFC 4180 quoting).
std::string operators_csv(const Result& result);

// What ranks hold at their fullest, a row a part, with the time of it; "" where nobody says when
// that is.
std::string memory_csv(const Result& result);

}  // namespace podsim
