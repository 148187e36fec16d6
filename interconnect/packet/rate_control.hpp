// How fast a source may send to each destination, by the marks that come back.
//
//   mark        rate <- max(lowest, rate (1 - cut)), at most once an interval
//   otherwise   rate <- min(1, rate + growth (t - last change) / interval)
//
// as a share of all ports of the source. A packet of w bytes leaves room for the next one after
// w / (rate x ports' bandwidth).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/calendar.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {

class RateControl {
  public:
    RateControl() = default;
    RateControl(const CongestionControlSpec& spec, std::size_t destinations,
                double bytes_per_picosecond)
        : spec_(spec),
          interval_(to_picoseconds(spec.interval)),
          bytes_per_picosecond_(bytes_per_picosecond) {
        if (spec.cut > 0) flows_.resize(destinations);
    }

    bool on() const { return !flows_.empty(); }
    Picoseconds next_time(std::uint32_t destination) const { return flows_[destination].next; }
    double rate(std::uint32_t destination) const { return flows_[destination].rate; }

    void sent(std::uint32_t destination, std::uint32_t wire, Picoseconds now) {
        Flow& flow = flows_[destination];
        grow(flow, now);
        flow.next = std::max(flow.next, now);
        if (flow.rate < 1) {
            flow.next += std::llround(wire / (flow.rate * bytes_per_picosecond_));
        }
    }

    void marked(std::uint32_t destination, Picoseconds now) {
        Flow& flow = flows_[destination];
        grow(flow, now);
        if (flow.cut_at >= 0 && now < flow.cut_at + interval_) return;
        flow.rate = std::max(spec_.lowest, flow.rate * (1 - spec_.cut));
        flow.cut_at = now;
    }

  private:
    struct Flow {
        double rate = 1;
        Picoseconds next = 0, changed = 0, cut_at = -1;
    };
    void grow(Flow& flow, Picoseconds now) const {
        flow.rate =
            std::min(1.0, flow.rate + spec_.growth * static_cast<double>(now - flow.changed) /
                                          static_cast<double>(interval_));
        flow.changed = now;
    }
    CongestionControlSpec spec_;
    Picoseconds interval_ = 1;
    double bytes_per_picosecond_ = 0;
    std::vector<Flow> flows_;
};

}  // namespace podsim
