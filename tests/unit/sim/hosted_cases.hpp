// A test system whose chips stand on hosts.
#pragma once

#include <string>

#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {

// Eight chips of two ranks share 800 GB/s of memory and 40 GB/s of drives.
inline constexpr const char* kHost =
    "host: {chips: 8, memory: 2 TB, bandwidth: 800 GB/s, peak: 400 TFLOPS, attained: 50 %, "
    "storage: 20 TB, storage_bandwidth: 40 GB/s}\n";

inline Catalog hosted(const std::string& host = kHost, const std::string& link = "64 GB/s") {
    Catalog catalog = test_catalog();
    catalog.embed("system", "test-system",
                  parse_yaml(std::string(kTestSystem) + host, "test-system.yaml"));
    catalog.embed(
        "chip", "test-chip",
        parse_yaml(std::string(kTestChip) + "host_link: {technology: a link, bandwidth: " + link +
                       ", latency: 1 us}\n",
                   "test-chip.yaml"));
    return catalog;
}

}  // namespace podsim
