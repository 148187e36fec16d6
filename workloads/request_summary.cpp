#include "workloads/request_summary.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/names.hpp"
#include "workloads/traffic.hpp"

namespace podsim {

namespace {

constexpr long kStoreSizes[] = {kUnlimitedBlocks, 1000, 10000, 50000};

// Welford's recurrence: of many small gaps between late times nothing cancels.
class Gaps {
  public:
    void arrive(Seconds at) {
        if (begun_) {
            const double gap = (at - last_).value();
            ++sum_.gaps;
            if (gap == 0) ++sum_.zero;
            const double off = gap - sum_.mean;
            sum_.mean += off / static_cast<double>(sum_.gaps);
            squares_ += off * (gap - sum_.mean);
        }
        begun_ = true;
        last_ = at;
    }
    GapSummary summary() const {
        GapSummary sum = sum_;
        if (sum.gaps > 0 && sum.mean > 0)
            sum.cv = std::sqrt(squares_ / static_cast<double>(sum.gaps)) / sum.mean;
        return sum;
    }

  private:
    GapSummary sum_;
    double squares_ = 0;
    Seconds last_{0.0};
    bool begun_ = false;
};

RequestStream open(const std::string& path, Timestamps timestamps) {
    if (request_format(path) == RequestFormat::servegen) {
        StreamSpec spec;
        spec.trace = path;
        spec.trace_place = {path, 0, 0};
        spec.until = Seconds(3600);
        RequestStream stream = make_stream(spec, 1);
        stream.notes.emplace_back("laws of clients: their first hour, drawn with seed 1");
        return stream;
    }
    RequestTraceOptions options;
    options.bad_rows = BadRows::skip;
    options.timestamps = timestamps;
    options.only_lengths = true;
    return open_request_trace(path, options);
}

}  // namespace

double LengthCount::percentile(double percent) const {
    if (count_ == 0) return 0;
    const double h = static_cast<double>(count_ - 1) * percent / 100;
    const auto below = static_cast<long>(std::floor(h));
    const double part = h - static_cast<double>(below);
    long passed = 0;
    for (auto it = counts_.begin(); it != counts_.end(); ++it) {
        passed += it->second;
        if (passed <= below) continue;
        if (part == 0 || passed > below + 1) return static_cast<double>(it->first);
        const auto above = std::next(it);
        return static_cast<double>(it->first) +
               part * static_cast<double>(above->first - it->first);
    }
    return static_cast<double>(counts_.rbegin()->first);
}

RequestSummary summarise_requests(const std::string& path) {
    RequestSummary summary;
    RequestStream stream = open(path, Timestamps::as_is);
    summary.format = stream.format;
    summary.timed = stream.format != name_of(RequestFormat::vidur_lengths);
    summary.block_tokens = stream.block_tokens;
    std::vector<BlockCache> stores;
    std::vector<long> hit_tokens;
    if (stream.block_tokens > 0) {
        for (const long blocks : kStoreSizes) {
            BlockCacheSpec spec;
            spec.tiers.resize(1);
            spec.tiers[0].blocks = blocks;
            stores.emplace_back(spec);
        }
        hit_tokens.resize(stores.size());
    }
    Gaps gaps;
    std::set<long> sessions;
    Request request;
    while (stream.next(request)) {
        if (summary.requests++ == 0) summary.first = request.arrival;
        summary.last = request.arrival;
        gaps.arrive(request.arrival);
        summary.input.add(request.input_tokens);
        summary.output.add(request.output_tokens);
        if (request.session >= 0) sessions.insert(request.session);
        for (std::size_t i = 0; i < stores.size(); ++i) {
            const PrefixHit hit = stores[i].refer(request.prefix_blocks, request.arrival);
            hit_tokens[i] += std::min(request.input_tokens, hit.blocks * stream.block_tokens);
        }
    }
    summary.sessions = static_cast<long>(sessions.size());
    summary.counts = *stream.counts;
    summary.notes = stream.notes;
    if (summary.timed) summary.as_written = gaps.summary();
    for (std::size_t i = 0; i < stores.size(); ++i) {
        const double tokens = std::max(1.0, summary.input.total());
        summary.reuse.push_back({stores[i].spec().tiers[0].blocks, stores[i].counts().hit_rate(),
                                 static_cast<double>(hit_tokens[i]) / tokens});
    }
    if (!stores.empty()) {
        summary.references = stores[0].counts().looked_up;
        summary.distinct = stores[0].held(0);
    }
    if (!summary.timed) return summary;
    Gaps spread;
    stream = open(path, Timestamps::uniform);
    summary.notes = stream.notes;
    while (stream.next(request)) spread.arrive(request.arrival);
    summary.spread = spread.summary();
    return summary;
}

}  // namespace podsim
