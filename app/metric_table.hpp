// What a reader is told about each metric: its label, its group in the comparison, one sentence.
// Names are those of results (design contract: extend, do not rename).
#pragma once

#include <string>
#include <vector>

namespace podsim {

struct MetricInfo {
    std::string name, label;
    std::string unit;   // as results state it
    std::string group;  // a heading of the comparison
    std::string sentence;
};

// In the order in which they are printed.
const std::vector<MetricInfo>& metric_table();

// The entry of `name`; for one with a known name and a suffix ("..._owned") that entry with the
// suffix in its label; for an unknown one the name itself, in the group "other".
MetricInfo metric_info(const std::string& name);

}  // namespace podsim
