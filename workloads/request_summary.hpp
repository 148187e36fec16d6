// What a request trace holds, counted before any of it is served.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "workloads/kv_cache.hpp"
#include "workloads/request.hpp"

namespace podsim {

// Whole numbers and how often each came: exact percentiles in the memory of the different ones.
class LengthCount {
  public:
    void add(long value) {
        ++counts_[value];
        ++count_;
        total_ += static_cast<double>(value);
    }
    long count() const { return count_; }
    double total() const { return total_; }
    double mean() const { return count_ > 0 ? total_ / static_cast<double>(count_) : 0; }
    // As base/statistics.hpp defines it; 0 of none.
    double percentile(double percent) const;

  private:
    std::map<long, long> counts_;
    long count_ = 0;
    double total_ = 0;
};

// Of gaps between arrivals: mean and standard deviation over mean.
struct GapSummary {
    long gaps = 0, zero = 0;
    double mean = 0, cv = 0;
};

// What a store of so many blocks would have held of the prompts, the least recently used first out.
struct ReuseSummary {
    long blocks = kUnlimitedBlocks;  // of the store
    double block_hits = 0, token_hits = 0;
};

struct RequestSummary {
    std::string format;
    bool timed = true;
    RequestCounts counts;
    std::vector<std::string> notes;
    long requests = 0, sessions = 0;
    Seconds first{0.0}, last{0.0};
    GapSummary as_written, spread;  // spread: of a coarse clock, as traffic uses it
    LengthCount input, output;
    long block_tokens = 0, references = 0, distinct = 0;  // of prompts' blocks
    std::vector<ReuseSummary> reuse;                      // without a bound first

    double rate() const {  // requests a second, between the first and the last
        return last > first ? static_cast<double>(requests - 1) / (last - first).value() : 0;
    }
};

// Wrong rows are skipped and counted. Of ServeGen's clients the first hour is drawn. Throws
// InputError: no trace, not readable.
RequestSummary summarise_requests(const std::string& path);

}  // namespace podsim
